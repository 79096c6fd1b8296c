"""LoongArch as a subject of conformance tests: edges of operands, and names for its exceptions."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from ratite.bits import mask
from ratite.ir.ops import join
from ratite.isa.loongarch.arch import make_arch
from ratite.isa.loongarch.cpus import parse_cpu
from ratite.isa.loongarch.exceptions import Cause
from ratite.testing.conformance import BREAKPOINT, CALL, FAULT, ILLEGAL, MISALIGNED, Case, Subject
from tests.isa.edges import float_patterns, integer_edges

#: An event that only LoongArch has.
ARITHMETIC = "floating-point exception"

#: Exceptions by cause, as Linux shows them: a failed bound check is a segmentation fault too.
EVENTS: dict[int, str] = {
    Cause.LOAD_PAGE: FAULT, Cause.STORE_PAGE: FAULT, Cause.FETCH_PAGE: FAULT, Cause.FETCH_ADDRESS: MISALIGNED,
    Cause.ALIGNMENT: MISALIGNED, Cause.BOUND_CHECK: FAULT,
    Cause.SYSTEM_CALL: CALL, Cause.BREAKPOINT: BREAKPOINT, Cause.ILLEGAL: ILLEGAL, Cause.FLOATING_POINT: ARITHMETIC,
    Cause.VECTOR_FLOATING_POINT: ARITHMETIC,
}  # fmt: skip


def with_flags(case: Case) -> Case:
    """A case in which condition flags are bits."""
    return replace(case, registers={**case.registers, "fcc": tuple(v & 1 for v in case.registers["fcc"])})


_BOX = 0xFFFF_FFFF_0000_0000


def _vectors(halves: Sequence[int], singles: Sequence[int], doubles: Sequence[int], count: int) -> list[int]:
    """Vectors of edges: one everywhere, and rows of different ones for every width of elements."""
    choice = random.Random("vectors")
    alike = [join([v & mask(w)] * (256 // w), w) for w in (8, 16, 32, 64) for v in (0, 1, 1 << w - 1, (1 << w - 1) - 1, mask(w))]
    bytes_ = (0, 1, 2, 7, 8, 15, 16, 31, 63, 127, 128, 255)
    rows = [
        join([choice.choice(values) & mask(w) for _ in range(256 // w)], w)
        for values, w in ((bytes_, 8), (halves, 16), (singles, 32), (doubles, 64))
        for _ in range(count)
    ]
    return alike + rows


@cache
def subject(cpu: str = "la464", traps: bool = False, vectors: bool = False) -> Subject:
    """User mode of a CPU; `traps`: with floating-point exceptions enabled; `vectors`: whole vector registers, not only the
    floating-point ones."""
    arch = make_arch(parse_cpu(cpu).for_user_mode())
    singles = float_patterns(32, 23)
    numbers = float_patterns(64, 52) + [v | _BOX for v in singles] + [v | 0x0123_4567 << 32 for v in singles]
    integers = integer_edges(64)
    floats = {"x": _vectors(float_patterns(16, 10), singles, float_patterns(64, 52) + integers, 60)} if vectors else {"f": numbers + integers}
    return Subject(
        arch,
        {"r": integers, **floats, "fcc": (0, 1)},
        {
            "fp_round": (0, 0, 1, 2, 3),
            "fp_flags": (0, 0, 1, 16, 31),
            "fcsr_enables": (1, 2, 4, 8, 16, 31) if traps else (0,),
            "fcsr_cause": (0, 1, 31),
        },
    )
