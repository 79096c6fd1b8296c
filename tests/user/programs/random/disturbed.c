/* disturbed SEED TURNS WORKERS DISTURBERS SENT: hot loops under which other threads change everything.

   Workers compute; what they print depends on the seed alone. Disturbers take memory away (handlers of SIGSEGV give it back), write other
   instructions that do the same into code that is being executed, write new functions where a worker asks for one, and send signals. SENT: they
   send SIGSEGV too. Without disturbers the same is computed in peace. */
#include "../check.h"
#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/time.h>

enum { PAGE = 4096, MOST = 8, DATA = 3 * PAGE, SHARED = 2 * PAGE, CODE = 2 * PAGE, WORDS = DATA / 8, PAIRS = 6, RWX = PROT_READ | PROT_WRITE | PROT_EXEC };

#if defined __riscv
#define ADD_TO_ARGUMENT(n) (0x00050513u | (unsigned)(n) << 20)
#define GO_BACK 0x00008067u
#define SYNCHRONIZE() __asm__ volatile("fence.i" ::: "memory")    /* of all code, where the call of __clear_cache is of a range */
static const unsigned nothing[] = {0x00000013, 0x00500293, 0x0012c293};
#elif defined __loongarch__
#define ADD_TO_ARGUMENT(n) (0x02c00084u | (unsigned)(n) << 10)
#define GO_BACK 0x4c000020u
#define SYNCHRONIZE() __asm__ volatile("ibar 0" ::: "memory")
static const unsigned nothing[] = {0x03400000, 0x0380140c, 0x03c0058c};
#endif
#define COUNT(list) (sizeof list / sizeof *(list))

typedef long (*Function)(long);

/* data: anonymous memory. shared: a file's. code: a function across the border of two pages. */
typedef struct {
    pthread_t thread;
    uint64_t choice, sums, shareds;
    double floats;
    long called, children, wrong;
    char *data, *shared, *code;
    int file;
    long term;
    atomic_int tid, ended;
    atomic_long asked, answered, sent, handled;
} Worker;

static Worker workers[MOST];
static int turns, count, disturbers, sent_faults;
static atomic_long total, mended;
static atomic_int over;
static __thread Worker *self;

static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state * 0x2545F4914F6CDD1Du >> 16;
}

/* --- what is taken away and given back --- */

static int within(char *at, char *start, long size) { return at >= start && at < start + size; }

static void mend(int signo, siginfo_t *info, void *context)
{
    char *at = (char *)((uintptr_t)info->si_addr & -PAGE);
    int before = errno;
    (void)context;
    if (info->si_code <= 0)
        return;
    for (Worker *w = workers; w < workers + count; w++) {
        if (within(at, w->data, DATA))
            mprotect(at, PAGE, PROT_READ | PROT_WRITE);
        else if (within(at, w->code, CODE))
            mprotect(at, PAGE, RWX);
        else if (within(at, w->shared, SHARED))
            mmap(at, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, w->file, at - w->shared);
        else
            continue;
        mended++;
        errno = before;
        return;
    }
    signal(signo, SIG_DFL);    /* a real one: the access is tried again, and fails */
}

static void queued(int signo, siginfo_t *info, void *context)
{
    (void)signo;
    (void)context;
    volatile uint64_t a = info->si_value.sival_int;
    for (int i = 0; i < 50; i++)
        a = a * 5 + 1;
    if (self)
        self->handled++;
}

static void ticked(int signo) { (void)signo; }

/* --- what workers do --- */

__attribute__((noinline)) static uint64_t walk(uint64_t *from, long n, uint64_t a)
{
    uint64_t b = 2, c = 3;
    for (long i = 0; i < n; i++) {
        uint64_t x = from[i];
        a += x ^ b;
        b = b * 5 + (int32_t)x;
        c ^= a >> 7 | (uint8_t)x;
        from[i] = x + c;
        total++;
    }
    return a ^ b ^ c;
}

__attribute__((noinline)) static uint64_t bytes(unsigned char *from, long n, uint64_t a)
{
    for (long i = 0; i + 8 < n; i += 3) {
        uint32_t word;
        memcpy(&word, from + i + 1, 4);
        from[i] += word >> 5;
        a = (a ^ from[i] ^ word) * 0x100000001b3u;
    }
    return a;
}

__attribute__((noinline)) static double waves(double *from, long n, double a)
{
    for (long i = 0; i < n; i++) {
        double x = from[i];
        a = a * 0.5 + x * 1.25 - (float)x / 3;
        from[i] = x < 1e6 ? x * 1.0625 + 1 : x / 4096;
    }
    return a;
}

__attribute__((noinline)) static long apply(Function f, long n)
{
    long x = 0;
    for (long i = 0; i < n; i++)
        x = f(x) ^ (i & 1);
    return x;
}

static unsigned *function_of(Worker *w) { return (unsigned *)(w->code + PAGE - 4 * PAIRS); }

/* Each addition is followed by an instruction that does nothing. */
static void write_function(Worker *w, long term)
{
    volatile unsigned *to = function_of(w);
    for (int i = 0; i < PAIRS; i++) {
        to[2 * i] = ADD_TO_ARGUMENT((term + i) & 0x3ff);
        to[2 * i + 1] = nothing[i % COUNT(nothing)];
    }
    to[2 * PAIRS] = GO_BACK;
    __builtin___clear_cache((char *)to, (char *)(to + 2 * PAIRS + 1));
    if (term & 1)
        SYNCHRONIZE();
}

static long expected(long term, long n)
{
    long each = 0, x = 0;
    for (int i = 0; i < PAIRS; i++)
        each += (term + i) & 0x3ff;
    for (long i = 0; i < n; i++)
        x = (x + each) ^ (i & 1);
    return x;
}

static void new_function(Worker *w, int by_another)
{
    w->term = next(&w->choice) & 0x3ff;
    if (!by_another) {
        write_function(w, w->term);
        return;
    }
    long number = ++w->asked;
    while (w->answered != number)
        sched_yield();
}

static void call_function(Worker *w)
{
    long n = 500 + next(&w->choice) % 3000;
    w->wrong += apply((Function)function_of(w), n) != expected(w->term, n);
    w->called += n;
}

/* A child has the memory as it is, and the handlers. */
static void fork_once(Worker *w)
{
    long n = 500 + next(&w->choice) % 1000;
    int status = -1;
    pid_t child = fork();
    if (!child) {
        uint64_t own[64] = {1, 2, 3};
        uint64_t sum = walk(own, 64, 1), again[64] = {1, 2, 3};
        _exit(apply((Function)function_of(w), n) != expected(w->term, n) || walk(again, 64, 1) != sum);
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    w->wrong += status != 0;
    w->children++;
}

static void take_turn(Worker *w)
{
    uint64_t what = next(&w->choice) % 64;
    if (what < 20)
        w->sums += walk((uint64_t *)w->data, WORDS - (long)(next(&w->choice) % 100), w->sums);
    else if (what < 28)
        w->sums ^= bytes((unsigned char *)w->data, DATA - 16, w->sums);
    else if (what < 36)
        w->shareds += walk((uint64_t *)w->shared, SHARED / 8, w->shareds);
    else if (what < 44)
        w->floats = waves((double *)(w->shared + SHARED / 2), SHARED / 16, w->floats);
    else if (what < 60)
        call_function(w);
    else if (what < 63)
        new_function(w, disturbers && what & 1);
    else
        fork_once(w);
}

static void *work(void *argument)
{
    Worker *w = self = argument;
    w->tid = syscall(SYS_gettid);
    for (int turn = 0; turn < turns; turn++) {
        if (turn % 16 == 0)    /* numbers that no walk has left there */
            for (double *at = (double *)(w->shared + SHARED / 2); at < (double *)(w->shared + SHARED); at++)
                *at = at - (double *)w->shared;
        take_turn(w);
    }
    w->ended = 1;
    while (!over || w->handled != w->sent)
        sched_yield();
    return 0;
}

/* --- what disturbers do --- */

static void answer(Worker *w)
{
    long number = w->asked;
    if (number != w->answered) {
        write_function(w, w->term);
        w->answered = number;
    }
}

static void send_queued(Worker *w, uint64_t value)
{
    siginfo_t info = {0};
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_value.sival_int = value;
    if (w->sent - w->handled < 100 && !syscall(SYS_rt_tgsigqueueinfo, getpid(), w->tid, SIGRTMIN + 1, &info))
        w->sent++;
}

static void disturb_once(Worker *w, uint64_t *choice)
{
    uint64_t what = next(choice) % 32, which = next(choice) >> 8;
    char *data = w->data + which % (DATA / PAGE) * PAGE, *shared = w->shared + which % (SHARED / PAGE) * PAGE;
    char *code = w->code + which % (CODE / PAGE) * PAGE;
    if (what < 6)
        mprotect(data, PAGE, what & 1 ? PROT_READ : PROT_NONE);
    else if (what < 9)
        mmap(shared, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    else if (what < 11)
        munmap(shared, PAGE);
    else if (what < 13)
        mmap(shared, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, w->file, shared - w->shared);
    else if (what < 15)
        mprotect(code, PAGE, what & 1 ? PROT_READ | PROT_WRITE : PROT_NONE);
    else if (what < 17)
        mprotect(code, PAGE, PROT_READ | PROT_EXEC);
    else if (what < 22) {
        volatile unsigned *at = function_of(w) + 2 * (which % PAIRS) + 1;
        *at = nothing[(which >> 8) % COUNT(nothing)];
        if (what & 1)
            __builtin___clear_cache((char *)at, (char *)(at + 1));
    } else if (what < 27)
        send_queued(w, which);
    else if (what < 29 && sent_faults)
        syscall(SYS_tgkill, getpid(), w->tid, SIGSEGV);
    else
        sched_yield();
}

/* Each disturber has workers of its own, so that a worker's function is written by one thread at a time. */
static void *disturb(void *number)
{
    long n = (long)number;
    uint64_t choice = 0x9E3779B97F4A7C15u * (n + 1);
    struct timespec moment = {0, 0};
    for (int left = 1; left;) {
        left = 0;
        for (int i = n; i < count; i += disturbers) {
            Worker *w = &workers[i];
            answer(w);
            if (!w->ended) {
                left = 1;
                if (w->tid)
                    disturb_once(w, &choice);
            }
        }
        moment.tv_nsec = next(&choice) % 400000;
        nanosleep(&moment, 0);
    }
    return 0;
}

static void prepare(Worker *w, uint64_t seed)
{
    w->choice = seed * 0x9E3779B97F4A7C15u | 1;
    w->data = mmap(0, DATA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    w->file = memfd_create("shared", 0);
    if (ftruncate(w->file, SHARED))
        exit(2);
    w->shared = mmap(0, SHARED, PROT_READ | PROT_WRITE, MAP_SHARED, w->file, 0);
    w->code = mmap(0, CODE, RWX, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (long i = 0; i < WORDS; i++)
        ((uint64_t *)w->data)[i] = i * 0x9E3779B97F4A7C15u + seed;
    write_function(w, w->term = 7);
}

static void handle(int signo, void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(signo, &action, 0);
}

int main(int number, char **words)
{
    pthread_t threads[MOST];
    if (number != 6)
        return 2;
    uint64_t seed = atoi(words[1]);
    turns = atoi(words[2]), count = atoi(words[3]), disturbers = atoi(words[4]), sent_faults = atoi(words[5]);
    handle(SIGSEGV, mend);
    handle(SIGRTMIN + 1, queued);
    signal(SIGALRM, ticked);
    struct itimerval often = {{0, 3000}, {0, 3000}}, never = {{0, 0}, {0, 0}};
    for (int i = 0; i < count; i++)
        prepare(&workers[i], seed * MOST + i);
    for (long i = 0; i < disturbers; i++)
        pthread_create(&threads[i], 0, disturb, (void *)i);
    if (disturbers)
        setitimer(ITIMER_REAL, &often, 0);
    for (int i = 0; i < count; i++)
        pthread_create(&workers[i].thread, 0, work, &workers[i]);
    for (int i = 0; i < disturbers; i++)
        pthread_join(threads[i], 0);
    while (!over) {
        over = 1;
        for (int i = 0; i < count; i++)
            over &= workers[i].ended;
        sched_yield();
    }
    setitimer(ITIMER_REAL, &never, 0);
    for (int i = 0; i < count; i++) {
        Worker *w = &workers[i];
        pthread_join(w->thread, 0);
        printf("worker %d: sums %016lx shared %016lx floats %a called %ld children %ld wrong %ld lost %ld\n", i, (long)w->sums,
               (long)w->shareds, w->floats, w->called, w->children, w->wrong, (long)(w->sent - w->handled));
    }
    printf("total %ld\n", (long)total);
    fprintf(stderr, "mended %ld, signals %ld\n", (long)mended, (long)workers[0].sent);
    return 0;
}
