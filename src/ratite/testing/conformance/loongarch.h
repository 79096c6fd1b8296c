/* LoongArch for linux_peer.c: the kernel's frame is in arch/loongarch/include/uapi/asm/{ucontext,sigcontext}.h. */

typedef u32 unit;
enum { BREAK = 0x002a0000 };
#define STOP() __asm__ volatile("break 0")
/* Emulators keep a load reservation over signals: make one that no case uses. */
#define SYNC() __asm__ volatile("ibar 0\n ll.w $t0, $sp, 0" ::: "$t0", "memory")

enum { FPU_MAGIC = 0x46505501, LSX_MAGIC = 0x53580001, LASX_MAGIC = 0x41535801 };

struct state {
    u64 r[32]; /* r[0] is the address of the instruction */
    u64 x[32][4];
    u64 fcc; /* a byte each */
    u64 fcsr;
};

/* Extended contexts follow the general registers, each behind a head; the last head is zero. */
struct head {
    u32 magic, size;
    u64 unused;
};

/* Behind the registers of a floating-point or vector context. */
struct control {
    u64 fcc;
    u32 fcsr;
};

struct context {
    ulong flags, link, stack[3], mask;
    u8 unused[120];
    __attribute__((aligned(16))) u64 pc;
    u64 r[32];
    u32 mode;
    __attribute__((aligned(16))) struct head first;
};

/* The floating-point or vector context, and how many words its registers have. */
static struct head *registers_of(struct context *c, int *words)
{
    struct head *h = &c->first;
    while (h->magic && h->magic != FPU_MAGIC && h->magic != LSX_MAGIC && h->magic != LASX_MAGIC)
        h = (struct head *)((u8 *)h + h->size);
    *words = h->magic == FPU_MAGIC ? 1 : h->magic == LSX_MAGIC ? 2 : 4;
    return h + 1;
}

static long call(long n, long a, long b, long c, long d)
{
    register long a0 __asm__("$a0") = a, a1 __asm__("$a1") = b, a2 __asm__("$a2") = c, a3 __asm__("$a3") = d;
    register long a4 __asm__("$a4") = -1, a5 __asm__("$a5") = 0, a7 __asm__("$a7") = n;
    __asm__ volatile("syscall 0"
                     : "+r"(a0)
                     : "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5), "r"(a7)
                     : "$t0", "$t1", "$t2", "$t3", "$t4", "$t5", "$t6", "$t7", "$t8", "memory");
    return a0;
}

static void take(struct state *s, struct context *c)
{
    int words;
    u64 *x = (u64 *)registers_of(c, &words);
    struct control *last = (struct control *)(x + 32 * words);
    for (int i = 0; i < 32; i++) {
        s->r[i] = c->r[i];
        for (int k = 0; k < 4; k++)
            s->x[i][k] = k < words ? x[i * words + k] : 0;
    }
    s->r[0] = c->pc;
    s->fcc = last->fcc;
    s->fcsr = last->fcsr;
}

static void give(struct context *c, struct state *s)
{
    int words;
    u64 *x = (u64 *)registers_of(c, &words);
    struct control *last = (struct control *)(x + 32 * words);
    for (int i = 0; i < 32; i++) {
        c->r[i] = s->r[i];
        for (int k = 0; k < words; k++)
            x[i * words + k] = s->x[i][k];
    }
    c->r[0] = 0;
    c->pc = s->r[0];
    last->fcc = s->fcc;
    last->fcsr = (u32)s->fcsr;
}

/* The widest context comes once vectors have been used: that raises a signal where there are none. */
#define START() __asm__ volatile(".word 0x75268000") /* xvor.v $xr0, $xr0, $xr0 */
