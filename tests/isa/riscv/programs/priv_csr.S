# Control and status registers: legal values, views of one another, existence, privilege.
#include "privileged.inc"

    begin_privileged
    li      t0, 0x2004000                   # no timer interrupt
    li      t1, -1
    sw      t1, 4(t0)
    sw      t1, 0(t0)

    warl    mscratch, -1, -1
    warl    mscratch, 0x12345678, 0x12345678
    warl    sscratch, 0x7abcdef0, 0x7abcdef0
    warl    mepc, 0x7ffffff0, 0x7ffffff0
    warl    sepc, 0x12345678, 0x12345678
    warl    mtval, -1, -1
    warl    stval, -1, -1
    warl    mcause, 11, 11
    warl    scause, INTERRUPT | 9, INTERRUPT | 9
    warl    sie, 0, 0
    warl    mideleg, 0, 0
    warl    mie, 0x888, 0x888
    warl    sie, 0x222, 0                       # nothing is delegated
    warl    mideleg, 0x222, 0x222
    warl    sie, 0x222, 0x222
    case
    csrr    a0, mie
    expect  a0, 0xaaa
    warl    mie, 0, 0
    warl    mip, 0x222, 0x222
    warl    sip, 0, 0x220                       # supervisor mode changes its software interrupt alone
    warl    mip, 0, 0
    warl    sip, 0x222, 0x002
    warl    mip, 0, 0
    warl    mideleg, 0, 0
    warl    mcounteren, 7, 7
    warl    scounteren, 5, 5
    warl    medeleg, 0xb1ff, 0xb1ff
    warl    mcountinhibit, 5, 5
    warl    mcountinhibit, 0, 0

    # A mode of satp that does not exist leaves the register alone; so does mode 2 of a trap vector.
#if __riscv_xlen == 64
    warl    satp, (8 << 60) | 0x12345, (8 << 60) | 0x12345
    warl    satp, (9 << 60) | 0x54321, (9 << 60) | 0x54321
    warl    satp, (10 << 60) | 7, (10 << 60) | 7
    warl    satp, (8 << 60) | (0xabcd << 44), (8 << 60) | (0xabcd << 44)
    warl    satp, (5 << 60) | 1, (8 << 60) | (0xabcd << 44)
    warl    satp, 0, 0
    warl    pmpaddr5, (1 << 53) + 5, (1 << 53) + 5
    warl    pmpcfg2, 0x1f, 0x1f
#else
    warl    satp, (1 << 31) | 0x12345, (1 << 31) | 0x12345
    warl    satp, 0, 0
    warl    pmpaddr5, -1, -1
    warl    pmpcfg1, 0x1f000000, 0x1f000000
    warl    mcycleh, 5, 5
#endif
    case
    la      a0, machine_handler
    csrr    a1, mtvec
    bne     a0, a1, failed
    addi    a2, a0, 1
    csrw    mtvec, a2
    csrr    a1, mtvec
    bne     a1, a2, failed
    addi    a2, a0, 2
    csrw    mtvec, a2
    csrr    a1, mtvec
    addi    a2, a0, 1
    bne     a1, a2, failed
    csrw    mtvec, a0

    # Fields of mstatus, and sstatus as a view.
    case
    li      a0, SIE | SPIE | SPP | SUM | MXR
    csrw    sstatus, a0
    csrr    a1, mstatus
    and     a2, a1, a0
    bne     a2, a0, failed
    csrc    sstatus, a0
    csrr    a1, mstatus
    and     a2, a1, a0
    bnez    a2, failed
    case
    li      a0, MPRV | TVM | TW | TSR | MIE | MPIE
    csrc    mstatus, a0
    csrw    sstatus, a0                         # not in sstatus
    csrr    a1, mstatus
    and     a2, a1, a0
    bnez    a2, failed
    csrs    mstatus, a0
    csrr    a1, mstatus
    and     a2, a1, a0
    bne     a2, a0, failed
    csrc    mstatus, a0
    case
    li      a0, 3 << 13                         # FS dirty shows in SD
    csrs    mstatus, a0
    csrr    a1, mstatus
    bgez    a1, failed
    csrr    a1, sstatus
    bgez    a1, failed
    li      a0, 1 << 13
    csrc    mstatus, a0
    csrr    a1, mstatus
    bltz    a1, failed
    case
    csrw    fcsr, x0                            # a write makes it dirty
    csrr    a1, mstatus
    bgez    a1, failed

    # Floating-point registers, and without floating point.
    warl    fcsr, -1, 0xff
    warl    fflags, 0x15, 0x15
    warl    frm, 3, 3
    case
    csrr    a0, fcsr
    expect  a0, 0x75
    case
    li      a0, 3 << 13
    csrc    mstatus, a0
    li      a0, 5
    traps   2, csrr a0, fcsr
    expect  a0, 5
    case
    traps   2, csrw frm, x0
    case
    traps   2, fadd.s f0, f0, f0
    csrs    mstatus, a0

    # Registers that do not exist, and writes of read-only ones.
    case
    la      a1, 1f
1:  traps   2, csrr a0, 0x5c0
    case
    traps   2, csrw 0x5c0, x0
    case
    traps   2, csrw mhartid, x0
    case
    traps   2, csrrs a0, cycle, a0
    case
    traps   2, csrrwi a0, time, 0
    case
    csrrsi  a0, mvendorid, 0
    csrrci  a0, cycle, 0
    csrr    a0, mhartid
    expect  a0, 0
    case
    csrr    a0, misa
#if __riscv_xlen == 64
    srli    a1, a0, 62
    expect  a1, 2
#else
    srli    a1, a0, 30
    expect  a1, 1
    traps   2, csrr a0, pmpcfg4
#endif
    field   a0, (1 << 0) | (1 << 2) | (1 << 3) | (1 << 5) | (1 << 8) | (1 << 12) | (1 << 18) | (1 << 20), 0x14112d
    csrw    misa, x0
    csrr    a1, misa
    bne     a0, a1, failed

    # Counters go on.
    case
    csrr    a0, time
    csrr    a1, time
    bltu    a1, a0, failed
    csrr    a0, mcycle
    csrr    a1, mcycle
    bltu    a1, a0, failed

    # Lower modes.
    case
    csrw    medeleg, x0
    csrw    mcounteren, x0
    enter   1
    traps   2, csrr a0, mscratch
    case
    enter   1
    traps   2, csrr a0, time
    case
    enter   1
    csrr    a0, sscratch
    li      a1, 0x7abcdef0
    bne     a0, a1, failed
    leave
    expect  s9, 9
    case
    li      a0, 7
    csrw    mcounteren, a0
    li      a0, 5
    csrw    scounteren, a0
    enter   1
    csrr    a0, time
    leave
    enter   0
    csrr    a0, cycle
    csrr    a0, instret
    leave
    expect  s9, 8
    case
    enter   0
    traps   2, csrr a0, time
    case
    enter   0
    traps   2, csrr a0, sscratch
    case
    enter   0
    traps   2, csrw satp, x0
    case
    li      a0, TVM
    csrs    mstatus, a0
    csrr    a1, satp
    enter   1
    traps   2, csrr a0, satp
    case
    enter   1
    traps   2, sfence.vma
    case
    li      a0, TVM
    csrc    mstatus, a0
    enter   1
    csrr    a0, satp
    sfence.vma
    leave

    end
