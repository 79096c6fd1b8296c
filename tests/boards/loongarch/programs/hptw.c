/* The hardware page walk: what it brings into the TLB, which exceptions it leaves to software, and what it notes in the tables. */

#include "bare.h"

/* Three levels for pages of 16 KiB, as Linux has them. */
#define TOP ((u64 *)0xC00000ul)
#define MIDDLE ((u64 *)0xC04000ul)
#define BOTTOM ((u64 *)0xC08000ul)
#define VA 0x123456780000ul
#define ENTRY BOTTOM[VA >> 14 & 2047]
#define ODD BOTTOM[(VA >> 14 & 2047) + 1]

static void flush(void) { __asm__ volatile("invtlb 0, $zero, $zero"); }

static void tables(void)
{
    csr_write(PWCL, 14 | 11 << 5 | 25 << 10 | 11 << 15);
    csr_write(PWCH, 1 << 24 | 36 | 11 << 6);
    line("pwch", csr_read(PWCH));
    csr_write(STLBPS, 14);
    csr_write(PGDL, (u64)TOP);
    csr_write(PGDH, (u64)TOP);
    for (int n = 0; n < 2048; n++) TOP[n] = MIDDLE[n] = BOTTOM[n] = 0;
    TOP[VA >> 36 & 2047] = (u64)MIDDLE;
    MIDDLE[VA >> 25 & 2047] = (u64)BOTTOM;
    TOP[0] = (u64)MIDDLE;    /* what runs at level 3 is mapped as well */
    MIDDLE[0] = (u64)BOTTOM;
    BOTTOM[((u64)code >> 14) & 2047] = (u64)code | V | D | PLV(3) | MAT | P | W;
    csr_write(DMW0, 1 | MAT);
    csr_write(CRMD, PG | 1 << 5 | 1 << 7);
}

static void show_entry(u64 va)
{
    csr_write(TLBIDX, 0);
    csr_write(TLBEHI, va);
    __asm__ volatile("tlbsrch");
    if (csr_read(TLBIDX) & NE) {
        text("  no entry\n");
        return;
    }
    text("  entry:");
    field("stlb", (csr_read(TLBIDX) & 0xFFF) < 2048);
    __asm__ volatile("tlbrd");
    field("size", csr_read(TLBIDX) >> 24 & 63);
    field("ehi", csr_read(TLBEHI));
    field("elo0", csr_read(TLBELO0) & ~0xF80ul);    /* QEMU keeps P and W here */
    field("elo1", csr_read(TLBELO1) & ~0xF80ul);
    put('\n');
}

static void try(const char *name, u64 va, u32 word, u64 level)
{
    flush();
    arguments[0] = 0;
    arguments[1] = va;
    tell(name, run(&word, 1, code, (u64)code, level));
    show_entry(va);
}

static void accesses(u64 page)
{
    static const struct { const char *name; u32 word; } kinds[] = {{"load", LD_W}, {"store", ST_W}, {"fetch", JUMP_A1}};
    for (int n = 0; n < 3; n++) {
        ENTRY = (u64)data | page;
        ODD = ((u64)data + 0x4000) | page;
        ((u32 *)data)[2] = SYSCALL | 0x5A5;
        ((u32 *)data)[3] = SYSCALL | 0x5A5;
        try(kinds[n].name, VA + 8, kinds[n].word, 3);
        line("  table, even", ENTRY);
        line("  table, odd", ODD);
    }
}

static const struct { const char *name; u64 page; } pages[] = {
    {"present, written", V | D | P | W}, {"present, valid, clean, writable", V | P | W}, {"present, valid, read-only", V | P},
    {"present, not valid, writable", P | W}, {"present, not valid", P}, {"not present, valid", V | D | W}, {"nothing", 0},
    {"dirty, not writable", V | D | P}, {"not readable", V | D | P | W | NR}, {"not executable", V | D | P | W | NX},
    {"global", V | D | P | W | G}, {"writable, not valid, but dirty", D | P | W},
};

int main(void)
{
    start();
    tables();
    for (u64 n = 0; n < sizeof pages / sizeof *pages; n++) {
        text("--- ");
        text(pages[n].name);
        put('\n');
        accesses(pages[n].page | PLV(3) | MAT);
    }
    text("--- more\n");
    ENTRY = (u64)data | V | D | P | W | MAT;
    try("load of level 0's page", VA + 8, LD_W, 3);
    line("table", ENTRY);
    ENTRY = (u64)data | P | W | MAT;
    try("load of level 0's page, not valid yet", VA + 8, LD_W, 3);
    line("table", ENTRY);
    try("directory that is not there", VA + 0x2000008, LD_W, 3);
    try("upper directory that is not there", VA + (1ul << 36), LD_W, 3);
    MIDDLE[(VA >> 25 & 2047) + 2] = 0 | HUGE | V | D | PLV(3) | MAT | P | W;
    try("huge page", (VA & ~0x1FFFFFFul) + 0x4000000 + (u64)data + 8, LD_W, 3);
    MIDDLE[(VA >> 25 & 2047) + 2] = 0 | HUGE | HUGE_G | PLV(3) | MAT | P | W;
    try("huge page, global, not valid yet: load", (VA & ~0x1FFFFFFul) + 0x4000000 + (u64)data + 8, LD_W, 3);
    line("table", MIDDLE[(VA >> 25 & 2047) + 2]);
    try("and stored to", (VA & ~0x1FFFFFFul) + 0x4000000 + (u64)data + 8, ST_W, 3);
    line("table", MIDDLE[(VA >> 25 & 2047) + 2]);
    ENTRY = (u64)data | V | PLV(3) | P | W | MAT;
    flush();
    arguments[1] = VA + 8;
    arguments[0] = 1;
    quietly(NOP);
    const u32 both[] = {LD_W, ST_W, LD_W};
    tell("load, store, load", run(both, 3, code, (u64)code, 3));
    line("table", ENTRY);
    show_entry(VA);
    csr_write(PWCH, 36 | 11 << 6);
    try("switched off", VA + 8, LD_W, 3);
    csr_write(PWCH, 1 << 24 | 36 | 11 << 6);
    TOP[VA >> 36 & 2047] = 0x0FFFFFF0000000ul;
    try("tables where no memory is", VA + 8, LD_W, 3);
    finish();
}
