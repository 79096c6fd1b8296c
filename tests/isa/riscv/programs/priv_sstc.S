# The timer of supervisor mode: who reaches stimecmp, STIP in mip and sip, waiting, rewriting (Sstc).
#include "privileged.inc"

    .set    stimecmp, 0x14d
    .set    stimecmph, 0x15d
    .set    STIP, 1 << 5

# Set stimecmp to \reg; high half t1 in RV32.
    .macro  compare_with reg
#if __riscv_xlen == 32
    li      t2, -1                          # not now, while it is half written
    csrw    stimecmph, t2
    csrw    stimecmp, \reg
    csrw    stimecmph, t1
#else
    csrw    stimecmp, \reg
#endif
    .endm

# Read time into \reg; high half t1 in RV32.
    .macro  now reg
#if __riscv_xlen == 32
7:  csrr    t1, timeh
    csrr    \reg, time
    csrr    t2, timeh
    bne     t1, t2, 7b
#else
    csrr    \reg, time
#endif
    .endm

# stimecmp is \ticks from now; \reg gets the lower half.
    .macro  compare_in ticks, reg
    now     \reg
    li      t2, \ticks
    add     \reg, \reg, t2
#if __riscv_xlen == 32
    sltu    t2, \reg, t2
    add     t1, t1, t2
#endif
    compare_with \reg
    .endm

# stimecmp is the end of time.
    .macro  compare_never
    li      t0, -1
    csrw    stimecmp, t0
#if __riscv_xlen == 32
    csrw    stimecmph, t0
#endif
    .endm

    .macro  enable_comparator
#if __riscv_xlen == 32
    li      t0, 1 << 31
    csrs    0x31a, t0
#else
    li      t0, 1 << 63
    csrs    0x30a, t0
#endif
    .endm

    begin_privileged
    csrw    medeleg, x0
    csrw    mie, x0
    csrci   mstatus, 8
    csrw    mip, x0
    li      t0, STIP
    csrw    mideleg, t0
    compare_never
    csrw    mcounteren, x0

    # Machine mode reaches the register always, supervisor mode only where menvcfg and mcounteren let it.
    case
    csrr    a0, stimecmp
    expect  a0, -1
    enter   1
    traps   2, csrr a0, stimecmp            # from here on in machine mode
    enter   1
    traps   2, csrw stimecmp, x0
    case
    li      t0, 2
    csrw    mcounteren, t0
    enter   1
    traps   2, csrr a0, stimecmp
    case
    csrw    mcounteren, x0
    enable_comparator
    enter   1
    traps   2, csrr a0, stimecmp
    case
    li      t0, 2
    csrw    mcounteren, t0
    enter   1
    li      a0, 0x12345
    csrw    stimecmp, a0
    csrr    a1, stimecmp
    bne     a0, a1, failed
    compare_never
    leave
    expect  s9, 9
    enter   0
    traps   2, csrr a0, stimecmp

    # A moment that has gone by shows in mip and sip, and goes with the next one; software can not write the bit.
    case
    csrr    a0, mip
    field   a0, STIP, 0
    csrw    stimecmp, x0
#if __riscv_xlen == 32
    csrw    stimecmph, x0
#endif
    csrr    a0, mip
    field   a0, STIP, STIP
    csrr    a0, sip
    field   a0, STIP, STIP
    case
    li      t0, STIP
    csrc    mip, t0
    csrr    a0, mip
    field   a0, STIP, STIP
    compare_never
    csrr    a0, mip
    field   a0, STIP, 0
    case
    li      t0, STIP
    csrs    mip, t0
    csrr    a0, mip
    field   a0, STIP, 0

    # Delegated, it interrupts supervisor mode when it is enabled there.
    case
    li      t0, STIP
    csrw    mie, t0
    enter   1
    csrw    stimecmp, x0
#if __riscv_xlen == 32
    csrw    stimecmph, x0
#endif
    wfi                                     # pending and enabled, if not taken
    la      s8, 1f
    la      a1, 2f
    csrsi   sstatus, 2
2:  j       failed
1:  la      s8, unexpected
    bne     s7, a1, failed
    li      t1, INTERRUPT | 5
    bne     s9, t1, failed
    case                                    # written while it is enabled: taken before the next instruction
    compare_never
    la      s8, 1f
    la      a1, 2f
    csrsi   sstatus, 2
#if __riscv_xlen == 32
    csrw    stimecmp, x0
    csrw    stimecmph, x0
#else
    csrw    stimecmp, x0
#endif
2:  j       failed
1:  la      s8, unexpected
    bne     s7, a1, failed
    csrci   sstatus, 2

    # Waiting: never early.
    .rept   3
    case
    compare_in 1000, s0                     # 100 microseconds
    csrr    a0, sip
    field   a0, STIP, 0
    la      s8, 1f
    csrsi   sstatus, 2
2:  wfi
    j       2b
1:  la      s8, unexpected
    li      t1, INTERRUPT | 5
    bne     s9, t1, failed
    now     a0
    sub     a0, a0, s0
    bltz    a0, failed
    csrci   sstatus, 2
    .endr

    # Waiting with interrupts off goes on as well.
    case
    compare_in 1000, s0
3:  wfi
    csrr    a0, sip
    andi    a0, a0, STIP
    beqz    a0, 3b
    now     a0
    sub     a0, a0, s0
    bltz    a0, failed

    # Put off: the first moment is forgotten. Brought forward: the later one is.
    case
    compare_in 1000, s0
    compare_in 20000, s1
    la      s8, 1f
    csrsi   sstatus, 2
2:  wfi
    j       2b
1:  la      s8, unexpected
    now     a0
    sub     a0, a0, s1
    bltz    a0, failed
    csrci   sstatus, 2
    case
    li      t0, 0x40000000
    compare_in 0x40000000, s0               # 107 seconds
    compare_in 500, s1
    la      s8, 1f
    csrsi   sstatus, 2
2:  wfi
    j       2b
1:  la      s8, unexpected
    now     a0
    sub     a1, a0, s1
    bltz    a1, failed
    sub     a1, a0, s0
    bgez    a1, failed
    csrci   sstatus, 2
    compare_never

    # Not delegated, it interrupts machine mode.
    case
    leave
    csrw    mideleg, x0
    enter   1
    la      s8, 1f
    compare_in 1000, s0
2:  wfi
    j       2b
1:  la      s8, unexpected
    li      t1, INTERRUPT | 5
    bne     s9, t1, failed
    case                                    # this is machine mode
    field   s6, MPP, SPP << 3
    csrr    a0, mcause
    compare_never
    csrr    a0, mip
    field   a0, STIP, 0

    end
