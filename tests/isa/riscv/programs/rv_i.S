# RV32I and RV64I.
#include "frame.inc"

    begin

# --- arithmetic and logic
    rr      add, 0, 0, 0
    rr      add, 1, -1, 0
    rr      add, 3, 7, 10
    rr      add, 0x7fffffff, -0x7fffffff, 0
    rr      sub, 0, 0, 0
    rr      sub, 3, 7, -4
    rr      sub, 0, -2147483648, 2147483648
    rr      slt, -1, 0, 1
    rr      slt, 0, -1, 0
    rr      slt, 5, 5, 0
    rr      slt, -2147483648, 2147483647, 1
    rr      sltu, -1, 0, 0
    rr      sltu, 0, -1, 1
    rr      sltu, 2147483647, -2147483648, 1
    rr      xor, 0x0ff00ff0, 0x00ffff00, 0x0f0ff0f0
    rr      or, 0x0ff00ff0, 0x00ffff00, 0x0ffffff0
    rr      and, 0x0ff00ff0, 0x00ffff00, 0x00f00f00
    rr      and, -1, -2, -2
    same    add, 21, 42
    same    sub, 21, 0
    same    xor, 21, 0
    ri      addi, 0, 2047, 2047
    ri      addi, 0, -2048, -2048
    ri      addi, 100, -1, 99
    ri      slti, -1, 0, 1
    ri      slti, 0, -2048, 0
    ri      sltiu, 5, -1, 1
    ri      sltiu, -1, -1, 0
    ri      xori, 0x0f0, -1, ~0x0f0
    ri      ori, 0x700, 0x0ff, 0x7ff
    ri      andi, 0x7ff, -16, 0x7f0

# --- shifts
    rr      sll, 1, 0, 1
    rr      sll, 1, 4, 16
    rr      srl, 0x40000000, 30, 1
    rr      sra, -8, 1, -4
    rr      sra, -1, 31, -1
    ri      slli, 1, 31, 0x80000000
    ri      srli, 0x7fffffff, 7, 0x00ffffff
    ri      srai, -128, 7, -1
#if __riscv_xlen == 64
    rr      sll, 1, 63, 0x8000000000000000
    rr      sll, 1, 64, 1                   # amounts count modulo the width
    rr      srl, -1, 60, 15
    rr      srl, -1, 0xffffffffffffffc1, 0x7fffffffffffffff
    rr      sra, 0x8000000000000000, 63, -1
    ri      slli, 1, 63, 0x8000000000000000
    ri      srli, -1, 63, 1
    ri      srai, 0x8000000000000000, 62, -2
#else
    rr      sll, 1, 33, 2
    rr      srl, -1, 28, 15
    rr      srl, -1, 0xffffffe1, 0x7fffffff
    rr      sra, 0x80000000, 31, -1
#endif

# --- upper immediates and addresses
    case
    lui     a0, 0x12345
    expect  a0, 0x12345000
    lui     a0, 0xfffff
    expect  a0, -4096
    lui     a0, 0x80000
    expect  a0, -2147483648
    case
1:  auipc   a0, 0
    la      a1, 1b
    bne     a0, a1, failed
2:  auipc   a0, 0xfffff
    la      a1, 2b
    sub     a1, a1, a0
    expect  a1, 4096

# --- jumps
    .option push
    .option norvc                           # offsets below count in words
    case
    jal     ra, 2f
1:  j       failed
2:  la      t0, 1b
    bne     ra, t0, failed
    la      a0, 3f
    jalr    t1, 1(a0)                       # the lowest bit of the target is dropped
    j       failed
3:  la      a0, 5f
    jalr    a0, -4(a0)                      # link and base in one register
4:  j       failed
    j       6f
5:  j       failed
6:  la      t0, 4b
    bne     a0, t0, failed
    jal     x0, 7f
    j       failed
7:
    .option pop

# --- branches: taken or not, forwards and backwards
    .macro  branch op, a, b, taken
    case
    li      a1, \a
    li      a2, \b
    li      a3, 0
    \op     a1, a2, 1f
    j       2f
1:  li      a3, 1
2:  expect  a3, \taken
    li      s2, \a
    li      s3, \b
    li      a3, 3
3:  addi    a3, a3, -1
    beqz    a3, 4f
    \op     s2, s3, 3b
4:  expect  a3, 2 * (1 - \taken)
    .endm
    branch  beq, 5, 5, 1
    branch  beq, 5, -5, 0
    branch  bne, 5, 5, 0
    branch  bne, 5, -5, 1
    branch  blt, -1, 0, 1
    branch  blt, 0, -1, 0
    branch  blt, 3, 3, 0
    branch  bge, -1, 0, 0
    branch  bge, 0, -1, 1
    branch  bge, 3, 3, 1
    branch  bltu, -1, 0, 0
    branch  bltu, 0, -1, 1
    branch  bltu, 3, 3, 0
    branch  bgeu, -1, 0, 1
    branch  bgeu, 0, -1, 0
    branch  bgeu, 3, 3, 1

# --- loads and stores
    .macro  read op, offset, want
    case
    la      a1, bytes + 8
    \op     a0, \offset(a1)
    expect  a0, \want
    la      s2, bytes + 8 - 2047
    \op     s2, \offset + 2047(s2)
    expect  s2, \want
    .endm
    read    lb, 0, 0x11
    read    lb, -7, -2
    read    lbu, -7, 0xfe
    read    lh, 0, 0x2211
    read    lh, -8, -257
    read    lhu, -8, 0xfeff
    read    lh, -7, -514                    # misaligned
    read    lw, 0, 0x44332211
    read    lw, -8, -0x03020101
    read    lw, -6, -0x05040303
#if __riscv_xlen == 64
    read    lwu, -8, 0xfcfdfeff
    read    ld, 0, 0x8877665544332211
    read    ld, -3, 0x5544332211f8f9fa
#endif

    .macro  written op, back, value, offset, want
    case
    la      a1, room + 8
    li      a2, \value
    sw      x0, 0(a1)
    sw      x0, 4(a1)
    sw      x0, 8(a1)
    \op     a2, \offset(a1)
    \back   a0, 0(a1)
    expect  a0, \want
    .endm
    written sb, lw, 0x1234, 0, 0x34
    written sb, lw, 0x1234, 3, 0x34000000
    written sh, lw, 0x12345678, 0, 0x5678
    written sh, lw, 0x12345678, 1, 0x567800
    written sw, lw, 0x12345678, 0, 0x12345678
    written sw, lw, 0x12345678, 2, 0x56780000
    written sw, lw, 0x12345678, -2, 0x1234
    written sw, lw, -1, 1, -256
#if __riscv_xlen == 64
    written sd, ld, 0x1122334455667788, 0, 0x1122334455667788
    written sd, ld, 0x1122334455667788, 5, 0x6677880000000000
#endif
    case                                    # x0 as a source and as a destination
    la      a1, room
    li      a0, -1
    sw      a0, 0(a1)
    sw      x0, 0(a1)
    lw      a0, 0(a1)
    bnez    a0, failed
    lw      x0, 0(a1)
    bnez    x0, failed
    addi    x0, a1, 5
    bnez    x0, failed

    case                                    # a page boundary inside the access
    la      a1, page
    li      a2, 0x76543210
    sw      a2, -2(a1)
    lw      a0, -2(a1)
    bne     a0, a2, failed
    lhu     a0, 0(a1)
    expect  a0, 0x7654

# --- words of RV64
#if __riscv_xlen == 64
    rr      addw, 0x7fffffff, 1, -2147483648
    rr      addw, 0xffffffff00000001, 2, 3
    rr      subw, -2147483648, 1, 0x7fffffff
    rr      subw, 0x1ffffffff, 1, -2
    rr      sllw, 1, 31, -2147483648
    rr      sllw, 0xffffffff00000001, 33, 2
    rr      srlw, 0xffffffff80000000, 31, 1
    rr      srlw, 0xffffffff80000000, 32, -2147483648
    rr      sraw, 0x80000000, 31, -1
    rr      sraw, 0x7fffffff80000000, 4, -134217728
    ri      addiw, 0x7fffffff, 1, -2147483648
    ri      addiw, 0x123456789, 0, 0x23456789
    ri      slliw, 1, 31, -2147483648
    ri      srliw, -1, 1, 0x7fffffff
    ri      sraiw, 0x80000000, 3, -268435456
#endif

# --- order
    case
    fence
    fence   rw, w
    fence.tso

    end

    .data
    .balign 8
bytes:
    .byte   0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0xfa, 0xf9, 0xf8
    .byte   0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88
    .balign 8
room:
    .space  32
    .balign 4096
    .space  4096
page:
    .space  16
