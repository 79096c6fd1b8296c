"""What whoever runs a machine asks of its kind of processor. Each folder of boards has a `family.py` with a class
`BoardFamily` that does what `Family` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any, Protocol

from ratite.boards.machine import Machine
from ratite.cpu.engine import Engine
from ratite.cpu.scheduler import Processor
from ratite.hw.model import CharBackend, Clock
from ratite.isa.arch import Arch
from ratite.isa.target import FOLDERS, find_target


class Family(Protocol):
    """The processors of a machine, from `-cpu` to the first instruction."""

    def __init__(self, arch: str, cpu: str) -> None:
        """`cpu` is the argument of `-cpu`, or empty. Raises UsageError."""

    def make_arch(self, machine: Machine) -> Arch:
        """The instruction set of the machine's processors."""

    def make_processor(self, engine: Engine, number: int, clock: Clock, lock: AbstractContextManager[Any]) -> Processor:
        """A processor; the machine connects it."""

    def power_on(self, machine: Machine, processors: Sequence[Any], console: CharBackend | None) -> None:
        """The machine is built, or was reset: do what firmware inside Ratite has to do. Raises UsageError."""


def find_family(arch: str, cpu: str) -> Family:
    """The family of an architecture. Raises UsageError."""
    find_target(arch)
    made: Family = import_module(f"ratite.boards.{FOLDERS[arch]}.family").BoardFamily(arch, cpu)
    return made
