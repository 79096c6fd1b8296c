/* The prompt and its commands. */
#include "monitor.h"

#define TEST ((volatile uint32_t *)0x00100000) /* SiFive test finisher */
enum { FINISH_FAIL = 0x3333, FINISH_PASS = 0x5555, FINISH_RESET = 0x7777 };

static uintptr_t tree;

struct command {
    const char *name, *arguments, *help;
    void (*run)(char *arguments);
};
static const struct command commands[];

static int same(const char *a, const char *b)
{
    for (; *a && *a == *b; a++, b++)
        ;
    return *a == *b;
}

/* Cut the first word off `*text`. */
static char *word(char **text)
{
    char *at = *text;
    while (*at == ' ')
        at++;
    char *first = at;
    while (*at && *at != ' ')
        at++;
    if (*at)
        *at++ = 0;
    *text = at;
    return first;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return 99;
}

/* A number, decimal or 0x...; returns 0 when the word is none. */
static int number(const char *text, uint64_t *value)
{
    unsigned base = 10;
    if (text[0] == '0' && text[1] == 'x') {
        base = 16;
        text += 2;
    }
    if (!*text)
        return 0;
    for (*value = 0; *text; text++) {
        if (digit(*text) >= (int)base)
            return 0;
        *value = *value * base + (unsigned)digit(*text);
    }
    return 1;
}

static void help(char *arguments)
{
    (void)arguments;
    for (const struct command *c = commands; c->name; c++)
        print("  %9s%16s%s\n", c->name, c->arguments, c->help);
}

static void info_tree(void)
{
    uint32_t length;
    if (!tree_check(tree)) {
        print("device tree  none\n");
        return;
    }
    const char *model = tree_property(tree, "", "model", &length);
    const uint8_t *memory = tree_property(tree, "memory", "reg", &length);
    const char *arguments = tree_property(tree, "chosen", "bootargs", &length);
    print("device tree  0x%x\n", (uint64_t)tree);
    if (model)
        print("machine      %s\n", model);
    if (memory)
        print("memory       %u MiB at 0x%x\n", be(memory + 8, 8) >> 20, be(memory, 8));
    if (arguments)
        print("arguments    %s\n", arguments);
}

static void info(char *arguments)
{
    (void)arguments;
    uint64_t misa = read_csr(misa);
    print("hart         %u, vendor 0x%x, architecture 0x%x, implementation 0x%x\n", read_csr(mhartid),
          read_csr(mvendorid), read_csr(marchid), read_csr(mimpid));
    print("isa          rv%u", 16ull << (misa >> 62));
    for (int letter = 0; letter < 26; letter++)
        if (misa >> letter & 1)
            put((char)('a' + letter));
    print("\n");
    info_tree();
    print("time         %u ms\n", *MTIME / (TIMER_HZ / 1000));
}

static void bench(char *arguments)
{
    char *only = word(&arguments);
    int found = 0;
    for (const struct bench *b = benches; b->name; b++) {
        if (*only && !same(only, b->name))
            continue;
        found = 1;
        uint64_t begin = *MTIME;
        uint64_t result = b->run();
        uint64_t end = *MTIME;
        print("%6s %6u ms   %016x %s\n", b->name, (end - begin) / (TIMER_HZ / 1000), result,
              result == b->expected ? "ok" : "WRONG");
    }
    if (!found)
        print("there is no benchmark '%s'\n", only);
}

static void mem(char *arguments)
{
    uint64_t address, count = 64;
    char *where = word(&arguments), *much = word(&arguments);
    if (!number(where, &address) || (*much && !number(much, &count))) {
        print("usage: mem ADDRESS [COUNT]\n");
        return;
    }
    for (uint64_t line = 0; line < count; line += 16) {
        print("%016x ", address + line);
        for (uint64_t i = line; i < line + 16 && i < count; i++)
            print(" %02x", (uint64_t) * (volatile uint8_t *)(address + i));
        print("\n");
    }
}

static void echo(char *arguments)
{
    print("%s\n", arguments);
}

static void wait_ticks(char *arguments)
{
    uint64_t count = 5;
    char *much = word(&arguments);
    if (*much && !number(much, &count)) {
        print("usage: ticks [COUNT]\n");
        return;
    }
    start_ticks(TIMER_HZ / 10);
    for (uint64_t seen = 0; seen < count; seen++) {
        while (ticks <= seen)
            __asm__ volatile("wfi");
        print("tick %u\n", seen + 1);
    }
    stop_ticks();
}

static void poweroff(char *arguments)
{
    uint64_t status = 0;
    char *given = word(&arguments);
    if (*given && !number(given, &status)) {
        print("usage: poweroff [STATUS]\n");
        return;
    }
    *TEST = status ? (uint32_t)status << 16 | FINISH_FAIL : FINISH_PASS;
}

static void reboot(char *arguments)
{
    (void)arguments;
    *TEST = FINISH_RESET;
}

static const struct command commands[] = {
    {"help", "", "this list", help},
    {"info", "", "what this machine is", info},
    {"bench", "[NAME]", "run loops with known results: sieve, mix, calls, area", bench},
    {"mem", "ADDRESS [COUNT]", "show bytes of memory", mem},
    {"echo", "TEXT", "print TEXT", echo},
    {"ticks", "[COUNT]", "wait for timer interrupts, ten a second", wait_ticks},
    {"reboot", "", "reset the machine", reboot},
    {"poweroff", "[STATUS]", "end, with an exit status", poweroff},
    {NULL, NULL, NULL, NULL},
};

static void execute(char *line)
{
    char *name = word(&line);
    if (!*name)
        return;
    for (const struct command *c = commands; c->name; c++)
        if (same(c->name, name)) {
            c->run(line);
            return;
        }
    print("%s: not known; 'help' lists the commands\n", name);
}

void prompt(void)
{
    char line[128];
    stop_ticks();
    for (;;) {
        print("ratite> ");
        read_line(line, sizeof line);
        execute(line);
    }
}

void monitor(uint64_t hart, uintptr_t device_tree)
{
    tree = device_tree;
    print("\nRatite monitor on hart %u: a bare machine with no operating system.\n", hart);
    print("'help' lists commands.\n\n");
    restart();
}
