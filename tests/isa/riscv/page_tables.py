"""Page tables made by hand, and what the manual says of walking them, in plain Python (volume II, 20211203, 4.3.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ratite.bits import align_down, bit, bits, mask, signed

V, R, W, X, U, G, A, D = (1 << n for n in range(8))
N, PBMT_NC, PBMT_IO = 1 << 63, 1 << 61, 2 << 61
LOAD, STORE, FETCH, LOOK = range(4)


@dataclass(frozen=True)
class Scheme:
    """One of the translation modes."""

    name: str
    xlen: int
    mode: int
    levels: int

    @property
    def index_bits(self) -> int:
        """Bits of an address for one level."""
        return 10 if self.xlen == 32 else 9

    @property
    def entry_size(self) -> int:
        """Bytes of an entry."""
        return self.xlen // 8

    @property
    def address_bits(self) -> int:
        """Bits of an address that are translated."""
        return 32 if self.xlen == 32 else 12 + 9 * self.levels

    def satp(self, root: int, asid: int = 0) -> int:
        """satp for a root table at a physical address."""
        shift, field = (31, 22) if self.xlen == 32 else (60, 44)
        return self.mode << shift | asid << field | root >> 12

    def index(self, va: int, level: int) -> int:
        """The entry of a table of this level that an address goes through."""
        return va >> (12 + level * self.index_bits) & mask(self.index_bits)

    def canonical(self, va: int) -> int:
        """The nearest address that sign extension allows."""
        return va & mask(32) if self.xlen == 32 else signed(va, self.address_bits) & mask(64)


SCHEMES = {s.name: s for s in (
    Scheme("sv32", 32, 1, 2), Scheme("sv39", 64, 8, 3), Scheme("sv48", 64, 9, 4), Scheme("sv57", 64, 10, 5),
)}  # fmt: skip


class PageTable:
    """A page table in guest memory; tables are taken from `place` upward."""

    def __init__(self, scheme: Scheme, place: int, read: Callable[[int, int], int], write: Callable[..., None]) -> None:
        self.scheme, self.root, self._free = scheme, place, place + 4096
        self._read, self._write = read, write
        self.clear(place)

    def clear(self, table: int) -> None:
        """Make all entries of a table invalid."""
        for offset in range(0, 4096, 8):
            self._write(table + offset, 8, 0)

    @property
    def satp(self) -> int:
        """The value of satp that uses this table."""
        return self.scheme.satp(self.root)

    def entry(self, va: int, level: int = 0) -> int:
        """Address of the entry of a level for `va`, with the tables above it made where they are missing."""
        table, size = self.root, self.scheme.entry_size
        for at in range(self.scheme.levels - 1, level, -1):
            place = table + self.scheme.index(va, at) * size
            pte = self._read(place, size)
            if not pte & V:
                pte = self._free >> 12 << 10 | V
                self.clear(self._free)
                self._free += 4096
                self._write(place, size, pte)
            table = pte >> 10 << 12
        return table + self.scheme.index(va, level) * size

    def map(self, va: int, pa: int, flags: int, level: int = 0) -> int:
        """Map the page of a level around `va`; returns the address of its entry."""
        place = self.entry(va, level)
        self._write(place, self.scheme.entry_size, pa >> 12 << 10 | flags | V)
        return place

    def get(self, place: int) -> int:
        """An entry."""
        return self._read(place, self.scheme.entry_size)

    def put(self, place: int, pte: int) -> None:
        """Change an entry."""
        self._write(place, self.scheme.entry_size, pte)


@dataclass
class Rules:
    """What a walk depends on beside the table."""

    priv: int
    sum: bool = False
    mxr: bool = False
    svnapot: bool = False
    svpbmt: bool = False


@dataclass
class Walk:
    """A result: 0, or 16 + cause; address; permissions to keep; the entry's new value and place."""

    status: int
    pa: int = 0
    perms: int = 0
    place: int = 0
    pte: int = 0


def walk(table: PageTable, va: int, access: int, rules: Rules) -> Walk:
    """Translate `va` by the book."""
    scheme = table.scheme
    fault = Walk({LOAD: 29, STORE: 31, FETCH: 28, LOOK: 29}[access])
    if scheme.canonical(va) != va:
        return fault
    base, level = table.root, scheme.levels - 1
    while True:
        place = base + scheme.index(va, level) * scheme.entry_size
        pte = table.get(place)
        if not _valid(pte, scheme, rules):
            return fault
        if pte & (R | X):
            break
        if level == 0 or pte & (A | D | U | N | PBMT_NC | PBMT_IO):
            return fault
        base, level = bits(pte, 53, 10) << 12, level - 1
    perms = _permissions(pte, rules)
    wanted = {LOAD: 1, STORE: 2, FETCH: 4, LOOK: 0}[access]
    size = 4096 << (level * scheme.index_bits)
    page = bits(pte, 53, 10) << 12
    if (wanted and not perms & wanted) or page % size:
        return fault
    if pte & N:
        if level or bits(pte, 13, 10) != 8:
            return fault
        size, page = 65536, align_down(page, 65536)
    new = pte if access == LOOK else pte | A | (D if access == STORE else 0)
    return Walk(0, page | va % size, perms if new & D else perms & ~2, place, new)


def _valid(pte: int, scheme: Scheme, rules: Rules) -> bool:
    if not pte & V or (pte & W and not pte & R):
        return False
    if scheme.xlen == 32:
        return True
    memory_type = bits(pte, 62, 61)
    if bits(pte, 60, 54) or (bit(pte, 63) and not rules.svnapot):
        return False
    return memory_type == 0 or (rules.svpbmt and memory_type != 3)


def _permissions(pte: int, rules: Rules) -> int:
    perms = (1 if pte & R or (rules.mxr and pte & X) else 0) | (2 if pte & W else 0) | (4 if pte & X else 0)
    if rules.priv == 0:
        return perms if pte & U else 0
    if pte & U:
        return perms & 3 if rules.sum else 0
    return perms
