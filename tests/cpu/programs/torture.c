/* Processors that share memory try to lose each other's updates. Runs on a bare RISC-V board (-DBARE: every hart starts at `_start`) and as a
 * Linux program with threads, on LoongArch too. Ends with status 0, or with the number of the check that failed.
 *
 * WORKERS processors do ROUNDS rounds of each part; all wait for one another between the parts. */

typedef unsigned long word;
typedef unsigned int half;

#ifndef WORKERS
#define WORKERS 4
#endif
#ifndef ROUNDS
#define ROUNDS 20000
#endif
#define NODES 8

static void finish(int status);

/* --- what differs between architectures: load-linked, and store-conditional, which says whether it failed; a barrier; changed code ---------- */
#ifdef __loongarch__

static inline word linked_d(volatile word *at)
{
    word seen;
    asm volatile("ll.d %0, %1, 0" : "=&r"(seen) : "r"(at) : "memory");
    return seen;
}

static inline int failed_d(volatile word *at, word n)
{
    asm volatile("sc.d %0, %1, 0" : "+&r"(n) : "r"(at) : "memory");
    return !n;
}

static inline half linked_w(volatile half *at)
{
    word seen;
    asm volatile("ll.w %0, %1, 0" : "=&r"(seen) : "r"(at) : "memory");
    return (half)seen;
}

static inline int failed_w(volatile half *at, word n)
{
    asm volatile("sc.w %0, %1, 0" : "+&r"(n) : "r"(at) : "memory");
    return !n;
}

#define BARRIER() asm volatile("dbar 0" : : : "memory")
#define SEE_CODE() asm volatile("ibar 0" : : : "memory")
#define LOAD_A0(n) (0x03800004 | (n) << 10) /* ori a0, zero, n */
#define RETURN 0x4c000020                   /* jirl zero, ra, 0 */

#else

static inline word linked_d(volatile word *at)
{
    word seen;
    asm volatile("lr.d.aq %0, %1" : "=&r"(seen), "+A"(*at) : : "memory");
    return seen;
}

static inline int failed_d(volatile word *at, word n)
{
    int failed;
    asm volatile("sc.d.rl %0, %2, %1" : "=&r"(failed), "+A"(*at) : "r"(n) : "memory");
    return failed;
}

static inline half linked_w(volatile half *at)
{
    half seen;
    asm volatile("lr.w.aq %0, %1" : "=&r"(seen), "+A"(*at) : : "memory");
    return seen;
}

static inline int failed_w(volatile half *at, word n)
{
    int failed;
    asm volatile("sc.w.rl %0, %2, %1" : "=&r"(failed), "+A"(*at) : "r"(n) : "memory");
    return failed;
}

#define BARRIER() asm volatile("fence rw, rw" : : : "memory")
#define SEE_CODE() asm volatile("fence.i" : : : "memory")
#define LOAD_A0(n) ((n) << 20 | 0x513) /* li a0, n */
#define RETURN 0x8067                  /* ret */

#endif

static volatile word arrived, generation;

static word add(volatile word *at, word n) { return __atomic_fetch_add(at, n, __ATOMIC_SEQ_CST); }
static void relax(void);

static void wait_for_all(void)
{
    word now = generation;
    if (add(&arrived, 1) == WORKERS - 1) {
        arrived = 0;
        __atomic_store_n(&generation, now + 1, __ATOMIC_SEQ_CST);
    }
    while (__atomic_load_n(&generation, __ATOMIC_SEQ_CST) == now)
        relax();
}

static void check(int holds, int number)
{
    if (!holds)
        finish(number);
}

/* --- counters: every kind of read-modify-write ------------------------------------------------------------------------------------------- */
static volatile word by_amo, by_lr_d, parity;
static volatile half by_amo_w, by_lr_w, neighbour[2];

static void lr_sc_add_d(volatile word *at, word n)
{
    word seen;
    do
        seen = linked_d(at);
    while (failed_d(at, seen + n));
}

static void lr_sc_add_w(volatile half *at, half n)
{
    half seen;
    do
        seen = linked_w(at);
    while (failed_w(at, seen + n));
}

static void count(word me)
{
    for (word i = 0; i < ROUNDS; i++) {
        add(&by_amo, 3);
        __atomic_fetch_add(&by_amo_w, 1, __ATOMIC_RELAXED);
        lr_sc_add_d(&by_lr_d, 5);
        lr_sc_add_w(&by_lr_w, 7);
        __atomic_fetch_xor(&parity, 1UL << me, __ATOMIC_RELAXED);
        __atomic_fetch_add(&neighbour[me & 1], 1, __ATOMIC_RELAXED);
    }
}

static void check_counters(void)
{
    check(by_amo == 3UL * WORKERS * ROUNDS, 1);
    check(by_amo_w == (half)(WORKERS * ROUNDS), 2);
    check(by_lr_d == 5UL * WORKERS * ROUNDS, 3);
    check(by_lr_w == (half)(7UL * WORKERS * ROUNDS), 4);
    check(parity == (ROUNDS & 1 ? (1UL << WORKERS) - 1 : 0), 5);
    check(neighbour[0] + neighbour[1] == (half)(WORKERS * ROUNDS), 6);
}

/* --- locks ------------------------------------------------------------------------------------------------------------------------------- */
static volatile half spin_lock, ticket_next, ticket_now;
static volatile word guarded[4], ticketed;

static void locked(word me)
{
    for (word i = 0; i < ROUNDS / 4; i++) {
        while (__atomic_exchange_n(&spin_lock, 1, __ATOMIC_ACQUIRE))
            relax();
        for (int n = 0; n < 4; n++) {
            check(n == 0 || guarded[n] + 1 == guarded[0], 10);
            guarded[n]++;
        }
        __atomic_store_n(&spin_lock, 0, __ATOMIC_RELEASE);

        half ticket = __atomic_fetch_add(&ticket_next, 1, __ATOMIC_RELAXED);
        while (__atomic_load_n(&ticket_now, __ATOMIC_ACQUIRE) != ticket)
            relax();
        ticketed = ticketed + me + 1;
        __atomic_store_n(&ticket_now, ticket + 1, __ATOMIC_RELEASE);
    }
}

static void check_locks(void)
{
    for (int n = 0; n < 4; n++)
        check(guarded[n] == (word)WORKERS * (ROUNDS / 4), 11);
    check(ticketed == (word)(ROUNDS / 4) * WORKERS * (WORKERS + 1) / 2, 12);
}

/* --- a stack of nodes that come back: what a compare-and-swap would not notice -------------------------------------------------------------- */
static struct node { struct node *volatile next; volatile word taken; } nodes[NODES];
static volatile word top; /* a struct node * */

static struct node *pop(void)
{
    struct node *seen;
    do
        seen = (struct node *)linked_d(&top);
    while (seen && failed_d(&top, (word)seen->next));
    return seen;
}

static void push(struct node *n)
{
    do {
        n->next = (struct node *)linked_d(&top);
        BARRIER();
    } while (failed_d(&top, (word)n));
}

static void juggle(word me)
{
    for (word i = 0; i < ROUNDS; i++) {
        struct node *a = pop(), *b = pop();
        if (a)
            check(__atomic_exchange_n(&a->taken, me + 1, __ATOMIC_SEQ_CST) == 0, 20);
        if (b)
            check(__atomic_exchange_n(&b->taken, me + 1, __ATOMIC_SEQ_CST) == 0, 21);
        if (a) {
            check(__atomic_exchange_n(&a->taken, 0, __ATOMIC_SEQ_CST) == me + 1, 22);
            push(a);
        }
        if (b) {
            check(__atomic_exchange_n(&b->taken, 0, __ATOMIC_SEQ_CST) == me + 1, 23);
            push(b);
        }
    }
}

static void check_stack(void)
{
    word found = 0;
    for (struct node *n = (struct node *)top; n; n = n->next) {
        check(!(found >> (n - nodes) & 1), 24);
        found |= 1UL << (n - nodes);
    }
    check(found == (1UL << NODES) - 1, 25);
}

/* --- ordering: a message after its flag; two stores that do not pass each other's loads ------------------------------------------------------ */
static volatile word message, flag, said[2], heard[2];

static void order(word me)
{
    for (word i = 1; i <= ROUNDS / 8; i++) {
        if (me == 0) {
            message = i * 7;
            __atomic_store_n(&flag, i, __ATOMIC_RELEASE);
        } else if (me == 1) {
            while (__atomic_load_n(&flag, __ATOMIC_ACQUIRE) < i)
                relax();
            check(message >= i * 7, 30);
        }
        if (me < 2)
            said[me] = 0;
        wait_for_all();
        if (me < 2) {
            said[me] = 1;
            BARRIER();
            heard[me] = said[1 - me];
        }
        wait_for_all();
        if (me == 0)
            check(heard[0] || heard[1], 31);
    }
}

/* --- code that one processor changes and all run ------------------------------------------------------------------------------------------ */
static volatile half *code;
static volatile word version;
static void write_code(half n);
static void see_code(void);

static void rewrite(word me)
{
    for (word i = 0; i < ROUNDS / 32; i++) {
        if (me == i % WORKERS) {
            write_code((half)(i & 2047));
            version = i & 2047;
        }
        wait_for_all();
        see_code();
        check(((word (*)(void))code)() == version, 40);
        wait_for_all();
    }
}

static void work(word me)
{
    wait_for_all();
    count(me);
    wait_for_all();
    if (me == 0)
        check_counters();
    locked(me);
    wait_for_all();
    if (me == 0) {
        check_locks();
        for (int n = 0; n < NODES; n++)
            push(&nodes[n]);
    }
    wait_for_all();
    juggle(me);
    wait_for_all();
    if (me == 0)
        check_stack();
    order(me);
    rewrite(me);
    wait_for_all();
}

static void put_code(half n)
{
    code[0] = LOAD_A0(n);
    code[1] = RETURN;
}

#ifdef BARE

static half room[1024] __attribute__((aligned(4096)));

static void finish(int status)
{
    *(volatile half *)0x100000 = status ? status << 16 | 0x3333 : 0x5555;
    for (;;)
        ;
}
static void relax(void) { }
static void write_code(half n) { put_code(n); }
static void see_code(void) { SEE_CODE(); }

static volatile word spare[2][512] __attribute__((aligned(4096))), root[512] __attribute__((aligned(4096)));
static volatile word middle[512] __attribute__((aligned(4096))), leaves[512] __attribute__((aligned(4096)));
static volatile word mapping, seen_mapping[WORKERS];
#define WINDOW 0xC0000000UL
#define ENTRY(page, bits) ((word)(page) >> 12 << 10 | (bits))

static void remap(word page) { leaves[0] = ENTRY(page, 0xC7); }
static void forget(void) { asm volatile("sfence.vma" : : : "memory"); }

/* Supervisor mode: one processor moves a page while the others write to it; after they have all agreed, the page that was there keeps still. */
static void shoot_down(word me)
{
    for (word i = 0; i < ROUNDS / 32; i++) {
        if (me == 0) {
            remap((word)spare[(i + 1) & 1]);
            __atomic_store_n(&mapping, i + 1, __ATOMIC_SEQ_CST);
            forget();
            for (word n = 1; n < WORKERS; n++)
                while (__atomic_load_n(&seen_mapping[n], __ATOMIC_SEQ_CST) != i + 1)
                    ;
            volatile word *old = spare[i & 1];
            for (int n = 0; n < 512; n++)
                old[n] = ~i;
            for (int k = 0; k < 4; k++)
                for (int n = 0; n < 512; n++)
                    check(old[n] == ~i, 50);
            wait_for_all();
        } else {
            while (__atomic_load_n(&mapping, __ATOMIC_SEQ_CST) != i + 1)
                ((volatile word *)WINDOW)[me] = i;
            forget();
            __atomic_store_n(&seen_mapping[me], i + 1, __ATOMIC_SEQ_CST);
            for (int n = 0; n < 400; n++)
                ((volatile word *)WINDOW)[me] = i;
            wait_for_all();
        }
    }
}

static void supervisor(word me)
{
    shoot_down(me);
    wait_for_all();
    if (me == 0)
        finish(0);
    for (;;)
        ;
}

void start(word me)
{
    if (me >= WORKERS)
        for (;;)
            asm volatile("wfi");
    code = room;
    work(me);
    if (me == 0) {
        root[0] = ENTRY(0, 0xCF);
        root[2] = ENTRY(0x80000000, 0xCF);
        root[3] = ENTRY(middle, 1);
        middle[0] = ENTRY(leaves, 1);
        remap((word)spare[0]);
    }
    wait_for_all();
    asm volatile("csrw pmpaddr0, %0\n csrw pmpcfg0, %1\n csrw satp, %2\n sfence.vma" : : "r"(-1L), "r"(0x1F), "r"(8UL << 60 | (word)root >> 12));
    asm volatile("csrc mstatus, %0\n csrs mstatus, %1\n csrw mepc, %2\n mv a0, %3\n mret"
                 : : "r"(0x1800), "r"(0x800), "r"(supervisor), "r"(me) : "a0", "memory");
}

asm(".section .text.unlikely,\"ax\"\n .globl _start\n_start: csrr a0, mhartid\n la sp, stacks\n slli t0, a0, 12\n add sp, sp, t0\n li t0, 4096\n add sp, sp, t0\n"
    " j start\n .bss\n .balign 4096\nstacks: .skip 4096 * 8\n .text");

#else

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

static void finish(int status) { _exit(status); }
static void relax(void) { sched_yield(); }
static void write_code(half n)
{
    put_code(n);
    __builtin___clear_cache((char *)code, (char *)code + 8);
}
#ifdef __loongarch__
static void see_code(void) { SEE_CODE(); } /* the kernel does nothing for other threads there */
#else
static void see_code(void) { }
#endif
static void *thread(void *me) { work((word)me); return 0; }

int main(void)
{
    pthread_t threads[WORKERS];
    code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (word n = 0; n < WORKERS; n++)
        pthread_create(&threads[n], 0, thread, (void *)n);
    for (word n = 0; n < WORKERS; n++)
        pthread_join(threads[n], 0);
    return 0;
}
#endif
