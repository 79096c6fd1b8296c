"""ELF files as images to be loaded at physical addresses (System V ABI, chapters 4 and 5)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ratite.errors import ImageError

MAGIC = b"\x7fELF"
LOAD = 1    # PT_LOAD
HEADERS = {1: struct.Struct("<HHIIIIIHHHHHH"), 2: struct.Struct("<HHIQQQIHHHHHH")}    # after the 16 bytes of e_ident
PROGRAM_HEADERS = {1: struct.Struct("<IIIIIIII"), 2: struct.Struct("<IIQQQQQQ")}


@dataclass(frozen=True)
class Segment:
    """A piece of the file, and where it goes; the memory beyond the file's bytes is zero."""

    virtual: int
    physical: int
    data: bytes
    memory_size: int


@dataclass(frozen=True)
class ElfFile:
    """What a loader needs of an ELF file."""

    bits: int
    machine: int
    entry: int
    segments: tuple[Segment, ...]

    def physical_entry(self) -> int:
        """The entry point as a physical address: kernels are linked for virtual ones."""
        for segment in self.segments:
            if segment.virtual <= self.entry < segment.virtual + segment.memory_size:
                return self.entry - segment.virtual + segment.physical
        return self.entry


def parse(name: str, data: bytes) -> ElfFile:
    """Read a little-endian ELF file; `name` is for errors. Raises ImageError when it is damaged."""
    try:
        return _parse(name, data)
    except struct.error:
        raise ImageError(f"'{name}' is not a complete ELF file") from None


def _parse(name: str, data: bytes) -> ElfFile:
    kind, order = (data[4], data[5]) if len(data) > 5 else (0, 0)
    if kind not in HEADERS or order != 1:
        raise ImageError(f"'{name}' is not a little-endian ELF file of 32 or 64 bits")
    _, machine, _, entry, table, _, _, _, entry_size, count, *_ = HEADERS[kind].unpack_from(data, 16)
    segments = []
    for index in range(count):
        fields = PROGRAM_HEADERS[kind].unpack_from(data, table + index * entry_size)
        if kind == 1:
            form, offset, virtual, physical, size, memory_size, _, _ = fields
        else:
            form, _, offset, virtual, physical, size, memory_size, _ = fields
        if form != LOAD or memory_size == 0:
            continue
        if offset + size > len(data) or size > memory_size:
            raise ImageError(f"'{name}': segment {index} is not within the ELF file")
        segments.append(Segment(virtual, physical, data[offset:offset + size], memory_size))
    if not segments:
        raise ImageError(f"'{name}' is an ELF file with nothing to load")
    return ElfFile(32 * kind, machine, entry, tuple(segments))
