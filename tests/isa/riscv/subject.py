"""RISC-V as a subject of conformance tests: edges of operands, and what its peers are known to do otherwise."""

from __future__ import annotations

from functools import cache

from ratite.isa.riscv.arch import make_arch
from ratite.isa.riscv.cpus import parse_cpu
from ratite.testing.conformance import BREAKPOINT, CALL, FAULT, ILLEGAL, MISALIGNED, Subject
from tests.isa.edges import float_patterns, integer_edges

#: Exceptions by cause (volume II, 20211203, table 3.6).
EVENTS = {
    1: FAULT, 5: FAULT, 7: FAULT, 12: FAULT, 13: FAULT, 15: FAULT,
    2: ILLEGAL, 3: BREAKPOINT, 4: MISALIGNED, 6: MISALIGNED, 8: CALL, 11: CALL,
}

_BOX = 0xFFFF_FFFF_0000_0000


def float_edges() -> list[int]:
    """Doubles, boxed singles, and singles whose box is damaged."""
    singles = float_patterns(32, 23)
    return float_patterns(64, 52) + [v | _BOX for v in singles] * 2 + [singles[5], singles[9] | 0xFFFF_FFFE_0000_0000]


@cache
def subject(xlen: int) -> Subject:
    """User mode of the generic hart."""
    arch = make_arch(parse_cpu(f"rv{xlen}", xlen).for_user_mode())
    return Subject(
        arch,
        {"x": integer_edges(xlen), "f": float_edges()},
        {"frm": (0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7), "fp_flags": (0, 0, 0, 1, 6, 31), "fs": (3,)},
    )
