"""Translated pages and the pieces of machine code that belong to them."""

from __future__ import annotations

import ctypes
from array import array
from bisect import bisect_right
from collections.abc import Iterator

PAGE = 4096

_NO_ENTRIES = bytes(PAGE // 2 * 4)

#: Where the code of a page is, to whom it belongs: host address of the page, guest-virtual address, context.
PageKey = tuple[int, int, int]


class Entries:
    """Guest offset -> host address of its code; for one page. Code lies below 4 GiB.

    table: the address for every 16-bit unit of the page, 0 where there is no code; native code fills and reads it, at `address`. count: how many
    there are.
    """

    __slots__ = ("address", "count", "table")

    def __init__(self) -> None:
        self.table = array("I", _NO_ENTRIES)
        self.address = self.table.buffer_info()[0]
        self.count = 0

    def __len__(self) -> int:
        return self.count

    def __contains__(self, offset: int) -> bool:
        return 0 <= offset < PAGE and self.table[offset >> 1] != 0

    def __getitem__(self, offset: int) -> int:
        address = self.table[offset >> 1]
        if not address:
            raise KeyError(offset)
        return address

    def get(self, offset: int) -> int | None:
        """The address of the code for an offset, None where there is none."""
        return self.table[offset >> 1] or None

    def __setitem__(self, offset: int, address: int) -> None:
        self.count += not self.table[offset >> 1]
        self.table[offset >> 1] = address

    def items(self) -> Iterator[tuple[int, int]]:
        """Offsets and addresses."""
        return ((2 * n, address) for n, address in enumerate(self.table) if address)

    def touched(self, first: int, end: int) -> bool:
        """Whether there is code for an offset in [first, end)."""
        return any(self.table[max(first + 1, 0) >> 1 : max(end + 1, 0) >> 1])


class CodePage:
    """The translation of one page.

    base: guest-virtual address of the page. data: its bytes as 16-bit units, which lie at host address `address`. entries: where the code for an
    offset is. pending: branches to offsets that are not translated yet, to be linked directly when they are: host addresses of their displacements.
    published: offsets that are in the table which native code searches. inside: offsets that are translated but can not be entered. regions:
    offsets at which a region begins, with its host address. detours: displacements that lead into regions, by host address, and what was there
    before. kept: what `known` was when the store of translations took the page. name: what it looked for when the page was new; before_writes: the
    bytes before the first write beside its code, if there was one.
    """

    __slots__ = (
        "address", "base", "before_writes", "data", "detours", "entries", "inside", "kept", "key", "limit", "name", "pending", "published",
        "regions", "units",
    )  # fmt: skip

    def __init__(self, key: PageKey, data: memoryview) -> None:
        self.key, self.base = key, key[1]
        self.data = data.cast("H")
        self.limit = len(self.data)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(data))
        self.entries = Entries()
        self.pending: dict[int, list[int]] = {}
        self.published: set[int] = set()
        self.inside: set[int] = set()
        self.units: list[Unit] = []
        self.regions: dict[int, int] = {}
        self.detours: dict[int, bytes] = {}
        self.kept = 0
        self.name = b""
        self.before_writes: bytes | None = None

    def word(self, offset: int, units: bytes) -> tuple[int, int]:
        """The instruction at an offset, which lies in this page as a whole, and its length in bytes. units: see `ratite.isa.arch.Arch.long`."""
        first = self.data[offset >> 1]
        count = units[first]
        return sum(self.data[(offset >> 1) + n] << 16 * n for n in range(count)), 2 * count

    @property
    def known(self) -> int:
        """How much is known of the page: a measure that grows."""
        return len(self.entries) + len(self.published)

    def holds(self, first: int, end: int) -> bool:
        """Whether an instruction is translated that begins in offsets [first, end)."""
        return self.entries.touched(first, end) or any(first <= at < end for at in self.inside)


class Unit:
    """A piece of machine code placed at once: which instruction starts where, and what depends on the place.

    start: its host address. size: bytes of all of it, straight: of the part with instructions. pcs and places: guest offsets of the instructions
    and where their code begins, in order. relocations: see `ratite.cpu.placing`. links: displacements that lead, or will, to instructions of the
    page in other units, as (place, guest offset). portable: it depends on nothing but the bytes of its page, and on the first two of the
    next one, `second`, if that is not None.
    """

    __slots__ = ("links", "page", "pcs", "places", "portable", "relocations", "second", "size", "start", "straight")

    def __init__(self, page: CodePage, start: int, size: int, straight: int) -> None:
        self.page, self.start, self.size, self.straight = page, start, size, straight
        self.pcs, self.places = array("H"), array("I")
        self.relocations = array("q")
        self.links: list[tuple[int, int]] = []
        self.portable = True
        self.second: int | None = None

    def locate(self, address: int) -> int | None:
        """Guest address of the instruction whose code holds a host address."""
        if not 0 <= address - self.start < self.straight:
            return None
        return self.page.base + self.pcs[bisect_right(self.places, address - self.start) - 1]


class RegionUnit(Unit):
    """The machine code of a region, for those who ask where execution is: all of it counts as the region's head."""

    __slots__ = ()

    def __init__(self, page: CodePage, head: int, start: int, size: int) -> None:
        super().__init__(page, start, size, size)
        self.pcs.append(head)
        self.places.append(0)
        self.portable = False
