"""C structures of the guest and of the host, declared once by their fields' C types and laid out by a data model.

`Layout("sec:long nsec:long", LP64)` computes offsets and padding as a C compiler does. Types are `i8 u8 i16 u16 i32 u32
i64 u64 long ulong ptr`, and `p64` for an unsigned one in a packed structure; `u32*4` is an array, `raw*16` are plain
bytes. Values are Python integers (bytes for `raw`). Bit fields and nested structures are written out as plain fields.

Sources: the calling-convention documents of the ISAs for alignment; ISO C for the rest.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from ratite.user.failure import GuestFault


class DataModel:
    """How wide `long` and pointers are, how 64-bit integers are aligned, and the byte order (`<` or `>`)."""

    def __init__(self, word: int, align64: int = 8, order: str = "<") -> None:
        self.word = word
        self.align64 = align64
        self.order = order


LP64 = DataModel(8)
ILP32 = DataModel(4)
HOST = LP64

_CODES = {"i8": "b", "u8": "B", "i16": "h", "u16": "H", "i32": "i", "u32": "I", "i64": "q", "u64": "Q",
          "p64": "Q"}
_SIZES = {"i8": 1, "u8": 1, "i16": 2, "u16": 2, "i32": 4, "u32": 4, "i64": 8, "u64": 8, "p64": 8,
          "raw": 1}
_WORDS = {"long": "i", "ulong": "u", "ptr": "u"}


class Layout:
    """One structure under one data model."""

    def __init__(self, fields: str, model: DataModel) -> None:
        self.offsets: dict[str, int] = {}
        """Where each field starts; an array's elements are one field."""
        self.counts: dict[str, int] = {}
        """How many values each field has."""
        self._widths: list[int] = []
        reading, writing, offset, biggest = model.order, model.order, 0, 1
        for field in fields.split():
            name, _, kind = field.partition(":")
            kind, _, times = kind.partition("*")
            count = int(times or 1)
            if kind in _WORDS:
                kind = f"{_WORDS[kind]}{model.word * 8}"
            size = _SIZES[kind]
            align = 1 if kind == "p64" else min(size, model.align64) if size == 8 else size
            padding = -offset % align
            self.offsets[name] = offset + padding
            self.counts[name] = 1 if kind == "raw" else count
            code = f"{count}s" if kind == "raw" else _CODES[kind] * count
            reading += f"{padding}x{code}"
            writing += f"{padding}x{code.upper() if kind != 'raw' else code}"
            self._widths += [0] if kind == "raw" else [(1 << size * 8) - 1] * count
            offset += padding + size * count
            biggest = max(biggest, align)
        tail = f"{-offset % biggest}x"
        self._reader = struct.Struct(reading + tail)
        self._writer = struct.Struct(writing + tail)
        self.size = self._reader.size

    def __eq__(self, other: object) -> bool:
        """Whether two layouts are the same bytes, so that nothing needs converting."""
        return (isinstance(other, Layout) and self._reader.format == other._reader.format
                and self.offsets == other.offsets)

    __hash__ = None  # type: ignore[assignment]

    def unpack(self, data: bytes | bytearray | memoryview) -> tuple[int, ...]:
        """The values of all fields in order, arrays spread out."""
        if len(data) < self.size:
            raise GuestFault(0)
        return self._reader.unpack_from(data)

    def pack(self, values: Sequence[int]) -> bytes:
        """The structure's bytes; values that are too wide lose their upper bits, as in C."""
        return self._writer.pack(*[value & width if width else value
                                   for value, width in zip(values, self._widths, strict=True)])

    def read(self, data: bytes | bytearray | memoryview) -> dict[str, int]:
        """The values by field name; an array's name stands for its first element."""
        values = self.unpack(data)
        result, at = {}, 0
        for name, count in self.counts.items():
            result[name] = values[at]
            at += count
        return result

    def position(self, name: str, n: int = 0) -> int:
        """Which of the unpacked values is element `n` of a field; -1 for none."""
        at = 0
        for field, count in self.counts.items():
            if field == name:
                return at + n if n < count else -1
            at += count
        return -1

    def make(self, /, **fields: int) -> bytes:
        """The structure's bytes from the named fields, everything else zero. No arrays."""
        values: list[int] = []
        for name, count in self.counts.items():
            values += [fields.pop(name, 0)] + [0] * (count - 1)
        if fields:
            raise KeyError(f"no such field: {', '.join(fields)}")
        return self.pack(values)


class Converter:
    """Rewrites a structure from one layout in another, field by name; fields that the source lacks become zero."""

    def __init__(self, source: Layout, target: Layout) -> None:
        self.source = source
        self.target = target
        self._order = [source.position(name, n) for name, count in target.counts.items() for n in range(count)]

    def __call__(self, data: bytes | bytearray | memoryview) -> bytes:
        """The same values laid out as the target says."""
        values = (*self.source.unpack(data), 0)    # position -1 is this zero
        return self.target.pack([values[position] for position in self._order])
