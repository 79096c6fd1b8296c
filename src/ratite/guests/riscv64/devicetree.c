/* Reading a flattened device tree (Devicetree Specification 0.4, chapter 5): enough to find a property of a node near the root. */
#include "monitor.h"

enum { MAGIC = 0xd00dfeed, BEGIN_NODE = 1, END_NODE = 2, PROPERTY = 3, NOP = 4 };
enum { STRUCTURE_OFFSET = 8, STRINGS_OFFSET = 12 };

uint64_t be(const void *bytes, unsigned count)
{
    const uint8_t *from = bytes;
    uint64_t value = 0;
    while (count--)
        value = value << 8 | *from++;
    return value;
}

int tree_check(uintptr_t tree)
{
    return tree && !(tree & 3) && be((void *)tree, 4) == MAGIC;
}

static int same(const char *a, const char *b)
{
    for (; *a && *a == *b; a++, b++)
        ;
    return *a == *b;
}

/* Whether a node's name is `wanted`, with or without its address. */
static int names(const char *name, const char *wanted)
{
    for (; *wanted && *name == *wanted; name++, wanted++)
        ;
    return !*wanted && (!*name || *name == '@');
}

static const uint8_t *after(const uint8_t *at, uintptr_t bytes)
{
    return at + ((bytes + 3) & ~(uintptr_t)3);
}

static size_t length_of(const char *text)
{
    size_t length = 0;
    while (text[length])
        length++;
    return length;
}

/* The first property `property` of a node `node` that is a child of the root, or of the root itself when `node` is empty. */
const void *tree_property(uintptr_t tree, const char *node, const char *property, uint32_t *length)
{
    const uint8_t *at = (const uint8_t *)tree + be((void *)(tree + STRUCTURE_OFFSET), 4);
    const char *strings = (const char *)tree + be((void *)(tree + STRINGS_OFFSET), 4);
    int depth = 0, inside = 0;
    for (;;) {
        uint32_t token = (uint32_t)be(at, 4);
        at += 4;
        switch (token) {
        case BEGIN_NODE:
            depth++;
            inside = *node ? depth == 2 && names((const char *)at, node) : depth == 1;
            at = after(at, length_of((const char *)at) + 1);
            break;
        case END_NODE:
            depth--;
            inside = 0;
            break;
        case PROPERTY:
            *length = (uint32_t)be(at, 4);
            if (inside && same(strings + be(at + 4, 4), property))
                return at + 8;
            at = after(at + 8, *length);
            break;
        case NOP:
            break;
        default:
            return NULL;
        }
    }
}
