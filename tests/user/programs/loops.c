/* Hot loops that something happens to in their middle: accesses that fail, signals, changed code, changed mappings, threads, forks. */
#include "check.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 4, WORDS = PAGES * PAGE / 8 };

static uint64_t *table;
static sigjmp_buf back;
static volatile long faults, where, code;
static volatile int open_page;

static void on_fault(int signo, siginfo_t *info, void *context)
{
    (void)context;
    faults++;
    where = (char *)info->si_addr - (char *)table;
    code = info->si_code;
    if (!open_page)
        siglongjmp(back, signo);
    mprotect((char *)table + (where & -PAGE), PAGE, PROT_READ | PROT_WRITE);
}

static void fill(void)
{
    mprotect(table, PAGES * PAGE, PROT_READ | PROT_WRITE);
    for (long i = 0; i < WORDS; i++)
        table[i] = i * 0x9E3779B97F4A7C15u;
}

/* Several values live across every access; what is counted before and after an access tells whether it was done once. */
__attribute__((noinline)) static uint64_t walk(uint64_t *from, long n, volatile long *before, volatile long *after)
{
    uint64_t a = 1, b = 2, c = 3;
    for (long i = 0; i < n; i++) {
        ++*before;
        uint64_t x = from[i];
        ++*after;
        a += x ^ b;
        b = b * 5 + (int32_t)x;
        c ^= a >> 7 | (uint8_t)x;
        from[i] = x + c;
    }
    return a ^ b ^ c;
}

static void failing_accesses(void)
{
    static volatile long before, after;
    fill();
    uint64_t whole = walk(table, WORDS, &before, &after);
    SHOW(before);
    SHOW(after);
    for (int what = PROT_NONE; what <= PROT_READ; what++) {
        fill();
        before = after = faults = 0;
        mprotect((char *)table + 2 * PAGE, PAGE, what);
        int signo = sigsetjmp(back, 1);
        if (!signo)
            walk(table, WORDS, &before, &after);
        SHOW(signo == SIGSEGV);
        SHOW(before);
        SHOW(after);
        SHOW(where);
        SHOW(code == SEGV_ACCERR);
    }
    open_page = 1;
    for (int what = PROT_NONE; what <= PROT_READ; what++) {
        fill();
        before = after = faults = 0;
        mprotect(table, PAGES * PAGE, what);
        SHOW(walk(table, WORDS, &before, &after) == whole);
        SHOW(before);
        SHOW(after);
        SHOW(faults);
    }
    open_page = 0;
    for (int size = 1; size <= 8; size *= 2) {    /* loads and stores of all sizes, at the end of what is mapped */
        munmap((char *)table + 3 * PAGE, PAGE);
        volatile long done = 0;
        if (!sigsetjmp(back, 1))
            for (char *at = (char *)table + 2 * PAGE;; at += size, done = done + 1) {
                if (size == 1)
                    *(volatile int8_t *)at += 3;
                else if (size == 2)
                    *(volatile uint16_t *)at -= 3;
                else if (size == 4)
                    *(volatile int32_t *)at += 3;
                else
                    *(volatile double *)at = 1.5;
            }
        SHOW(done * size);
        SHOW(where);
        SHOW(code == SEGV_MAPERR);
        mmap((char *)table + 3 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    }
}

static atomic_long ticks;

static void on_tick(int signo) { (void)signo; ticks++; }

__attribute__((noinline)) static uint64_t spin(long n)
{
    uint64_t a = 0, b = 1;
    for (long i = 0; i < n; i++)
        a += b, b ^= a * 3 + i;
    return a ^ b;
}

static void signals(void)
{
    uint64_t once = spin(100000);
    signal(SIGALRM, on_tick);
    struct itimerval often = {{0, 2000}, {0, 2000}}, never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &often, 0);
    int wrong = 0;
    while (ticks < 30)
        wrong += spin(100000) != once;
    setitimer(ITIMER_REAL, &never, 0);
    SHOW(wrong);
}

typedef long (*Function)(long);

/* Leaf functions without addresses in them, so that their code can be copied. */
__attribute__((noinline, aligned(64))) static long more(long x) { return x + 3; }
__attribute__((noinline, aligned(64))) static long less(long x) { return x - 5; }

__attribute__((noinline)) static long apply(Function f, long n)
{
    long x = 0;
    for (long i = 0; i < n; i++)
        x = f(x);
    return x;
}

static Function put(char *at, Function f)
{
    memcpy(at, (void *)f, 16);
    __builtin___clear_cache(at, at + 16);
    return (Function)at;
}

static void changing_code(void)
{
    int all = PROT_READ | PROT_WRITE | PROT_EXEC, flags = MAP_PRIVATE | MAP_ANONYMOUS, wrong = 0;
    char *page = mmap(0, PAGE, all, flags, -1, 0);
    for (int turn = 0; turn < 6; turn++) {
        wrong += apply(put(page, turn & 1 ? less : more), 20000) != (turn & 1 ? -100000 : 60000);
        if (turn == 3)
            mmap(page, PAGE, all, flags | MAP_FIXED, -1, 0);
        if (turn == 4)
            wrong += mprotect(page, PAGE, PROT_READ | PROT_EXEC) || apply((Function)page, 20000) != 60000 || mprotect(page, PAGE, all);
    }
    SHOW(wrong);
    signal(SIGSEGV, SIG_DFL);
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, 0);
    munmap(page, PAGE);
    int signo = sigsetjmp(back, 1);
    if (!signo)
        apply((Function)page, 20000);
    SHOW(signo == SIGSEGV);
    SHOW((char *)table + where == page);
}

static void *worker(void *number)
{
    uint64_t sum = 0;
    for (int i = 0; i < 20; i++)
        sum += spin(20000 + (long)number);
    return (void *)(uintptr_t)sum;
}

static void threads_and_forks(void)
{
    pthread_t threads[4];
    int wrong = 0;
    for (long n = 0; n < 4; n++)
        pthread_create(&threads[n], 0, worker, (void *)n);
    for (int i = 0; i < 5; i++) {
        pid_t child = fork();
        if (!child)
            _exit(worker((void *)2) != (void *)(uintptr_t)(20 * spin(20002)));
        int status;
        waitpid(child, &status, 0);
        wrong += status != 0;
    }
    for (long n = 0; n < 4; n++) {
        void *sum;
        pthread_join(threads[n], &sum);
        wrong += sum != (void *)(uintptr_t)(20 * spin(20000 + n));
    }
    SHOW(wrong);
}

int main(void)
{
    table = mmap(0, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, 0);
    failing_accesses();
    signals();
    changing_code();
    threads_and_forks();
    return 0;
}
