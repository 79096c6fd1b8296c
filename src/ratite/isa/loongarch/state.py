"""The state of a core that instructions see (LoongArch Reference Manual, volume 1, v1.10, chapters 2.1 and 3.1).

The floating-point registers are the lowest parts of the vector registers. Writing a part leaves the rest as it was, where
the manual allows anything.

FCSR0 is kept in parts. Its Flags are the engine's sticky flags and its RM is the engine's rounding mode, both in the
engine's order; Enables and Cause are fields of their own in the manual's order. `fcsr.py` puts them together.
"""

from __future__ import annotations

from ratite.isa.dsl import WORD, Field, RegFile, State


def _run(letter: str, count: int, first: int = 0) -> tuple[str, ...]:
    """Names of consecutive registers."""
    return tuple(f"${letter}{n}" for n in range(first, first + count))


#: ABI names of the registers (LoongArch ELF psABI, register convention).
R_NAMES = ("$zero", "$ra", "$tp", "$sp", *_run("a", 8), *_run("t", 9), "$r21", "$fp", *_run("s", 9))
F_NAMES = (*_run("fa", 8), *_run("ft", 16), *_run("fs", 8))
FCC_NAMES = _run("fcc", 8)
V_NAMES = _run("vr", 32)
X_NAMES = _run("xr", 32)


class LoongArchState(State):
    """Registers of a core."""

    r = RegFile(32, WORD, zero=0, pinned=(4, 12, 5, 13, 3, 6, 14, 7), near=True, names=R_NAMES)
    x = RegFile(32, 256, names=X_NAMES)
    v = RegFile(32, 128, names=V_NAMES, within="x")
    f = RegFile(32, 64, names=F_NAMES, within="x")
    fcc = RegFile(8, 8, names=FCC_NAMES)
    reserve_high = Field(64, doc="what lies above the doubleword of the load reservation, for sc.q")
    fcsr_enables = Field(8, doc="FCSR0.Enables: floating-point exceptions that trap")
    fcsr_cause = Field(8, doc="FCSR0.Cause: exceptions of the last floating-point instruction")
