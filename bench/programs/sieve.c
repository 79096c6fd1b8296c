/* Primes below four million, one byte a number. */
#include "bench.h"

enum { SIZE = 4000000 };
static uint8_t crossed[SIZE];

int main(int argc, char **argv)
{
    uint64_t hash = 0;
    for (int round = rounds(argc, argv, 32); round > 0; round--) {
        uint32_t count = 0, last = 0;
        memset(crossed, 0, SIZE);
        for (uint32_t i = 2; i < SIZE; i++) {
            if (crossed[i])
                continue;
            count++;
            last = i;
            for (uint64_t j = (uint64_t)i * i; j < SIZE; j += i)
                crossed[j] = 1;
        }
        hash = mixed(mixed(hash, count), last);
    }
    return report("sieve", hash);
}
