"""The machine code of a straight line, joined natively from the records of its instructions (`ratite.codegen.joining`)."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator

from ratite.codegen.joining import Job
from ratite.cpu.codepage import PAGE
from ratite.cpu.hostmem import HostBuffer

#: Most pieces of a line: the instructions of a page, a jump behind and a count before each, and a guard.
PIECES = 2 * PAGE
#: Room for records is taken in such steps, in bytes.
_STEP = 1 << 20


class Records:
    """Memory for records, which are kept as long as what is known of instruction words. room: where the next one goes, and where the room ends, for
    native code."""

    def __init__(self) -> None:
        self._buffers: list[HostBuffer] = []
        self.room = HostBuffer(16)
        self._room = self.room.view.cast("q")

    def put(self, record: bytes | bytearray) -> int:
        """Keep a record; its address."""
        if self._room[0] + len(record) > self._room[1]:
            self.make_room()
        at, buffer = self._room[0], self._buffers[-1]
        buffer.view[at - buffer.address : at - buffer.address + len(record)] = record
        self._room[0] = at + len(record)
        return at

    @property
    def size(self) -> int:
        """Bytes of that memory."""
        return _STEP * len(self._buffers)

    def read(self, address: int, size: int) -> bytes:
        """A part of what has been kept."""
        return ctypes.string_at(address, size)

    def make_room(self) -> None:
        """Room for more records."""
        buffer = HostBuffer(_STEP)
        self._buffers.append(buffer)
        self._room[0], self._room[1] = buffer.address, buffer.address + _STEP


class Joiner:
    """Joins lines, one at a time; and keeps the records of which they are made. `join`: the native function."""

    def __init__(self, join: Callable[[int], int]) -> None:
        self.records = Records()
        self._join = join
        self._table = HostBuffer(Job.BYTES)
        self.address = self._table.address
        self._job = self._table.view.cast("q")
        self._starts, self._local = HostBuffer(4 * (PIECES + 1)), HostBuffer(2 * PAGE)
        self._job[Job.STARTS >> 3], self._job[Job.LOCAL >> 3] = self._starts.address, self._local.address
        self._make_room(1 << 18, 1 << 12)

    def _make_room(self, room: int, most: int) -> None:
        """Buffers for `room` bytes of code and `most` late places."""
        self._code, self._relocations = HostBuffer(room), HostBuffer(24 * most)
        self._links, self._pending, self._gotos = HostBuffer(16 * most), HostBuffer(16 * most), HostBuffer(16 * most)
        for place, value in (
            (Job.CODE, self._code.address), (Job.RELOCATIONS, self._relocations.address), (Job.LINKS, self._links.address),
            (Job.PENDING, self._pending.address), (Job.GOTOS, self._gotos.address), (Job.ROOM, room), (Job.MOST, most),
        ):  # fmt: skip
            self._job[place >> 3] = value

    def join(self, count: int, records: int, offsets: int, entries: int, goto: int) -> None:
        """Join so many pieces, whose records and guest offsets are in tables at these addresses (see `joining.Job`); the page has `entries`, and
        `goto` is the record of code that goes on elsewhere. What has come out is then here to be asked for."""
        job = self._job
        assert count <= PIECES
        job[Job.COUNT >> 3], job[Job.RECORDS >> 3], job[Job.OFFSETS >> 3] = count, records, offsets
        job[Job.PAGE_ENTRIES >> 3], job[Job.GOTO >> 3] = entries, goto
        while not self._join(self.address):
            self._make_room(2 * job[Job.ROOM >> 3], 2 * job[Job.MOST >> 3])

    @property
    def size(self) -> int:
        """Bytes of the code: the line, and the stubs behind it."""
        return self._job[Job.SIZE >> 3]

    @property
    def straight(self) -> int:
        """Bytes of the line."""
        return int.from_bytes(self._starts.view[4 * self._job[Job.COUNT >> 3] :][:4], "little")

    @property
    def code(self) -> memoryview:
        """The code, as if it lay at address 0."""
        return self._code.view[: self.size]

    @property
    def starts(self) -> memoryview:
        """Where each piece begins, and where the last ends (4 bytes each)."""
        return self._starts.view[: 4 * (self._job[Job.COUNT >> 3] + 1)]

    @property
    def relocations(self) -> memoryview:
        """As in `ratite.codegen.placing`."""
        return self._relocations.view[: 24 * self._job[Job.RELOCATED >> 3]]

    @property
    def links(self) -> list[tuple[int, int]]:
        """Displacements that lead to entries of the page, as (place, guest offset)."""
        return _pairs(self._links, self._job[Job.LINKED >> 3])

    @property
    def pending(self) -> list[tuple[int, int]]:
        """Displacements that will lead to entries of the page when these exist, as (place, guest offset)."""
        return _pairs(self._pending, self._job[Job.PENDED >> 3])


def _pairs(buffer: HostBuffer, count: int) -> list[tuple[int, int]]:
    if not count:
        return []
    numbers: Iterator[int] = iter(buffer.view[: 16 * count].cast("q"))
    return list(zip(numbers, numbers, strict=True))
