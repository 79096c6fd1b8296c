"""LoongArch as a subject of conformance tests: edges of operands, and names for its exceptions."""

from __future__ import annotations

from functools import cache

from ratite.isa.loongarch.arch import make_arch
from ratite.isa.loongarch.cpus import parse_cpu
from ratite.isa.loongarch.exceptions import Cause
from ratite.testing.conformance import BREAKPOINT, CALL, FAULT, ILLEGAL, MISALIGNED, Subject
from tests.isa.edges import float_patterns, integer_edges

#: An event that only LoongArch has.
ARITHMETIC = "floating-point exception"

#: Exceptions by cause, as Linux shows them: a failed bound check is a segmentation fault too.
EVENTS: dict[int, str] = {
    Cause.LOAD_PAGE: FAULT, Cause.STORE_PAGE: FAULT, Cause.FETCH_PAGE: FAULT, Cause.FETCH_ADDRESS: MISALIGNED,
    Cause.ALIGNMENT: MISALIGNED, Cause.BOUND_CHECK: FAULT,
    Cause.SYSTEM_CALL: CALL, Cause.BREAKPOINT: BREAKPOINT, Cause.ILLEGAL: ILLEGAL, Cause.FLOATING_POINT: ARITHMETIC,
}  # fmt: skip

_BOX = 0xFFFF_FFFF_0000_0000


@cache
def subject(model: str = "la464", traps: bool = False) -> Subject:
    """User mode of a CPU model; `traps`: with floating-point exceptions enabled ."""
    arch = make_arch(parse_cpu(model).for_user_mode())
    singles = float_patterns(32, 23)
    numbers = float_patterns(64, 52) + [v | _BOX for v in singles] + [v | 0x0123_4567 << 32 for v in singles]
    integers = integer_edges(64)
    return Subject(
        arch,
        {"r": integers, "f": numbers + integers, "fcc": (0, 1)},
        {
            "fp_round": (0, 0, 1, 2, 3),
            "fp_flags": (0, 0, 1, 16, 31),
            "fcsr_enables": (1, 2, 4, 8, 16, 31) if traps else (0,),
            "fcsr_cause": (0, 1, 31),
        },
    )
