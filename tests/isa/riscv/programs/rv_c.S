# RV32C and RV64C, with the compressed forms of F and D.
#include "frame.inc"

    begin
    .option rvc

# One instruction on x8 to x15: sources, result.
    .macro  ca op, a, b, want
    case
    li      s0, \a
    li      a5, \b
    \op     s0, a5
    expect  s0, \want
    expect  a5, \b
    li      a4, \a
    \op     a4, a4
    .endm

    .macro  ci op, a, imm, want
    case
    li      a5, \a
    \op     a5, \imm
    expect  a5, \want
    li      s0, \a
    \op     s0, \imm
    expect  s0, \want
    .endm

# --- registers and immediates
    ca      c.add, 5, -7, -2
    ca      c.sub, 5, -7, 12
    ca      c.xor, 0x0ff0, 0x00ff, 0x0f0f
    ca      c.or, 0x0ff0, 0x00ff, 0x0fff
    ca      c.and, 0x0ff0, 0x00ff, 0x00f0
    ci      c.addi, 5, 31, 36
    ci      c.addi, 5, -32, -27
    ci      c.andi, -1, 31, 31
    ci      c.andi, 0x7ff, -32, 0x7e0
    ci      c.slli, 1, 31, 0x80000000
    ci      c.srli, 0x7fffffff, 4, 0x07ffffff
    ci      c.srai, -256, 4, -16
#if __riscv_xlen == 64
    ca      c.addw, 0x7fffffff, 1, -2147483648
    ca      c.subw, -2147483648, 1, 0x7fffffff
    ci      c.addiw, 0x7fffffff, 1, -2147483648
    ci      c.addiw, 0x1ffffffff, 0, -1
    ci      c.slli, 1, 63, 0x8000000000000000
    ci      c.srli, -1, 63, 1
    ci      c.srai, 0x8000000000000000, 63, -1
#else
    ci      c.srli, 0x80000000, 31, 1
    ci      c.srai, 0x80000000, 31, -1
#endif

    case
    c.li    a0, -32
    expect  a0, -32
    c.li    t3, 31
    expect  t3, 31
    c.lui   a0, 1
    expect  a0, 0x1000
    c.lui   t3, 0xfffe0
    expect  t3, -131072
    c.mv    s2, t3
    expect  s2, -131072
    c.nop
    c.add   s2, s2
    expect  s2, -262144

    case                                    # hints change nothing
    .2byte  0x0001 | 5 << 2                 # c.nop 5
    .2byte  0x4001 | 5 << 2                 # c.li x0, 5
    .2byte  0x6001 | 5 << 2                 # c.lui x0, 5
    .2byte  0x8002 | 10 << 2                # c.mv x0, a0
    .2byte  0x9002 | 10 << 2                # c.add x0, a0
    .2byte  0x0002 | 5 << 2                 # c.slli x0, 5
    bnez    x0, failed
    expect  a0, 0x1000

# --- the stack
    case
    la      sp, stack
    c.addi16sp sp, -512
    mv      a0, sp
    c.addi16sp sp, 496
    sub     a0, sp, a0
    expect  a0, 496
    la      sp, stack
    c.addi4spn a0, sp, 4
    sub     a0, a0, sp
    expect  a0, 4
    c.addi4spn a5, sp, 1020
    sub     a5, a5, sp
    expect  a5, 1020
    c.addi4spn s1, sp, 0x2a8
    sub     s1, s1, sp
    expect  s1, 0x2a8
    case
    li      a0, 0x12345678
    c.swsp  a0, 0(sp)
    c.swsp  x0, 4(sp)
    c.swsp  a0, 252(sp)
    c.lwsp  t3, 0(sp)
    expect  t3, 0x12345678
    c.lwsp  t3, 4(sp)
    expect  t3, 0
    lw      t3, 252(sp)
    expect  t3, 0x12345678
    c.swsp  a0, 168(sp)
    c.lwsp  ra, 168(sp)
    expect  ra, 0x12345678
#if __riscv_xlen == 64
    li      a0, 0x123456789abcdef0
    c.sdsp  a0, 0(sp)
    c.sdsp  a0, 504(sp)
    c.ldsp  t3, 504(sp)
    expect  t3, 0x123456789abcdef0
    c.ldsp  s2, 0(sp)
    expect  s2, 0x123456789abcdef0
    c.lwsp  s2, 0(sp)
    expect  s2, -0x65432110
#endif

# --- loads and stores
    case
    la      a5, stack
    li      s0, -2
    c.sw    s0, 0(a5)
    c.sw    s0, 124(a5)
    c.lw    s1, 124(a5)
    expect  s1, -2
    c.lw    a5, 0(a5)
    expect  a5, -2
    la      s0, stack
    li      a4, 0x11111111
    c.sw    a4, 84(s0)
    lw      a4, 84(s0)
    expect  a4, 0x11111111
#if __riscv_xlen == 64
    case
    la      a5, stack
    li      s0, 0x123456789abcdef0
    c.sd    s0, 248(a5)
    c.ld    s1, 248(a5)
    expect  s1, 0x123456789abcdef0
    c.sd    s0, 168(a5)
    ld      s1, 168(a5)
    expect  s1, 0x123456789abcdef0
#endif

# --- floating point
    case
    la      a5, stack
    fld     fa0, constant, a0
    .pushsection .data
    .balign 8
constant:
    .dword  0x0123456789abcdef
    .popsection
    c.fsd   fa0, 248(a5)
    c.fld   fs0, 248(a5)
    c.fsdsp fs0, 504(sp)
    c.fldsp ft8, 504(sp)
    fsd     ft8, 0(a5)
    lw      a0, 0(a5)
    expect  a0, -0x76543211
    lw      a0, 4(a5)
    expect  a0, 0x01234567
#if __riscv_xlen == 32
    case
    flw     fa0, constant, a0
    c.fsw   fa0, 124(a5)
    c.flw   fs0, 124(a5)
    c.fswsp fs0, 252(sp)
    c.flwsp ft8, 252(sp)
    fsd     ft8, 0(a5)
    lw      a0, 0(a5)
    expect  a0, -0x76543211
    lw      a0, 4(a5)
    expect  a0, -1
#endif

# --- jumps and branches
    case
    c.j     2f
1:  c.j     3f
    j       failed
2:  c.j     1b
    j       failed
3:  la      a0, 5f
    c.jalr  a0
4:  j       failed
5:  la      a1, 4b
    bne     ra, a1, failed
    la      a0, 6f + 1                      # the lowest bit of the target is dropped
    c.jr    a0
    j       failed
6:
#if __riscv_xlen == 32
    c.jal   7f
1:  j       failed
7:  la      a1, 1b
    bne     ra, a1, failed
#endif
    la      ra, 8f
    c.jalr  ra                              # link and target in one register
7:  j       failed
8:  la      a1, 7b
    bne     ra, a1, failed

    case
    li      a5, 3
    li      s0, 0
1:  c.addi  s0, 2
    c.addi  a5, -1
    c.bnez  a5, 1b
    expect  s0, 6
    c.bnez  a5, 2f
    c.beqz  a5, 3f
2:  j       failed
3:  c.beqz  s0, 2b

    case                                    # long instructions at odd places
    .balign 4
    c.nop
    .option norvc
    li      a0, 5
    addi    a0, a0, 2
    beqz    x0, 1f
    j       failed
1:  jal     ra, 2f
    j       failed
2:  .option rvc
    expect  a0, 7
    andi    ra, ra, 3
    expect  ra, 2

    case                                    # a long instruction across two pages
    j       1f
    .balign 4096
    .space  4094 - 8
    .option norvc
1:  addi    a0, x0, 1
    addi    a0, a0, 1
    addi    a0, a0, 1
    addi    a0, a0, 1
    .option rvc
    expect  a0, 4
    li      a5, 2
2:  c.addi  a5, -1
    bnez    a5, 2b

    end

    .bss
    .balign 16
    .space  1024
stack:
    .space  1088
