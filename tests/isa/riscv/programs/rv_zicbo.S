# Zicbom and Zicboz.
#include "frame.inc"

    begin

    .macro  clear offset
    case
    la      a1, block - 64
    li      a2, 192
    li      a3, -1
1:  sb      a3, 0(a1)
    addi    a1, a1, 1
    addi    a2, a2, -1
    bnez    a2, 1b
    la      a1, block
    addi    a1, a1, \offset
    cbo.zero (a1)
    la      a1, block - 64
    li      a2, 192
2:  lb      a4, 0(a1)
    la      a5, block
    sub     a5, a1, a5
    li      a6, -1
    sltiu   a5, a5, 64                      # inside the block?
    beqz    a5, 3f
    li      a6, 0
3:  bne     a4, a6, failed
    addi    a1, a1, 1
    addi    a2, a2, -1
    bnez    a2, 2b
    .endm

    clear   0
    clear   1
    clear   63

    .macro  kept op
    case
    la      a1, block + 5
    li      a2, 0x12345678
    sw      a2, 0(a1)
    \op     (a1)
    lw      a0, 0(a1)
    expect  a0, 0x12345678
    .endm
    kept    cbo.clean
    kept    cbo.flush
    kept    cbo.inval

    case                                    # prefetches are hints
    la      a1, block
    prefetch.r 0(a1)
    prefetch.w 32(a1)
    prefetch.i 64(a1)

    end

    .bss
    .balign 64
    .space  64
block:
    .space  128
