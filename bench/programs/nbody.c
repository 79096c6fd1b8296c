/* Planets under gravity: double precision, square roots and divisions. Positions and speeds are arbitrary. */
#include "bench.h"
#include <math.h>

enum { BODIES = 5 };
struct body {
    double at[3], speed[3], mass;
};

static void advance(struct body *bodies, double time)
{
    for (int i = 0; i < BODIES; i++)
        for (int j = i + 1; j < BODIES; j++) {
            struct body *a = &bodies[i], *b = &bodies[j];
            double away[3], square = 0.01;
            for (int n = 0; n < 3; n++) {
                away[n] = a->at[n] - b->at[n];
                square += away[n] * away[n];
            }
            double pull = time / (square * sqrt(square));
            for (int n = 0; n < 3; n++) {
                a->speed[n] -= away[n] * b->mass * pull;
                b->speed[n] += away[n] * a->mass * pull;
            }
        }
    for (int i = 0; i < BODIES; i++)
        for (int n = 0; n < 3; n++)
            bodies[i].at[n] += time * bodies[i].speed[n];
}

static double energy(const struct body *bodies)
{
    double sum = 0;
    for (int i = 0; i < BODIES; i++) {
        const struct body *a = &bodies[i];
        sum += 0.5 * a->mass * (a->speed[0] * a->speed[0] + a->speed[1] * a->speed[1] + a->speed[2] * a->speed[2]);
        for (int j = i + 1; j < BODIES; j++) {
            double square = 0.01;
            for (int n = 0; n < 3; n++)
                square += (a->at[n] - bodies[j].at[n]) * (a->at[n] - bodies[j].at[n]);
            sum -= a->mass * bodies[j].mass / sqrt(square);
        }
    }
    return sum;
}

int main(int argc, char **argv)
{
    struct body bodies[BODIES];
    uint32_t seed = 1;
    for (int i = 0; i < BODIES; i++) {
        for (int n = 0; n < 3; n++) {
            bodies[i].at[n] = next_random(&seed) / 1e6 - 8;
            bodies[i].speed[n] = next_random(&seed) / 2e7 - 0.4;
        }
        bodies[i].mass = i ? 0.01 * i : 40;
    }
    for (int round = rounds(argc, argv, 200000); round > 0; round--)
        advance(bodies, 0.001);
    double left = energy(bodies);
    uint64_t bits;
    memcpy(&bits, &left, sizeof bits);
    return report("nbody", bits);
}
