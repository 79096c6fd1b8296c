"""The machine code of a straight line, joined natively from the records of its instructions (`ratite.codegen.joining`)."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import NamedTuple

from ratite.codegen.joining import JOB
from ratite.cpu.codepage import PAGE
from ratite.cpu.hostmem import HostBuffer

#: Most pieces of a line: the instructions of a page, a jump behind and a count before each, and a guard.
_PIECES = 2 * PAGE
#: Room for records is taken in such steps, in bytes.
_STEP = 1 << 20


class Records:
    """Memory for records, which are kept as long as the engine."""

    def __init__(self) -> None:
        self._buffers: list[HostBuffer] = []
        self._at = _STEP

    def put(self, record: bytes | bytearray) -> int:
        """Keep a record; its address."""
        if self._at + len(record) > _STEP:
            self._buffers.append(HostBuffer(_STEP))
            self._at = 0
        buffer, at = self._buffers[-1], self._at
        buffer.view[at : at + len(record)] = record
        self._at = at + len(record)
        return buffer.address + at


class Line(NamedTuple):
    """What `Joiner.join` makes. code: the line, and the stubs of accesses behind it. starts: where each piece begins, and where the last ends.
    relocations: as in `ratite.cpu.placing`. exits: (kind, place, guest offset) of displacements that lead out of the line."""

    code: bytearray
    starts: array[int]
    relocations: array[int]
    exits: list[tuple[int, int, int]]


class Joiner:
    """Joins lines, one at a time; and keeps the records of which they are made. `join`: the native function."""

    def __init__(self, join: Callable[[int], int]) -> None:
        self.records = Records()
        self._join = join
        self._job = array("Q", bytes(8 * len(JOB)))
        self._starts, self._local = HostBuffer(4 * (_PIECES + 1)), HostBuffer(2 * PAGE)
        self._make_room(1 << 18, 1 << 12)

    def _make_room(self, room: int, most: int) -> None:
        """Buffers for `room` bytes of code and `most` late places."""
        self._room, self._most = room, most
        self._code, self._relocations, self._exits = HostBuffer(room), HostBuffer(24 * most), HostBuffer(24 * most)
        for name, buffer in (
            ("starts", self._starts), ("local", self._local), ("code", self._code), ("relocations", self._relocations), ("exits", self._exits),
        ):  # fmt: skip
            self._job[JOB.index(name)] = buffer.address
        self._job[JOB.index("room")], self._job[JOB.index("most")] = room, most

    def join(self, records: array[int], offsets: array[int]) -> Line:
        """Join the pieces with these records, which stand for these guest offsets (see `joining.JOB`)."""
        job, count = self._job, len(records)
        assert count <= _PIECES
        job[0], job[1], job[2] = count, records.buffer_info()[0], offsets.buffer_info()[0]
        while not self._join(job.buffer_info()[0]):
            self._make_room(2 * self._room, 2 * self._most)
        size, relocated, left = job[-3:]
        starts, relocations, exits = array("I"), array("q"), array("q")
        starts.frombytes(self._starts.view[: 4 * (count + 1)])
        relocations.frombytes(self._relocations.view[: 24 * relocated])
        exits.frombytes(self._exits.view[: 24 * left])
        numbers = iter(exits)
        return Line(bytearray(self._code.view[:size]), starts, relocations, list(zip(numbers, numbers, numbers, strict=True)))
