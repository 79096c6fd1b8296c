"""Base address registers: what a function shows in memory and I/O space, and where the guest put it.

PCI Local Bus 3.0, chapter 6.2.5. A register is written with ones to learn the size: the bits below the size stay zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from ratite.errors import DefinitionError
from ratite.memory import IoDevice

_WORD = 0xFFFF_FFFF


class Space(Enum):
    """The two spaces in which functions answer, besides configuration space."""

    IO = "I/O"
    MEMORY = "memory"


class Claim(NamedTuple):
    """Addresses from `start` up to `end` at which `target` answers; it knows `start` as `offset`."""

    start: int
    end: int
    offset: int
    target: IoDevice

    def clipped(self, start: int, end: int) -> Claim | None:
        """The part of it between two addresses."""
        low, high = max(self.start, start), min(self.end, end)
        return Claim(low, high, self.offset + low - self.start, self.target) if low < high else None


@dataclass(frozen=True)
class Bar:
    """One base address register, or a pair when it has 64 bits.

    `size` is a power of two, at least 16 bytes of memory or 4 of I/O; `target` answers in it.
    """

    index: int
    size: int
    target: IoDevice
    space: Space = Space.MEMORY
    wide: bool = False
    """Whether the address has 64 bits; the next register then holds its upper half."""
    prefetchable: bool = False

    def __post_init__(self) -> None:
        least = 4 if self.space is Space.IO else 16
        if self.size < least or self.size & (self.size - 1):
            raise DefinitionError(f"a base address register of {self.size} bytes is impossible")

    @property
    def kind_bits(self) -> int:
        """The low bits, which say what it is."""
        if self.space is Space.IO:
            return 1
        return 4 * self.wide | 8 * self.prefetchable

    def masks(self) -> list[int]:
        """The writable bits of each of its registers."""
        mask = -self.size
        return [mask & _WORD, mask >> 32 & _WORD] if self.wide else [mask & _WORD]

    def claim(self, words: list[int]) -> Claim | None:
        """Where it answers when its registers hold these words; address 0 means that nobody has placed it."""
        address = (words[0] | (words[1] << 32 if self.wide else 0)) & -self.size
        return Claim(address, address + self.size, 0, self.target) if address else None


class RomImage:
    """The expansion ROM: bytes that a guest may read through the ROM base address register."""

    def __init__(self, content: bytes) -> None:
        self.size = max(2048, 1 << (len(content) - 1).bit_length())
        self._content = content.ljust(self.size, b"\xff")

    def mmio_read(self, offset: int, size: int) -> int:
        """Part of the image."""
        return int.from_bytes(self._content[offset:offset + size], "little")

    def mmio_write(self, offset: int, size: int, value: int) -> None:
        """A ROM keeps what it has."""
