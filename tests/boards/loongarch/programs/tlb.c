/* The TLB: its instructions, what translation makes of its entries, and the windows. */

#include "bare.h"

#define STLB 2048

static void write_entry(u64 index, u64 va, u64 even, u64 odd, u64 size, u64 space)
{
    csr_write(TLBIDX, size << 24 | index);
    csr_write(TLBEHI, va);
    csr_write(TLBELO0, even);
    csr_write(TLBELO1, odd);
    csr_write(ASID, space);
    __asm__ volatile("tlbwr");
}

static void show_entry(const char *name)
{
    text(name);
    put(':');
    field("idx", csr_read(TLBIDX) & 0xFFFFFFFF);
    field("ehi", csr_read(TLBEHI));
    field("elo0", csr_read(TLBELO0));
    field("elo1", csr_read(TLBELO1));
    field("asid", csr_read(ASID) & 0x3FF);
    put('\n');
}

static void search(const char *name, u64 va, u64 space)
{
    csr_write(TLBIDX, 0);
    csr_write(TLBEHI, va);
    csr_write(ASID, space);
    __asm__ volatile("tlbsrch");
    line(name, csr_read(TLBIDX) & 0xFFFFFFFF);
}

static void read_back(const char *name, u64 index)
{
    csr_write(TLBIDX, index);
    __asm__ volatile("tlbrd");
    show_entry(name);
}

static void flush(void)
{
    __asm__ volatile("invtlb 0, $zero, $zero");
}

#define LOW 0x12340000ul
#define HIGH 0xFFFFFF8012340000ul

static void instructions(void)
{
    write_entry(STLB + 5, LOW, 0xA00000 | V | G, 0xA04000 | V | D | G | PLV(3) | MAT | NR | NX | RPLV, 14, 3);
    search("found as it is global", LOW, 9);
    read_back("entry", STLB + 5);
    write_entry(STLB + 6, LOW + 0x8000, 0xA08000 | V | G, 0xA0C000 | V, 14, 3);
    search("not of this address space", LOW + 0x8000, 9);
    search("of this one", LOW + 0xC000, 3);
    read_back("G of one page only", STLB + 6);
    read_back("empty", STLB + 7);
    csr_write(ASID, 3);
    write_entry(STLB + 8, HIGH, 0xA00FFF | V, 0xA04FFF | V, 21, 3);
    read_back("huge page, bits below it", STLB + 8);
    csr_write(TLBIDX, NE | 21ul << 24 | (STLB + 8));
    __asm__ volatile("tlbwr");
    read_back("written as empty", STLB + 8);
    flush();
    search("after invtlb 0", LOW, 3);

    /* tlbfill: where in the STLB is up to the hardware, in which set is not. */
    csr_write(STLBPS, 14);
    csr_write(TLBIDX, 14ul << 24);
    csr_write(TLBEHI, LOW);
    csr_write(TLBELO0, V);
    csr_write(TLBELO1, V);
    __asm__ volatile("tlbfill");
    csr_write(TLBIDX, 0);
    __asm__ volatile("tlbsrch");
    line("tlbfill: set", csr_read(TLBIDX) & 255);
    line("in the STLB", (csr_read(TLBIDX) & 0xFFF) < STLB);
    csr_write(TLBIDX, 21ul << 24);
    csr_write(TLBEHI, 0x40000000);
    __asm__ volatile("tlbfill");
    csr_write(TLBIDX, 0);
    __asm__ volatile("tlbsrch");
    line("in the MTLB", (csr_read(TLBIDX) & 0xFFF) >= STLB && !(csr_read(TLBIDX) & NE));
    flush();
}

static const char *const operations[] = {
    "invtlb 0", "invtlb 1", "invtlb 2", "invtlb 3", "invtlb 4", "invtlb 5", "invtlb 6", "tlbclr", "tlbflush",
};

/* Two pages global or not, in two address spaces: which are left? */
static void invalidation(void)
{
    for (u32 op = 0; op < 9; op++) {
        flush();
        for (u64 n = 0; n < 8; n++) {
            u64 page = V | (n & 4 ? G : 0);
            write_entry(STLB + n, LOW + (n << 15), page, page, 14, n & 1);
        }
        arguments[0] = 1;
        arguments[1] = LOW + (op == 6 ? 5 : 1) * 0x8000 + 0x5000;
        csr_write(TLBIDX, STLB);
        csr_write(ASID, 1);
        quietly(op < 7 ? invtlb(op) : op == 7 ? TLBCLR : TLBFLUSH);
        u64 left = 0;
        for (u64 n = 0; n < 8; n++) {
            csr_write(TLBIDX, STLB + n);
            __asm__ volatile("tlbrd");
            if (!(csr_read(TLBIDX) & NE)) left |= 1ul << n;
        }
        line(operations[op], left);
    }
    flush();
}

/* Go over to translated addresses. The program and its tables are in a window for level 0. */
static void translate(void)
{
    csr_write(DMW0, 1 | MAT);
    csr_write(DMW1, 9ul << 60 | 1 | MAT);
    csr_write(CRMD, PG | 1 << 5 | 1 << 7);
}

static void access(const char *name, u64 page, u64 va, u32 word, u64 level)
{
    flush();
    write_entry(STLB + 1, va, page, page, 14, 3);
    /* Code for other levels runs through an entry of its own. */
    write_entry(STLB + 2, (u64)code & ~0x7FFFul, (u64)code | V | D | PLV(3) | G, (u64)code | V | D | PLV(3) | G, 14, 3);
    arguments[0] = 0;
    arguments[1] = va + 8;
    tell(name, run(&word, 1, code, (u64)code, level));
}

static void permissions(void)
{
    static const struct { const char *name; u64 page; } pages[] = {
        {"everything", V | D | PLV(3)}, {"not valid", D | PLV(3)}, {"clean", V | PLV(3)}, {"level 0", V | D}, {"level 2", V | D | PLV(2)},
        {"level 3 only", V | D | PLV(3) | RPLV}, {"level 0 only", V | D | RPLV}, {"not readable", V | D | PLV(3) | NR},
        {"not executable", V | D | PLV(3) | NX}, {"nothing at all", NR | NX | PLV(3)}, {"level 0, not readable", V | D | NR},
        {"level 0, clean", V},
    };
    data[1] = 0x1122334455667788ul;
    ((u32 *)data)[2] = SYSCALL | 0x5A5;
    for (u64 n = 0; n < sizeof pages / sizeof *pages; n++) {
        u64 page = pages[n].page | (u64)data;
        text("--- ");
        text(pages[n].name);
        put('\n');
        access("load at 3", page, LOW, LD_W, 3);
        access("store at 3", page, LOW, ST_W, 3);
        /* QEMU 11.1 never comes back from a fetch that the level forbids. */
        if (PLV(3) == (page & PLV(3))) access("fetch at 3", page, LOW, JUMP_A1, 3);
        access("load at 0", page, HIGH, LD_W, 0);
        access("store at 0", page, HIGH, ST_W, 0);
        if (!(page & RPLV) || !(page & PLV(3))) access("fetch at 0", page, HIGH, JUMP_A1, 0);
    }
}

static void windows(void)
{
    flush();
    csr_write(DMW2, 0xAul << 60 | 1);
    csr_write(DMW3, 0xBul << 60 | 1 << 3);
    ((u32 *)data)[0] = SYSCALL | 0x5A5;
    arguments[0] = 0;
    arguments[1] = 9ul << 60 | (u64)data;
    probe("window 1: load", 0, LD_W);
    probe("window 1: fetch", 0, JUMP_A1);
    arguments[1] = 9ul << 60 | 0xFFF000000000000ul | (u64)data;
    probe("window 1: bits between", 0, LD_W);
    arguments[1] = 0xAul << 60 | (u64)data;
    probe("window 2: load", 0, LD_W);
    probe("window 2: fetch", 0, JUMP_A1);
    arguments[1] = 0xBul << 60 | (u64)data;
    probe("window 3, for level 3: load at 0", 0, LD_W);
    arguments[1] = 0x8000000000000ul;
    probe("address that can not be: load", 0, LD_W);
    csr_write(DMW0, 0xF);
    arguments[1] = 1ul << 47 | 1ul << 63;
    probe("address that can not be, from 3: load", 3, LD_W);
    probe("address that can not be, from 3: store", 3, ST_W);
    probe("address that can not be, from 3: fetch", 3, JUMP_A1);
    probe("address that can not be, at 0: fetch", 0, JUMP_A1);
    arguments[1] = 1ul << 63 | 2;
    probe("address that can not be, not aligned: fetch", 0, JUMP_A1);
    arguments[1] = LOW | 1ul << 60;
    probe("beyond the window, from 3", 3, LD_W);
    arguments[1] = -8ul;
    probe("upper half, from 3", 3, LD_W);
}

int main(void)
{
    start();
    csr_write(STLBPS, 14);
    flush();
    instructions();
    invalidation();
    translate();
    permissions();
    windows();
    finish();
}
