/* Exceptions: code, where, and what the registers have of it. */

#include "bare.h"

int main(void)
{
    start();
    csr_write(EUEN, 0);
    arguments[0] = 7;
    arguments[1] = (u64)data;
    for (u64 level = 0; level < 4; level += 3) {
        line("level", level);
        probe("nothing", level, NOP);
        probe("syscall", level, NOP, SYSCALL | 0x123);
        probe("break", level, BREAK | 5);
        probe("no instruction", level, 0xFFFFFFFF);
        probe("no instruction either", level, 0);
        probe("csrrd", level, csrrd(CPUID, A0));
        probe("csrwr", level, csrwr(SAVE0, A0));
        probe("tlbsrch", level, TLBSRCH);
        probe("invtlb 0", level, invtlb(0));
        probe("invtlb 7", level, invtlb(7));
        probe("invtlb 31", level, invtlb(31));
        probe("cacop hit", level, CACOP_HIT);
        probe("iocsrrd", level, IOCSRRD_W);
        probe("lddir", level, lddir(1));
        probe("floating point off", level, FADD_D);
        probe("lsx off", level, VADD_B);
        probe("lasx off", level, XVADD_B);
        csr_write(EUEN, 1);
        probe("lsx off, floating point on", level, VADD_B);
        csr_write(EUEN, 3);
        probe("lasx off, lsx on", level, XVADD_B);
        csr_write(EUEN, 0);
        arguments[2] = (u64)data + 64;
        probe("bound check", level, LDGT_D);
        arguments[2] = (u64)data - 64;
        probe("bound check that holds", level, LDGT_D);
    }
    csr_write(CRMD, csr_read(CRMD) | 1 << 9);
    probe("watchpoint enable is left alone", 0, NOP);
    line("crmd in the handler", frame.crmd_then);
    line("prmd in the handler", frame.prmd_then);
    csr_write(CRMD, csr_read(CRMD) & ~(1ul << 9));

    /* An entry of its own for every exception. */
    csr_write(ECFG, 0);
    line("ecfg", csr_read(ECFG));

    /* ll, sc and the reservation bit. */
    data[0] = 0;
    probe("ll sets the bit", 0, LL_D, csrrd(LLBCTL, A0));
    probe("an exception and ertn take it", 0, csrrd(LLBCTL, A0));
    arguments[2] = 2;
    probe("wclLb takes it", 0, LL_D, csrwr(LLBCTL, A2), csrrd(LLBCTL, A0));
    probe("sc without it", 0, SC_D);
    arguments[2] = 4;
    probe("klo reads back", 0, csrwr(LLBCTL, A2), csrrd(LLBCTL, A0));
    probe("klo is gone after ertn", 0, csrrd(LLBCTL, A0));
    finish();
}
