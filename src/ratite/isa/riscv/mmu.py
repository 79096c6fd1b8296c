"""Address translation: Sv32, Sv39, Sv48 and Sv57, with Svnapot and Svpbmt (ISA manual volume II, 20211203, 4.3 to 4.6,
chapters 5 and 6).

`mmu_fill` refills the translation cache of the engine, `translate` answers for everybody else. Both give 0 when the
access is possible, 1 when it has to be done and checked piece by piece (a page that memory protection covers in part),
and 16 + cause for an exception; `mmu_fill` gives 2, from `tlb_insert`, where there is no RAM and the access is allowed.

The A and D bits of page-table entries are set by the walk, in one step with a check that the entry is still what was
read; where it is not, the walk begins again. Memory types of Svpbmt are accepted and have no effect: all RAM is coherent.
"""

from __future__ import annotations

from ratite.bits import mask
from ratite.ir import Value
from ratite.isa.dsl import Session, native
from ratite.isa.riscv import traps
from ratite.isa.riscv.pmp import FETCH, SPLIT, STORE, page_rights
from ratite.isa.riscv.status import MACHINE, MXR, SUM, SUPERVISOR, USER, effective_mode

#: A kind of access for debuggers: no permission stops it and it leaves no traces in the page table.
LOOK = 3

# Bits of a page-table entry.
V, R, W, X, U, A, D = (1 << n for n in (0, 1, 2, 3, 4, 6, 7))
_N, _PBMT, _RESERVED = 1 << 63, 3 << 61, 0x7F << 54

#: Permissions of a translation, as the engine numbers them.
READ, WRITE, EXECUTE = 1, 2, 4

_PAGE_BITS = 12


def _by_access(s: Session, access: Value, load: int, store: int, fetch: int) -> Value:
    """One of three numbers by the kind of access; a look counts as a load."""
    return s.select(access == STORE, store, s.select(access == FETCH, fetch, s.const(load)))


def _page_fault(s: Session, access: Value) -> None:
    """End the walk: there is no translation for this access."""
    s.ret(_by_access(s, access, 16 + traps.LOAD_PAGE, 16 + traps.STORE_PAGE, 16 + traps.FETCH_PAGE))


def _access_fault(s: Session, access: Value) -> None:
    """End the walk: physical memory does not allow the access."""
    s.ret(_by_access(s, access, 16 + traps.LOAD_ACCESS, 16 + traps.STORE_ACCESS, 16 + traps.FETCH_ACCESS))


@native()
def mmu_fill(s: Session, va: Value, access: Value) -> None:
    """Make an access possible: 0 load, 1 store, 2 fetch. Fetches have translation caches of their own."""
    result = s.call(translate, va, access)
    with s.when(result != 0):
        s.ret(result)
    kept = s.select(access == FETCH, s.const(EXECUTE, 64), READ | WRITE)
    perms = s.walk_perms.zext(64) & kept
    s.ret(s.call("tlb_insert", va.zext(64), s.walk_pa, perms, width=64).trunc(s.xlen))


@native()
def translate(s: Session, va: Value, access: Value) -> None:
    """Translate an address: 0 load, 1 store, 2 fetch, 3 look. `walk_pa` is the physical address, `walk_perms` what its
    page allows now.
    """
    mode = s.select(access == FETCH, s.priv, effective_mode(s)).zext(s.xlen)
    s.walk_pa = va.zext(64)
    s.walk_perms = READ | WRITE | EXECUTE
    if s.config.satp_modes and s.config.has("s"):
        with s.when((mode != MACHINE) & (_satp_mode(s) != 0)):
            result = s.call(walk, va, access, mode)
            with s.when(result != 0):
                s.ret(result)
    if s.config.pmp:
        _check_protection(s, access, mode)
    s.ret(0)


def _check_protection(s: Session, access: Value, mode: Value) -> None:
    """Narrow `walk_perms` to what memory protection allows on the page; a look passes in any case."""
    rights = s.call(page_rights, (s.walk_pa >> _PAGE_BITS).trunc(s.xlen), mode)
    with s.when(access != LOOK):
        with s.when(rights == SPLIT):
            s.ret(1)
        with s.when((rights & _by_access(s, access, READ, WRITE, EXECUTE)) == 0):
            _access_fault(s, access)
    s.walk_perms = s.walk_perms & rights.trunc(8)


# --- the page table ---------------------------------------------------------------------------------------------------


def _satp_mode(s: Session) -> Value:
    """satp.MODE; 0 is no translation."""
    mode: Value = s.satp >> (31 if s.xlen == 32 else 60)
    return mode


def _satp_table(s: Session) -> Value:
    """Physical address of the root table."""
    number: Value = s.satp.zext(64) & mask(22 if s.xlen == 32 else 44)
    return number << _PAGE_BITS


def _levels(s: Session) -> Value:
    """Levels of the page table in the current mode."""
    levels = s.const(0, 64)
    for number, count in s.config.satp_modes.items():
        levels = s.select(_satp_mode(s) == number, count, levels)
    return levels


@native()
def walk(s: Session, va: Value, access: Value, mode: Value) -> None:
    """Find the page of `va` in the page table for an access by privilege mode `mode`: `walk_pa` and `walk_perms`, as
    for `translate`.
    """
    levels = _levels(s)
    _check_canonical(s, va, levels, access)
    vpn_bits = 10 if s.xlen == 32 else 9  # bits of the address that index one level
    shift = s.var((levels - 1) * vpn_bits + _PAGE_BITS)
    table, pte, place = s.var(_satp_table(s)), s.var(0, 64), s.var(0, 64)
    with s.loop():
        index = (va.zext(64) >> shift.value) & mask(vpn_bits)
        place.value = _entry_place(s, table.value + index * (s.xlen // 8), access)
        pte.value = s.peek(place.value, s.xlen).zext(64)
        entry = pte.value
        _check_valid(s, entry, access)
        s.break_if((entry & (R | X)) != 0)
        with s.when((shift.value == _PAGE_BITS) | ((entry & _not_in_pointers(s)) != 0)):
            _page_fault(s, access)
        table.value = _page_of(entry)
        shift.value = shift.value - vpn_bits
    _leaf(s, va, access, mode, pte.value, place.value, shift.value)


def _check_canonical(s: Session, va: Value, levels: Value, access: Value) -> None:
    """The bits of a 64-bit address above those that are translated must equal the highest of these."""
    if s.xlen == 64:
        unused = 64 - (levels * 9 + _PAGE_BITS)
        with s.when(((va << unused).s >> unused) != va):
            _page_fault(s, access)


def _entry_place(s: Session, pa: Value, access: Value) -> Value:
    """Host address of the page-table entry at `pa`, which supervisor mode must be allowed to read."""
    if s.config.pmp:
        rights = s.call(page_rights, (pa >> _PAGE_BITS).trunc(s.xlen), SUPERVISOR)
        with s.when(((rights & READ) == 0) & (access != LOOK)):
            _access_fault(s, access)
    place = s.call("ram_host", pa, width=64)
    with s.when(place == 0):
        _access_fault(s, access)
    return place


def _page_of(pte: Value) -> Value:
    """Physical address in a page-table entry."""
    return ((pte >> 10) & mask(44)) << _PAGE_BITS


def _not_in_pointers(s: Session) -> int:
    """Bits that an entry which points to another table must not have."""
    return D | A | U | (_N | _PBMT if s.xlen == 64 else 0)


def _check_valid(s: Session, pte: Value, access: Value) -> None:
    """Entries that are not valid, that are writable and not readable, or that have reserved bits give a page fault."""
    bad = ((pte & V) == 0) | ((pte & (R | W)) == W)
    if s.xlen == 64:
        reserved = _RESERVED | (0 if s.config.has("svnapot") else _N) | (0 if s.config.has("svpbmt") else _PBMT)
        bad = bad | ((pte & reserved) != 0)
        if s.config.has("svpbmt"):
            bad = bad | ((pte & _PBMT) == _PBMT) | (((pte & _PBMT) != 0) & ~s.menvcfg.bit(62))
    with s.when(bad):
        _page_fault(s, access)


def _leaf(s: Session, va: Value, access: Value, mode: Value, pte: Value, place: Value, shift: Value) -> None:
    """The translation that a leaf entry gives: its page has 1 << shift bytes."""
    inside = s.var((s.const(1, 64) << shift) - 1)
    page = s.var(_page_of(pte))
    with s.when((page.value & inside.value) != 0):
        _page_fault(s, access)
    if s.config.has("svnapot") and s.xlen == 64:
        with s.when((pte & _N) != 0):
            with s.when((shift != _PAGE_BITS) | (((pte >> 10) & 0xF) != 8)):
                _page_fault(s, access)
            inside.value = mask(16)
            page.value = page.value & ~mask(16)
    with s.when(inside.value > mask(_PAGE_BITS)):
        s.call("tlb_large", va.zext(64), inside.value + 1)
    rights = _rights(s, pte, mode)
    with s.when(((rights & _by_access(s, access, READ, WRITE, EXECUTE)) == 0) & (access != LOOK)):
        _page_fault(s, access)
    marked = s.select(access == LOOK, pte, pte | s.select(access == STORE, A | D, s.const(A, 64)))
    with s.when(marked != pte):
        before = pte.trunc(s.xlen)
        with s.when(s.poke_if(place, before, marked.trunc(s.xlen)) != before, likely=False):
            s.ret(s.call(walk, va, access, mode))
    is_dirty = (marked & D) != 0
    s.walk_perms = s.select(is_dirty, rights, rights & ~WRITE).trunc(8)  # the first store has to set D
    s.walk_pa = page.value | (va.zext(64) & inside.value)


def _rights(s: Session, pte: Value, mode: Value) -> Value:
    """What privilege mode `mode` may do with the page of a leaf entry: `READ`, `WRITE`, `EXECUTE`."""
    own = ((pte >> 1) & (READ | WRITE | EXECUTE)).trunc(s.xlen)
    own = s.select((s.mstatus & MXR) != 0, own | (own >> 2), own) & (READ | WRITE | EXECUTE)
    of_user = (pte & U) != 0
    foreign = s.select((s.mstatus & SUM) != 0, own & (READ | WRITE), 0)
    supervisor = s.select(of_user, foreign, own)
    return s.select(mode == USER, s.select(of_user, own, 0), supervisor)
