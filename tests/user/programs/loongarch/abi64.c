/* The ABI of LoongArch without a C library: what the kernel puts into registers, frames and memory. Prints lines. */

typedef unsigned long u64;
typedef unsigned int u32;

enum { WRITE = 64, EXIT = 93, FUTEX = 98, SIGACTION = 134, UNAME = 160, BRK = 214, CLONE = 220, MMAP = 222, WAIT4 = 260 };

static long call(long n, long a, long b, long c, long d, long e)
{
    register long a0 __asm__("$a0") = a, a1 __asm__("$a1") = b, a2 __asm__("$a2") = c, a3 __asm__("$a3") = d;
    register long a4 __asm__("$a4") = e, a5 __asm__("$a5") = 0, a7 __asm__("$a7") = n;
    __asm__ volatile("syscall 0"
                     : "+r"(a0)
                     : "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5), "r"(a7)
                     : "$t0", "$t1", "$t2", "$t3", "$t4", "$t5", "$t6", "$t7", "$t8", "memory");
    return a0;
}

static void show(const char *name, u64 value)
{
    char line[80];
    int n = 0;
    while (name[n]) {
        line[n] = name[n];
        n++;
    }
    line[n++] = ' ';
    for (int shift = 60; shift >= 0; shift -= 4)
        line[n++] = "0123456789abcdef"[value >> shift & 15];
    line[n++] = '\n';
    call(WRITE, 1, (long)line, n, 0, 0);
}

struct context {
    u64 flags, link, stack[3], mask;
    unsigned char unused[120];
    __attribute__((aligned(16))) u64 pc;
    u64 r[32];
    u32 mode;
    __attribute__((aligned(16))) u32 magic;
    u32 size;
    u64 padding, f[32], fcc;
    u32 fcsr;
};

static void handler(int signal, int *info, struct context *c)
{
    show("signal", (u64)signal);
    if (signal != 4) /* the kernel tells nothing there, and says so; QEMU does not */
        show("code", (u64)info[2]);
    show("instruction", *(u32 *)c->pc);
    show("value of a5", c->r[9]);
    show("first context", c->magic);
    show("value of fa1", c->f[1]);
    show("condition flags", c->fcc);
    show("fcsr", c->fcsr);
    c->pc += 4;
    c->r[9] = 0x600d;
    c->f[1] = 0x4000000000000000; /* 2.0 */
    c->fcc ^= 1;
    c->fcsr = 0x200;
}

static long stack[512] __attribute__((aligned(16)));
static volatile int tid, ready;
static long thread_pointer;

static void thread(void)
{
    register long tp __asm__("$tp");
    thread_pointer = tp;
    ready = 1;
    call(EXIT, 0, 0, 0, 0, 0);
}

/* Makes a thread on `stack` whose thread pointer is 0x1234; its number is cleared at `tid` when it ends. */
static long start(void)
{
    register long a0 __asm__("$a0") = 0x01000000 | 0x00200000 | 0x00080000 | 0x00040000 | 0x00010000 | 0xf00;
    register long a1 __asm__("$a1") = (long)(stack + 512), a2 __asm__("$a2") = 0, a3 __asm__("$a3") = (long)&tid;
    register long a4 __asm__("$a4") = 0x1234, a7 __asm__("$a7") = CLONE;
    __asm__ volatile("syscall 0\n bnez $a0, 1f\n jirl $zero, %[to], 0\n1:"
                     : "+r"(a0)
                     : "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a7), [to] "r"(thread)
                     : "$t0", "$t1", "$t2", "$t3", "$t4", "$t5", "$t6", "$t7", "$t8", "memory");
    return a0;
}

#define FAULT(text, enables) do { \
    register double x __asm__("$f1") = 1.0; \
    register long a5 __asm__("$a5") = 0x5a5a; \
    u32 control = (enables); \
    __asm__ volatile("movgr2fcsr $fcsr0, %[c]\n fcmp.ceq.d $fcc0, %[x], %[x]\n" text "\n movfcsr2gr %[c], $fcsr0" \
                     : [x] "+f"(x), "+r"(a5), [c] "+r"(control) : : "$t0", "memory"); \
    show("after", (u64)a5); \
    show("number", (u64)(x * 1024)); \
    show("control", control); \
} while (0)

void _start(void)
{
    static char names[6][65];
    u64 action[3] = {(u64)handler, 4, 0}, clear = 0;
    static const int signals[] = {4, 5, 7, 8, 11};
    int status = 0;

    call(UNAME, (long)names, 0, 0, 0, 0);
    for (int i = 0; names[4][i]; i++)
        clear = clear << 8 | (unsigned char)names[4][i];
    show("machine", clear);
    show("brk", (u64)(call(BRK, call(BRK, 0, 0, 0, 0, 0) + 65536, 0, 0, 0, 0) & 0xfff));
    for (int i = 0; i < 5; i++)
        call(SIGACTION, signals[i], (long)action, 0, 8, 0);
    FAULT("break 0", 0);
    FAULT(".word 0", 0x100);
    FAULT("ll.w $t0, $zero, 0", 0x300);
    FAULT("st.d $zero, $zero, 8", 0x00100000);
    FAULT("movgr2fr.d $fa1, $zero\n fdiv.d $fa1, $fa1, $fa1", 0x10);
    show("thread", start() > 0);
    while (!ready)
        continue;
    for (int n; (n = tid);)
        call(FUTEX, (long)&tid, 0, n, 0, 0);
    show("thread pointer", (u64)thread_pointer);
    long child = call(CLONE, 17, 0, 0, 0, 0);
    if (!child)
        call(EXIT, 7, 0, 0, 0, 0);
    show("child", call(WAIT4, child, (long)&status, 0, 0, 0) == child);
    show("status", (u64)status);
    call(EXIT, 42, 0, 0, 0, 0);
}
