"""Address translation: direct addresses, direct-mapped windows, the TLB, and the walk of page tables where the core does
that itself (LoongArch Reference Manual, volume 1, v1.10, chapters 5.2 to 5.4).

`mmu_fill` refills the translation cache of the engine, which stands before the modelled TLB and never knows more than it
did; `translate` answers for everybody else. Both give 0 when the access is possible, 1 when it has to be done piece by
piece (a device), and 16 + cause for an exception. Memory access types have no effect: all RAM is coherent.

Not modelled: shortened virtual addresses (5.2.3, RVACFG), and 32-bit addresses (5.2.2).
"""

from __future__ import annotations

from ratite.bits import mask
from ratite.ir import Value
from ratite.isa.dsl import Session, native
from ratite.isa.loongarch import walk
from ratite.isa.loongarch.exceptions import Cause
from ratite.isa.loongarch.modes import PLV, direct
from ratite.isa.loongarch.pages import EXECUTE, FETCH, READ, STORE, WRITE, D, V, by_access, check, protected, rights
from ratite.isa.loongarch.tlb import ELO0, PAGE_SIZE, tlb_find

#: Bits of physical addresses, and of virtual ones that are translated.
PHYSICAL, VIRTUAL = 48, 48

#: Direct-mapped windows; from the third on they are not for fetches.
WINDOWS, FETCH_WINDOWS = 4, 2


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
        kind = access != FETCH if n >= FETCH_WINDOWS else s.const(1, 1)
        with s.when((((window ^ va) >> 60) == 0) & (window >> level).bit(0) & kind):
            s.ret(0)
    unused = 64 - VIRTUAL
    with s.when(((va << unused).s >> unused) != va):
        s.ret(16 + by_access(s, access, Cause.MEMORY_ADDRESS, Cause.MEMORY_ADDRESS, Cause.FETCH_ADDRESS))
    place = s.call(tlb_find, va)
    if s.config.has("HPTW"):
        with s.when(((s.pwch & walk.ENABLED) != 0) & (place == 0)):
            s.ret(s.call(walk.hardware_walk, va, access, 0))
    with s.when(place == 0):
        s.ret(16 + Cause.TLB_REFILL)
    size = s.peek(place + PAGE_SIZE, 8).zext(64)
    page = s.peek(place + ELO0 + (((va >> size) & 1) << 3), 64)
    if s.config.has("HPTW"):
        clean = (access == STORE) & ((page & D) == 0) & protected(s, level)
        with s.when(((s.pwch & walk.ENABLED) != 0) & (((page & V) == 0) | clean)):
            s.ret(s.call(walk.hardware_walk, va, access, place))
    check(s, access, page, (page & V) != 0, (page & D) != 0)
    inside = (s.const(1) << size) - 1
    s.walk_pa = (page & mask(PHYSICAL) & ~0xFFF & ~inside) | (va & inside)
    s.walk_perms = rights(s, page)
    s.ret(0)
