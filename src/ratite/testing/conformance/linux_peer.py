"""An engine of conformance tests: instructions run one at a time in a Linux program, by an emulator or for real.

The program (`linux_peer.c` with the header of an architecture) is built with a cross compiler. It shows what user mode
shows: registers, memory, and which signal an exception becomes.
"""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ratite.testing.conformance.cases import (
    BREAKPOINT,
    CODE,
    DATA,
    DATA_SIZE,
    FAULT,
    ILLEGAL,
    MISALIGNED,
    Case,
    Outcome,
    changes,
    window,
)
from ratite.testing.conformance.confinement import confine

SOURCE = Path(__file__).with_name("linux_peer.c")

#: How an emulator tells its version.
_VERSION = re.compile(r"version (\d+)\.(\d+)")

#: For how long a program may work on its cases: with each one compiled as a region of its own, a busy machine needs many minutes.
_MOST_SECONDS = 1200
_OPTIONS = ("-O1", "-static", "-nostdlib", "-ffreestanding", "-fno-builtin", "-fno-stack-protector")
_REQUEST = struct.Struct("<2Q")

_RATITE = "ratite.testing.conformance.confinement"

_SIGNALS = {4: ILLEGAL, 5: BREAKPOINT, 7: MISALIGNED, 11: FAULT}


def engine_flags(flags: int) -> int:
    """Five sticky flags, inexact first, in the order of the engine's, which is the opposite one. Its own inverse."""
    return int(f"{flags & 31:05b}"[::-1], 2)


@dataclass(frozen=True)
class Seen:
    """What a signal frame shows: address of the instruction, registers and fields as the architecture declares them."""

    pc: int
    registers: Mapping[str, tuple[int, ...]]
    fields: Mapping[str, int]


@dataclass(frozen=True)
class Target:
    """An architecture's part of the program. header: the C file. compilers: command lines, the first one whose program
    is installed is taken. state: the C structure. pack: its values, with the instruction at an address. unpack: what
    its values mean. signals: events by signal, beside the usual ones.
    """

    header: Path
    compilers: Sequence[Sequence[str]]
    state: struct.Struct
    pack: Callable[[Case, int], Sequence[int]]
    unpack: Callable[[Case, Sequence[int]], Seen]
    signals: Mapping[int, str] = field(default_factory=dict)

    def compiler(self) -> Sequence[str] | None:
        """The command line of the compiler that is installed, or None."""
        return next((command for command in self.compilers if shutil.which(command[0])), None)

    def missing(self, *emulators: str) -> str:
        """What this machine lacks to run it in these emulators, "" if nothing."""
        absent = [tool for tool in emulators if not shutil.which(tool)]
        if not self.compiler():
            absent.insert(0, self.compilers[0][0])
        return f"{' and '.join(absent)} not installed" if absent else ""


def version_of(emulator: str) -> tuple[int, ...]:
    """The version that a program prints when it is asked, () if it prints none."""
    done = subprocess.run([emulator, "--version"], capture_output=True, text=True, check=False, timeout=60)
    found = _VERSION.search(done.stdout)
    return (int(found[1]), int(found[2])) if found else ()


class LinuxPeer:
    """Runs cases with `command`, which is followed by the program's path; the program is built in `folder`. `version`: that of
    the emulator, which skips go by. Whatever the cases are, the host stays as it is (`ratite.testing.conformance.confinement`).
    """

    def __init__(self, name: str, target: Target, command: Sequence[str], folder: Path, version: tuple[int, ...] = ()) -> None:
        self.name, self.version, self._target = name, version, target
        self._command, self._folder = [str(shutil.which(command[0]) or command[0]), *command[1:]], folder.absolute()
        self._confine: Callable[[], None] | None = confine()
        self._initial = window()
        self._answer = struct.Struct(f"<Q{target.state.size}sQ64s")

    @classmethod
    def ratite(cls, name: str, isa: str, target: Target, options: Sequence[str], folder: Path) -> LinuxPeer:
        """Ratite's user mode, which confines the program itself: it has files of its own to write."""
        peer = cls(name, target, [sys.executable, "-m", _RATITE, isa, *options], folder)
        peer._confine = None
        return peer

    @cached_property
    def _program(self) -> Path:
        program = self._folder / "linux_peer"
        compiler = self._target.compiler()
        assert compiler is not None
        header = f'-DTARGET_H="{self._target.header}"'
        subprocess.run([*compiler, *_OPTIONS, header, "-o", str(program), str(SOURCE)], check=True)
        return program

    def run(self, cases: Sequence[Case]) -> Sequence[Outcome]:
        """The outcome of each case."""
        if not cases:
            return []
        requests = window() + b"".join(self._request(case) for case in cases)
        done = subprocess.run(
            [*self._command, str(self._program)], input=requests, capture_output=True, check=False, timeout=_MOST_SECONDS,
            cwd=self._folder, start_new_session=True, preexec_fn=self._confine,
        )  # fmt: skip
        answers = list(self._answer.iter_unpack(done.stdout[: len(done.stdout) // self._answer.size * self._answer.size]))
        reached = cases[min(len(answers), len(cases) - 1)]
        assert not done.returncode, f"{self.name}: status {done.returncode} at {reached}: {done.stderr.decode()[-1000:]}"
        assert len(answers) == len(cases), f"{self.name}: {len(cases)} cases, {len(answers)} answers"
        return [self._outcome(case, answer) for case, answer in zip(cases, answers, strict=True)]

    def _request(self, case: Case) -> bytes:
        return _REQUEST.pack(case.word, case.insn.length) + self._target.state.pack(*self._target.pack(case, CODE))

    def _outcome(self, case: Case, answer: tuple[int, bytes, int, bytes]) -> Outcome:
        signal, packed, first, data = answer
        seen = self._target.unpack(case, self._target.state.unpack(packed))
        old = self._initial[first : first + len(data)]
        memory = changes(old, data[: len(old)], DATA + first)
        event = {**_SIGNALS, **self._target.signals}.get(signal, f"signal {signal}") if seen.pc == CODE else ""
        fields = {**case.fields, **seen.fields}
        return Outcome(seen.pc, seen.registers, fields, memory if first < DATA_SIZE else {}, event)
