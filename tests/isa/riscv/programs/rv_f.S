# RV32F and RV64F.
#include "frame.inc"

#define P s
#define WIDTH 32
    .set    ONE, 0x3f800000
    .set    NEXT, 0x3f800001                # after 1
    .set    ALMOST, 0x3f7fffff              # before 1
    .set    HALFULP, 0x33800000             # half of NEXT - 1
    .set    ULP_SQUARED, 0x28800000
    .set    HALF, 0x3f000000
    .set    ONEHALF, 0x3fc00000
    .set    TWO, 0x40000000
    .set    TWOHALF, 0x40200000
    .set    THREE, 0x40400000
    .set    FOUR, 0x40800000
    .set    FIVE, 0x40a00000
    .set    SEVEN, 0x40e00000
    .set    THIRD, 0x3eaaaaaa
    .set    THIRD_NEAR, 0x3eaaaaab
    .set    ROOT, 0x3fb504f3                # of 2
    .set    ROOT_DOWN, 0x3fb504f3
    .set    POWER31, 0x4f000000
    .set    POWER63, 0x5f000000
    .set    LEAST, 0x00800000               # normal number
    .set    LARGEST, 0x7f7fffff
    .set    INF, 0x7f800000
    .set    NAN, 0x7fc00000
    .set    SNAN, 0x7f800001
#include "floating.inc"

    from_int w, rne, 16777217, 0x4b800000, NX
    from_int w, rup, 16777217, 0x4b800001, NX
    from_int wu, rne, -1, 0x4f800000, NX
    from_int wu, rtz, -1, 0x4f7fffff, NX
#if __riscv_xlen == 64
    from_int l, rne, 0x7fffffbfffffffff, 0x5effffff, NX
    from_int l, rne, 0x7fffffc000000000, 0x5f000000, NX
    from_int lu, rne, 0x8000008000000001, 0x5f000001, NX
    from_int lu, rne, 0x8000008000000000, 0x5f000000, NX
#endif

# --- loads, stores and moves
    case
    la      a1, singles
    flw     fa0, 0(a1)
    fexpect fa0, 0x12345678
    flw     ft8, 7(a1)                      # misaligned
    fexpect ft8, 0xabcdef00
    la      a2, singles + 16
    fsw     fa0, 0(a2)
    lw      a0, 0(a2)
    expect  a0, 0x12345678
    fsw     fa0, -3(a2)
    lbu     a0, 0(a2)
    expect  a0, 0x12
    case
    li      a0, 0x80000001
    fmv.w.x fa0, a0
    fexpect fa0, 0x80000001
    fmv.x.w a0, fa0
    expect  a0, -2147483647

# --- numbers that are not boxed count as NaNs, but not where bits are moved
    case
    la      a1, unboxed
    fld     fa1, 0(a1)
    fmv.w.x fa2, x0
    fadd.s  fa0, fa1, fa2
    fexpect fa0, NAN
    flags   0
    fsgnj.s fa0, fa2, fa1
    fexpect fa0, 0
    fsgnj.s fa0, fa1, fa1
    fexpect fa0, NAN
    fclass.s a0, fa1
    expect  a0, 1 << 9
    fcvt.w.s a0, fa1
    expect  a0, 0x7fffffff
    flags   NV
    fmin.s  fa0, fa1, fa2
    fexpect fa0, 0
    flags   0
    fmv.x.w a0, fa1
    expect  a0, -0x407fffff
    la      a2, scratch
    fsw     fa1, 8(a2)
    lw      a0, 8(a2)
    expect  a0, -0x407fffff

    end

    .data
    .balign 8
singles:
    .word   0x12345678, 0
    .byte   0xef, 0xcd, 0xab, 0
    .word   0, 0, 0, 0
    .balign 8
unboxed:
    .word   0xbf800001, 0xfffffffe
