"""Exceptions that unprivileged instruction texts raise (volume II, 20211203, table 3.6)."""

from __future__ import annotations

from typing import Any

from ratite.ir import Value
from ratite.isa.dsl import Session

ILLEGAL_INSTRUCTION = 2
LOAD_MISALIGNED = 4
STORE_MISALIGNED = 6


def illegal(s: Session, o: Any) -> None:
    """Raise an illegal-instruction exception with the instruction itself as its value. The format of `o` is a `Word`.

    That is rare enough for the reference evaluator, and machine code need not know the instruction then.
    """
    s.interpret()
    s.trap(ILLEGAL_INSTRUCTION, o.word.resize(32).zext(s.xlen))


def require_aligned(s: Session, addr: Value, size: int, cause: int) -> None:
    """Raise `cause` unless `addr` is a multiple of `size` bytes."""
    with s.when((addr & (size - 1)) != 0, likely=False):
        s.trap(cause, addr)
