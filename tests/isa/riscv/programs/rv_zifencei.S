# Zifencei: instructions that a program has written itself.
#include "frame.inc"

    begin

    .option norvc
    case                                    # code that has not run yet
    la      a1, later
    li      a2, 0x00700513                  # li a0, 7
    sw      a2, 0(a1)
    fence.i
later:
    li      a0, 1
    expect  a0, 7

    case                                    # code that has run, again and again
    la      a1, changing
    li      a3, 0
    li      a4, 20
1:  slli    a2, a4, 20
    ori     a2, a2, 0x513                   # li a0, number of the round
    sw      a2, 0(a1)
    fence.i
    jal     ra, routine
    add     a3, a3, a0
    addi    a4, a4, -1
    bnez    a4, 1b
    expect  a3, 210

    case                                    # half of an instruction
    la      a1, changing
    li      a2, 0x00500513                  # li a0, 5
    sw      a2, 0(a1)
    fence.i
    jal     ra, routine
    expect  a0, 5
    li      a2, 0x0123
    sh      a2, 2(a1)                       # li a0, 18, over the upper half
    fence.i
    jal     ra, routine
    expect  a0, 18

    case                                    # a routine that is copied to another page and called there
    la      a1, changing
    la      a2, elsewhere
    lw      a3, 0(a1)
    sw      a3, 0(a2)
    lw      a3, 4(a1)
    sw      a3, 4(a2)
    fence.i
    jalr    ra, 0(a2)
    expect  a0, 18

    end

    .balign 8
routine:
changing:
    li      a0, 0
    ret

    .balign 4096
    .space  128
elsewhere:
    .space  16
