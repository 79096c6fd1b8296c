/* A stack machine: an assembler for its text, and an interpreter that is a loop around a switch, with branches that are hard to predict. The
   program that it runs counts the ways to place eight queens on a board, and scatters numbers over a table. */
#include "bench.h"

#define OPERATIONS(o) \
    o(push) o(load) o(store) o(index) o(put) o(add) o(sub) o(mul) o(and) o(shr) o(less) o(equal) o(not) o(jump) \
    o(unless) o(call) o(back) o(halt)

#define AS_MEMBER(name) op_##name,
#define AS_NAME(name) #name,
enum operation { OPERATIONS(AS_MEMBER) OPERATION_COUNT };
static const char *const names[] = {OPERATIONS(AS_NAME)};

enum { CODE = 512, LABELS = 64, WORDS = 4096, STACK = 256, DEPTH = 64 };

struct code {
    int32_t operation, argument;
};

/* Words 0 to 7: columns taken. 16 and 48 onward: diagonals. 1024 onward: the table. Calls hand over one value, as local 0. */
static const char source[] =
    "main:   push 0  call place  push 0  call scatter  add  halt "

    "place:  load 0  push 8  equal  unless search  push 1  back "
    "search: push 0  store 1  push 0  store 2 "
    "column: load 1  push 8  less  unless placed "
    "        load 1  index 0  load 0  load 1  add  index 16  add  load 0  load 1  sub  index 56  add  not  unless next "
    "        push 1  load 1  put 0  push 1  load 0  load 1  add  put 16  push 1  load 0  load 1  sub  put 56 "
    "        load 0  push 1  add  call place  load 2  add  store 2 "
    "        push 0  load 1  put 0  push 0  load 0  load 1  add  put 16  push 0  load 0  load 1  sub  put 56 "
    "next:   load 1  push 1  add  store 1  jump column "
    "placed: load 2  back "

    "scatter: push 1  store 1 "
    "number: load 0  push 3000  less  unless scattered "
    "        load 1  push 69069  mul  push 1  add  push 2147483647  and  store 1 "
    "        load 1  push 11  shr  push 1023  and  store 2 "
    "        load 2  index 1024  push 1  add  load 2  put 1024 "
    "        load 0  push 1  add  store 0  jump number "
    "scattered: load 1  back ";

/* --- the assembler: words are labels with a colon, operations, numbers, and names of labels */

struct label {
    char name[16];
    int32_t at;
};

static int32_t look_up(struct label *labels, int *count, const char *name)
{
    for (int i = 0; i < *count; i++)
        if (!strcmp(labels[i].name, name))
            return i;
    strcpy(labels[*count].name, name);
    labels[*count].at = -1;
    return (*count)++;
}

static int has_argument(enum operation operation)
{
    return operation <= op_put || (operation >= op_jump && operation <= op_call);
}

static void assemble(struct code *code)
{
    static char text[sizeof source];
    struct label labels[LABELS];
    int label_count = 0, length = 0;
    memcpy(text, source, sizeof source);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) {
        size_t size = strlen(word);
        if (word[size - 1] == ':') {
            word[size - 1] = 0;
            labels[look_up(labels, &label_count, word)].at = length;
            continue;
        }
        int32_t operation = 0;
        while (strcmp(names[operation], word))
            if (++operation == OPERATION_COUNT)
                exit(1);
        code[length].operation = operation;
        if (has_argument((enum operation)operation)) {
            word = strtok(NULL, " ");
            int is_label = operation >= op_jump;
            code[length].argument = is_label ? look_up(labels, &label_count, word) : (int32_t)strtol(word, NULL, 10);
        }
        length++;
    }
    for (int i = 0; i < length; i++)
        if (code[i].operation >= op_jump && code[i].operation <= op_call)
            code[i].argument = labels[code[i].argument].at;
}

/* --- the interpreter */

static int64_t words[WORDS];

static int64_t run(const struct code *code)
{
    static int64_t stack[STACK];
    static struct frame {
        int64_t local[4];
        const struct code *back;
    } frames[DEPTH];
    struct frame *frame = frames;
    int64_t *top = stack;
    for (const struct code *at = code;;) {
        const struct code *now = at++;
        int32_t argument = now->argument;
        switch ((enum operation)now->operation) {
        case op_push: *top++ = argument; break;
        case op_load: *top++ = frame->local[argument]; break;
        case op_store: frame->local[argument] = *--top; break;
        case op_index: top[-1] = words[(argument + top[-1]) & (WORDS - 1)]; break;
        case op_put: top -= 2; words[(argument + top[1]) & (WORDS - 1)] = top[0]; break;
        case op_add: top--; top[-1] += *top; break;
        case op_sub: top--; top[-1] -= *top; break;
        case op_mul: top--; top[-1] *= *top; break;
        case op_and: top--; top[-1] &= *top; break;
        case op_shr: top--; top[-1] >>= *top & 63; break;
        case op_less: top--; top[-1] = top[-1] < *top; break;
        case op_equal: top--; top[-1] = top[-1] == *top; break;
        case op_not: top[-1] = !top[-1]; break;
        case op_jump: at = code + argument; break;
        case op_unless:
            if (!*--top)
                at = code + argument;
            break;
        case op_call:
            frame++;
            frame->local[0] = *--top;
            frame->back = at;
            at = code + argument;
            break;
        case op_back:
            at = frame->back;
            frame--;
            break;
        default:
            return *--top;
        }
    }
}

int main(int argc, char **argv)
{
    static struct code code[CODE];
    uint64_t hash = 0;
    assemble(code);
    for (int round = rounds(argc, argv, 75); round > 0; round--)
        hash = mixed(hash, (uint64_t)run(code));
    for (int i = 0; i < WORDS; i++)
        hash = mixed(hash, (uint64_t)words[i]);
    return report("interpreter", hash);
}
