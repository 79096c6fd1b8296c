"""The boards that there are: names, architectures, options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from ratite.bits import MiB
from ratite.errors import DefinitionError, unknown
from ratite.hw.model.properties import STR, Property, PropertyOwner
from ratite.isa import ARCHITECTURES

if TYPE_CHECKING:
    from ratite.boards.machine import Machine

FOLDERS = sorted({architecture.folder for architecture in ARCHITECTURES.values()})
"""The folders that hold boards, one file a board; an instruction set's has its name."""


class MachineOptions(PropertyOwner):
    """Options of every board, as in `-M NAME,kernel=FILE`; a board that has more derives from this."""

    kernel = Property(STR, "", "kernel file")
    initrd = Property(STR, "", "initial RAM disk file")
    append = Property(STR, "", "kernel command line")
    dtb = Property(STR, "", "device tree file, in place of the board's own tree")
    firmware = Property(STR, "", "firmware file, 'none', 'builtin' for Ratite's own, or 'default'")
    dumpdtb = Property(STR, "", "write the device tree to this file and end")
    dt_compatible = Property(STR, "", "what the device tree calls the machine")

    @classmethod
    def kind_name(cls) -> str:
        return "machine"


@dataclass(frozen=True)
class Board:
    """A board: `build` records its parts into a Machine."""

    name: str
    arch: tuple[str, ...]
    summary: str
    build: Callable[[Machine], None]
    options: type[MachineOptions]
    ram_size: int
    """Bytes of RAM when the user does not say."""
    max_cpus: int


BOARDS: dict[tuple[str, str], Board] = {}
"""Every board that has been imported, by architecture and name."""


def board(
    name: str, *, arch: tuple[str, ...], summary: str, options: type[MachineOptions] = MachineOptions,
    ram_size: int = 128 * MiB, max_cpus: int = 1,
) -> Callable[[Callable[[Machine], None]], Callable[[Machine], None]]:
    """Register the decorated function as the board `name` of these architectures."""
    def register(build: Callable[[Machine], None]) -> Callable[[Machine], None]:
        entry = Board(name, arch, summary, build, options, ram_size, max_cpus)
        for one in arch:
            if (one, name) in BOARDS:
                raise DefinitionError(f"two boards of {one} are called {name}")
            BOARDS[one, name] = entry
        return build

    return register


def load_all() -> None:
    """Import every board, so that BOARDS is complete."""
    for folder in FOLDERS:
        import_module(f"ratite.boards.{folder}")


def boards_of(arch: str) -> list[Board]:
    """The boards of one architecture, by name."""
    load_all()
    return [BOARDS[key] for key in sorted(BOARDS) if key[0] == arch]


def find_board(arch: str, name: str) -> Board:
    """The board with this name. Raises UsageError."""
    known = {entry.name: entry for entry in boards_of(arch)}
    if name not in known:
        raise unknown("machine", name, known)
    return known[name]
