/* The C library's memory and string functions on blocks of many sizes and alignments. */
#include "bench.h"

enum { SIZE = 1 << 16 };
static char from[SIZE + 64], to[SIZE + 64];

int main(int argc, char **argv)
{
    uint32_t seed = 1;
    uint64_t hash = 0;
    for (int i = 0; i < SIZE + 63; i++)
        from[i] = (char)('a' + next_random(&seed) % 26);
    for (int round = rounds(argc, argv, 6000); round > 0; round--) {
        /* short strings, as programs mostly have them */
        for (int i = 0; i < 200; i++) {
            size_t length = next_random(&seed) % 60, offset = next_random(&seed) % SIZE / 2;
            memcpy(to + (offset ^ 5), from + offset, length);
            to[(offset ^ 5) + length] = 0;
            hash = mixed(hash, strlen(to + (offset ^ 5)));
            char *found = strchr(to + (offset ^ 5), 'q');
            hash += found ? (uint64_t)(found - to) : 1;
        }
        /* long blocks */
        size_t shift = next_random(&seed) % 32;
        memcpy(to + shift, from, SIZE);
        to[shift + SIZE - 1] = 0;
        hash = mixed(hash, strlen(to + shift));
        hash = mixed(hash, (uint64_t)(memcmp(to + shift, from, SIZE) < 0));
        memmove(to + 1, to, SIZE);
        hash = mixed(hash, (uint64_t)(uint8_t)to[SIZE / 2]);
        memset(to, 'x', 4096);
    }
    return report("strings", hash);
}
