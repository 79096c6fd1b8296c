/* RISC-V for linux_peer.c: the kernel's frame is in arch/riscv/include/uapi/asm/{ucontext,sigcontext,ptrace}.h. */

typedef u16 unit;
enum { BREAK = 0x9002 }; /* c.ebreak */
#define STOP() __asm__ volatile("ebreak")
#define SYNC() __asm__ volatile("fence.i" ::: "memory")

struct state {
    u64 x[32]; /* x[0] is the address of the instruction */
    u64 f[32];
    u64 fcsr;
};

struct context {
    ulong flags, link, stack[3], mask[8 / sizeof(ulong)];
    u8 unused[120];
    __attribute__((aligned(16))) ulong x[32];
    u64 f[32];
    u32 fcsr;
};

static long call(long n, long a, long b, long c, long d)
{
    register long a0 __asm__("a0") = a, a1 __asm__("a1") = b, a2 __asm__("a2") = c, a3 __asm__("a3") = d;
    register long a4 __asm__("a4") = -1, a5 __asm__("a5") = 0, a7 __asm__("a7") = n;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5), "r"(a7) : "memory");
    return a0;
}

static void take(struct state *s, struct context *c)
{
    for (int i = 0; i < 32; i++) {
        s->x[i] = c->x[i];
        s->f[i] = c->f[i];
    }
    s->fcsr = c->fcsr;
}

static void give(struct context *c, struct state *s)
{
    for (int i = 0; i < 32; i++) {
        c->x[i] = (ulong)s->x[i];
        c->f[i] = s->f[i];
    }
    c->fcsr = (u32)s->fcsr;
}
