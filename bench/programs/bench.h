/* What the benchmark programs share: how often to repeat, and a checksum to print at the end.
   None of them looks at a clock: whoever runs them does. The first argument replaces the number of rounds. */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline uint64_t mixed(uint64_t hash, uint64_t value)
{
    return (hash ^ value) * 0x100000001b3u; /* the FNV prime */
}

static inline uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static inline int rounds(int argc, char **argv, int usual)
{
    return argc > 1 ? atoi(argv[1]) : usual;
}

static inline int report(const char *name, uint64_t hash)
{
    printf("%s %016llx\n", name, (unsigned long long)hash);
    return 0;
}

#endif
