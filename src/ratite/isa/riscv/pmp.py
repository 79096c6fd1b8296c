"""Physical memory protection (ISA manual volume II, 20211203, 3.7): 16 entries with a granularity of four bytes.

Entries are decoded when they are written, into the first and the last byte that each covers. Translations hold whole
pages; a page that an entry covers in part gets none, and every access to it is checked by `pmp_allows`.

Not modelled: enhanced PMP (Smepmp).
"""

from __future__ import annotations

from typing import Any

from ratite.bits import bit, bits, mask
from ratite.ir import Value, Var
from ratite.isa.dsl import Session, native
from ratite.isa.riscv.state import PMP_ENTRIES
from ratite.isa.riscv.status import MACHINE, MPRV

# Bits of an entry's configuration.
R, W, X, LOCKED = 1, 2, 4, 0x80
# Values of its address-matching field A, bits 4:3.
OFF, TOR, NA4, NAPOT = range(4)
_LEGAL = LOCKED | 3 << 3 | R | W | X

#: Result of `page_rights` for a page that an entry covers in part.
SPLIT = 8

#: Kinds of access, as mmu_fill and translate number them, in the order of the bits R, W, X.
LOAD, STORE, FETCH = range(3)


def address_mask(xlen: int) -> int:
    """Bits of a pmpaddr register: addresses have 34 bits in RV32 and 56 in RV64."""
    return mask(32 if xlen == 32 else 54)


def _matching(cfg: Value) -> Value:
    """Field A of an entry."""
    return cfg.bits(4, 3)


def write_config(s: Session, first: int, new: Value, touched: int) -> None:
    """Write the pmpcfg register that holds the entries from `first` on, a byte each. A locked entry stays as it is."""
    for n in range(s.xlen // 8):
        if touched >> 8 * n & 0xFF:
            _write_entry(s, first + n, new.bits(8 * n + 7, 8 * n))
            _decode(s, first + n)
    s.call("tlb_flush")


def _write_entry(s: Session, entry: int, new: Value) -> None:
    """The bits that mean nothing read as zero, and writable without readable is reserved: it becomes neither."""
    old = s.pmpcfg[entry]
    legal = new & _LEGAL
    legal = s.select((legal & (R | W)) == W, legal & ~W, legal)
    s.pmpcfg[entry] = s.select((old & LOCKED) != 0, old, legal)


def read_config(s: Session, first: int) -> Value:
    """The pmpcfg register that holds the entries from `first` on."""
    value = s.const(0)
    for n in range(s.xlen // 8):
        value = value | (s.pmpcfg[first + n].zext(s.xlen) << 8 * n)
    return value


def write_address(s: Session, entry: int, new: Value) -> None:
    """Write a pmpaddr register unless its entry is locked, or the next one is and starts where this one ends."""
    locked = (s.pmpcfg[entry] & LOCKED) != 0
    if entry + 1 < PMP_ENTRIES:
        after = s.pmpcfg[entry + 1]
        locked = locked | (((after & LOCKED) != 0) & (_matching(after) == TOR))
    s.pmpaddr[entry] = s.select(locked, s.pmpaddr[entry], new.zext(64) & address_mask(s.xlen))
    _decode(s, entry)
    if entry + 1 < PMP_ENTRIES:
        _decode(s, entry + 1)
    s.call("tlb_flush")


def _decode(s: Session, entry: int) -> None:
    """Find out what an entry covers."""
    addr, kind = s.pmpaddr[entry], _matching(s.pmpcfg[entry])
    before = s.pmpaddr[entry - 1] if entry else s.const(0, 64)
    ones = addr ^ (addr + 1)  # up to and with the lowest zero bit: the size of a NAPOT range
    is_napot, is_tor = kind == NAPOT, kind == TOR
    first = s.select(is_napot, addr & ~ones, s.select(is_tor, before, addr))
    end = s.select(is_napot, (addr | ones) + 1, s.select(is_tor, addr, addr + 1))
    s.pmp_first[entry], s.pmp_last[entry] = first << 2, (end << 2) - 1
    covers = (kind != OFF) & (first < end)
    s.pmp_rules = (s.pmp_rules & ~(1 << entry)) | (covers.zext(32) << entry)


@native()
def page_rights(s: Session, number: Value, mode: Value) -> None:
    """What `mode` may do with a physical page: bits R, W, X, or SPLIT where that is not the same for all of it."""
    page = number.zext(64) << 12
    is_machine = mode == MACHINE
    rights = s.var(s.select(is_machine, s.const(R | W | X, 64), s.const(0, 64)))
    with s.when(s.pmp_rules != 0):
        for n in reversed(range(PMP_ENTRIES)):
            _apply_entry(s, n, page, is_machine, rights)
    s.ret(rights.value.trunc(s.xlen))


def _apply_entry(s: Session, n: int, page: Value, is_machine: Value, rights: Var) -> None:
    """Let entry `n` decide on a page in place of those after it."""
    with s.when(s.pmp_rules.bit(n)):
        first, last = s.pmp_first[n], s.pmp_last[n]
        cfg = s.pmpcfg[n].zext(64)
        free = is_machine & ((cfg & LOCKED) == 0)
        own = s.select(free, R | W | X, cfg & (R | W | X))
        whole = (first <= page) & ((page | 0xFFF) <= last)
        apart = (last < page) | ((page | 0xFFF) < first)
        rights.value = s.select(whole, own, s.select(apart, rights.value, SPLIT))


def pmp_allows(state: Any, pa: int, size: int, access: int, mode: int) -> bool:
    """Whether privilege mode `mode` may access `size` bytes at physical address `pa` (`access`: 0 load, 1 store, 2
    fetch). `state` is that of a vCPU.

    The first entry that covers any of the bytes decides, and denies when it does not cover all of them.
    """
    for n in range(PMP_ENTRIES):
        first, last = state.pmp_first[n], state.pmp_last[n]
        if not bit(state.pmp_rules, n) or last < pa or pa + size - 1 < first:
            continue
        whole = first <= pa and pa + size - 1 <= last
        free = mode == MACHINE and not state.pmpcfg[n] & LOCKED
        return whole and (free or bool(bits(state.pmpcfg[n], 2, 0) >> access & 1))
    return mode == MACHINE


def check_access(cpu: Any, pa: int, size: int, access: int) -> bool:
    """Whether an access to a page that an entry covers in part is allowed, in the mode in which the hart makes it."""
    state = cpu.state
    lent = state.priv == MACHINE and access != FETCH and state.mstatus & MPRV
    return pmp_allows(state, pa, size, access, bits(state.mstatus, 12, 11) if lent else state.priv)
