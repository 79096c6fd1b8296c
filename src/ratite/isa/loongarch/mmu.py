"""Address translation: direct addresses, direct-mapped windows, and the TLB (LoongArch Reference Manual, volume 1, v1.10,
chapters 5.2 to 5.4).

`mmu_fill` refills the translation cache of the engine, which stands before the modelled TLB and never knows more than it
did; `translate` answers for everybody else. Both give 0 when the access is possible, 1 when it has to be done piece by
piece (a device), and 16 + cause for an exception. Memory access types have no effect: all RAM is coherent.

Not modelled: shortened virtual addresses (RVACFG).
"""

from __future__ import annotations

from ratite.bits import mask
from ratite.ir import Value
from ratite.isa.dsl import Session, native
from ratite.isa.loongarch.exceptions import Cause
from ratite.isa.loongarch.modes import PLV, direct
from ratite.isa.loongarch.tlb import ELO0, PAGE_SIZE, tlb_find

#: Kinds of access; a look is a debugger's, which no permission stops.
LOAD, STORE, FETCH, LOOK = range(4)

#: Permissions of a translation, as the engine numbers them.
READ, WRITE, EXECUTE = 1, 2, 4

#: Bits of physical addresses, and of virtual ones that are translated.
PHYSICAL, VIRTUAL = 48, 48

# Bits of TLBELO.
V, D = 1 << 0, 1 << 1
NR, NX, RPLV = 61, 62, 63

WINDOWS = 4


def _by_access(s: Session, access: Value, load: int, store: int, fetch: int) -> Value:
    """One of three numbers by the kind of access; a look counts as a load."""
    return s.select(access == STORE, store, s.select(access == FETCH, fetch, s.const(load)))


@native()
def mmu_fill(s: Session, va: Value, access: Value) -> None:
    """Make an access possible: 0 load, 1 store, 2 fetch. Fetches have translation caches of their own."""
    result = s.call(translate, va, access)
    with s.when(result != 0):
        s.ret(result)
    kept = s.select(access == FETCH, s.const(EXECUTE), READ | WRITE)
    s.ret(s.call("tlb_insert", va, s.walk_pa, s.walk_perms.zext(64) & kept, width=64))


@native()
def translate(s: Session, va: Value, access: Value) -> None:
    """Translate an address: 0 load, 1 store, 2 fetch, 3 look. `walk_pa` is the physical address, `walk_perms` what its
    page allows now.
    """
    s.walk_pa = va & mask(PHYSICAL)
    s.walk_perms = READ | WRITE | EXECUTE
    with s.when(direct(s)):
        s.ret(0)
    level = s.crmd & PLV
    for n in range(WINDOWS):
        window = s.dmw[n]
        with s.when((((window ^ va) >> 60) == 0) & ((window >> level).bit(0))):
            s.ret(0)
    unused = 64 - VIRTUAL
    with s.when(((va << unused).s >> unused) != va):
        s.ret(16 + _by_access(s, access, Cause.MEMORY_ADDRESS, Cause.MEMORY_ADDRESS, Cause.FETCH_ADDRESS))
    place = s.call(tlb_find, va)
    with s.when(place == 0):
        s.ret(16 + Cause.TLB_REFILL)
    size = s.peek(place + PAGE_SIZE, 8).zext(64)
    page = s.peek(place + ELO0 + (((va >> size) & 1) << 3), 64)
    _check(s, access, page, level)
    inside = (s.const(1) << size) - 1
    s.walk_pa = (page & mask(PHYSICAL) & ~0xFFF & ~inside) | (va & inside)
    s.walk_perms = (
        s.select(page.bit(NR), s.const(0, 8), READ)
        | s.select((page & D) != 0, s.const(WRITE, 8), 0)
        | s.select(page.bit(NX), s.const(0, 8), EXECUTE)
    )
    s.ret(0)


def _check(s: Session, access: Value, page: Value, level: Value) -> None:
    """End the walk where the page does not allow the access (5.4.4)."""

    def refuse(condition: Value, cause: Value | int) -> None:
        with s.when(condition):
            s.ret(16 + cause if isinstance(cause, int) else cause + 16)

    refuse((page & V) == 0, _by_access(s, access, Cause.LOAD_PAGE, Cause.STORE_PAGE, Cause.FETCH_PAGE))
    own = (page >> 2) & 3
    foreign = s.select(page.bit(RPLV), level != own, level > own)
    refuse(foreign & (access != LOOK), Cause.PRIVILEGE_LEVEL)
    refuse(page.bit(NR) & (access == LOAD), Cause.NOT_READABLE)
    refuse(((page & D) == 0) & (access == STORE), Cause.MODIFIED)
    refuse(page.bit(NX) & (access == FETCH), Cause.NOT_EXECUTABLE)
