"""What the kit must know of an instruction set: one `profile(name)` in the module of the ISA's folder name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module

from ratite.errors import unknown
from ratite.isa.arch import Arch
from ratite.isa.dsl import Insn
from ratite.isa.target import FOLDERS
from ratite.testing.conformance.assembly import Disassembler
from ratite.testing.conformance.cases import Subject
from ratite.testing.conformance.linux_peer import Target
from ratite.testing.conformance.native import Handles
from ratite.testing.conformance.report import Skip, Version, View
from ratite.testing.conformance.unicorn_peer import Binding


@dataclass(frozen=True)
class Round:
    """Operands for a part of the instructions."""

    name: str
    subject: Subject
    includes: Callable[[Insn], bool] = lambda insn: True


@dataclass(frozen=True)
class Profile:
    """An instruction set as a subject of all that the kit does.

    rounds: cases, of user mode. machine: the same in a bare machine. events: what exceptions are, by cause. handles: what is
    particular about that machine. target: its part of the Linux program for emulators. qemu: names of QEMU's user-mode
    emulator, and its options in a version; user_options: those of Ratite's. skips, views: what engines do otherwise.
    disassemblers: those that know it. unicorn: how Unicorn names it, if it does.
    """

    name: str
    rounds: Sequence[Round]
    machine: Callable[[], Arch]
    events: Mapping[int, str]
    handles: Handles
    target: Target
    qemu: Sequence[str]
    qemu_options: Callable[[Version], Sequence[str]]
    skips: Sequence[Skip]
    disassemblers: Sequence[Disassembler]
    views: Mapping[str, View] = field(default_factory=dict)
    unicorn: Callable[[], Binding] | None = None
    user_options: Sequence[str] = ()

    @property
    def insns(self) -> Sequence[Insn]:
        """All instructions of user mode."""
        return self.rounds[0].subject.arch.decoder.insns


def find_profile(name: str) -> Profile:
    """The profile of an instruction set by its name, as in programs' names. Raises UsageError for one that there is not."""
    if name not in FOLDERS:
        raise unknown("instruction set", name, FOLDERS)
    found: Profile = import_module(f"ratite.testing.conformance.{FOLDERS[name]}").profile(name)
    return found
