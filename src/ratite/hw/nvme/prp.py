"""Physical region pages: where in guest memory a command's data is (NVM Express 1.4, chapter 4.3)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from ratite.errors import MemoryAccessError
from ratite.hw.nvme.status import CommandError, Status
from ratite.memory import AddressSpace

_ENTRY = 8


class Piece(NamedTuple):
    """A run of guest memory."""

    address: int
    size: int


def pieces(memory: AddressSpace, first: int, second: int, size: int, page: int) -> list[Piece]:
    """The runs of memory that two PRP entries of a command describe, neighbours joined. Raises CommandError."""
    if first & 3:
        raise CommandError(Status.INVALID_PRP_OFFSET)
    here = min(size, page - first % page)
    result = [Piece(first, here)]
    rest = size - here
    if not rest:
        return result
    addresses = [second] if rest <= page else _listed(memory, second, (rest + page - 1) // page, page)
    for address in addresses:
        if address % page:
            raise CommandError(Status.INVALID_PRP_OFFSET)
        part = min(rest, page)
        last = result[-1]
        if last.address + last.size == address:
            result[-1] = Piece(last.address, last.size + part)
        else:
            result.append(Piece(address, part))
        rest -= part
    return result


def _listed(memory: AddressSpace, at: int, count: int, page: int) -> Sequence[int]:
    """`count` addresses from a list, whose pages are chained by their last entry."""
    found: list[int] = []
    if at & _ENTRY - 1:
        raise CommandError(Status.INVALID_PRP_OFFSET)
    while True:
        room = (page - at % page) // _ENTRY
        wanted = count - len(found)
        chained = wanted > room
        number = min(wanted, room)
        entries = struct.unpack(f"<{number}Q", read(memory, at, _ENTRY * number))
        found += entries[:-1] if chained else entries
        if not chained:
            return found
        at = entries[-1]
        if at % page:
            raise CommandError(Status.INVALID_PRP_OFFSET)


def read(memory: AddressSpace, address: int, size: int) -> bytes:
    """Guest memory. Raises CommandError where there is none."""
    try:
        return memory.dma_read(address, size)
    except MemoryAccessError:
        raise CommandError(Status.TRANSFER_ERROR) from None


def views(memory: AddressSpace, where: Sequence[Piece], *, write: bool) -> list[memoryview]:
    """Guest memory itself. Raises CommandError where there is none."""
    try:
        return [memory.dma_view(piece.address, piece.size, write=write) for piece in where]
    except MemoryAccessError:
        raise CommandError(Status.TRANSFER_ERROR) from None
