"""Zifencei, instruction-fetch fence (volume I, 20191213, chapter 3)."""

from __future__ import annotations

from ratite.isa.arch import Exit
from ratite.isa.dsl import Session
from ratite.isa.riscv.formats import None_
from ratite.isa.riscv.table import RISCV

insn = RISCV.extension("zifencei")


@insn("................. 001 ..... 0001111", "fence.i")
def fence_i(s: Session, o: None_) -> None:
    """Make earlier stores visible to instruction fetch."""
    # A machine sees them at once: pages that hold translated code are write-protected.
    if s.config.user:
        s.exit(Exit.CODE_SYNC)
