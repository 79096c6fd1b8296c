"""The names of generated code for Linux perf: `perf record ratite-... -perfmap`, then `perf report`.

Format: a file /tmp/perf-PID.map of lines "START SIZE name", hexadecimal (Linux, tools/perf/Documentation/jit-interface.txt). perf reads it when it
reports, so entries cannot have a time: when code memory is full and begun anew, so is the file, and samples of before lose their names.
The child of a fork has a file of its own, with what it has inherited.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from ratite.cpu.codepage import RegionUnit, Unit

if TYPE_CHECKING:
    from ratite.cpu.engine import Engine

#: Instructions in a straight line are at most this far apart.
_STEP = 4


class Named(Protocol):
    """What is asked of a symbol."""

    @property
    def name(self) -> str: ...


class PerfMap:
    """Writes the file of this process. `find` names guest addresses where it can; others are shown as numbers."""

    def __init__(self, engine: Engine, find: Callable[[int], Named | None], folder: str = "/tmp") -> None:
        self._engine, self._find, self._folder = engine, find, folder
        self.restart()

    @property
    def path(self) -> str:
        """The file; after a fork, another one."""
        return f"{self._folder}/perf-{os.getpid()}.map"

    def restart(self) -> None:
        """All translations are gone: begin with the engine's own helpers."""
        with suppress(OSError):
            os.unlink(self.path)
        helpers = self._engine.helper_ranges()
        self._write([(start, size, f"ratite {name}") for start, size, name in helpers])

    def forked(self, parent: str) -> None:
        """This is the child of the process whose file is `parent`."""
        with suppress(OSError):
            with open(parent, "rb") as f:
                data = f.read()
            with suppress(OSError):
                os.unlink(self.path)
            self._append(data)

    def add(self, unit: Unit) -> None:
        """A piece of code was placed."""
        if isinstance(unit, RegionUnit):
            self._write([(unit.start, unit.size, f"{self._name(unit.page.base + unit.pcs[0])} [region]")])
        else:
            self._write(self._runs(unit))

    def _runs(self, unit: Unit) -> list[tuple[int, int, str]]:
        """The parts of a unit that are of one function, and what lies behind its instructions."""
        runs: list[tuple[int, int, str]] = []
        start, name, before = 0, "", -_STEP - 1
        for offset, place in zip(unit.pcs, unit.places, strict=True):
            found = self._find(unit.page.base + offset)
            if name and (found.name == name if found is not None else 0 < offset - before <= _STEP and name.startswith("guest ")):
                before = offset
                continue
            if name:
                runs.append((unit.start + start, place - start, name))
            start, before = place, offset
            name = self._name(unit.page.base + offset) if found is None else found.name
        runs.append((unit.start + start, unit.straight - start, name))
        if unit.size > unit.straight:
            runs.append((unit.start + unit.straight, unit.size - unit.straight, f"{runs[0][2]} [stubs]"))
        return runs

    def _name(self, pc: int) -> str:
        found = self._find(pc)
        return f"guest {pc:#x}" if found is None else found.name

    def _write(self, entries: list[tuple[int, int, str]]) -> None:
        self._append("".join(f"{start:x} {size:x} {name}\n" for start, size, name in entries if size).encode())

    def _append(self, data: bytes) -> None:
        """The file is opened each time: so it is the right one after a fork, and no descriptor is in a guest's way."""
        with suppress(OSError):
            fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, data)
            finally:
                os.close(fd)
