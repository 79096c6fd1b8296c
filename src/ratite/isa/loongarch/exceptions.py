"""Exceptions (LoongArch Reference Manual, volume 1, v1.10, chapter 7.4.6, table 21) and the checks that raise them."""

from __future__ import annotations

from typing import Any

from ratite.ir import Value
from ratite.isa.dsl import Session
from ratite.isa.loongarch.causes import Cause as Cause
from ratite.isa.loongarch.modes import is_kernel


def illegal(s: Session, o: Any) -> None:
    """Raise the exception of an instruction that does not exist, with the instruction itself as its value. The format
    of `o` is a `Word`.

    That is rare enough for the reference evaluator, and machine code need not know the instruction then.
    """
    s.interpret()
    s.trap(Cause.ILLEGAL, o.word.trunc(32).zext(s.xlen))


def require_aligned(s: Session, address: Value, size: int, distance: int = 0) -> None:
    """Raise the alignment exception unless `address` lies `distance` behind a multiple of `size` bytes."""
    if size > 1:
        with s.when((address & (size - 1)) != distance, likely=False):
            s.trap(Cause.ALIGNMENT, address)


def kernel_only(s: Session) -> bool:
    """Whether the text may go on; below privilege level 0 it raises the exception of a privileged instruction."""
    if is_kernel(s):
        return True
    s.trap(Cause.PRIVILEGED)
    return False
