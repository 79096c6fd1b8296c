/* Following pointers through a list whose links are in a random order: each load waits for the one before. The first list fits into a
   processor's caches, the second does not. */
#include "bench.h"

struct node {
    struct node *next;
    uint64_t value;
};

/* One cycle through all nodes, by Sattolo's shuffle. */
static struct node *shuffled(size_t count, uint32_t *seed)
{
    struct node *nodes = malloc(count * sizeof *nodes);
    uint32_t *order = malloc(count * sizeof *order);
    if (!nodes || !order)
        exit(1);
    for (size_t i = 0; i < count; i++)
        order[i] = (uint32_t)i;
    for (size_t i = count - 1; i > 0; i--) {
        size_t j = (next_random(seed) * (uint64_t)i) >> 24;
        uint32_t other = order[i];
        order[i] = order[j];
        order[j] = other;
    }
    for (size_t i = 0; i < count; i++) {
        nodes[order[i]].next = &nodes[order[(i + 1) % count]];
        nodes[order[i]].value = order[i] ^ i;
    }
    free(order);
    return nodes;
}

static uint64_t walk(const struct node *node, size_t steps)
{
    uint64_t sum = 0;
    for (; steps; steps--) {
        sum += node->value & 1 ? node->value : ~node->value;
        node = node->next;
    }
    return sum;
}

int main(int argc, char **argv)
{
    uint32_t seed = 1;
    uint64_t hash = 0;
    const struct node *small = shuffled(1000, &seed), *large = shuffled(400000, &seed);
    for (int round = rounds(argc, argv, 16); round > 0; round--) {
        hash = mixed(hash, walk(small, 10000000));
        hash = mixed(hash, walk(large, 400000));
    }
    return report("list_walk", hash);
}
