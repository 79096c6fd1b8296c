# RV32A and RV64A.
#include "frame.inc"

# One read-modify-write: what rd gets, what memory holds after it; in every ordering, and with the result thrown away.
    .macro  amo op, load, store, before, operand, after
    .irp    ordering, , .aq, .rl, .aqrl
    case
    la      a1, cell
    li      a2, \before
    \store  a2, 0(a1)
    li      a2, \operand
    \op\ordering a0, a2, (a1)
    expect  a0, \before
    expect  a2, \operand
    \load   a0, 0(a1)
    expect  a0, \after
    .endr
    li      a0, \before
    \store  a0, 0(a1)
    \op     a2, a2, (a1)                    # operand and result in one register
    expect  a2, \before
    mv      s2, a1
    li      s3, \before
    \store  s3, 0(s2)
    li      s3, \operand
    \op     s2, s3, (s2)                    # address and result in one register
    expect  s2, \before
    li      a2, \before
    \store  a2, 0(a1)
    li      a2, \operand
    \op     x0, a2, (a1)
    \load   a0, 0(a1)
    expect  a0, \after
    .endm

    begin

    amo     amoswap.w, lw, sw, -2147483648, 0x7fffffff, 0x7fffffff
    amo     amoadd.w, lw, sw, 0x7fffffff, 1, -2147483648
    amo     amoadd.w, lw, sw, -1, 1, 0
    amo     amoxor.w, lw, sw, 0x0ff0, 0x00ff, 0x0f0f
    amo     amoand.w, lw, sw, -1, 0x00ff, 0x00ff
    amo     amoor.w, lw, sw, 0x0ff0, -2147483648, -2147479568
    amo     amomin.w, lw, sw, 1, -1, -1
    amo     amomin.w, lw, sw, -5, 3, -5
    amo     amomax.w, lw, sw, 1, -1, 1
    amo     amomax.w, lw, sw, -5, 3, 3
    amo     amominu.w, lw, sw, 1, -1, 1
    amo     amominu.w, lw, sw, -5, 3, 3
    amo     amomaxu.w, lw, sw, 1, -1, -1
    amo     amomaxu.w, lw, sw, -5, 3, -5
#if __riscv_xlen == 64
    amo     amoswap.d, ld, sd, 0x1122334455667788, -1, -1
    amo     amoadd.d, ld, sd, 0x7fffffffffffffff, 1, 0x8000000000000000
    amo     amoxor.d, ld, sd, -1, 0xff00000000, ~0xff00000000
    amo     amoand.d, ld, sd, 0x1122334455667788, 0xff00000000ff, 0x334400000088 & 0xff00000000ff
    amo     amoor.d, ld, sd, 0x1000000000000000, 1, 0x1000000000000001
    amo     amomin.d, ld, sd, 0x100000000, 0xffffffff00000000, 0xffffffff00000000
    amo     amomax.d, ld, sd, 0x100000000, 0xffffffff00000000, 0x100000000
    amo     amominu.d, ld, sd, 0x100000000, 0xffffffff00000000, 0x100000000
    amo     amomaxu.d, ld, sd, 0x100000000, 0xffffffff00000000, 0xffffffff00000000

    case                                    # a word in the middle of a doubleword, its operand's upper half ignored
    la      a1, cell
    li      a0, 0x1111111122222222
    sd      a0, 0(a1)
    addi    a1, a1, 4
    li      a2, 0x1234567800000001
    amoadd.w a0, a2, (a1)
    expect  a0, 0x11111111
    ld      a0, -4(a1)
    expect  a0, 0x1111111222222222
#endif

# --- load-reserved and store-conditional
    .macro  reserved width, load, store, old, new
    case                                    # succeeds
    la      a1, cell
    li      a0, \old
    \store  a0, 0(a1)
    li      a2, \new
    lr.\width a0, (a1)
    sc.\width a3, a2, (a1)
    expect  a0, \old
    bnez    a3, failed
    \load   a0, 0(a1)
    expect  a0, \new
    case                                    # a reservation serves once
    li      a2, \old
    sc.\width a3, a2, (a1)
    expect  a3, 1
    \load   a0, 0(a1)
    expect  a0, \new
    case                                    # none for another address, and it is gone then
    la      a4, cell + 64
    li      a0, \old
    \store  a0, 0(a4)
    lr.\width a0, (a1)
    sc.\width a3, a2, (a4)
    expect  a3, 1
    sc.\width a3, a2, (a1)
    expect  a3, 1
    \load   a0, 0(a4)
    expect  a0, \old
    case                                    # the value has changed
    \store  a2, 0(a1)
    lr.\width\().aq a0, (a1)
    li      a3, \new
    \store  a3, 0(a1)
    sc.\width\().rl a3, a2, (a1)
    expect  a3, 1
    \load   a0, 0(a1)
    expect  a0, \new
    case                                    # one register for all
    mv      s2, a1
    lr.\width\().aqrl s2, (s2)
    expect  s2, \new
    mv      s2, a1
    sc.\width\().aqrl s2, a2, (s2)
    bnez    s2, failed
    .endm
    reserved w, lw, sw, -2147483648, 0x12345678
#if __riscv_xlen == 64
    reserved d, ld, sd, -2147483648, 0x123456789abcdef0
#endif

    case                                    # the usual loop
    la      a1, cell
    sw      x0, 0(a1)
    li      a4, 1000
1:  lr.w    a0, (a1)
    addi    a0, a0, 3
    sc.w    a2, a0, (a1)
    bnez    a2, 1b
    addi    a4, a4, -1
    bnez    a4, 1b
    lw      a0, 0(a1)
    expect  a0, 3000

    end

    .data
    .balign 64
cell:
    .space  128
