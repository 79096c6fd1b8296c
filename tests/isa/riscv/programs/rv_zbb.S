# Zbb: basic bit manipulation.
#include "frame.inc"

    begin

#if __riscv_xlen == 64
    .set    lowest, 0x8000000000000000
#else
    .set    lowest, 0x80000000
#endif

    rr      andn, 0x0ff0, 0x00ff, 0x0f00
    rr      andn, -1, 0, -1
    rr      orn, 0x0ff0, ~0x00ff, 0x0fff
    rr      orn, 0, 0, -1
    rr      xnor, 0x0ff0, 0x00ff, ~0x0f0f
    same    xnor, 5, -1
    same    andn, 5, 0
    same    orn, 5, -1

    r       clz, 0, __riscv_xlen
    r       clz, 1, __riscv_xlen - 1
    r       clz, -1, 0
    r       ctz, 0, __riscv_xlen
    r       ctz, 1, 0
    r       ctz, lowest, __riscv_xlen - 1
    r       cpop, 0, 0
    r       cpop, -1, __riscv_xlen
    r       cpop, 0x01010101, 4

    rr      max, -1, 1, 1
    rr      max, lowest, -1, -1
    rr      maxu, -1, 1, -1
    rr      min, -1, 1, -1
    rr      min, lowest, 0, lowest
    rr      minu, -1, 1, 1
    rr      minu, 3, 3, 3

    r       sext.b, 0x80, -128
    r       sext.b, 0x17f, 127
    r       sext.h, 0x8000, -32768
    r       sext.h, 0x17fff, 32767
    r       zext.h, -1, 0xffff
    r       zext.h, 0x18000, 0x8000

    r       orc.b, 0, 0
    r       orc.b, 0x01008000, 0xff00ff00
    r       orc.b, 0x00100200, 0x00ffff00

#if __riscv_xlen == 32
    r       rev8, 0x12345678, 0x78563412
    rr      rol, 0x80000001, 1, 3
    rr      rol, 0x80000001, 33, 3
    rr      rol, 0x12345678, 0, 0x12345678
    rr      ror, 0x80000001, 1, 0xc0000000
    rr      ror, 0x12345678, 40, 0x78123456
    ri      rori, 0x12345678, 4, 0x81234567
    ri      rori, 0x12345678, 0, 0x12345678
    ri      rori, 1, 31, 2
#else
    r       rev8, 0x0123456789abcdef, 0xefcdab8967452301
    r       orc.b, 0x8000000000000100, 0xff0000000000ff00
    rr      rol, 0x8000000000000001, 1, 3
    rr      rol, 0x8000000000000001, 65, 3
    rr      rol, 0x0123456789abcdef, 0, 0x0123456789abcdef
    rr      ror, 0x8000000000000001, 1, 0xc000000000000000
    rr      ror, 0x0123456789abcdef, 72, 0xef0123456789abcd
    ri      rori, 0x0123456789abcdef, 4, 0xf0123456789abcde
    ri      rori, 1, 63, 2

    r       clzw, 0xffffffff00000000, 32
    r       clzw, 0x100000001, 31
    r       ctzw, 0x100000000, 32
    r       ctzw, 0x80000000, 31
    r       cpopw, 0xfffffffff0000001, 5
    rr      rolw, 0x80000001, 1, 3
    rr      rolw, 0xf40000000, 33, -2147483648
    rr      rorw, 0xf00000001, 1, -2147483648
    rr      rorw, 0x12345678, 40, 0x78123456
    ri      roriw, 0xf00000001, 1, -2147483648
    ri      roriw, 0x80000000, 0, -2147483648
#endif

    end
