# Zbc: carry-less multiplication.
#include "frame.inc"

    begin

    rr      clmul, 3, 3, 5
    rr      clmul, 0, -1, 0
    rr      clmul, 1, -1, -1
    rr      clmul, 0x87, 0x1021, 0x86067
    rr      clmulh, 1, -1, 0
    rr      clmulr, 1, -1, 1
    rr      clmulr, 2, -1, 3
    same    clmul, 0xf, 0x55
    same    clmulh, 0xf, 0
#if __riscv_xlen == 64
    rr      clmul, -1, -1, 0x5555555555555555
    rr      clmulh, -1, -1, 0x5555555555555555
    rr      clmulr, -1, -1, 0xaaaaaaaaaaaaaaaa
    rr      clmulh, 0x8000000000000000, 0x8000000000000000, 0x4000000000000000
    rr      clmulr, 0x8000000000000000, 0x8000000000000000, 0x8000000000000000
    rr      clmulh, 0x8000000000000001, 0x10, 8
#else
    rr      clmul, -1, -1, 0x55555555
    rr      clmulh, -1, -1, 0x55555555
    rr      clmulr, -1, -1, 0xaaaaaaaa
    rr      clmulh, 0x80000000, 0x80000000, 0x40000000
    rr      clmulr, 0x80000000, 0x80000000, 0x80000000
    rr      clmulh, 0x80000001, 0x10, 8
#endif

    end
