/* Control and status registers: which bits can be written, and how they read. */

#include "bare.h"

static const u32 numbers[] = {
    0x000, 0x001, 0x002, 0x003, 0x004, 0x005, 0x006, 0x007, 0x008, 0x00C, 0x010, 0x011, 0x012, 0x013, 0x018, 0x019, 0x01A, 0x01B, 0x01C,
    0x01D, 0x01E, 0x01F, 0x020, 0x021, 0x022, 0x023, 0x030, 0x037, 0x038, 0x03F, 0x040, 0x041, 0x043, 0x044, 0x060, 0x088, 0x089, 0x08A,
    0x08B, 0x08C, 0x08D, 0x08E, 0x08F, 0x090, 0x093, 0x094, 0x095, 0x180, 0x181, 0x182, 0x183, 0x200, 0x201, 0x206, 0x207, 0x208, 0x209,
    0x300, 0x301, 0x310, 0x380, 0x381, 0x390, 0x501, 0x502, 0x3FF, 0x1000, 0x3FFF,
};

/* What must not be written: CRMD with translated addresses or another level. */
static u64 ones(u32 csr) { return csr == CRMD ? ~(u64)(PG | 7) : ~0ul; }
static u64 zeros(u32 csr) { return csr == CRMD ? DA : 0; }

static void masks(u32 csr)
{
    u64 seen[3];
    for (int n = 0; n < 3; n++) {
        arguments[0] = n == 0 ? ones(csr) : n == 1 ? zeros(csr) : csr == CRMD ? DA : 0xA5A5A5A5A5A5A5A5ul;
        arguments[1] = 0;
        if (csr == TCFG && n == 2) arguments[0] &= ~1ul;
        quietly(csrrd(csr, A3), csrwr(csr, A0), csrrd(csr, A2), csrwr(csr, A3));
        seen[n] = frame.a[2];
    }
    text("csr ");
    number(csr);
    put(':');
    field("ones", seen[0]);
    field("zeros", seen[1]);
    field("pattern", seen[2]);
    put('\n');
}

int main(void)
{
    start();
    for (u64 n = 0; n <= 20; n++) {
        u64 word;
        __asm__("cpucfg %0, %1" : "=r"(word) : "r"(n));
        text("cpucfg ");
        number(n);
        line("", word);
    }
    line("crmd at the start", csr_read(CRMD) & ~(u64)3);
    line("prcfg1", csr_read(PRCFG1));
    line("prcfg2", csr_read(PRCFG2));
    line("prcfg3", csr_read(PRCFG3));
    csr_write(TCFG, 0);
    for (u64 n = 0; n < sizeof numbers / sizeof *numbers; n++) masks(numbers[n]);

    arguments[0] = 0x1234;
    arguments[1] = 0x0FF0;
    csr_write(SAVE0, 0xFFFF0000FFFFul);
    probe("csrxchg gives the old value", 0, csrxchg(SAVE0, A0, A1), NOP);
    line("csrxchg wrote", csr_read(SAVE0));
    csr_write(BADV, 0x8000000000000000ul);
    csr_write(PGDL, 0x1111000);
    csr_write(PGDH, 0x2222000);
    line("pgd of the upper half", csr_read(PGD));
    csr_write(BADV, 0x7FFFFFFFFFFFul);
    line("pgd of the lower half", csr_read(PGD));
    quietly(NOP);
    line("crmd after ertn", frame.crmd_then);
    finish();
}
