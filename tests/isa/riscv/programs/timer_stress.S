# Many timers of supervisor mode, near and far, set anew by the handler or given up; none may be lost, none early.
# Register use: s0 state of the random numbers, s1 rounds left, s2 the moment, s3 interrupts seen.
#include "privileged.inc"

    .set    stimecmp, 0x14d
    .set    STIP, 1 << 5
    .set    ROUNDS, 3000

    .macro  random reg
    slli    \reg, s0, 13
    xor     s0, s0, \reg
    srli    \reg, s0, 7
    xor     s0, s0, \reg
    slli    \reg, s0, 17
    xor     s0, s0, \reg
    mv      \reg, s0
    .endm

    begin_privileged
    csrw    medeleg, x0
    csrw    mip, x0
    li      t0, STIP
    csrw    mideleg, t0
    csrw    mie, t0
    li      t0, 2
    csrw    mcounteren, t0
    li      t0, -1
    csrw    stimecmp, t0
    li      t0, 1 << 63
    csrs    0x30a, t0
    li      s0, 0x9e3779b97f4a7c15
    li      s1, ROUNDS
    li      s3, 0
    enter   1

round:
    case
    random  a0
    andi    a1, a0, 3
    beqz    a1, spin
    # a moment up to 102 microseconds away, perhaps gone by when it is written
    srli    a2, a0, 20
    andi    a2, a2, 1023
    csrr    s2, time
    add     s2, s2, a2
    csrw    stimecmp, s2
    srli    a3, a0, 40                      # once in four times another one instead, after a while
    andi    a3, a3, 3
    bnez    a3, 1f
    srli    a3, a0, 44
    andi    a3, a3, 511
5:  addi    a3, a3, -1
    bgtz    a3, 5b
    csrr    s2, time
    add     s2, s2, a2
    csrw    stimecmp, s2
1:  la      s8, arrived
    csrsi   sstatus, 2
    li      a4, 1
    beq     a1, a4, 3f
2:  wfi                                     # asleep
    j       2b
3:  addi    a4, a4, 1                       # or busy
    j       3b

spin:                                       # interrupts off, looking
    csrr    s2, time
    srli    a2, a0, 20
    andi    a2, a2, 255
    add     s2, s2, a2
    csrw    stimecmp, s2
4:  csrr    a0, sip
    andi    a0, a0, STIP
    beqz    a0, 4b
    j       check

arrived:
    la      s8, unexpected
    li      t1, INTERRUPT | 5
    bne     s9, t1, failed
check:
    csrci   sstatus, 2
    csrr    a0, time
    sltu    a0, a0, s2
    bnez    a0, failed                      # early
    li      t0, -1
    csrw    stimecmp, t0
    csrr    a0, sip
    andi    a0, a0, STIP
    bnez    a0, failed
    addi    s3, s3, 1
    addi    s1, s1, -1
    bnez    s1, round
    li      t0, ROUNDS
    bne     s3, t0, failed
    j       passed

    end
