"""Translated pages and the pieces of machine code that belong to them."""

from __future__ import annotations

from array import array
from bisect import bisect_right

PAGE = 4096

#: Where the code of a page is, to whom it belongs: host address of the page, guest-virtual address, context.
PageKey = tuple[int, int, int]


class CodePage:
    """The translation of one page: guest offset -> host address of the code.

    base: guest-virtual address of the page. data: its bytes as 16-bit units. pending: branches to offsets that are not translated yet, to be
    linked directly when they are: host addresses of their displacements. published: offsets that are in the table which native code searches.
    inside: offsets that are translated but can not be entered. regions: offsets at which a region begins, with its host address. detours:
    displacements that lead into regions, by host address, and what was there before. kept: what `known` was when the store of translations took
    the page.
    """

    __slots__ = ("base", "data", "detours", "entries", "inside", "kept", "key", "limit", "pending", "published", "regions", "units")

    def __init__(self, key: PageKey, data: memoryview) -> None:
        self.key, self.base = key, key[1]
        self.data = data.cast("H")
        self.limit = len(self.data)
        self.entries: dict[int, int] = {}
        self.pending: dict[int, list[int]] = {}
        self.published: set[int] = set()
        self.inside: set[int] = set()
        self.units: list[Unit] = []
        self.regions: dict[int, int] = {}
        self.detours: dict[int, bytes] = {}
        self.kept = 0

    @property
    def known(self) -> int:
        """How much is known of the page: a measure that grows."""
        return len(self.entries) + len(self.published)

    def holds(self, first: int, end: int) -> bool:
        """Whether an instruction is translated that begins in offsets [first, end)."""
        return any(first <= at < end for at in self.entries) or any(first <= at < end for at in self.inside)


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
