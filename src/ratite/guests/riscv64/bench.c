/* Small loops, each about a second of an emulator's time, whose results are known. */
#include "monitor.h"

/* Primes below two million, by crossing out multiples. */
static uint64_t sieve(void)
{
    static uint8_t crossed[2000000];
    const uint32_t size = sizeof crossed;
    uint64_t total = 0;
    for (int round = 0; round < 4; round++) {
        for (uint32_t i = 0; i < size; i++)
            crossed[i] = 0;
        uint32_t count = 0;
        for (uint32_t i = 2; i < size; i++) {
            if (crossed[i])
                continue;
            count++;
            for (uint32_t j = i + i; j < size; j += i)
                crossed[j] = 1;
        }
        total += count;
    }
    return total;
}

/* Shifts, exclusive ors and multiplications, each waiting for the one before. */
static uint64_t mix(void)
{
    uint64_t x = 1, sum = 0;
    for (uint32_t i = 0; i < 150000000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        sum += x * 0x9e3779b97f4a7c15u;
    }
    return sum;
}

/* Calls and returns: Takeuchi's function. */
static __attribute__((noinline)) int tak(int x, int y, int z)
{
    return y < x ? tak(tak(x - 1, y, z), tak(y - 1, z, x), tak(z - 1, x, y)) : z;
}

static uint64_t calls(void)
{
    uint64_t sum = 0;
    for (int x = 16; x < 28; x++)
        sum = sum * 31 + (uint64_t)tak(x, 12, 6);
    return sum;
}

/* The area below 4 / (1 + x * x) from 0 to 1, times 10**12. */
static uint64_t area(void)
{
    const int steps = 15000000;
    double width = 1.0 / steps, sum = 0;
    for (int i = 0; i < steps; i++) {
        double x = (i + 0.5) * width;
        sum += 4 / (1 + x * x);
    }
    return (uint64_t)(sum * width * 1e12);
}

const struct bench benches[] = {
    {"sieve", sieve, 0x0000000000091714},
    {"mix", mix, 0xb96d945386cbe08c},
    {"calls", calls, 0x029b8551305c969e},
    {"area", area, 0x000002db75839f16},
    {NULL, NULL, 0},
};
