# Zbs: single bits.
#include "frame.inc"

    begin

    .set    top, __riscv_xlen - 1

    rr      bset, 0, 0, 1
    rr      bset, 0, top, 1 << top
    rr      bset, 8, 3, 8
    rr      bset, 0, __riscv_xlen + 4, 16     # numbers count modulo the width
    rr      bclr, -1, 0, -2
    rr      bclr, -1, top, (1 << top) - 1
    rr      bclr, 8, 4, 8
    rr      binv, 8, 3, 0
    rr      binv, 0, top, 1 << top
    rr      bext, 8, 3, 1
    rr      bext, 8, 4, 0
    rr      bext, -1, top, 1
    rr      bext, 2, -top, 1
    same    bset, 5, 37
    same    bclr, 5, 5
    same    binv, 2, 6
    same    bext, 2, 0
    ri      bseti, 0, 0, 1
    ri      bseti, 0, top, 1 << top
    ri      bclri, -1, 5, -33
    ri      bclri, -1, top, (1 << top) - 1
    ri      binvi, 0x20, 5, 0
    ri      binvi, 0, top, 1 << top
    ri      bexti, 0x20, 5, 1
    ri      bexti, 0x20, 4, 0
    ri      bexti, 1 << top, top, 1

    end
