# Traps: entry into both modes, delegation, returns, and the fields of mstatus that go with them.
#include "privileged.inc"

    .macro status_is bits, value
    field   s6, \bits, \value
    .endm

    begin_privileged
    csrw    medeleg, x0
    csrw    mideleg, x0
    csrw    mie, x0

    # Exceptions of machine mode, with address and value.
    case
    traps   11, ecall
    case
    la      a0, 1f
    la      s8, 2f
1:  ebreak
    j       failed
2:  la      s8, unexpected
    expect  s9, 3
    bne     s7, a0, failed
    case
    la      a0, 1f
    la      s8, 2f
    .option push
    .option norvc
1:  .word   0xffffffff
2:  .option pop
    la      s8, unexpected
    expect  s9, 2
    bne     s7, a0, failed
    li      a1, 0xffffffff
#if __riscv_xlen == 32
    li      a1, -1
#endif
    bne     s10, a1, failed
    case
    la      s8, 2f
    .balign 4
    .half   0                               # the short form of an illegal instruction
2:  la      s8, unexpected
    expect  s9, 2
    bnez    s10, failed
    case
    li      a1, 0x0b000000                  # nothing answers there
    traps   5, lw a0, 0(a1)
    bne     s10, a1, failed
    case
    li      a1, 0x0b000004
    traps   7, sw a0, 0(a1)
    bne     s10, a1, failed
    case
    li      a1, 0x0b000000
    traps   1, jr a1
    bne     s10, a1, failed
    bne     s7, a1, failed

    # The stack of interrupt enables: MPIE takes MIE, MPP the mode.
    case
    csrsi   mstatus, 8
    traps   11, ecall
    status_is MIE | MPIE | MPP, MPIE | MPP
    case
    csrci   mstatus, 8
    traps   11, ecall
    status_is MIE | MPIE | MPP, MPP
    case
    enter   1
    traps   9, ecall
    status_is MPP, 1 << 11
    case
    enter   0
    traps   8, ecall
    status_is MPP, 0
    case                                    # mret: MIE takes MPIE, MPIE becomes 1, MPP the least mode
    li      a0, MPIE | MPP
    csrs    mstatus, a0
    la      a0, 1f
    csrw    mepc, a0
    mret
1:  csrr    s6, mstatus
    csrci   mstatus, 8
    status_is MIE | MPIE | MPP, MIE | MPIE
    case
    li      a0, MPIE
    csrc    mstatus, a0
    li      a0, MPP | MPRV                  # MPRV stays when machine mode stays
    csrs    mstatus, a0
    la      a0, 1f
    csrw    mepc, a0
    mret
1:  csrr    s6, mstatus
    li      a0, MPRV
    csrc    mstatus, a0
    status_is MIE | MPIE | MPP | MPRV, MPIE | MPRV

    # Delegation.
    li      a0, (1 << 8) | (1 << 2) | (1 << 3) | (1 << 5)
    csrw    medeleg, a0
    case
    enter   0
    traps   8, ecall                        # now in supervisor mode
    field   s6, SPP | SPIE | SIE, 0
    csrsi   sstatus, 2
    traps   2, .word 0xffffffff             # supervisor mode to itself
    field   s6, SPP | SPIE | SIE, SPP | SPIE
    csrr    a0, sstatus
    field   a0, SPP | SPIE | SIE, SPP | SPIE
    la      a0, 1f
    csrw    sepc, a0
    sret
1:  csrr    a0, sstatus
    field   a0, SPP | SPIE | SIE, SPIE | SIE
    la      a0, 2f
    csrw    sepc, a0
    sret                                    # to user mode
2:  traps   3, ebreak
    field   s6, SPP | SPIE | SIE, SPIE
    leave
    expect  s9, 9
    case                                    # a machine trap is never delegated
    li      a1, 0x0b000000
    traps   5, lw a0, 0(a1)
    status_is MPP, MPP
    case
    li      a1, 0x0b000000
    enter   1
    traps   5, lw a0, 0(a1)
    bne     s10, a1, failed
    field   s6, SPP, SPP
    leave

    # Instructions of higher modes.
    case
    csrw    medeleg, x0
    enter   0
    traps   2, mret
    case
    enter   0
    traps   2, sret
    case
    enter   0
    traps   2, wfi
    case
    enter   0
    traps   2, sfence.vma
    case
    enter   1
    traps   2, mret
    case
    li      a0, TSR
    csrs    mstatus, a0
    enter   1
    traps   2, sret
    case
    li      a0, TSR
    csrc    mstatus, a0
    li      a0, TW
    csrs    mstatus, a0
    enter   1
    traps   2, wfi
    case
    li      a0, TW
    csrc    mstatus, a0

    # sret in machine mode uses the supervisor's registers.
    li      a0, SPP | SPIE
    csrc    mstatus, a0
    li      a0, SPP
    csrs    mstatus, a0
    la      a0, 1f
    csrw    sepc, a0
    sret
1:  traps   9, ecall
    status_is MPP | SPP | SPIE, (1 << 11) | SPIE

    # Misaligned accesses are done.
    case
    la      a1, data + 1
    li      a0, 0x12345678
    sw      a0, 0(a1)
    lw      a2, 0(a1)
    bne     a0, a2, failed
    lbu     a2, 3(a1)
    expect  a2, 0x12

    end

    .data
    .balign 8
data:
    .zero   16
