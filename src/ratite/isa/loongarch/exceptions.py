"""Exceptions (LoongArch Reference Manual, volume 1, v1.10, table 21) and the checks that raise them."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from ratite.ir import Value
from ratite.isa.dsl import Session


class Cause(IntEnum):
    """Exceptions as `s.trap` takes them: ESTAT.Ecode, and from bit 16 on ESTAT.EsubCode."""

    LOAD_PAGE = 0x1
    """PIL: load from a page that is not there."""
    STORE_PAGE = 0x2
    """PIS: store to a page that is not there."""
    FETCH_PAGE = 0x3
    """PIF: fetch from a page that is not there."""
    FETCH_ADDRESS = 0x8
    """ADEF: fetch from an address that can not be."""
    ALIGNMENT = 0x9
    """ALE."""
    BOUND_CHECK = 0xA
    """BCE."""
    SYSTEM_CALL = 0xB
    """SYS."""
    BREAKPOINT = 0xC
    """BRK."""
    ILLEGAL = 0xD
    """INE: the instruction does not exist."""
    NO_LSX = 0x10
    """SXD: vectors of 128 bits are switched off."""
    NO_LASX = 0x11
    """ASXD: vectors of 256 bits are switched off."""
    FLOATING_POINT = 0x12
    """FPE: an enabled floating-point exception."""


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
