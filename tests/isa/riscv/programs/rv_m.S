# RV32M and RV64M.
#include "frame.inc"

    begin

    rr      mul, 7, 9, 63
    rr      mul, -7, 9, -63
    rr      mul, -7, -9, 63
    rr      mul, 0, -1, 0
    same    mul, -5, 25

#if __riscv_xlen == 32
    .set    lowest, 0x80000000
    .set    highest, 0x7fffffff
    rr      mul, 0x10001, 0x10001, 0x20001
    rr      mulh, lowest, lowest, 0x40000000
    rr      mulh, -1, 1, -1
    rr      mulhsu, -1, -1, -1
    rr      mulhsu, lowest, -1, 0x80000000
    rr      mulhu, -1, -1, -2
    rr      mulhu, 0x12345678, 0x9abcdef0, 0x0b00ea4e
#else
    .set    lowest, 0x8000000000000000
    .set    highest, 0x7fffffffffffffff
    rr      mul, 0x100000001, 0x100000001, 0x200000001
    rr      mulh, lowest, lowest, 0x4000000000000000
    rr      mulh, -1, 1, -1
    rr      mulhsu, -1, -1, -1
    rr      mulhsu, lowest, -1, lowest
    rr      mulhu, -1, -1, -2
    rr      mulhu, 0x123456789abcdef0, 0xfedcba9876543210, 0x121fa00ad77d7422
    rr      mulw, 0x10000, 0x8000, -2147483648
    rr      mulw, 0xffffffff00000003, 0x1234567800000005, 15
#endif

    rr      div, 20, 6, 3
    rr      div, -20, 6, -3
    rr      div, 20, -6, -3
    rr      div, -20, -6, 3
    rr      div, 5, 0, -1
    rr      div, 0, 0, -1
    rr      div, lowest, 0, -1
    rr      div, lowest, -1, lowest         # overflow
    rr      div, highest, -1, lowest + 1
    rr      divu, 20, 6, 3
    rr      divu, -1, 1, -1
    rr      divu, 5, 0, -1
    rr      divu, lowest, -1, 0
    rr      divu, -1, lowest, 1
    rr      rem, 20, 6, 2
    rr      rem, -20, 6, -2
    rr      rem, 20, -6, 2
    rr      rem, -20, -6, -2
    rr      rem, 5, 0, 5
    rr      rem, lowest, 0, lowest
    rr      rem, lowest, -1, 0              # overflow
    rr      remu, 20, 6, 2
    rr      remu, -1, 10, 5
    rr      remu, 5, 0, 5
    rr      remu, lowest, -1, lowest
    same    div, 9, 1
    same    rem, 9, 0
    same    div, 0, -1
    same    rem, 0, 0

#if __riscv_xlen == 64
    rr      divw, -20, 6, -3
    rr      divw, 0x100000014, 6, 3
    rr      divw, -2147483648, -1, -2147483648
    rr      divw, 5, 0x100000000, -1
    rr      divuw, 0xffffffec, 6, 0x2aaaaaa7
    rr      divuw, -1, 1, -1
    rr      divuw, 5, 0x100000000, -1
    rr      remw, -20, 6, -2
    rr      remw, 0x80000000, -1, 0
    rr      remw, 0x1fffffffb, 0, -5
    rr      remuw, 0xffffffec, 6, 2
    rr      remuw, 0x1fffffffb, 0, -5
    rr      remuw, -1, 0x80000000, 0x7fffffff
#endif

    end
