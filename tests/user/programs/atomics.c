/* Atomic operations in loops: on memory that takes no writes until a handler allows them, and by several threads at once. */
#include "check.h"

enum { PAGE = 4096, TURNS = 400, THREADS = 4, ROUNDS = 20000 };
static char *page;
static volatile long refused;

static void allow(int signo, siginfo_t *info, void *context) {
    (void)signo, (void)context;
    if ((char *)info->si_addr < page || (char *)info->si_addr >= page + PAGE) _exit(1);
    refused++;
    mprotect(page, PAGE, PROT_READ | PROT_WRITE);
}

/* Every operation on one number; memory is closed again every few turns, at another place of the loop each time. */
#define EACH(type) \
static void each_##type(void) { \
    type *at = (type *)(page + 64), sum = 0, n = 5, expected; \
    *at = 3; \
    for (int turn = 0; turn < TURNS; turn++) { \
        for (int step = 0; step < 8; step++) { \
            if ((turn * 8 + step) % 37 == 0) mprotect(page, PAGE, PROT_READ); \
            switch (step) { \
            case 0: sum += __atomic_fetch_add(at, n, __ATOMIC_SEQ_CST); break; \
            case 1: sum += __atomic_fetch_xor(at, 0x55 + turn, __ATOMIC_RELAXED); break; \
            case 2: sum += __atomic_fetch_or(at, turn, __ATOMIC_ACQ_REL); break; \
            case 3: sum += __atomic_fetch_and(at, ~(turn << 3), __ATOMIC_SEQ_CST); break; \
            case 4: sum += __atomic_exchange_n(at, n + turn, __ATOMIC_SEQ_CST); break; \
            case 5: expected = *at; sum += __atomic_compare_exchange_n(at, &expected, expected * 3, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); break; \
            case 6: sum += __atomic_sub_fetch(at, turn, __ATOMIC_RELEASE); break; \
            case 7: n = n * 5 + 1; break; \
            } \
        } \
    } \
    printf(#type ": %lld %lld, refused %ld\n", (long long)sum, (long long)*at, refused); \
}
EACH(int)
EACH(long)

static int lock, plain, counted;
static long swapped[2] = {1, 2};

static void *contending(void *argument) {
    (void)argument;
    for (int i = 0; i < ROUNDS; i++) {
        int open = 0, before;
        while (!__atomic_compare_exchange_n(&lock, &open, 1, 1, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) open = 0, sched_yield();
        plain++;
        __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
        __atomic_fetch_add(&counted, 1, __ATOMIC_RELAXED);
        before = __atomic_fetch_add(&swapped[0], 2, __ATOMIC_SEQ_CST);
        if (!(before & 1)) __atomic_fetch_add(&swapped[1], 1, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

int main(void) {
    struct sigaction action = {.sa_sigaction = allow, .sa_flags = SA_SIGINFO};
    pthread_t threads[THREADS];
    page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sigaction(SIGSEGV, &action, NULL);
    each_int();
    each_long();
    for (int n = 0; n < THREADS; n++) pthread_create(&threads[n], NULL, contending, NULL);
    for (int n = 0; n < THREADS; n++) pthread_join(threads[n], NULL);
    SHOW(plain);
    SHOW(counted);
    SHOW(swapped[0]);
    SHOW(swapped[1]);
    return 0;
}
