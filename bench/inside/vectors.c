/* Loops that a compiler makes vectors of: floating-point numbers, integers, bytes. The argument is how often. */
#include <stdio.h>
#include <stdlib.h>

enum { COUNT = 4096 };
static float factors[COUNT], sums[COUNT];
static int numbers[COUNT];
static unsigned char old[2 * COUNT], mixed[2 * COUNT];

int main(int argc, char **argv)
{
    long total = 0;
    double whole = 0;
    unsigned hash = 0;
    for (int i = 0; i < COUNT; i++) {
        factors[i] = i * 0.5f;
        sums[i] = 1.0f / (i + 1);
        numbers[i] = i * 2654435761u;
    }
    for (int i = 0; i < 2 * COUNT; i++)
        old[i] = i * 7;
    for (int round = argc > 1 ? atoi(argv[1]) : 0; round > 0; round--) {
        int found = 0;
        float factor = round * 1e-6f;
        for (int i = 0; i < COUNT; i++)
            sums[i] += factor * factors[i];
        for (int i = 0; i < COUNT; i++)
            found += numbers[i] ^ numbers[i] >> 3;
        for (int i = 0; i < 2 * COUNT; i++)
            mixed[i] = old[i] > mixed[i] ? old[i] - mixed[i] : mixed[i] - old[i] + round;
        total += found;
    }
    for (int i = 0; i < COUNT; i++)
        whole += sums[i];
    for (int i = 0; i < 2 * COUNT; i++)
        hash = hash * 31 + mixed[i];
    printf("%ld %.6g %u\n", total, whole, hash);
    return 0;
}
