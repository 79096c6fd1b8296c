# Zba: address generation.
#include "frame.inc"

    begin

    rr      sh1add, 3, 100, 106
    rr      sh1add, -1, 0, -2
    rr      sh2add, 3, 100, 112
    rr      sh2add, 0x20000001, 1, 0x80000005
    rr      sh3add, 3, 100, 124
    rr      sh3add, -5, 40, 0
    same    sh1add, 5, 15
    same    sh2add, 5, 25
    same    sh3add, 5, 45
#if __riscv_xlen == 64
    rr      sh3add, 0x2000000000000001, 0, 8
    rr      add.uw, -1, 1, 0x100000000
    rr      add.uw, 0xf00000002, -2, 0
    rr      sh1add.uw, -1, 2, 0x200000000
    rr      sh2add.uw, 0xffffffff80000000, 0, 0x200000000
    rr      sh3add.uw, 0x180000001, 1, 0x400000009
    same    add.uw, -1, 0xfffffffe
    ri      slli.uw, -1, 0, 0xffffffff
    ri      slli.uw, -1, 32, 0xffffffff00000000
    ri      slli.uw, 0x180000001, 63, 0x8000000000000000
#endif

    end
