/* Page tables: lddir and ldpte step by step, and refills by the handler that operating systems have. */

#include "bare.h"

/* Three levels for pages of 16 KiB, as Linux has them. */
#define TOP ((u64 *)0xC00000ul)
#define MIDDLE ((u64 *)0xC04000ul)
#define BOTTOM ((u64 *)0xC08000ul)
#define VA 0x123456780000ul

static void tables(void)
{
    csr_write(PWCL, 14 | 11 << 5 | 25 << 10 | 11 << 15);
    csr_write(PWCH, 36 | 11 << 6);
    csr_write(STLBPS, 14);
    csr_write(PGDL, (u64)TOP);
    for (int n = 0; n < 2048; n++) TOP[n] = MIDDLE[n] = BOTTOM[n] = 0;
    TOP[VA >> 36 & 2047] = (u64)MIDDLE;
    MIDDLE[VA >> 25 & 2047] = (u64)BOTTOM;
    BOTTOM[VA >> 14 & 2047] = (u64)data | V | D | PLV(3) | MAT | P | W | 0x0070000000000E00ul;
    BOTTOM[(VA >> 14 & 2047) + 1] = ((u64)data + 0x4000) | V | PLV(3) | MAT | P;
}

static void show_refill(const char *name)
{
    text(name);
    put(':');
    field("elo0", csr_read(TLBRELO0));
    field("elo1", csr_read(TLBRELO1));
    field("size", csr_read(TLBREHI) & 63);
    put('\n');
}

static void steps(void)
{
    csr_write(TLBRBADV, VA + 0x4008);
    csr_write(TLBRERA, 1);
    csr_write(TLBREHI, 0);
    csr_write(TLBRERA, 0);
    arguments[0] = 0;
    arguments[1] = (u64)TOP;
    probe("lddir 3", 0, csrwr(TLBRERA, A2), lddir(3));
    arguments[2] = 1;
    arguments[1] = (u64)TOP;
    probe("lddir 3 of the top", 0, lddir(3));
    arguments[1] = (u64)MIDDLE;
    probe("lddir 1 of the middle", 0, lddir(1));
    arguments[1] = (u64)MIDDLE | 0xFFF0000000000000ul;
    probe("lddir 1, bits above", 0, lddir(1));
    arguments[1] = (u64)BOTTOM;
    probe("ldpte 0", 0, ldpte(0));
    probe("ldpte 1", 0, ldpte(1));
    show_refill("after ldpte");
    /* Small levels, so that what is above them is a size that pages can have. */
    csr_write(PWCL, 12 | 2 << 5 | 14 << 10 | 3 << 15 | 17ul << 20 | 3ul << 25);
    csr_write(PWCH, 20 | 3 << 6 | 23 << 12 | 3 << 18);
    for (u64 level = 1; level < 5; level++) {
        arguments[1] = 0x40000000 | HUGE | HUGE_G | V | D | PLV(3) | MAT;
        arguments[2] = 0;
        text("huge page, level ");
        line("", level);
        probe("lddir of a huge page", 0, lddir(level));
        arguments[1] = frame.a[0];
        probe("lddir again", 0, lddir(1));
        arguments[1] = frame.a[0];
        probe("ldpte 0 of it", 0, ldpte(0));
        probe("ldpte 1 of it", 0, ldpte(1));
        show_refill("halves");
    }
    tables();
    arguments[1] = 0x40000000 | HUGE | V;
    quietly(ldpte(0), ldpte(1));
    show_refill("huge page, no lddir");
}

static void translate(void)
{
    csr_write(DMW0, 1 | MAT);
    csr_write(CRMD, PG | 1 << 5 | 1 << 7);
    csr_write(TLBRENTRY, (u64)walk_entry);
    TOP[0] = (u64)MIDDLE;    /* what runs at level 3 is mapped as well */
    MIDDLE[0] = (u64)BOTTOM;
    BOTTOM[((u64)code >> 14) & 2047] = (u64)code | V | D | PLV(3) | MAT | P | W;
}

static void try(const char *name, u64 va, u32 word)
{
    __asm__ volatile("invtlb 0, $zero, $zero");
    arguments[0] = 0x55;
    arguments[1] = va;
    tell(name, run(&word, 1, code, (u64)code, 3));
}

static void refills(void)
{
    data[1] = 0x1111;
    data[0x801] = 0x2222;
    try("even page", VA + 8, LD_D);
    try("odd page", VA + 0x4008, LD_D);
    try("store to a clean page", VA + 0x4008, ST_D);
    try("store", VA + 16, ST_D);
    line("stored", data[2]);
    try("page that is not there", VA + 0x8008, LD_D);
    try("directory that is not there", VA + 0x2000008, LD_D);
    /* Space for tables below that lies at 0. */
    TOP[(VA >> 36 & 2047) + 1] = 0;
    try("upper directory that is not there", VA + (1ul << 36), LD_D);

    MIDDLE[(VA >> 25 & 2047) + 2] = 0 | HUGE | V | D | PLV(3) | MAT | P | W;
    try("huge page, lower half", (VA & ~0x1FFFFFFul) + 0x4000000 + (u64)data + 8, LD_D);
    ((u64 *)0x1A00000)[1] = 0x3333;
    try("huge page, upper half", (VA & ~0x1FFFFFFul) + 0x4000000 + 0x1A00008, LD_D);
    csr_write(TLBEHI, (VA & ~0x1FFFFFFul) + 0x4000000);
    csr_write(TLBIDX, 0);
    __asm__ volatile("tlbsrch");
    __asm__ volatile("tlbrd");
    line("its entry has the size", csr_read(TLBIDX) >> 24 & 63);
    line("elo0", csr_read(TLBELO0));
    line("elo1", csr_read(TLBELO1));
    MIDDLE[(VA >> 25 & 2047) + 3] = 0 | HUGE | HUGE_G | V | PLV(0) | MAT | P;
    try("huge page of level 0", (VA & ~0x1FFFFFFul) + 0x6000008, LD_D);
    /* A page whose table entry says that it is present, but not valid. */
    BOTTOM[(VA >> 14 & 2047) + 4] = (u64)data | PLV(3) | MAT | P | W;
    try("present, but not valid", VA + 0x10008, LD_D);
    try("the same, stored to", VA + 0x10008, ST_D);
    line("table", BOTTOM[(VA >> 14 & 2047) + 4]);
    BOTTOM[(VA >> 14 & 2047) + 6] = (u64)data | V | PLV(3) | MAT | P | W;
    try("writable, but clean", VA + 0x18010, ST_D);
    line("table", BOTTOM[(VA >> 14 & 2047) + 6]);
}

int main(void)
{
    start();
    tables();
    steps();
    translate();
    refills();
    finish();
}
