# RV32D and RV64D.
#include "frame.inc"

#define P d
#define WIDTH 64
    .set    ONE, 0x3ff0000000000000
    .set    NEXT, 0x3ff0000000000001        # after 1
    .set    ALMOST, 0x3fefffffffffffff      # before 1
    .set    HALFULP, 0x3ca0000000000000     # half of NEXT - 1
    .set    ULP_SQUARED, 0x3970000000000000
    .set    HALF, 0x3fe0000000000000
    .set    ONEHALF, 0x3ff8000000000000
    .set    TWO, 0x4000000000000000
    .set    TWOHALF, 0x4004000000000000
    .set    THREE, 0x4008000000000000
    .set    FOUR, 0x4010000000000000
    .set    FIVE, 0x4014000000000000
    .set    SEVEN, 0x401c000000000000
    .set    THIRD, 0x3fd5555555555555
    .set    THIRD_NEAR, 0x3fd5555555555555
    .set    ROOT, 0x3ff6a09e667f3bcd        # of 2
    .set    ROOT_DOWN, 0x3ff6a09e667f3bcc
    .set    POWER31, 0x41e0000000000000
    .set    POWER63, 0x43e0000000000000
    .set    LEAST, 0x0010000000000000       # normal number
    .set    LARGEST, 0x7fefffffffffffff
    .set    INF, 0x7ff0000000000000
    .set    NAN, 0x7ff8000000000000
    .set    SNAN, 0x7ff0000000000001
#include "floating.inc"

    to_int  w, rne, 0x41dfffffffe00000, 0x7fffffff, NV       # 2^31 - 1/2 rounds to 2^31
    to_int  w, rtz, 0x41dfffffffe00000, 0x7fffffff, NX
    to_int  w, rdn, 0xc1e0000000100000, -2147483648, NV
    to_int  w, rne, 0xc1e0000000100000, -2147483648, NX
    to_int  wu, rne, 0x41efffffffe00000, -1, 0
    to_int  wu, rup, 0x41efffffffe80000, -1, NV
    from_int wu, rne, -1, 0x41efffffffe00000, 0
#if __riscv_xlen == 64
    to_int  l, rne, 0x43dfffffffffffff, 0x7ffffffffffffc00, 0
    to_int  lu, rne, 0x43efffffffffffff, 0xfffffffffffff800, 0
    to_int  lu, rne, 0x43f0000000000000, -1, NV
    from_int l, rne, 0x20000000000001, 0x4340000000000000, NX
    from_int l, rup, 0x20000000000001, 0x4340000000000001, NX
    from_int l, rmm, 0x20000000000001, 0x4340000000000001, NX
#endif

# --- single precision
    .macro  narrowed rm, a, want, raised
    case
    fset    fa1, \a
    fcvt.s.d fa0, fa1, \rm
    flags   \raised
    fmv.x.w a0, fa0
    expect  a0, \want
    li      t5, rm_\rm
    fsrm    t5
    fcvt.s.d fa0, fa1
    fsrm    x0
    flags   \raised
    fmv.x.w a0, fa0
    expect  a0, \want
    fsd     fa0, scratch, t5
    lw      a0, scratch + 4
    expect  a0, -1
    .endm
    narrowed rne, ONE, 0x3f800000, 0
    narrowed rne, 0x3ff0000010000000, 0x3f800000, NX
    narrowed rmm, 0x3ff0000010000000, 0x3f800001, NX
    narrowed rup, 0x3ff0000000000001, 0x3f800001, NX
    narrowed rne, LARGEST, 0x7f800000, OF | NX
    narrowed rtz, LARGEST, 0x7f7fffff, OF | NX
    narrowed rne, 0x36a0000000000000, 1, 0                          # subnormal, exact
    narrowed rne, 0x3690000000000000, 0, UF | NX
    narrowed rne, NAN | 7, 0x7fc00000, 0
    narrowed rne, SNAN, 0x7fc00000, NV
    narrowed rne, INF, 0x7f800000, 0

    .macro  widened a, want, raised
    case
    li      a1, \a
    fmv.w.x fa1, a1
    fcvt.d.s fa0, fa1
    flags   \raised
    fexpect fa0, \want
    .endm
    widened 0x3f800001, 0x3ff0000020000000, 0
    widened 1, 0x36a0000000000000, 0
    widened 0x7f800000, INF, 0
    widened 0x7fc00001, NAN, 0
    widened 0x7f800001, NAN, NV
    widened 0x80000000, MINUS, 0
    case                                    # a number that is not boxed
    fset    fa1, ONE
    fcvt.d.s fa0, fa1
    fexpect fa0, NAN
    flags   0

# --- loads, stores and moves
    case
    la      a1, doubles
    fld     fa0, 0(a1)
    fexpect fa0, 0x123456789abcdef0
    fld     ft8, 9(a1)                      # misaligned
    fexpect ft8, 0x0011223344556677
    la      a2, doubles + 32
    fsd     fa0, 0(a2)
    lw      a0, 4(a2)
    expect  a0, 0x12345678
    fsd     fa0, 5(a2)
    lw      a0, 8(a2)
    expect  a0, 0x3456789a
#if __riscv_xlen == 64
    case
    li      a0, 0x8000000000000001
    fmv.d.x fa0, a0
    fexpect fa0, 0x8000000000000001
    fmv.x.d a0, fa0
    expect  a0, 0x8000000000000001
#endif

    end

    .data
    .balign 8
doubles:
    .dword  0x123456789abcdef0
    .byte   0
    .8byte  0x0011223344556677
    .balign 8
    .space  32
