/* Performance monitors, of which QEMU 11.1 has only the names: what counts, at which privilege level, and the interrupt. */

#include "bare.h"

enum { CYCLES = 0, INSTRUCTIONS = 1, BRANCHES = 2, AT_0 = 1 << 16, AT_3 = 1 << 19, INTERRUPT = 1 << 20 };

static void spin(void)
{
    for (volatile int n = 0; n < 20000; n++) {}
}

int main(void)
{
    start();
    u64 word;
    __asm__("cpucfg %0, %1" : "=r"(word) : "r"(6ul));
    line("cpucfg 6", word);
    csr_write(PMCFG0, CYCLES | AT_0);
    csr_write(PMCFG0 + 2, INSTRUCTIONS | AT_0);
    csr_write(PMCFG0 + 4, BRANCHES | AT_0);
    csr_write(PMCFG0 + 6, CYCLES | AT_3);
    csr_write(PMCNT0 + 4, 77);
    line("pmcfg", csr_read(PMCFG0 + 2));
    u64 before = csr_read(PMCNT0);
    spin();
    line("cycles go on", csr_read(PMCNT0) - before >= 20000);
    line("instructions go on", csr_read(PMCNT0 + 2) >= 20000);
    line("branches stand still", csr_read(PMCNT0 + 4));
    line("cycles of level 3", csr_read(PMCNT0 + 6));
    quietly(NOP);
    run((const u32[]){NOP, NOP, NOP}, 3, code, (u64)code, 3);
    u64 at_3 = csr_read(PMCNT0 + 6);
    line("and then there are some", at_3 > 0);
    spin();
    line("and no more", csr_read(PMCNT0 + 6) == at_3);
    csr_write(PMCFG0, 0);
    before = csr_read(PMCNT0);
    spin();
    line("stopped", csr_read(PMCNT0) == before);

    probe("level 3 may not read", 3, csrrd(PMCNT0, A0));
    csr_write(MISC, 1 << 11);
    csr_write(PMCNT0, 0x123456789);
    probe("now it may", 3, csrrd(PMCNT0, A0));
    probe("but not the configuration", 3, csrrd(PMCFG0, A0));
    probe("nor write", 3, csrwr(PMCNT0, A0));
    csr_write(MISC, 0);

    csr_write(PMCNT0, 1ul << 63);
    line("bit 63, no interrupt", csr_read(ESTAT) & 0x1FFF);
    csr_write(PMCFG0, INTERRUPT);
    line("asked for", csr_read(ESTAT) & 0x1FFF);
    csr_write(ECFG, 1 << 10);
    probe("taken", IE, NOP);
    csr_write(PMCNT0, 0);
    line("cleared with the bit", csr_read(ESTAT) & 0x1FFF);

    csr_write(PMCNT0, (1ul << 63) - 200000000);
    csr_write(PMCFG0, INTERRUPT | CYCLES | AT_0);
    line("not yet", csr_read(ESTAT) & 0x1FFF);
    probe("it wakes from idle", IE, IDLE, NOP);
    line("which it asked for", csr_read(ESTAT) & 0x1FFF);
    csr_write(PMCFG0, 0);
    line("cleared with the switch", csr_read(ESTAT) & 0x1FFF);
    csr_write(PMCNT0, (1ul << 63) - 200000000);
    csr_write(PMCFG0, INTERRUPT | CYCLES | AT_0);
    const u32 loop[] = {0x58000000 | A0 << 5 | A0};    /* beq a0, a0, 0 */
    tell("it ends a loop", run(loop, 1, code, (u64)code, IE));
    finish();
}
