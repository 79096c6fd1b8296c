/* A bare program whose output depends on when exactly its timer interrupts come, and on what its clocks say. Started at RAM's first address
   in machine mode, on the board virt. With more harts, all of them add to a sum under a lock, and the order in which they got it is printed. */

#include <stdint.h>

#define READ(csr) ({ uint64_t v_; __asm__ volatile("csrr %0, " #csr : "=r"(v_)); v_; })
#define WRITE(csr, v) __asm__ volatile("csrw " #csr ", %0" :: "r"((uint64_t)(v)))
#define UART ((volatile uint8_t *)0x10000000)
#define FINISHER ((volatile uint32_t *)0x100000)
#define MTIMECMP ((volatile uint64_t *)0x2004000)
#define MTIME ((volatile uint64_t *)0x200bff8)

__asm__(".globl _start; _start: csrr t0, mhartid; la sp, stacks; addi t1, t0, 1; slli t1, t1, 13; add sp, sp, t1;"
        "mv a0, t0; j run");

uint8_t stacks[HARTS << 13] __attribute__((aligned(16)));
static volatile uint64_t ticks, places, exceptions, arrived;
static volatile uint32_t lock;
static volatile uint64_t order, sum, finished;

static void put(const char *name, uint64_t value)
{
    while (*name)
        *UART = *name++;
    for (int n = 60; n >= 0; n -= 4)
        *UART = "0123456789abcdef"[value >> n & 15];
    *UART = '\n';
}

__attribute__((interrupt("machine"), aligned(4))) static void handler(void)
{
    uint64_t cause = READ(mcause), pc = READ(mepc);
    if (cause >> 63) {
        ticks++;
        places = places * 31 + pc * 7 + READ(minstret) + READ(time);
        MTIMECMP[0] = *MTIME + 23 + (ticks & 15);
    } else {
        exceptions++;
        places = places * 33 + READ(minstret);
        WRITE(mepc, pc + ((*(uint16_t *)pc & 3) == 3 ? 4 : 2));
    }
}

/* What it does and returns depends on the clocks, if it looks at them. */
static uint64_t work(uint64_t seed, int rounds, int look)
{
    for (int n = 0; n < rounds; n++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        if (seed >> 63)
            seed ^= seed >> 17;
        if (seed >> 61 & 1)
            seed += n;
        if ((seed & 255) == 3)
            __asm__ volatile("ecall" ::: "memory");
        if ((seed & 255) == 4)
            __asm__ volatile(".word 0" ::: "memory");
        if (look && (seed & 255) == 5)
            seed += *MTIME;
        if (look && (seed & 255) == 6)
            seed += READ(cycle);
    }
    return seed;
}

static void together(uint64_t hart)
{
    for (int n = 0; n < 400; n++) {
        while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
            ;
        sum += work(hart + n, 10, 1);
        order = order * 31 + hart + READ(time);
        __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
    }
    __atomic_fetch_add(&finished, 1, __ATOMIC_SEQ_CST);
}

void run(uint64_t hart)
{
    WRITE(mtvec, handler);
    if (hart) {
        while (!arrived)
            ;
        together(hart);
        for (;;)
            __asm__ volatile("wfi");
    }
    uint64_t first = READ(minstret);
    put("instret ", READ(minstret) - first);
    put("work ", work(1, 1000, 0));
    put("instret ", READ(minstret) - first);
    WRITE(mie, 0x80);
    MTIMECMP[0] = *MTIME + 10;
    __asm__ volatile("csrsi mstatus, 8");
    for (int n = 0; n < 4; n++) {
        put("work ", work(n, ROUNDS, 1));
        put("time ", READ(time));
        put("instret ", READ(minstret));
        put("ticks ", ticks);
    }
    for (int n = 0; n < 20; n++)
        __asm__ volatile("wfi");
    put("time ", READ(time));
    __asm__ volatile("csrci mstatus, 8");
    arrived = 1;
    if (HARTS > 1) {
        together(0);
        while (finished < HARTS)
            ;
        put("sum ", sum);
        put("order ", order);
    }
    put("exceptions ", exceptions);
    put("places ", places);
    put("instret ", READ(minstret));
    *FINISHER = 0x5555;
}
