"""Translations of earlier runs, on disk beside the stencil library: placed machine code by the content of guest pages.

A file belongs to one library key, that is to one version of everything that determines code. It begins with a magic line and is a sequence of
records, the newest of a page last:

    length (4 bytes), CRC-32 of the rest (4), page (16): digest of its bytes and its context; then the record, marshalled

    (code, relocations, offsets, places, published, pending, constants, second)

relocations as in `ratite.cpu.placing`, those to constants numbered from `_CONSTANT` on; offsets and places of the instructions, sorted by place;
published: offsets to enter in the table that native code searches; pending: branches to offsets that the record does not have;
second: the first 16-bit unit of the page after it, where code depends on that.

What else has names like pages may have records too (`ratite.cpu.regionstore`).

Writers append under a lock; a record that is cut off or damaged is skipped, and what follows a cut-off one is written over. A file that has grown
beyond its limit is begun anew.
"""

from __future__ import annotations

import fcntl
import marshal
import mmap
import os
import struct
import zlib
from array import array

from ratite.codegen.library import prune
from ratite.codegen.placing import RELOCATE_ABSOLUTE, RELOCATE_MISS, RELOCATE_SYMBOL
from ratite.cpu.codepage import CodePage, Unit
from ratite.cpu.placing import goto_image
from ratite.digest import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ratite.cpu.engine import Engine

_MAGIC = b"ratite pages 3\n"
_HEAD = struct.Struct("<II16s")
#: Largest file, in bytes.
_LIMIT = 256 << 20
#: After how many pages memory is given back.
_BREATH = 64
#: Most bytes that one run adds.
_MOST_NEWS = 96 << 20
#: Number of the first constant in the relocations of a record.
_CONSTANT = 1 << 15
#: A page is written again when it has this part more instructions than its record, and of a process, as long as it is so many bytes in all, when
#: it has any: translating the first one takes longer than all else that a short program does.
_NEWS, _LITTLE = 1 / 64, 1 << 20

_Record = tuple[bytes, bytes, bytes, bytes, bytes, tuple[tuple[int, int], ...], tuple[bytes, ...], int | None]


def page_digest(data: bytes, context: int) -> bytes:
    """What names a page: its bytes, and the context for which it is translated."""
    return blake2b(data, digest_size=16, key=bytes((context,))).digest()


class PageStore:
    """The file of one library, and what this run adds to it. persistent: it is read and written."""

    def __init__(self, engine: Engine, persistent: bool) -> None:
        self._engine, self.persistent = engine, persistent
        self.path = engine.library.beside(".pages")
        self._index: dict[bytes, tuple[int, int]] = {}
        self._map: mmap.mmap | None = None
        self._inode, self._end = 0, len(_MAGIC)  # of the file that was read, and how far
        self._new: dict[bytes, bytes] = {}
        self._news = 0
        self.restored = 0
        if self.persistent:
            self._open()

    def _open(self) -> None:
        try:
            with open(self.path, "rb") as f:
                status = os.fstat(f.fileno())
                if status.st_size <= len(_MAGIC):
                    return
                os.utime(f.fileno())  # in use, for `prune`
                found = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
        except OSError:
            return
        if found[: len(_MAGIC)] != _MAGIC:
            return
        self._map, self._inode = found, status.st_ino
        for name, at, size in _records(found, self._end):
            self._index[name] = at, size
            self._end = at + size

    def _read(self, name: bytes) -> _Record | None:
        body = self.find(name)
        if body is None:
            return None
        record: _Record = marshal.loads(body)
        return record

    def find(self, name: bytes) -> bytes | None:
        """The record of a name."""
        body = self._new.get(name)
        if body is None:
            found = self._index.get(name)
            if found is None or self._map is None:
                return None
            at, size = found
            body = self._map[at : at + size]
            if _HEAD.unpack_from(self._map, at - _HEAD.size)[1] != _checksum(name, body):
                del self._index[name]
                return None
        return body

    def add(self, name: bytes, body: bytes) -> None:
        """Take a record, to be written at the end; none that is known is replaced."""
        if self.persistent and name not in self._new and name not in self._index and self._news <= _MOST_NEWS:
            self._new[name] = body
            self._news += len(body)

    # --- placing what is known ------------------------------------------------------------------------------------------------------
    def restore(self, page: CodePage, data: bytes) -> None:
        """Place what an earlier run has translated of a page with these bytes."""
        page.name = page_digest(data, page.key[2])
        record = self._read(page.name)
        if record is None or self._engine.has_many_constants:  # translating it makes room for them
            return
        code, relocations, offsets, places, published, pending, constants, second = record
        engine = self._engine
        if second is not None:
            following = engine.next_page(page)
            if following is None or following[0] != second:
                return
        try:
            base = engine.memory.put(code)
        except MemoryError:
            return  # translation empties the memory, and then it fits
        unit = Unit(page, base, len(code), len(code))
        unit.pcs.frombytes(offsets)
        unit.places.frombytes(places)
        unit.relocations.frombytes(relocations)
        if constants:
            _renumber(unit.relocations, {_CONSTANT + n: engine.symbol_index(c) for n, c in enumerate(constants)})
        engine.placer.restore(page, unit, array("H", published))
        unit.links, unit.second = list(pending), second
        for place, target in pending:
            page.pending.setdefault(target, []).append(base + place)
        engine.translator.register(unit)
        page.kept = page.known
        self.restored += 1
        if self.restored % _BREATH == 0 and self._map is not None:  # what has been read is not needed again
            self._map.madvise(mmap.MADV_DONTNEED)
            engine.memory.release()

    # --- keeping what is new --------------------------------------------------------------------------------------------------------
    def keep(self, page: CodePage) -> None:
        """Take the translations of a page, whose bytes are still those which were translated, if enough of them is new."""
        enough = 0 if self._engine.user is not None and self._news <= _LITTLE else _NEWS
        if not self.persistent or page.known <= page.kept * (1 + enough) or self._news > _MOST_NEWS:
            return
        page.kept = page.known
        now, first = page.data.tobytes(), page.before_writes
        self._take(page, page_digest(now, page.key[2]), page.units)
        if first is not None and first != now and page_digest(first, page.key[2]) == page.name:
            # The next run will look for the page as it was before what lies beside the code was written.
            self._take(page, page.name, [unit for unit in page.units if self._is_of(unit, first)])

    def _take(self, page: CodePage, name: bytes, units: list[Unit]) -> None:
        body = marshal.dumps(_Joined(self._engine, page, units).record())
        before = self._new.get(name)
        size = len(before) if before is not None else self._index.get(name, (0, 0))[1]
        if len(body) > size:  # the same page may have been translated for another address, and more of it
            self._new[name] = body
            self._news += len(body)

    def _is_of(self, unit: Unit, data: bytes) -> bool:
        """Whether the instructions of a unit are also those of a page with other bytes."""
        page, long = unit.page, self._engine.arch.long
        before = memoryview(data).cast("H")
        return all(before[n] == page.data[n] for at in unit.pcs for n in range(at >> 1, min((at >> 1) + long[page.data[at >> 1]], page.limit)))

    def forget(self) -> None:
        """Leave what is known so far to the parent process: this is the child of a fork."""
        self._new.clear()
        self._news = 0
        for page in self._engine.pages.values():
            page.kept = page.known

    def close(self) -> None:
        """Write what is new to disk; where that is not possible the next start only takes longer."""
        for page in self._engine.pages.values():
            self.keep(page)
        if not self._new or not self.persistent:
            return
        try:
            self._append()
            prune(os.path.dirname(self.path), self.path)
        except OSError:
            pass

    def _append(self) -> None:
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        with open(self._engine.library.beside(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with open(self.path, "a+b") as f:
                os.fchmod(f.fileno(), 0o600)
                end = self._catch_up(f.fileno())
                parts = []
                for name, body in self._new.items():
                    if len(body) > self._index.get(name, (0, 0))[1]:
                        parts += [_HEAD.pack(len(body), _checksum(name, body), name), body]
                if not end or end + sum(map(len, parts)) > _LIMIT:
                    self._begin(parts)
                elif parts:
                    f.truncate(end)
                    f.write(b"".join(parts))

    def _begin(self, parts: list[bytes]) -> None:
        """A new file; whoever has mapped the old one keeps that."""
        fresh = self._engine.library.beside(".fresh")
        with open(fresh, "wb") as f:
            os.fchmod(f.fileno(), 0o600)
            f.write(_MAGIC + b"".join(parts))
        os.replace(fresh, self.path)

    def _catch_up(self, fd: int) -> int:
        """Learn what others have added. Where the last whole record ends; 0 where there is no usable file."""
        if os.fstat(fd).st_size <= len(_MAGIC):
            self._index.clear()
            return 0
        with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as m:
            same = (status := os.fstat(fd)).st_ino == self._inode and status.st_size >= self._end
            if not same:
                self._index.clear()
                self._end = len(_MAGIC)
            if m[: len(_MAGIC)] != _MAGIC:
                return 0
            for name, at, size in _records(m, self._end):
                self._index[name] = at, size
                self._end = at + size
        return self._end


def _checksum(name: bytes, body: bytes) -> int:
    """Tells a damaged record. Nobody but the user writes here, and a start reads 20 MB: a digest of that takes a tenth of a second."""
    return zlib.crc32(body, zlib.crc32(name))


def _records(m: mmap.mmap, start: int) -> list[tuple[bytes, int, int]]:
    """Name, place and length of every record from `start` on, up to one that is cut off."""
    found = []
    at, size, head = start, len(m), _HEAD.size
    while at + head <= size:
        length, _, name = _HEAD.unpack_from(m, at)
        at += head
        if at + length > size:
            break
        found.append((name, at, length))
        at += length
    return found


def _renumber(relocations: array[int], numbers: dict[int, int]) -> None:
    """Replace the numbers of symbols in relocations."""
    for i in range(0, len(relocations), 3):
        kind, value = relocations[i + 1], relocations[i + 2]
        if kind in (RELOCATE_SYMBOL, RELOCATE_ABSOLUTE):
            number = numbers.get(value >> 32)
            if number is not None:
                relocations[i + 2] = number << 32 | value & 0xFFFFFFFF


class _Joined:
    """The portable ones of some units of a page as one piece of code."""

    def __init__(self, engine: Engine, page: CodePage, units: list[Unit]) -> None:
        self._engine, self._page = engine, page
        self._memo = engine.translator.memos[page.key[2]]
        self._code = bytearray()
        self._relocations: list[int] = []
        self._places: list[int] = []
        self._offsets: list[int] = []
        self._links: list[tuple[int, int]] = []
        self._units = [unit for unit in units if unit.portable]
        for unit in self._units:
            self._add(unit)
        self._at = dict(zip(self._offsets, self._places, strict=True))
        self._pending: list[tuple[int, int]] = []
        self._stubs: dict[int, int] = {}
        for place, target in self._links:
            self._link(place, target)

    def _add(self, unit: Unit) -> None:
        at = len(self._code)
        self._code += self._engine.memory.read(unit.start, unit.size)
        for site, before in self._page.detours.items():
            if 0 <= site - unit.start < unit.size:
                self._code[at + site - unit.start : at + site - unit.start + len(before)] = before
        self._code += bytes(-len(self._code) % 16)
        self._places += [at + place for place in unit.places]
        self._offsets += unit.pcs
        table = unit.relocations
        for i in range(0, len(table), 3):
            value = table[i + 2] + at if table[i + 1] == RELOCATE_MISS else table[i + 2]  # its lower half is a place too
            self._relocations += (table[i] + at, table[i + 1], value)
        self._links += [(at + place, target) for place, target in unit.links]

    def _link(self, place: int, target: int) -> None:
        to = self._at.get(target)
        if to is None:
            self._pending.append((place, target))
            to = self._stubs.get(target)
            if to is None:
                to = self._stubs[target] = len(self._code)
                code, relocations = goto_image(self._memo, to, target)
                self._code += code
                self._code += bytes(-len(self._code) % 16)
                self._relocations += relocations
        struct.pack_into("<i", self._code, place, to - place - 4)

    def record(self) -> _Record:
        """What is kept of the page."""
        relocations = array("q", self._relocations)
        constants = self._constants(relocations)
        order = sorted(range(len(self._places)), key=self._places.__getitem__)
        return (
            bytes(self._code),
            relocations.tobytes(),
            array("H", [self._offsets[n] for n in order]).tobytes(),
            array("I", [self._places[n] for n in order]).tobytes(),
            array("H", sorted(self._page.published & self._at.keys())).tobytes(),
            tuple(self._pending),
            constants,
            next((u.second for u in self._units if u.second is not None), None),
        )

    def _constants(self, relocations: array[int]) -> tuple[bytes, ...]:
        """Give the constants of the relocations numbers of their own."""
        numbers: dict[int, int] = {}
        constants: list[bytes] = []
        for i in range(0, len(relocations), 3):
            if relocations[i + 1] in (RELOCATE_SYMBOL, RELOCATE_ABSOLUTE):
                number = relocations[i + 2] >> 32
                data = None if number in numbers else self._engine.constant_of(number)
                if data is not None:
                    numbers[number] = _CONSTANT + len(constants)
                    constants.append(data)
        if numbers:
            _renumber(relocations, numbers)
        return tuple(constants)
