"""Page tables: the instructions with which software walks them, and the walk by hardware (LoongArch Reference Manual, volume
1, v1.10, chapters 4.2.5, 5.4.5, 7.5.8 and 7.5.9).

A core with CPUCFG.HPTW walks by itself while bit 24 of PWCH is set. The English translation of the manual has the feature,
the tables and the meaning of their bits P and W, but not this bit nor how the walk goes on; these are as Linux 6.12
(arch/loongarch/mm/tlb.c) uses them and QEMU 11.1 shows them: P and W of the table decide in the place of V and D; an
access sets V of its page in the table, and a store D, and only then the TLB gets the pair; where the page does not allow
the access there is an ordinary exception, never a refill. An entry of the TLB that would refuse an access for lack of V
or D is walked again.
"""

from __future__ import annotations

from ratite.bits import mask
from ratite.ir import Value
from ratite.isa.dsl import Session, native
from ratite.isa.loongarch import pages
from ratite.isa.loongarch.tlb import PAGE_FIELDS, empty, put, tlb_choose

#: Bit of PWCH with which the hardware walks.
ENABLED = 1 << 24

#: Bits of a table's entry: the page is there, and may be written. They never reach the TLB.
P, W = 1 << 7, 1 << 8

#: Bit of a directory entry that is a page itself; where the first level that it passes is kept, and its G on the way.
HUGE = 1 << 6
_LEVEL, _HUGE_GLOBAL = 13, 12

_PAIR = ~mask(13)
#: Level of directories from which PWCH describes them, and how many there are.
_UPPER, _LEVELS = 3, 4


def _shape(s: Session, level: Value) -> tuple[Value, Value]:
    """Lowest bit and number of bits of a virtual address that index a directory (7.5.8, 7.5.9)."""

    def chosen(low: int, high: int) -> Value:
        upper: Value = s.pwch >> s.select(level == _LEVELS, s.const(12 + high), s.const(high))
        lower: Value = s.pwcl >> s.select(level == 2, s.const(20 + low), s.const(10 + low))
        return s.select(level >= _UPPER, upper & mask(6), lower & mask(5))

    return chosen(0, 0), chosen(5, 6)


def _leaf_shape(s: Session) -> tuple[Value, Value]:
    """The same of the page table itself."""
    return s.pwcl & mask(5), (s.pwcl >> 5) & mask(5)


def _entry_bytes(s: Session) -> Value:
    """Length of an entry, as a power of two."""
    length: Value = 3 + ((s.pwcl >> 30) & 3)
    return length


def _place(s: Session, table: Value, va: Value, shape: tuple[Value, Value], even: bool = False) -> Value:
    """Physical address of an entry."""
    low, width = shape
    index = (va >> low) & ((s.const(1) << width) - 1)
    index = index & ~1 if even else index
    place: Value = (table & mask(48) & ~mask(6)) + (index << _entry_bytes(s))
    return place


def _read(s: Session, pa: Value) -> Value:
    """A word of physical memory; zero where there is no RAM."""
    place = s.call("ram_host", pa, width=64)
    word = s.var(0)
    with s.when((place != 0) & ((pa & 7) == 0)):
        word.value = s.peek(place, 64)
    return word.value


# --- by software --------------------------------------------------------------------------------------------------------


@native(64)
def directory(s: Session, base: Value, level: Value) -> None:
    """lddir: the entry of the directory at `base`. A huge page passes through, and gets the first level
    that it passed, as in QEMU 11.1.
    """
    with s.when((base & HUGE) != 0):
        known = (base >> _LEVEL) & 3
        s.ret(s.select(known != 0, base, base | ((level & 3) << _LEVEL)))
    s.ret(_read(s, _place(s, base, s.tlbrbadv, _shape(s, level))))


def _huge_page(entry: Value) -> Value:
    """The entry of a huge page as one of an ordinary page: G is elsewhere."""
    return entry & ~(HUGE | 3 << _LEVEL | 1 << _HUGE_GLOBAL) | (((entry >> _HUGE_GLOBAL) & 1) << 6)


@native()
def page_entry(s: Session, base: Value, odd: Value) -> None:
    """ldpte: read an entry of the page table at `base`, or a half of the huge page that `base` is, for a refill."""
    shape = _leaf_shape(s)
    size, word = s.var(shape[0]), s.var(0)
    with s.when((base & HUGE) != 0):
        level = (base >> _LEVEL) & 3    # of the directory below the one that it was found in
        low, width = _shape(s, level)
        below = s.select(level == 0, shape[0] + shape[1], low + width)
        size.value = below - 1
        word.value = _huge_page(base) + s.select(odd != 0, s.const(1) << size.value, 0)
    with s.otherwise():
        place = _place(s, base, s.tlbrbadv, shape, even=True)
        word.value = _read(s, place + (s.select(odd != 0, s.const(1), 0) << _entry_bytes(s)))
    with s.when(odd != 0):
        s.tlbrelo1 = word.value & PAGE_FIELDS
    with s.otherwise():
        s.tlbrelo0 = word.value & PAGE_FIELDS
    s.tlbrehi = (s.tlbrehi & _PAIR) | (size.value & mask(6))
    s.ret(0)


# --- by hardware --------------------------------------------------------------------------------------------------------


@native()
def hardware_walk(s: Session, va: Value, access: Value, stale: Value) -> None:
    """Translate an address by the tables, and have the TLB know it, but for a look. `stale` is the host address of an entry
    that this replaces, or 0. Gives what `mmu.translate` does, `walk_pa` and `walk_perms` too.
    """
    shape = _leaf_shape(s)
    table = s.var(s.select(va.bit(47), s.pgdh, s.pgdl))
    at, size, huge = s.var(0), s.var(shape[0]), s.var(0)
    for number in range(_LEVELS, 0, -1):
        low, width = _shape(s, s.const(number))
        with s.when((width != 0) & (huge.value == 0)):
            at.value = _place(s, table.value, va, (low, width))
            table.value = _read(s, at.value)
            huge.value = table.value & HUGE
            size.value = s.select(huge.value != 0, low - 1, size.value)
    with s.when(huge.value == 0):
        at.value = _place(s, table.value, va, shape)
    place = s.call("ram_host", at.value, width=64)
    entry = s.var(0)
    with s.when(place != 0):
        entry.value = s.peek(place, 64)
    pages.check(s, access, entry.value, (entry.value & P) != 0, (entry.value & W) != 0)
    writing = (access == pages.STORE) & ((entry.value & W) != 0)
    marked = entry.value | s.select(access == pages.LOOK, s.const(0), pages.V) | s.select(writing, s.const(pages.D), 0)
    with s.when(marked != entry.value), s.when(s.poke_if(place, entry.value, marked) != entry.value, likely=False):
        s.ret(s.call(hardware_walk, va, access, stale))
    half = s.const(1) << size.value
    own, other = s.var(marked), s.var(0)
    with s.when(huge.value != 0):
        even = _huge_page(marked) & ~half
        own.value = even + (va & half)
        other.value = even + (~va & half)
    with s.otherwise():
        other.value = _read(s, at.value ^ (s.const(1) << _entry_bytes(s)))
    s.walk_pa = (own.value & PAGE_FIELDS & mask(48) & ~mask(12) & ~(half - 1)) | (va & (half - 1))
    s.walk_perms = pages.rights(s, own.value)
    with s.when(access != pages.LOOK):
        with s.when(stale != 0):
            empty(s, stale)
        pair, is_odd = va & _PAIR, (va & half) != 0
        index = s.call(tlb_choose, pair, size.value, width=64)
        both = s.select(is_odd, other.value, own.value), s.select(is_odd, own.value, other.value)
        put(s, index, pair, size.value & mask(6), both, s.const(1, 1))
    s.ret(0)
