"""Bringing kernels, firmware and RAM disks from files into guest memory."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ratite.boards.support import elf
from ratite.errors import ImageError, MemoryAccessError
from ratite.memory import AddressSpace

GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class Image:
    """A file's content and where it goes: pieces as (address, bytes, size in memory).

    `end` is the first address behind all that the image will use of memory.
    """

    name: str
    entry: int
    pieces: tuple[tuple[int, bytes, int], ...]
    reserve: int = 0
    """Bytes from the first piece on that belong to the image, where it says so itself."""

    @property
    def start(self) -> int:
        """The lowest address."""
        return min(address for address, _, _ in self.pieces)

    @property
    def end(self) -> int:
        """Behind the highest."""
        return max(self.start + self.reserve, *(address + size for address, _, size in self.pieces))


class Loader:
    """Loads an image at each reset. The file is read once to plan the machine, and once more at each later reset, so
    that a large kernel is not kept in the host's memory.
    """

    def __init__(self, read: Callable[[], Image]) -> None:
        self._read = read
        self._fresh: Image | None = read()
        self.name, self.entry = self._fresh.name, self._fresh.entry
        self.start, self.end = self._fresh.start, self._fresh.end
        self.spans = tuple((address, size) for address, _, size in self._fresh.pieces)

    def load_into(self, memory: AddressSpace) -> None:
        """Write the image into guest memory. Raises ImageError when it does not fit there."""
        image, self._fresh = self._fresh or self._read(), None
        for address, data, size in image.pieces:
            try:
                view = memory.dma_view(address, size)
            except MemoryAccessError:
                raise ImageError(f"'{image.name}' does not fit: there is no RAM for {size:#x} bytes at {address:#x}"
                                 ) from None
            view[:len(data)] = data
            for start in range(len(data), size, 1 << 20):
                view[start:start + (1 << 20)] = bytes(min(size - start, 1 << 20))
            memory.note_write(address, size)


def read_file(what: str, path: str, limit: int) -> bytes:
    """The content of a file. Raises ImageError when it cannot be read or has more than `limit` bytes."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > limit:
                raise ImageError(f"{what} '{path}' has {size} bytes, more than the {limit} that there is room for")
            data = file.read(limit + 1)
    except OSError as error:
        raise ImageError(f"{what} '{path}' cannot be read: {error.strerror}") from None
    if not data:
        raise ImageError(f"{what} '{path}' is empty")
    if len(data) > limit:
        raise ImageError(f"{what} '{path}' has more than the {limit} bytes that there is room for")
    return data


def unzip(what: str, path: str, data: bytes, limit: int) -> bytes:
    """Undo gzip where `data` has it. Raises ImageError when it is damaged or expands beyond `limit` bytes."""
    if not data.startswith(GZIP_MAGIC):
        return data
    expander = zlib.decompressobj(wbits=31)
    try:
        plain = expander.decompress(data, limit + 1)
    except zlib.error as error:
        raise ImageError(f"{what} '{path}' is damaged: {error}") from None
    if len(plain) > limit or not expander.eof:
        reason = f"expands to more than {limit} bytes" if len(plain) > limit else "ends early"
        raise ImageError(f"{what} '{path}' is compressed and {reason}")
    return plain


def flat_image(name: str, data: bytes, address: int, reserve: int = 0) -> Image:
    """A file without a format of its own, entered at its first byte."""
    return Image(name, address, ((address, data, len(data)),), reserve)


def elf_image(name: str, data: bytes, *, machine: int, bits: Iterable[int]) -> Image:
    """An ELF file, by its physical addresses. Raises ImageError when it is for another machine."""
    file = elf.parse(name, data)
    if file.machine != machine or file.bits not in bits:
        raise ImageError(f"'{name}' is an ELF file of {file.bits} bits for machine {file.machine}, not for this CPU "
                         f"(machine {machine}, {' or '.join(map(str, bits))} bits)")
    pieces = tuple((one.physical, one.data, one.memory_size) for one in file.segments)
    return Image(name, file.physical_entry(), pieces)
