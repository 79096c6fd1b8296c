"""Names of guest functions: from ELF files, from System.map or /proc/kallsyms, and from the files that a process has mapped.

ELF: System V gABI, chapters 4 (symbol table) and 5 (program header); little-endian files of either width. A file that was stripped has its
dynamic symbols at least. What is not read: separate debug files, and relocated addresses (boot the kernel with `nokaslr`, or take its own
/proc/kallsyms).
"""

from __future__ import annotations

import os
import re
import struct
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ratite.errors import ImageError, UsageError

Find = Callable[[int], "Symbol | None"]

#: Farthest from the start of a symbol whose size is not known.
_REACH = 1 << 20
_MAGIC = b"\x7fELF"
_SYMTAB, _DYNSYM = 2, 11
_FUNCTION, _INDIRECT = 2, 10
_LOAD = 1
#: What a line of System.map or kallsyms may be: address, type, name, perhaps a module. Types t and w are code.
_LINE = re.compile(r"^([0-9a-fA-F]{4,16}) ([tTwW]) (\S+)(?:\s+\[(\S+)\])?$")


class Symbol(NamedTuple):
    """A function. size 0: not known. file: where it is from, empty for the kernel or the one file that there is."""

    start: int
    size: int
    name: str
    file: str = ""


class Symbols:
    """Functions by address."""

    def __init__(self, symbols: Iterable[Symbol]) -> None:
        best: dict[int, Symbol] = {}
        for symbol in symbols:
            known = best.get(symbol.start)
            if known is None or _rank(symbol) > _rank(known):
                best[symbol.start] = symbol
        self._starts = sorted(best)
        self._symbols = [best[start] for start in self._starts]

    def __len__(self) -> int:
        return len(self._symbols)

    def find(self, address: int) -> Symbol | None:
        """The function at an address, None where there is none."""
        n = bisect_right(self._starts, address) - 1
        if n < 0:
            return None
        symbol = self._symbols[n]
        return symbol if address - symbol.start < (symbol.size or _REACH) else None


def _rank(symbol: Symbol) -> tuple[bool, bool, int]:
    """Of several names for an address the one with a size, without leading underscores, and the shortest."""
    return symbol.size > 0, not symbol.name.startswith("_"), -len(symbol.name)


def load(path: str) -> Symbols:
    """The functions in a file of the user's: ELF, System.map or kallsyms. Raises UsageError and ImageError."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"symbols '{path}': {error.strerror}") from None
    found = Symbols(ElfFile(data, path).symbols()) if data[:4] == _MAGIC else _from_text(data)
    if not len(found):
        raise ImageError(f"'{path}' has no symbols: neither an ELF file that was not stripped, nor lines of System.map or kallsyms")
    return found


def _from_text(data: bytes) -> Symbols:
    matches = (_LINE.match(line) for line in data.decode(errors="replace").splitlines())
    found = [Symbol(int(m[1], 16), 0, m[3], m[4] or "") for m in matches if m]
    return Symbols([] if all(symbol.start == 0 for symbol in found) else found)  # zeros are what a user without rights reads


class ElfFile:
    """The symbols and segments of an ELF file. Raises ImageError where it is damaged."""

    def __init__(self, data: bytes, name: str) -> None:
        self._data, self._name = data, name
        self._wide = data[4:5] == b"\2"
        if len(data) < 64 or data[4] not in (1, 2) or data[5] != 1:
            raise ImageError(f"'{name}' is not a little-endian ELF file of 32 or 64 bits")

    def symbols(self) -> list[Symbol]:
        """All functions, at the addresses for which the file was linked."""
        try:
            sections = self._sections()
            tables = [s for s in sections if s[1] == _SYMTAB] or [s for s in sections if s[1] == _DYNSYM]
            return [symbol for table in tables for symbol in self._table(table, sections)]
        except (struct.error, IndexError):
            raise ImageError(f"'{self._name}' is a damaged ELF file") from None

    def loads(self) -> list[tuple[int, int, int]]:
        """The loaded segments: offset in the file, bytes there, address."""
        layout = struct.Struct("<IIQQQQQQ" if self._wide else "<IIIIIIII")
        offset, size, count = self._table_place(32, 28, 54, 42)
        try:
            rows = [layout.unpack_from(self._data, offset + n * size) for n in range(count)]
        except struct.error:
            raise ImageError(f"'{self._name}' is a damaged ELF file") from None
        if self._wide:
            return [(row[2], row[5], row[3]) for row in rows if row[0] == _LOAD]
        return [(row[1], row[4], row[2]) for row in rows if row[0] == _LOAD]

    def _table_place(self, wide_at: int, narrow_at: int, wide_size: int, narrow_size: int) -> tuple[int, int, int]:
        """Offset, size of an element and number of elements of a table that the header tells of."""
        offset = struct.unpack_from("<Q" if self._wide else "<I", self._data, wide_at if self._wide else narrow_at)[0]
        size, count = struct.unpack_from("<HH", self._data, wide_size if self._wide else narrow_size)
        return offset, size, count

    def _sections(self) -> list[tuple[int, ...]]:
        layout = struct.Struct("<IIQQQQIIQQ" if self._wide else "<IIIIIIIIII")
        offset, size, count = self._table_place(40, 32, 58, 46)
        return [layout.unpack_from(self._data, offset + n * size) for n in range(count)]

    def _table(self, table: tuple[int, ...], sections: Sequence[tuple[int, ...]]) -> list[Symbol]:
        strings = self._data[sections[table[6]][4] :][: sections[table[6]][5]]
        layout = struct.Struct("<IBBHQQ" if self._wide else "<IIIBBH")
        body = self._data[table[4] : table[4] + table[5] // layout.size * layout.size]
        found = []
        for row in layout.iter_unpack(body):
            name, info, section, start, size = (row[0], row[1], row[3], row[4], row[5]) if self._wide else (row[0], row[3], row[5], row[1], row[2])
            if section and info & 15 in (_FUNCTION, _INDIRECT):
                end = strings.find(b"\0", name)
                found.append(Symbol(start, size, strings[name:end].decode(errors="replace")))
        return found


class Mapping(NamedTuple):
    """A part of a file in a process's memory: guest addresses [start, end), the place in the file, the file."""

    start: int
    end: int
    offset: int
    path: str


class MappedFiles:
    """Functions of a process, by the files that it has mapped; those are read when they are first asked for."""

    def __init__(self, mappings: Callable[[], Iterable[Mapping]]) -> None:
        self._mappings = mappings
        self._known: list[Mapping] = []
        self._files: dict[str, tuple[list[tuple[int, int, int]], Symbols] | None] = {}

    def find(self, address: int) -> Symbol | None:
        """The function at an address of the process, moved to where it is."""
        mapping = self._mapping(address)
        file = None if mapping is None else self._file(mapping.path)
        if mapping is None or file is None:
            return None
        at = address - mapping.start + mapping.offset
        loads, symbols = file
        for offset, size, linked in loads:
            if offset <= at < offset + size:
                found = symbols.find(at - offset + linked)
                moved = address - (at - offset + linked)
                return found and Symbol(found.start + moved, found.size, found.name, os.path.basename(mapping.path))
        return None

    def _mapping(self, address: int) -> Mapping | None:
        for mapping in self._known:
            if mapping.start <= address < mapping.end:
                return mapping
        self._known = [m for m in self._mappings() if m.path.startswith("/")]
        return next((m for m in self._known if m.start <= address < m.end), None)

    def _file(self, path: str) -> tuple[list[tuple[int, int, int]], Symbols] | None:
        if path not in self._files:
            try:
                data = Path(path).read_bytes()
                elf = ElfFile(data, path) if data[:4] == _MAGIC else None
                self._files[path] = None if elf is None else (elf.loads(), Symbols(elf.symbols()))
            except (OSError, ImageError):
                self._files[path] = None
        return self._files[path]


def first_of(finders: Sequence[Find]) -> Find:
    """Ask one after the other."""

    def find(address: int) -> Symbol | None:
        return next((symbol for finder in finders if (symbol := finder(address)) is not None), None)

    return find
