"""Privilege levels and ways of addressing memory (LoongArch Reference Manual, volume 1, v1.10, chapters 4.1 and 5.2).

The engine keeps a translation cache and a context of instructions for each privilege level with translated addresses,
and two for direct addresses, in which the handler of TLB refills runs: at level 0, and at the others.
"""

from __future__ import annotations

from ratite.ir import Value
from ratite.isa.dsl import Session, native
from ratite.isa.loongarch import counters

KERNEL, USER = 0, 3

# Bits of CRMD.
PLV, IE, DA, PG = 3, 1 << 2, 1 << 3, 1 << 4

# Bits of MISC, each for the privilege levels from 1 on, or from 0 on: what lower levels may not do, or may.
NO_RDTIME, COUNTERS = 7 << 5, 7 << 9
NO_WRITE_PROTECTION = 7 << 16

#: Contexts 0 to 3 are the privilege levels with translated addresses.
DIRECT_KERNEL, DIRECT_USER = 4, 5
CONTEXTS = 6


def is_kernel(s: Session) -> bool:
    """Whether the text is recorded for privilege level 0."""
    return s.context in (KERNEL, DIRECT_KERNEL)


def direct(s: Session) -> Value:
    """Whether addresses are physical ones."""
    paged: Value = (s.crmd & (DA | PG)) == PG
    return ~paged


@native()
def mode_update(s: Session) -> None:
    """Choose translation cache and context for CRMD; to be called after every change of it."""
    level = s.crmd & PLV
    straight = s.select(level == KERNEL, s.const(DIRECT_KERNEL), s.const(DIRECT_USER))
    view = s.select(direct(s), straight, level)
    s.mmu_index = view
    s.context_index = view
    s.call("mode_changed")
    if s.config.has("PMP"):
        with s.when(s.pm_active != 0):
            s.call(counters.pm_settle)
    s.ret(0)
