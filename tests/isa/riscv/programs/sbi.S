# Calls to the supervisor binary interface, for a machine with two harts; runs on any firmware, begins in supervisor mode
# with the hart's number in a0.

    .set    BASE, 0x10
    .set    TIME, 0x54494D45
    .set    IPI, 0x735049
    .set    RFENCE, 0x52464E43
    .set    HSM, 0x48534D
    .set    SRST, 0x53525354
    .set    INVALID_PARAM, -3
    .set    NOT_SUPPORTED, -2
    .set    ALREADY_AVAILABLE, -6

#include "frame.inc"

    .macro  call extension, function
    li      a7, \extension
    li      a6, \function
    ecall
    .endm

    .macro  succeeds
    bnez    a0, failed
    .endm

    .text
    .globl  _start
    .balign 4
_start:
    mv      s0, a0                          # the hart that boots
    xori    s1, a0, 1                       # the other one
    la      t0, unexpected
    csrw    stvec, t0
    csrw    sie, x0
    j       start

    .balign 4
handler:
    csrr    s9, scause
    csrr    s7, sepc
    csrr    s6, sstatus
    jr      s8

start:
    la      t0, handler
    csrw    stvec, t0
    la      s8, unexpected

    # Base
    case
    call    BASE, 0
    succeeds
    srli    a1, a1, 24
    beqz    a1, failed
    case
    li      a2, 0x1234                      # everything but a0 and a1 is kept
    li      a3, 0x5678
    call    BASE, 1
    succeeds
    expect  a2, 0x1234
    expect  a3, 0x5678
    expect  a7, BASE
    case
    call    BASE, 4
    succeeds
    .irp    extension, TIME, IPI, RFENCE, HSM, SRST, BASE
    case
    li      a0, \extension
    call    BASE, 3
    succeeds
    beqz    a1, failed
    .endr
    case
    li      a0, 0x09876543
    call    BASE, 3
    succeeds
    bnez    a1, failed
    case
    call    0x09876543, 0
    expect  a0, NOT_SUPPORTED
    case
    call    TIME, 77
    expect  a0, NOT_SUPPORTED

    # TIME: an interrupt in 100 microseconds, and none when it is taken back.
    case
    csrr    a0, time
    addi    a0, a0, 1000
    mv      s2, a0
#if __riscv_xlen == 32
    csrr    a1, timeh
#endif
    call    TIME, 0
    succeeds
    li      t0, 0x20
    csrw    sie, t0
    la      s8, 1f
    csrsi   sstatus, 2
2:  wfi
    j       2b
1:  csrr    a0, time
    bltu    a0, s2, failed
    slli    t0, s9, 1
    expect  t0, 5 * 2
    csrr    a0, sip
    andi    a0, a0, 0x20
    beqz    a0, failed
    case
    li      a0, -1
    li      a1, -1
    call    TIME, 0
    csrr    a0, sip
    andi    a0, a0, 0x20
    bnez    a0, failed
    csrw    sie, x0

    # IPI to this hart
    case
    li      t0, 2
    csrw    sie, t0
    li      a0, 1
    sll     a0, a0, s0
    li      a1, 0
    call    IPI, 0
    succeeds
    la      s8, 1f
    csrsi   sstatus, 2
2:  j       2b
1:  slli    t0, s9, 1
    expect  t0, 1 * 2
    csrci   sip, 2
    csrr    a0, sip
    andi    a0, a0, 2
    bnez    a0, failed
    la      s8, unexpected
    case
    li      a0, 1
    li      a1, 1000
    call    IPI, 0
    expect  a0, INVALID_PARAM

    # HSM
    case
    mv      a0, s0
    call    HSM, 2
    succeeds
    expect  a1, 0
    case
    mv      a0, s1
    call    HSM, 2
    succeeds
    expect  a1, 1
    case
    li      a0, 99
    call    HSM, 2
    expect  a0, INVALID_PARAM
    case
    mv      a0, s0
    la      a1, second
    call    HSM, 0
    expect  a0, ALREADY_AVAILABLE
    case
    mv      a0, s1
    la      a1, second
    li      a2, 0x7654321
    call    HSM, 0
    succeeds
    la      t0, told
1:  lw      t1, 8(t0)
    beqz    t1, 1b
    fence
    lw      t1, 0(t0)
    bne     t1, s1, failed
    lw      t1, 4(t0)
    expect  t1, 0x7654321
    lw      t1, 12(t0)                      # its satp and sstatus.SIE
    bnez    t1, failed
    case
    li      a0, 1                           # an interrupt for it
    sll     a0, a0, s1
    li      a1, 0
    call    IPI, 0
    succeeds
1:  la      t0, told
    lw      t1, 8(t0)
    addi    t1, t1, -2
    bnez    t1, 1b
    case
1:  mv      a0, s1                          # it stops itself
    call    HSM, 2
    succeeds
    addi    a1, a1, -1
    bnez    a1, 1b
    case
    li      a0, 5
    call    HSM, 3
    expect  a0, INVALID_PARAM
    case
    li      t0, 0x20                        # suspended until the timer
    csrw    sie, t0
    csrci   sstatus, 2
    csrr    a0, time
    addi    a0, a0, 1000
    mv      s2, a0
#if __riscv_xlen == 32
    csrr    a1, timeh
#endif
    call    TIME, 0
    li      a0, 0
    call    HSM, 3
    succeeds
    csrr    a0, time
    bltu    a0, s2, failed
    csrw    sie, x0

    # RFENCE
    case
    li      a0, 1
    sll     a0, a0, s0
    li      a1, 0
    call    RFENCE, 0
    succeeds
    case
    li      a0, 0
    li      a1, -1
    li      a2, 0
    li      a3, 0
    call    RFENCE, 1
    succeeds
    case
    li      a0, 0
    li      a1, -1
    li      a2, 0x1000
    li      a3, 0x2000
    li      a4, 7
    call    RFENCE, 2
    succeeds

    # The legacy console, and the end.
    case
    li      a0, 10
    call    1, 0
    succeeds
    case
    li      a0, 0x70000000
    li      a1, 0
    call    SRST, 0
    bgez    a0, failed
    li      a0, 0
    li      a1, 0
    call    SRST, 0
    j       failed

    # Where the other hart starts: it tells what it got, waits for its interrupt, and stops.
    .balign 4
second:
    la      t0, told
    sw      a0, 0(t0)
    sw      a1, 4(t0)
    csrr    t1, satp
    csrr    t2, sstatus
    andi    t2, t2, 2
    or      t1, t1, t2
    sw      t1, 12(t0)
    fence
    li      t1, 1
    sw      t1, 8(t0)
    li      t1, 2
    csrw    sie, t1
1:  wfi
    csrr    t1, sip
    andi    t1, t1, 2
    beqz    t1, 1b
    li      t1, 2
    sw      t1, 8(t0)
    call    HSM, 1
    j       failed

    .balign 4
unexpected:
    li      s11, 251
failed:
    mv      a0, s11
    slli    a0, a0, 16
    li      t0, 0x3333
    or      t0, t0, a0
    li      t1, 0x100000
    sw      t0, 0(t1)
1:  j       1b

    .data
    .balign 16
told:
    .zero   16
