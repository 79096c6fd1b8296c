"""The sorted list of a guest's mappings: what lies where, with which protection. Knows nothing of host memory."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

PROT_READ, PROT_WRITE, PROT_EXEC = 1, 2, 4


class Area:
    """Guest addresses `start` to `end` (not included) that are mapped in one way."""

    __slots__ = ("clean", "device", "end", "fork", "inode", "lazy", "name", "offset", "prot", "shared", "stamp", "start")

    def __init__(self, start: int, end: int, prot: int, shared: bool = False, name: bytes = b"", offset: int = 0,
                 device: int = 0, inode: int = 0, fork: bool = True, lazy: bool = False) -> None:
        self.start = start
        self.end = end
        self.prot = prot
        """As the guest asked for it: PROT_READ, PROT_WRITE, PROT_EXEC."""
        self.shared = shared
        self.name = name
        """Path of the mapped file, or a name in brackets, or nothing."""
        self.offset = offset
        """Where in the file `start` lies."""
        self.device = device
        self.inode = inode
        self.fork = fork
        """Whether a child process gets it (madvise MADV_DONTFORK)."""
        self.lazy = lazy
        """Whether it was made with MAP_NORESERVE; the host joins only areas that agree in this."""
        self.clean = not prot & PROT_WRITE
        """Whether the guest could never write to it."""
        self.stamp = 0
        """Tells versions of a file apart: when it was changed, in nanoseconds."""

    def part(self, start: int, end: int) -> Area:
        """The same mapping between two addresses inside it."""
        found = self.moved(start, end - start)
        if self.inode:
            found.offset += start - self.start
        return found

    def moved(self, start: int, size: int) -> Area:
        """The same mapping at another place and of another size."""
        found = Area(start, start + size, self.prot, self.shared, self.name, self.offset, self.device, self.inode,
                     self.fork, self.lazy)
        found.clean, found.stamp = self.clean, self.stamp
        return found

    def protect(self, prot: int) -> None:
        """Change what the guest may do."""
        self.prot = prot
        if prot & PROT_WRITE:
            self.clean = False

    def same_code(self, other: Area) -> bool:
        """Whether both are code of the same file that was not changed, at the same addresses where they overlap."""
        return (self.clean and other.clean and not self.shared and not other.shared and bool(self.inode)
                and bool(self.prot & other.prot & PROT_EXEC)
                and (self.device, self.inode, self.stamp, self.offset - self.start)
                == (other.device, other.inode, other.stamp, other.offset - other.start))

    def continues(self, other: Area) -> bool:
        """Whether `other`, which ends where this one starts, is of the same mapping."""
        return (self.start == other.end and self.prot == other.prot and self.shared == other.shared
                and self.name == other.name and self.device == other.device and self.inode == other.inode
                and self.fork == other.fork and self.lazy == other.lazy
                and self.clean == other.clean and self.stamp == other.stamp
                and (not self.inode or self.offset == other.offset + other.end - other.start))

    def __repr__(self) -> str:
        return f"Area({self.start:#x}, {self.end:#x}, prot={self.prot}, name={self.name!r})"


class AreaMap:
    """Areas in order of address, never overlapping."""

    def __init__(self) -> None:
        self._areas: list[Area] = []
        self._starts: list[int] = []

    def __iter__(self) -> Iterator[Area]:
        return iter(self._areas)

    def __len__(self) -> int:
        return len(self._areas)

    def at(self, address: int) -> Area | None:
        """The area that holds an address."""
        index = bisect_right(self._starts, address) - 1
        if index >= 0 and address < self._areas[index].end:
            return self._areas[index]
        return None

    def overlapping(self, start: int, end: int) -> list[Area]:
        """The areas that have an address in [start, end)."""
        first, last = self._span(start, end)
        return self._areas[first:last]

    def remove(self, start: int, end: int) -> list[Area]:
        """Take out everything in [start, end); returns what was there, cut to the range."""
        self._cut(start)
        self._cut(end)
        first, last = self._span(start, end)
        taken = self._areas[first:last]
        self._replace(first, last, [])
        return taken

    def insert(self, area: Area) -> None:
        """Put in an area, in place of whatever overlaps it; a neighbour of the same mapping is joined to it."""
        self._cut(area.start)
        self._cut(area.end)
        first, last = self._span(area.start, area.end)
        if first > 0 and area.continues(self._areas[first - 1]):
            first -= 1
            area = self._areas[first].part(self._areas[first].start, area.end)
        if last < len(self._areas) and self._areas[last].continues(area):
            area = area.part(area.start, self._areas[last].end)
            last += 1
        self._replace(first, last, [area])

    def free(self, start: int, end: int) -> bool:
        """Whether nothing is mapped in [start, end)."""
        first, last = self._span(start, end)
        return first == last

    def covered(self, start: int, end: int) -> bool:
        """Whether all of [start, end) is mapped."""
        for area in self.overlapping(start, end):
            if area.start > start:
                return False
            start = area.end
        return start >= end

    def gap_below(self, top: int, size: int, bottom: int) -> int | None:
        """Start of the highest free range of `size` bytes between `bottom` and `top`."""
        index = bisect_right(self._starts, top - 1) - 1
        while index >= 0:
            area = self._areas[index]
            if area.end <= top and top - area.end >= size:
                break
            top = min(top, area.start)
            index -= 1
        return top - size if top - size >= bottom else None

    def _span(self, start: int, end: int) -> tuple[int, int]:
        first = bisect_right(self._starts, start) - 1
        if first < 0 or self._areas[first].end <= start:
            first += 1
        last = bisect_right(self._starts, end - 1) if end > start else first
        return first, max(first, last)

    def _cut(self, address: int) -> None:
        index = bisect_right(self._starts, address) - 1
        if index < 0:
            return
        area = self._areas[index]
        if area.start < address < area.end:
            self._replace(index, index + 1, [area.part(area.start, address), area.part(address, area.end)])

    def _replace(self, first: int, last: int, areas: list[Area]) -> None:
        self._areas[first:last] = areas
        self._starts[first:last] = [area.start for area in areas]
