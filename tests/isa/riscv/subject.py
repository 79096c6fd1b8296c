"""RISC-V as a subject of conformance tests: edges of operands, and what its peers are known to do otherwise."""

from __future__ import annotations

from functools import cache

from ratite.isa.riscv.arch import make_arch
from ratite.isa.riscv.cpus import parse_cpu
from ratite.testing.conformance import BREAKPOINT, CALL, FAULT, ILLEGAL, MISALIGNED, Subject

#: Exceptions by cause (volume II, 20211203, table 3.6).
EVENTS = {
    1: FAULT, 5: FAULT, 7: FAULT, 12: FAULT, 13: FAULT, 15: FAULT,
    2: ILLEGAL, 3: BREAKPOINT, 4: MISALIGNED, 6: MISALIGNED, 8: CALL, 11: CALL,
}

_BOX = 0xFFFF_FFFF_0000_0000


def integer_edges(width: int) -> list[int]:
    """Values around which integer instructions change their behaviour: small ones, powers of two, patterns."""
    values = {0, 1, 2, 3, 5, 7, 8, 31, 32, 33, 63, 64}
    values |= {0x5555555555555555, 0xAAAAAAAAAAAAAAAA, 0x0123456789ABCDEF, 0x00FF00FF00FF00FF}
    for n in (7, 8, 15, 16, 31, 32, 63):
        values |= {(1 << n) - 1, 1 << n, (1 << n) + 1, -(1 << n) - 1, -(1 << n), 1 - (1 << n)}
    values |= {-1, -2, -3}
    return sorted({v & ((1 << width) - 1) for v in values})


def _float_patterns(width: int, fraction: int) -> list[int]:
    """Zero, subnormals, one and its neighbours, limits of integers, the largest, infinity and NaNs, of both signs."""
    bias = (1 << (width - fraction - 2)) - 1
    infinity = (2 * bias + 1) << fraction
    found = {0, 1, (1 << fraction) - 1, 1 << fraction, infinity - 1, infinity, infinity + 1}
    found |= {infinity | 1 << (fraction - 1), infinity | 3 << (fraction - 2), infinity | (1 << fraction) - 1}
    for exponent in (-2, -1, 0, 1, 2, fraction - 1, fraction, fraction + 1, 31, 32, 63, 64):
        found |= {((bias + exponent) << fraction) + ulp for ulp in (-1, 0, 1)}
        found.add(((bias + exponent) << fraction) | 1 << (fraction - 1))
    return sorted(found | {v | 1 << (width - 1) for v in found})


def float_edges() -> list[int]:
    """Doubles, boxed singles, and singles whose box is damaged."""
    singles = _float_patterns(32, 23)
    return _float_patterns(64, 52) + [v | _BOX for v in singles] * 2 + [singles[5], singles[9] | 0xFFFF_FFFE_0000_0000]


@cache
def subject(xlen: int) -> Subject:
    """User mode of the generic hart."""
    arch = make_arch(parse_cpu(f"rv{xlen}", xlen).for_user_mode())
    return Subject(
        arch,
        {"x": integer_edges(xlen), "f": float_edges()},
        {"frm": (0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7), "fp_flags": (0, 0, 0, 1, 6, 31), "fs": (3,)},
    )
