/* A mixture as in embedded integer benchmarks: sorting a linked list, multiplying small matrices, a state machine over text, and
   a cyclic redundancy check that joins their results. */
#include "bench.h"

/* --- list: merge sort of linked items by one of two keys */

struct item {
    struct item *next;
    int16_t key, index;
};
enum { ITEMS = 200 };

static struct item *merge(struct item *a, struct item *b, int by_index)
{
    struct item head, *tail = &head;
    while (a && b) {
        int first = by_index ? a->index <= b->index : a->key <= b->key;
        struct item **from = first ? &a : &b;
        tail->next = *from;
        tail = *from;
        *from = (*from)->next;
    }
    tail->next = a ? a : b;
    return head.next;
}

static struct item *sorted(struct item *list, int by_index)
{
    if (!list || !list->next)
        return list;
    struct item *slow = list, *fast = list->next;
    while (fast && fast->next) {
        slow = slow->next;
        fast = fast->next->next;
    }
    struct item *second = slow->next;
    slow->next = NULL;
    return merge(sorted(list, by_index), sorted(second, by_index), by_index);
}

static struct item *find(struct item *list, int16_t key)
{
    while (list && list->key != key)
        list = list->next;
    return list;
}

static uint32_t lists(struct item *items, uint32_t *seed)
{
    for (int i = 0; i < ITEMS; i++) {
        items[i].next = i + 1 < ITEMS ? &items[i + 1] : NULL;
        items[i].key = (int16_t)(next_random(seed) & 0x3ff);
        items[i].index = (int16_t)i;
    }
    struct item *list = sorted(items, 0);
    uint32_t result = 0;
    for (int16_t key = 0; key < 64; key++) {
        struct item *found = find(list, key);
        result = result * 31 + (found ? (uint32_t)found->index : 7);
    }
    list = sorted(list, 1);
    return result + (uint32_t)list->key;
}

/* --- matrix: 16-bit elements, 32-bit sums, bit fields of the products */

enum { SIDE = 12 };

static uint32_t matrices(uint32_t *seed)
{
    int16_t a[SIDE][SIDE], b[SIDE][SIDE];
    int32_t c[SIDE][SIDE];
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            a[i][j] = (int16_t)(next_random(seed) & 0x7ff);
            b[i][j] = (int16_t)(next_random(seed) & 0x3f);
        }
    uint32_t result = 0;
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            c[i][j] = 0;
            for (int k = 0; k < SIDE; k++) {
                int32_t product = (int32_t)a[i][k] * b[k][j];
                c[i][j] += (product >> 2 & 15) * (product >> 5 & 127);
            }
            result = result * 17 + (uint32_t)c[i][j];
        }
    return result;
}

/* --- states: which kind of number is each word? */

enum state { START, INVALID, SIGN, INTEGER, POINT, FRACTION, EXPONENT, EXPONENT_SIGN, SCIENTIFIC, STATES };

static enum state step(enum state state, char c)
{
    int digit = c >= '0' && c <= '9', sign = c == '+' || c == '-';
    switch (state) {
    case START:
        return digit ? INTEGER : sign ? SIGN : c == '.' ? POINT : INVALID;
    case SIGN:
        return digit ? INTEGER : c == '.' ? POINT : INVALID;
    case INTEGER:
        return digit ? INTEGER : c == '.' ? FRACTION : c == 'e' ? EXPONENT : INVALID;
    case POINT:
    case FRACTION:
        return digit ? FRACTION : c == 'e' && state == FRACTION ? EXPONENT : INVALID;
    case EXPONENT:
        return digit ? SCIENTIFIC : sign ? EXPONENT_SIGN : INVALID;
    case EXPONENT_SIGN:
    case SCIENTIFIC:
        return digit ? SCIENTIFIC : INVALID;
    default:
        return INVALID;
    }
}

static uint32_t states(uint32_t *seed)
{
    static const char *const words[] = {"5012", "1234", "-874", "+122", "35.54400", ".1234500", "-110.700", "+0.64400",
                                        "5.500e+3", "-.123e-2", "-87e+832", "+0.6e-12", "T0.3e-1F", "-T.T++Tq", "1T3.4e4z"};
    uint32_t count[STATES] = {0}, result = 0;
    for (int i = 0; i < 40; i++) {
        enum state state = START;
        for (const char *c = words[next_random(seed) % 15]; *c; c++) {
            state = step(state, *c);
            result += (uint32_t)state << (i & 7);
        }
        count[state]++;
    }
    for (int i = 0; i < STATES; i++)
        result = result * 13 + count[i];
    return result;
}

/* --- CRC-16, bit by bit */

static uint16_t crc(uint16_t value, uint32_t data)
{
    for (int i = 0; i < 32; i++, data >>= 1)
        value = (uint16_t)(value >> 1 ^ ((value ^ data) & 1 ? 0xa001 : 0));
    return value;
}

int main(int argc, char **argv)
{
    static struct item items[ITEMS];
    uint32_t seed = 1;
    uint16_t value = 0;
    for (int round = rounds(argc, argv, 12000); round > 0; round--) {
        value = crc(value, lists(items, &seed));
        for (int i = 0; i < 4; i++)
            value = crc(value, matrices(&seed));
        value = crc(value, states(&seed));
    }
    return report("integer_mix", value);
}
