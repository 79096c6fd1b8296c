/* What QEMU 11.1 does not have, so that the manual alone decides: addresses that are not aligned (it ends in a segmentation fault at the
 * first of these), the register MISC, and the compensation of the counter. */

#include "bare.h"

int main(void)
{
    start();
    for (u64 level = 0; level < 4; level += 3) {
        line("level", level);
        arguments[0] = 7;
        arguments[1] = (u64)data + 2;
        arguments[2] = 0;
        probe("atomic", level, AMADD_W);
        probe("ll", level, LL_D);
        probe("bound check that fails", level, LDGT_D | A1 << 10);
        probe("bound check that holds", level, LDGT_D);
        data[0] = 0x8877665544332211ul;
        data[1] = 0;
        probe("load", level, LD_D);
    }
    arguments[1] = 0x400002;
    probe("fetch not aligned", 0, JUMP_A1);
    arguments[1] = (u64)code + 6;
    probe("fetch not aligned, from below", 3, JUMP_A1);
    probe("fetch not aligned, after a call", 0, JUMP_A1 | A0);
    line("return address, behind the call", frame.a[0] - (u64)code);
    csr_write(MISC, 1 << 7);
    probe("rdtime forbidden to level 3, at 0", 0, RDTIME_D, csrrd(SAVE0, A0), csrrd(SAVE0, A1));
    run((const u32[]){RDTIME_D}, 1, code, (u64)code, 3);
    if (!went_well(&frame)) tell("rdtime forbidden to level 3, at 3", &frame);
    else text("rdtime forbidden to level 3, at 3: went well\n");
    csr_write(MISC, 0);

    csr_write(CNTC, 1ul << 40);
    u64 now, then;
    __asm__ volatile("rdtime.d %0, $zero" : "=r"(now));
    csr_write(CNTC, 0);
    __asm__ volatile("rdtime.d %0, $zero" : "=r"(then));
    line("moved by cntc", now - then > (1ul << 40) - 1000000000 && now - then < 1ul << 40);
    finish();
}
