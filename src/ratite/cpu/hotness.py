"""Where earlier runs have spent their time, on disk beside the translated pages: what one short run is not worth compiling for, several are.

The file belongs to one library key, as that of the pages does. It is a magic line, a digest of the rest (8 bytes), and records of 30 bytes, little
endian:

    page (16 bytes), when it was written (4, hours since 1970), offset in the page (2), seconds (4, floating point), seconds needed (4)

seconds: of processor time for which execution has been found there, over all runs; they halve in a fortnight. needed: from how many seconds on it
makes sense to look at the place again, 0 for any.

Who writes adds what is new to what is there then, under the lock of the pages, and replaces the file. A file that is damaged counts as none.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ratite.digest import blake2b

#: Most places that are kept, the hottest ones; fewest and most seconds of one.
MOST_PLACES, FEWEST_SECONDS, MOST_SECONDS = 2000, 0.01, 60.0
#: Hours after which seconds count half.
HALF_LIFE = 14 * 24

_MAGIC = b"ratite hotness 1\n"
_RECORD = struct.Struct("<16sIHff")
_DIGEST_SIZE = 8
#: Largest file that is looked at.
_LARGEST = len(_MAGIC) + _DIGEST_SIZE + MOST_PLACES * _RECORD.size


class Heat(NamedTuple):
    """Seconds for which execution has been found at a place, and how many are needed to look at it again."""

    seconds: float
    needed: float = 0.0

    def plus(self, other: Heat) -> Heat:
        """Both together."""
        return Heat(min(self.seconds + other.seconds, MOST_SECONDS), max(self.needed, other.needed))


_COLD = Heat(0.0)
_Places = dict[bytes, dict[int, Heat]]


class Hotness:
    """What is known of earlier runs, and what this one adds. path, lock: of the file, and of one that is locked while it is written; None: nothing is
    on disk. now: seconds since 1970. Nothing is read before somebody asks."""

    def __init__(self, path: str | None, lock: str = "", now: Callable[[], float] = time.time) -> None:
        self._path, self._lock, self._now = path, lock, now
        self._known: _Places | None = None
        self._new: _Places = {}

    def of(self, page: bytes) -> dict[int, Heat]:
        """What is known of the places of a page, by offset; what this run has added included."""
        if self._known is None:
            self._known = self._read()
        found = dict(self._known.get(page, {}))
        for offset, heat in self._new.get(page, {}).items():
            found[offset] = found.get(offset, _COLD).plus(heat)
        return found

    def add(self, page: bytes, offset: int, heat: Heat) -> None:
        """Take note that execution has been found at an offset of a page for some seconds more."""
        places = self._new.setdefault(page, {})
        places[offset] = places.get(offset, _COLD).plus(heat)

    def forget(self) -> None:
        """Leave what is new to the parent process: this is the child of a fork."""
        self._new.clear()

    def save(self) -> None:
        """Write what is new to disk; where that is not possible the next run knows less."""
        if self._path is None or not self._new:
            return
        try:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            with open(self._lock, "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._write(self._path)
        except OSError:
            return
        self._new.clear()

    def _write(self, path: str) -> None:
        self._known = self._read()
        rows = [(heat, page, offset) for page in {*self._known, *self._new} for offset, heat in self.of(page).items()]
        rows = [row for row in rows if row[0].seconds >= FEWEST_SECONDS]
        rows.sort(key=lambda row: -row[0].seconds)
        hour = self._hour()
        body = b"".join(_RECORD.pack(page, hour, offset, *heat) for heat, page, offset in rows[:MOST_PLACES])
        with open(path + "~", "wb") as f:
            os.fchmod(f.fileno(), 0o600)
            f.write(_MAGIC + _digest(body) + body)
        os.replace(path + "~", path)

    def _hour(self) -> int:
        return int(self._now() // 3600) & 0xFFFFFFFF

    def _read(self) -> _Places:
        found: _Places = {}
        for page, offset, heat in self._records():
            found.setdefault(page, {})[offset] = heat
        return found

    def _records(self) -> Iterator[tuple[bytes, int, Heat]]:
        """The records of the file, as old as they are now."""
        data = _content(self._path)
        head = len(_MAGIC) + _DIGEST_SIZE
        body = data[head:]
        if not data.startswith(_MAGIC) or len(body) % _RECORD.size or data[len(_MAGIC) : head] != _digest(body):
            return
        hour = self._hour()
        for page, written, offset, seconds, needed in _RECORD.iter_unpack(body):
            if 0 <= seconds <= MOST_SECONDS and needed >= 0:  # neither is a NaN
                yield page, offset, Heat(seconds * 0.5 ** (max(hour - written, 0) / HALF_LIFE), needed)


def _content(path: str | None) -> bytes:
    """What a file says; nothing where there is none."""
    if path is None:
        return b""
    try:
        with open(path, "rb") as f:
            return f.read(_LARGEST + 1)
    except OSError:
        return b""


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=_DIGEST_SIZE).digest()
