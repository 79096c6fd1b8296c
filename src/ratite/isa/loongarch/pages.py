"""What a page allows, as an entry of the TLB or of a page table has it (LoongArch Reference Manual, volume 1, v1.10, chapters
5.4.2 to 5.4.4 and 7.4.4).
"""

from __future__ import annotations

from ratite.ir import Value
from ratite.isa.dsl import Session
from ratite.isa.loongarch.exceptions import Cause

#: Kinds of access; a look is a debugger's, which no permission stops.
LOAD, STORE, FETCH, LOOK = range(4)

#: Permissions of a translation, as the engine numbers them.
READ, WRITE, EXECUTE = 1, 2, 4

# Bits of TLBELO.
V, D = 1 << 0, 1 << 1
NR, NX, RPLV = 61, 62, 63

#: Where MISC says for each privilege level that writing needs no permission; level 3 always does.
_UNPROTECTED = 16


def by_access(s: Session, access: Value, load: int, store: int, fetch: int) -> Value:
    """One of three numbers by the kind of access; a look counts as a load."""
    return s.select(access == STORE, store, s.select(access == FETCH, fetch, s.const(load)))


def protected(s: Session, level: Value) -> Value:
    """Whether a store at a privilege level needs a page that may be written."""
    needed: Value = ~(s.misc >> (level + _UNPROTECTED)).bit(0)
    return needed


def check(s: Session, access: Value, page: Value, valid: Value, writable: Value) -> None:
    """End a native helper with 16 + the exception where a page does not allow the access, tested in the manual's order."""
    level = s.crmd & 3

    def refuse(condition: Value, cause: Value | int) -> None:
        with s.when(condition):
            s.ret(16 + cause if isinstance(cause, int) else cause + 16)

    refuse(~valid, by_access(s, access, Cause.LOAD_PAGE, Cause.STORE_PAGE, Cause.FETCH_PAGE))
    refuse(page.bit(NX) & (access == FETCH), Cause.NOT_EXECUTABLE)
    own = (page >> 2) & 3
    foreign = s.select(page.bit(RPLV), level != own, level > own)
    refuse(foreign & (access != LOOK), Cause.PRIVILEGE_LEVEL)
    refuse(page.bit(NR) & (access == LOAD), Cause.NOT_READABLE)
    refuse(~writable & (access == STORE) & protected(s, level), Cause.MODIFIED)


def rights(s: Session, page: Value) -> Value:
    """What a page allows to those who may use it."""
    writable = ((page & D) != 0) | ~protected(s, s.crmd & 3)
    allowed: Value = (
        s.select(page.bit(NR), s.const(0, 8), READ)
        | s.select(writable, s.const(WRITE, 8), 0)
        | s.select(page.bit(NX), s.const(0, 8), EXECUTE)
    )
    return allowed
