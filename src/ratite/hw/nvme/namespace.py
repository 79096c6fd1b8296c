"""Commands of the NVM command set (NVM Express 1.4, chapter 6), on a drive.

Not modelled: metadata and protection, reservations, write uncorrectable, fused operations.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar

from ratite.hw.nvme.prp import Piece, pieces, views
from ratite.hw.nvme.queues import Command
from ratite.hw.nvme.status import CommandError, Status
from ratite.memory import AddressSpace

if TYPE_CHECKING:
    from ratite.block.drive import Drive

Finish = Callable[[Status], None]
Action = Callable[[Any, Command, AddressSpace, int, Finish], None]
_RANGE = struct.Struct("<IIQ")    # attributes, blocks, first block
_FORCE_UNIT_ACCESS, _DEALLOCATE = 1 << 30, 1 << 25    # of word 12
_DISCARD = 1 << 2                                     # of word 11
_UNIT = 512


class Io(IntEnum):
    """Opcodes."""

    FLUSH = 0x00
    WRITE = 0x01
    READ = 0x02
    COMPARE = 0x05
    WRITE_ZEROES = 0x08
    DATASET_MANAGEMENT = 0x09
    VERIFY = 0x0C


CHANGING = frozenset((Io.WRITE, Io.WRITE_ZEROES, Io.DATASET_MANAGEMENT))


class Namespace:
    """A drive as blocks of `1 << block_bits` bytes. Statistics count for the health log."""

    def __init__(self, drive: Drive, block_bits: int, largest: int) -> None:
        self.drive, self.block_bits, self.largest = drive, block_bits, largest
        self.blocks = drive.size >> block_bits
        self.reads = self.writes = self.read_bytes = self.written_bytes = 0

    def begin(self, command: Command, memory: AddressSpace, page: int, finish: Finish) -> None:
        """Start a command; `finish` is called once, perhaps before this returns. Raises CommandError."""
        action = self._ACTIONS.get(command.opcode)
        if action is None:
            raise CommandError(Status.INVALID_OPCODE)
        if command.opcode in CHANGING and self.drive.readonly:
            raise CommandError(Status.WRITE_PROTECTED)
        action(self, command, memory, page, finish)

    def units(self) -> tuple[int, int]:
        """Thousands of 512 bytes that were read and written, rounded up."""
        return -(-self.read_bytes // (1000 * _UNIT)), -(-self.written_bytes // (1000 * _UNIT))

    # --- commands

    def _flush(self, command: Command, memory: AddressSpace, page: int, finish: Finish) -> None:
        self.drive.flush(_result(finish, Status.WRITE_FAULT))

    def _read(self, command: Command, memory: AddressSpace, page: int, finish: Finish) -> None:
        offset, size = self._extent(command)
        where = self._data(command, memory, page, size)
        room = views(memory, where, write=True)
        self.reads, self.read_bytes = self.reads + 1, self.read_bytes + size

        def done(errno: int) -> None:
            for piece in where:
                memory.note_write(*piece)
            finish(Status.READ_ERROR if errno else Status.SUCCESS)

        self.drive.read(room, offset, done)

    def _write(self, command: Command, memory: AddressSpace, page: int, finish: Finish) -> None:
        offset, size = self._extent(command)
        data = views(memory, self._data(command, memory, page, size), write=False)
        self.writes, self.written_bytes = self.writes + 1, self.written_bytes + size
        self.drive.write(data, offset, self._lasting(command, finish))

    def _compare(self, command: Command, memory: AddressSpace, page: int, finish: Finish) -> None:
        offset, size = self._extent(command)
        data = views(memory, self._data(command, memory, page, size), write=False)
        content = bytearray(size)

        def done(errno: int) -> None:
            same = Status.SUCCESS if b"".join(data) == content else Status.COMPARE_FAILURE
            finish(Status.READ_ERROR if errno else same)

        self.drive.read([memoryview(content)], offset, done)

    def _write_zeroes(self, command: Command, memory: AddressSpace, page: int, finish: Finish) -> None:
        offset, size = self._extent(command)
        unmap = bool(command.word12 & _DEALLOCATE)
        self.drive.write_zeroes(offset, size, unmap, self._lasting(command, finish))

    def _verify(self, command: Command, memory: AddressSpace, page: int, finish: Finish) -> None:
        offset, size = self._extent(command)
        if size > self.largest:
            raise CommandError(Status.INVALID_FIELD)
        self.drive.read([memoryview(bytearray(size))], offset, _result(finish, Status.READ_ERROR))

    def _dataset_management(self, command: Command, memory: AddressSpace, page: int, finish: Finish) -> None:
        count = (command.word10 & 0xFF) + 1
        raw = b"".join(views(memory, self._data(command, memory, page, count * _RANGE.size), write=False))
        ranges = [(first << self.block_bits, blocks << self.block_bits) for _, blocks, first in _RANGE.iter_unpack(raw)]
        if not command.word11 & _DISCARD:    # other attributes are hints
            finish(Status.SUCCESS)
        elif not all(self.drive.contains(*extent) for extent in ranges):
            raise CommandError(Status.LBA_OUT_OF_RANGE)
        else:
            _Discards(self.drive, [extent for extent in ranges if extent[1]], finish).go_on(0)

    _ACTIONS: ClassVar[dict[int, Action]] = {
        Io.FLUSH: _flush, Io.READ: _read, Io.WRITE: _write, Io.COMPARE: _compare, Io.WRITE_ZEROES: _write_zeroes,
        Io.VERIFY: _verify, Io.DATASET_MANAGEMENT: _dataset_management,
    }

    # --- inside

    def _extent(self, command: Command) -> tuple[int, int]:
        first, blocks = command.word11 << 32 | command.word10, (command.word12 & 0xFFFF) + 1
        if first + blocks > self.blocks:
            raise CommandError(Status.LBA_OUT_OF_RANGE)
        return first << self.block_bits, blocks << self.block_bits

    def _data(self, command: Command, memory: AddressSpace, page: int, size: int) -> list[Piece]:
        if size > self.largest:
            raise CommandError(Status.INVALID_FIELD)
        return pieces(memory, command.prp1, command.prp2, size, page)

    def _lasting(self, command: Command, finish: Finish) -> Callable[[int], None]:
        """What to do after a write: flush it, too, if the guest wants it to last."""
        end = _result(finish, Status.WRITE_FAULT)
        if not command.word12 & _FORCE_UNIT_ACCESS:
            return end
        return lambda errno: end(errno) if errno else self.drive.flush(end)



class _Discards:
    """Ranges to discard, one after the other: a guest may give very many."""

    def __init__(self, drive: Drive, ranges: Sequence[tuple[int, int]], finish: Finish) -> None:
        self._drive, self._ranges, self._finish = drive, deque(ranges), finish
        self._failed = 0
        self._idle, self._looping = True, False

    def go_on(self, errno: int) -> None:
        """A range is done, perhaps before `discard` has returned; begin the next."""
        self._failed, self._idle = self._failed or errno, True
        if self._looping:
            return
        self._looping = True
        while self._idle and self._ranges:
            self._idle = False
            self._drive.discard(*self._ranges.popleft(), self.go_on)
        self._looping = False
        if self._idle:
            self._finish(Status.WRITE_FAULT if self._failed else Status.SUCCESS)


def _result(finish: Finish, failure: Status) -> Callable[[int], None]:
    return lambda errno: finish(failure if errno else Status.SUCCESS)
