"""The TLB: STLB and MTLB, their replacement, search and invalidation (LoongArch Reference Manual, volume 1, v1.10, chapters
4.2.4, 5.4 and 7.5).

An entry is 32 bytes of the vCPU's table: the virtual address of its pair of pages, {page size, in use, global, address
space}, and the two pages as in TLBELO0 and TLBELO1. The 256 sets of the STLB with 8 ways come first, way by way, then
the 64 entries of the MTLB.

The engine's own cache may remember an entry of the STLB that a refill has replaced, until it would have been
invalidated: software can not tell which entry a refill replaces, nor that it is gone.
"""

from __future__ import annotations

from ratite.bits import mask
from ratite.ir import Value
from ratite.isa.dsl import Session, native

WAYS, SETS, MTLB = 8, 256, 64
STLB = WAYS * SETS
ENTRIES = STLB + MTLB

# Fields of an entry, as offsets.
TAG, PAGE_SIZE, IN_USE, GLOBAL, SPACE, ELO0, ELO1 = 0, 8, 9, 10, 12, 16, 24
_SIZE = 32
TABLE_SIZE = ENTRIES * _SIZE
_WAY = SETS * _SIZE

# Fields of TLBIDX.
NE = 1 << 31
INDEX = mask(12)
_PS = 24

#: TLBELO.G, and the bits of a TLBELO that an entry keeps.
G = 1 << 6
PAGE_FIELDS = mask(7) | mask(48) & ~mask(12) | 7 << 61

#: Bits of ASID.ASID.
SPACES = mask(10)
_PAIR = ~mask(13)

#: Up to this size of pages, as a power of two, the engine forgets them one by one, else all.
_SMALL_PAGE = 16
_ENGINE_PAGE = 12


# --- finding ------------------------------------------------------------------------------------------------------------


def _byte(s: Session, place: Value, field: int) -> Value:
    return s.peek(place + field, 8)


def _covers(s: Session, place: Value, va: Value) -> Value:
    """Whether the entry is in use and its pair of pages holds `va`."""
    shift = _byte(s, place, PAGE_SIZE).zext(64) + 1
    same = ((s.peek(place, 64) ^ va) >> shift) == 0
    return same & (_byte(s, place, IN_USE) != 0)


def _of_space(s: Session, place: Value, space: Value) -> Value:
    """Whether the entry belongs to an address space, or to all."""
    return (_byte(s, place, GLOBAL) != 0) | (s.peek(place + SPACE, 16).zext(64) == space)


def _set_of(s: Session, va: Value) -> Value:
    """First way of the set of the STLB in which `va` is looked up."""
    number = (va >> ((s.stlbps & mask(6)) + 1)) & (SETS - 1)
    place: Value = s.tlb_table + number * _SIZE
    return place


def _mtlb(s: Session) -> Value:
    table: Value = s.tlb_table
    return table + STLB * _SIZE


@native(64)
def tlb_find(s: Session, va: Value) -> None:
    """Host address of the entry for `va` in the current address space; 0 when there is none."""
    space = s.asid & SPACES
    place, n = s.var(_set_of(s, va)), s.var(0)
    with s.loop():
        s.break_if(n.value == WAYS)
        with s.when(_covers(s, place.value, va) & _of_space(s, place.value, space)):
            s.ret(place.value)
        place.value = place.value + _WAY
        n.value = n.value + 1
    left = s.var(s.mtlb_used)
    with s.loop():
        s.break_if(left.value == 0)
        place.value = _mtlb(s) + left.value.ctz() * _SIZE
        with s.when(_covers(s, place.value, va) & _of_space(s, place.value, space)):
            s.ret(place.value)
        left.value = left.value & (left.value - 1)
    s.ret(0)


# --- filling ------------------------------------------------------------------------------------------------------------


def in_refill(s: Session) -> Value:
    """Whether the handler of TLB refills runs, which has registers of its own."""
    refill: Value = s.tlbrera.bit(0)
    return refill


def _new_size(s: Session) -> Value:
    """Page size of the entry to write."""
    return s.select(in_refill(s), s.tlbrehi, s.tlbidx >> _PS) & mask(6)


def _new_pair(s: Session) -> Value:
    return s.select(in_refill(s), s.tlbrehi, s.tlbehi) & _PAIR


def _note_use(s: Session, index: Value, used: Value) -> None:
    """Keep account of the MTLB."""
    with s.when(index >= STLB):
        bit = s.const(1) << (index - STLB)
        s.mtlb_used = s.select(used, s.mtlb_used | bit, s.mtlb_used & ~bit)


def put(s: Session, index: Value, pair: Value, size: Value, pages: tuple[Value, Value], used: Value) -> None:
    """Write an entry of the present address space. It is global when both pages say so."""
    even, odd = pages
    place = s.tlb_table + index * _SIZE
    s.poke(place, pair)
    s.poke(place + PAGE_SIZE, size.trunc(8))
    s.poke(place + IN_USE, used.zext(8))
    s.poke(place + GLOBAL, ((even & odd & G) != 0).zext(8))
    s.poke(place + SPACE, (s.asid & SPACES).trunc(16))
    s.poke(place + ELO0, even & PAGE_FIELDS)
    s.poke(place + ELO1, odd & PAGE_FIELDS)
    _note_use(s, index, used)


@native()
def tlb_put(s: Session, index: Value) -> None:
    """Write the entry that TLBIDX, TLBEHI and TLBELO describe, or in a refill their like."""
    refill = in_refill(s)
    even = s.select(refill, s.tlbrelo0, s.tlbelo0)
    odd = s.select(refill, s.tlbrelo1, s.tlbelo1)
    put(s, index, _new_pair(s), _new_size(s), (even, odd), refill | ((s.tlbidx & NE) == 0))
    s.ret(0)


@native(64)
def tlb_choose(s: Session, pair: Value, size: Value) -> None:
    """Index of an entry for a pair of pages that the hardware writes: in the STLB where they have its size. What the MTLB
    loses is forgotten.
    """
    s.tlb_random = s.tlb_random * 0x5851F42D4C957F2D + 0x14057B7EF767814F
    chance = s.tlb_random >> 33
    with s.when(size == (s.stlbps & mask(6))):
        s.ret(((pair >> (size + 1)) & (SETS - 1)) + (chance & (WAYS - 1)) * SETS)
    full = s.mtlb_used == mask(64)
    number = s.select(full, chance & (MTLB - 1), (~s.mtlb_used).ctz())
    with s.when(full):
        place = _mtlb(s) + number * _SIZE
        s.call(forget, s.peek(place, 64), _byte(s, place, PAGE_SIZE).zext(64))
    s.ret(number + STLB)


def empty(s: Session, place: Value) -> None:
    """Take the entry at a host address away."""
    s.poke(place + IN_USE, s.const(0, 8))
    _note_use(s, (place - s.tlb_table) // _SIZE, s.const(0, 1))


@native()
def tlb_write(s: Session) -> None:
    """tlbwr: write the entry that TLBIDX names. An index that there is not writes nothing."""
    index = s.tlbidx & INDEX
    with s.when(index < ENTRIES):
        place = s.tlb_table + index * _SIZE
        with s.when(_byte(s, place, IN_USE) != 0):
            s.call(forget, s.peek(place, 64), _byte(s, place, PAGE_SIZE).zext(64))
        s.call(forget, _new_pair(s), _new_size(s))
        s.call(tlb_put, index)
    s.ret(0)


@native()
def tlb_fill(s: Session) -> None:
    """tlbfill: write an entry that the hardware chooses."""
    size, pair = _new_size(s), _new_pair(s)
    with s.when(~in_refill(s)):
        s.call(forget, pair, size)
    s.call(tlb_put, s.call(tlb_choose, pair, size, width=64))
    s.ret(0)


# --- asking -------------------------------------------------------------------------------------------------------------


@native()
def tlb_search(s: Session) -> None:
    """tlbsrch: put the index of the entry for TLBEHI into TLBIDX."""
    place = s.call(tlb_find, _new_pair(s))
    with s.when(place == 0):
        s.tlbidx = s.tlbidx | NE
        s.ret(0)
    s.tlbidx = (s.tlbidx & ~(NE | INDEX)) | (((place - s.tlb_table) // _SIZE) & INDEX)
    s.ret(0)


@native()
def tlb_read(s: Session) -> None:
    """tlbrd: read the entry that TLBIDX names into TLBEHI, TLBELO and the rest; an empty one reads zero."""
    index = s.tlbidx & INDEX
    place = s.tlb_table + s.select(index < ENTRIES, index, 0) * _SIZE
    with s.when((index >= ENTRIES) | (_byte(s, place, IN_USE) == 0)):
        s.tlbidx = (s.tlbidx & INDEX) | NE
        s.tlbehi, s.tlbelo0, s.tlbelo1 = s.const(0), s.const(0), s.const(0)
        s.asid = s.asid & ~SPACES
        s.call("tlb_flush")
        s.ret(0)
    s.tlbidx = index | (_byte(s, place, PAGE_SIZE).zext(64) << _PS)
    s.tlbehi, s.tlbelo0, s.tlbelo1 = s.peek(place, 64), s.peek(place + ELO0, 64), s.peek(place + ELO1, 64)
    space = s.peek(place + SPACE, 16).zext(64)
    with s.when(space != (s.asid & SPACES)):
        s.asid = space | (s.asid & ~SPACES)
        s.call("tlb_flush")
    s.ret(0)


# --- forgetting ---------------------------------------------------------------------------------------------------------


@native()
def forget(s: Session, va: Value, size: Value) -> None:
    """Have the engine forget the pair of pages of this size at `va`."""
    with s.when((size < _ENGINE_PAGE) | (size > _SMALL_PAGE)):
        s.call("tlb_flush")
        s.ret(0)
    length = s.const(2) << size
    at = s.var(va & -length)
    end = at.value + length
    with s.loop():
        s.break_if(at.value == end)
        s.call("tlb_flush_page", at.value)
        at.value = at.value + (1 << _ENGINE_PAGE)
    s.ret(0)


#: What `tlb_invalidate` does, as invtlb numbers it (4.2.4.7); 0 and 1 are one.
ALL, GLOBALS, LOCALS, SPACE_LOCALS, PAGE_LOCALS, PAGE = 1, 2, 3, 4, 5, 6


@native()
def tlb_invalidate(s: Session, op: Value, space: Value, va: Value) -> None:
    """invtlb: empty entries by kind, address space and address."""
    wanted = space & SPACES
    by_page = op >= PAGE_LOCALS
    n = s.var(0)
    step, first = s.var(1), s.var(0)
    with s.when(by_page):  # in the STLB one set is enough
        first.value = (va >> ((s.stlbps & mask(6)) + 1)) & (SETS - 1)
        step.value = s.const(SETS)
        n.value = first.value
        s.call(forget, va, s.stlbps & mask(6))
    with s.otherwise():
        s.call("tlb_flush")
    with s.loop():
        s.break_if(n.value >= ENTRIES)
        place = s.tlb_table + n.value * _SIZE
        is_global = _byte(s, place, GLOBAL) != 0
        own = s.peek(place + SPACE, 16).zext(64) == wanted
        hit = op <= ALL
        hit = hit | ((op == GLOBALS) & is_global) | ((op == LOCALS) & ~is_global)
        hit = hit | ((op == SPACE_LOCALS) & ~is_global & own)
        at_page = _covers(s, place, va)
        hit = hit | ((op == PAGE_LOCALS) & ~is_global & own & at_page) | ((op == PAGE) & (is_global | own) & at_page)
        with s.when(hit & (_byte(s, place, IN_USE) != 0)):
            s.poke(place + IN_USE, s.const(0, 8))
            _note_use(s, n.value, s.const(0, 1))
            with s.when(by_page):
                s.call(forget, s.peek(place, 64), _byte(s, place, PAGE_SIZE).zext(64))
        following = n.value + step.value
        beyond = (following >= STLB) & (step.value != 1)
        n.value = s.select(beyond, STLB, following)
        step.value = s.select(beyond, 1, step.value)
    s.ret(0)


@native()
def tlb_clear(s: Session, all_: Value) -> None:
    """tlbclr and tlbflush: empty what belongs to the set or half that TLBIDX names: entries of the current address
    space, or all of them.
    """
    index, space = s.tlbidx & INDEX, s.asid & SPACES
    in_stlb = index < STLB
    n = s.var(s.select(in_stlb, index & (SETS - 1), s.const(STLB)))
    end = s.select(in_stlb, s.const(STLB), s.const(ENTRIES))
    step = s.select(in_stlb, s.const(SETS), s.const(1))
    with s.loop():
        s.break_if(n.value >= end)
        place = s.tlb_table + n.value * _SIZE
        local = (_byte(s, place, GLOBAL) == 0) & (s.peek(place + SPACE, 16).zext(64) == space)
        with s.when((all_ != 0) | local):
            s.poke(place + IN_USE, s.const(0, 8))
            _note_use(s, n.value, s.const(0, 1))
        n.value = n.value + step
    s.call("tlb_flush")
    s.ret(0)
