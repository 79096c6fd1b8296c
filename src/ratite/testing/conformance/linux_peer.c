/* Runs single instructions under Linux, for differential tests: reads cases from standard input, writes outcomes to standard output.
 *
 * All work is done in a signal handler. It finds the state after a case in the signal frame, which is the outcome, and puts the
 * state before the next case there; returning from the handler starts that case. Behind and before the instruction are
 * breakpoints, so every case ends with a signal. Built without a C library, and without use of registers that belong to the
 * cases. `linux_peer.py` has the other side of the two structures.
 *
 * TARGET_H is the header of an architecture. It has
 *     struct state                 what a case sets and an outcome shows
 *     struct context               the kernel's third argument of a handler
 *     take(state, context), give(context, state)      from and to the signal frame
 *     call(n, a, b, c, d)          a system call
 *     unit, BREAK                  the smallest unit of code, and one that is a breakpoint
 *     STOP(), SYNC()               run a breakpoint; make written code visible
 *     START()                      if there is such: done once, before the first signal unless it raises that itself
 */

typedef unsigned long ulong;
typedef unsigned long long u64;
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;

/* Numbers of asm-generic/unistd.h, which the younger architectures share. */
enum { SYS_READ = 63, SYS_WRITE = 64, SYS_EXIT = 93, SYS_SIGALTSTACK = 132, SYS_SIGACTION = 134, SYS_MMAP = 222 };

#include TARGET_H

enum { CODE = 0x100000, CODE_START = 0xf0000, CODE_SIZE = 0x20000, DATA = 0x200000, DATA_SIZE = 0x4000 };
enum { SIG_ILL = 4, SIG_TRAP = 5, SIG_BUS = 7, SIG_FPE = 8, SIG_SEGV = 11, SIG_SYS = 31 };
enum { SA_SIGINFO = 4, SA_ONSTACK = 0x08000000 };
enum { PROT_RWX = 7, MAP_PRIVATE_FIXED_ANONYMOUS = 0x32 };

struct request {
    u64 instruction, length;
    struct state state;
};

struct answer {
    u64 signal;
    struct state state;
    u64 changed; /* offset of the first byte of the window that changed, or its size */
    u8 bytes[64];
};

static u8 initial[DATA_SIZE] __attribute__((aligned(8)));
static u8 stack[65536] __attribute__((aligned(16)));
static struct request request;
static struct answer answer;

static int fill(void *to, ulong size)
{
    for (ulong done = 0; done < size;) {
        long n = call(SYS_READ, 0, (long)((u8 *)to + done), (long)(size - done), 0);
        if (n <= 0)
            return 0;
        done += (ulong)n;
    }
    return 1;
}

static void report(int signal, struct context *c)
{
    u8 *window = (u8 *)DATA;
    u32 n = 0;
    while (n < DATA_SIZE && *(ulong *)(window + n) == *(ulong *)(initial + n))
        n += sizeof(ulong);
    while (n < DATA_SIZE && window[n] == initial[n])
        n++;
    answer.signal = (u64)signal;
    take(&answer.state, c);
    answer.changed = n;
    for (u32 i = 0; i < 64 && n + i < DATA_SIZE; i++) {
        answer.bytes[i] = window[n + i];
        window[n + i] = initial[n + i];
    }
    for (u32 done = 0; done < sizeof answer;)
        done += (u32)call(SYS_WRITE, 1, (long)((u8 *)&answer + done), (long)(sizeof answer - done), 0);
}

static void prepare(struct context *c)
{
    unit *code = (unit *)CODE;
    if (!fill(&request, sizeof request))
        call(SYS_EXIT, 0, 0, 0, 0);
    for (u32 i = 0; i < 4 / sizeof(unit); i++)
        code[i] = i * sizeof(unit) < request.length ? (unit)(request.instruction >> 8 * i * sizeof(unit)) : (unit)BREAK;
    SYNC();
    give(c, &request.state);
}

static void handler(int signal, void *info, struct context *c)
{
    static int started;
    (void)info;
    if (started)
        report(signal, c);
    started = 1;
    prepare(c);
}

void _start(void)
{
    static const int signals[] = {SIG_ILL, SIG_TRAP, SIG_BUS, SIG_FPE, SIG_SEGV, SIG_SYS};
    ulong alternate[3] = {(ulong)stack, 0, sizeof stack};
    ulong action[2 + 8 / sizeof(ulong)] = {(ulong)handler, SA_SIGINFO | SA_ONSTACK};
    call(SYS_MMAP, CODE_START, CODE_SIZE, PROT_RWX, MAP_PRIVATE_FIXED_ANONYMOUS);
    call(SYS_MMAP, DATA, DATA_SIZE, 3, MAP_PRIVATE_FIXED_ANONYMOUS);
    for (u32 i = 0; i < CODE_SIZE / sizeof(unit); i++)
        ((unit *)CODE_START)[i] = BREAK;
    fill(initial, DATA_SIZE);
    for (u32 i = 0; i < DATA_SIZE; i++)
        ((u8 *)DATA)[i] = initial[i];
    call(SYS_SIGALTSTACK, (long)alternate, 0, 0, 0);
    for (u32 i = 0; i < sizeof signals / sizeof *signals; i++)
        call(SYS_SIGACTION, signals[i], (long)action, 0, 8);
#ifdef START
    START();
#endif
    STOP();
}
