// latency SECONDS: how late a thread is woken that asks for every millisecond (CLOCK_MONOTONIC, absolute times), beside whatever else runs.
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { PERIOD = 1000000, SECOND = 1000000000 };

static long long nanoseconds(struct timespec t) { return t.tv_sec * (long long)SECOND + t.tv_nsec; }

static int by_size(const void *a, const void *b) {
    long long x = *(const long long *)a, y = *(const long long *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    long ticks = (argc > 1 ? atol(argv[1]) : 10) * 1000, count = 0, skipped = 0;
    long long *late = calloc(ticks, sizeof *late);
    struct sched_param first = {.sched_priority = 50};
    struct timespec now;
    if (!late || ticks <= 0)
        return 1;
    if (sched_setscheduler(0, SCHED_FIFO, &first) || mlockall(MCL_CURRENT | MCL_FUTURE))
        perror("latency: without real-time rights");
    clock_gettime(CLOCK_MONOTONIC, &now);
    long long next = nanoseconds(now);
    for (long tick = 0; tick < ticks; tick++) {
        next += PERIOD;
        struct timespec until = {next / SECOND, next % SECOND};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL))
            ;
        clock_gettime(CLOCK_MONOTONIC, &now);
        late[count++] = nanoseconds(now) - next;
        for (; nanoseconds(now) - next > PERIOD && tick + 1 < ticks; tick++, skipped++)
            next += PERIOD;
    }
    qsort(late, count, sizeof *late, by_size);
    printf("LATENCY-US median=%.1f p99=%.1f p999=%.1f worst=%.1f ticks=%ld skipped=%ld\n", late[count / 2] / 1e3, late[count * 99 / 100] / 1e3,
           late[count * 999 / 1000] / 1e3, late[count - 1] / 1e3, count, skipped);
    return 0;
}
