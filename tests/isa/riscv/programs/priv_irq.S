# Interrupts: software and timer interrupts of the CLINT, delegation, vectors, priorities, waiting.
#include "privileged.inc"

    .set    MSIP, 0x2000000
    .set    MTIMECMP, 0x2004000
    .set    MTIME, 0x200bff8

    begin_privileged
    csrw    mideleg, x0
    csrw    medeleg, x0
    csrw    mie, x0
    csrci   mstatus, 8
    csrw    mip, x0

    # The software interrupt shows in mip, and waits for its enables.
    case
    li      s0, MSIP
    li      a0, 1
    sw      a0, 0(s0)
1:  csrr    a0, mip
    andi    a0, a0, 8
    beqz    a0, 1b
    csrsi   mstatus, 8
    nop
    csrci   mstatus, 8
    case
    la      s8, 1f
    la      a1, 2f
    li      a0, 8
    csrw    mie, a0
    csrsi   mstatus, 8
2:  j       failed
1:  la      s8, unexpected
    bne     s7, a1, failed
    li      t1, INTERRUPT | 3
    bne     s9, t1, failed
    field   s6, MIE | MPIE, MPIE
    case                                    # the other way round
    csrw    mie, x0
    csrsi   mstatus, 8
    la      s8, 1f
    la      a1, 2f
    li      a0, 8
    csrs    mie, a0
2:  j       failed
1:  la      s8, unexpected
    bne     s7, a1, failed
    case                                    # wfi goes on although the interrupt is not taken
    wfi
    case                                    # lower modes are interrupted whatever MIE says
    la      s8, 1f
    li      t0, MPP
    csrc    mstatus, t0
    la      a1, 2f
    csrw    mepc, a1
    li      t0, MPIE
    csrc    mstatus, t0
    mret
2:  j       failed
1:  la      s8, unexpected
    bne     s7, a1, failed
    li      t1, INTERRUPT | 3
    bne     s9, t1, failed
    field   s6, MPP | MIE | MPIE, 0
    case                                    # vectored
    la      t0, vectors + 1
    csrw    mtvec, t0
    la      s8, 1f
    csrsi   mstatus, 8
    j       failed
1:  expect  s9, 103
    la      t0, machine_handler
    csrw    mtvec, t0
    la      s8, unexpected
    sw      x0, 0(s0)
1:  csrr    a0, mip
    andi    a0, a0, 8
    bnez    a0, 1b

    # The timer interrupt.
    case
    li      s0, MTIMECMP
    li      a0, -1
    sw      a0, 4(s0)
    sw      a0, 0(s0)
    csrr    a0, mip
    andi    a0, a0, 0x80
    bnez    a0, failed
    li      a0, 0x80
    csrw    mie, a0
    li      s1, MTIME
    lw      a0, 0(s1)
    lw      a1, 4(s1)
    li      a3, 1000                        # 100 microseconds
    add     a2, a0, a3
    sltu    a4, a2, a0
    add     a1, a1, a4
    sw      a2, 0(s0)
    sw      a1, 4(s0)
    la      s8, 1f
    csrsi   mstatus, 8
2:  wfi
    j       2b
1:  la      s8, unexpected
    li      t1, INTERRUPT | 7
    bne     s9, t1, failed
    lw      a0, 0(s1)
    sub     a0, a0, a2
    bltz    a0, failed
    csrr    a0, time
    sub     a0, a0, a2
#if __riscv_xlen == 64
    slli    a0, a0, 32
#endif
    bltz    a0, failed

    # Priorities: software before timer.
    case
    li      s1, MSIP
    li      a0, 1
    sw      a0, 0(s1)
1:  csrr    a0, mip
    andi    a0, a0, 0x88
    li      a1, 0x88
    bne     a0, a1, 1b
    li      a0, 0x88
    csrw    mie, a0
    la      s8, 1f
    csrsi   mstatus, 8
    j       failed
1:  expect  s9, INTERRUPT | 3
    case
    sw      x0, 0(s1)
1:  csrr    a0, mip
    andi    a0, a0, 8
    bnez    a0, 1b
    la      s8, 1f
    csrsi   mstatus, 8
    j       failed
1:  expect  s9, INTERRUPT | 7
    case                                    # those of supervisor mode
    li      a0, -1
    sw      a0, 4(s0)
    sw      a0, 0(s0)
1:  csrr    a0, mip
    andi    a0, a0, 0x80
    bnez    a0, 1b
    li      a0, 0x22
    csrw    mip, a0
    csrw    mie, a0
    la      s8, 1f
    csrsi   mstatus, 8
    j       failed
1:  expect  s9, INTERRUPT | 1
    case
    csrci   mip, 2
    la      s8, 1f
    csrsi   mstatus, 8
    j       failed
1:  expect  s9, INTERRUPT | 5

    # Delegated: not taken in machine mode, taken in supervisor mode with SIE and in user mode always.
    case
    li      a0, 0x222
    csrw    mideleg, a0
    la      s8, unexpected
    csrsi   mstatus, 8
    nop
    csrci   mstatus, 8
    csrci   mstatus, 2
    enter   1
    nop
    la      s8, 1f
    csrsi   sstatus, 2
    j       failed
1:  expect  s9, INTERRUPT | 5
    field   s6, SPP | SPIE | SIE, SPP | SPIE
    leave
    case
    enter   1
    li      a0, 0x22
    csrw    sie, a0
    csrsi   sip, 2
    la      s8, 1f
    csrsi   sstatus, 2
    j       failed
1:  expect  s9, INTERRUPT | 1                # software before timer
    csrci   sip, 2
    csrr    a0, sip
    expect  a0, 0x20
    leave
    case
    csrci   mstatus, 2
    la      s8, 1f
    li      t0, MPP
    csrc    mstatus, t0
    la      a1, 2f
    csrw    mepc, a1
    mret
2:  j       failed
1:  expect  s9, INTERRUPT | 5
    bne     s7, a1, failed
    field   s6, SPP | SPIE | SIE, 0
    leave
    case                                    # sret that lets the interrupt through
    enter   1
    li      t0, SPIE | SPP
    csrs    sstatus, t0
    la      s8, 1f
    la      a1, 2f
    csrw    sepc, a1
    sret
2:  j       failed
1:  expect  s9, INTERRUPT | 5
    bne     s7, a1, failed
    la      s8, unexpected
    leave
    csrw    mie, x0

    end

    .balign 64
vectors:
    .option push
    .option norvc
    j       unexpected
    j       unexpected
    j       unexpected
    j       software
    .rept   8
    j       unexpected
    .endr
software:
    li      s9, 103
    jr      s8
    .option pop
