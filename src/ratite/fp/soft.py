"""Exact floating-point arithmetic on bit patterns: all operations under one name.

    from ratite.fp import soft
    from ratite.fp.formats import F64
    from ratite.fp.presets import RISCV

    bits, flags = soft.add(F64, RISCV, 0x3FF0000000000000, 0x3CA0000000000000)

It is the definition that the reference evaluator uses and the slow path of native code where the host's unit would give
other bits. Results are computed exactly in Python's integers and rounded in one place (`rounding`), for any binary
format. `env` says what an operation depends on, `nans` what NaNs do, and `presets` what the architectures chose.

Not modelled: decimal arithmetic, hexadecimal floating point, elementary functions.
"""

from __future__ import annotations

from ratite.fp.arith import add, div, fma, mul, remainder, sqrt, sub
from ratite.fp.compare import MinMax, Relation, compare, eq, le, lt, maximum, minimum
from ratite.fp.convert import convert, from_int, round_to_integral, to_int
from ratite.fp.quiet import FpClass, absolute, classify, copy_sign, multiply_sign, negate

__all__ = [
    "FpClass",
    "MinMax",
    "Relation",
    "absolute",
    "add",
    "classify",
    "compare",
    "convert",
    "copy_sign",
    "div",
    "eq",
    "fma",
    "from_int",
    "le",
    "lt",
    "maximum",
    "minimum",
    "mul",
    "multiply_sign",
    "negate",
    "remainder",
    "round_to_integral",
    "sqrt",
    "sub",
    "to_int",
]
