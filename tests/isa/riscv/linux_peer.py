"""An engine of conformance tests: instructions run one at a time in a Linux program, by an emulator or for real.

The program (`linux_peer.c`) is built with Debian's cross compiler. It shows what user mode shows: registers, memory,
and which signal an exception becomes.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from ratite.isa.arch import Arch
from ratite.testing.conformance import (
    BREAKPOINT,
    CODE,
    DATA,
    DATA_SIZE,
    FAULT,
    ILLEGAL,
    MISALIGNED,
    Case,
    Outcome,
    window,
)

COMPILER = "riscv64-linux-gnu-gcc"
SOURCE = Path(__file__).with_name("linux_peer.c")

_ABI = {32: ("rv32gc", "ilp32d"), 64: ("rv64gc", "lp64d")}
_OPTIONS = (
    *("-O1", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-fno-tree-loop-distribute-patterns"),
    *("-msmall-data-limit=0", "-mcmodel=medany", "-Wl,--no-relax", "-Wl,-Ttext-segment=0x40000000"),
)

_STATE = struct.Struct("<32Q32QQ")
_REQUEST = struct.Struct("<2Q")
_ANSWER = struct.Struct(f"<Q{_STATE.size}sQ64s")

_SIGNALS = {4: ILLEGAL, 5: BREAKPOINT, 7: MISALIGNED, 11: FAULT}


def engine_flags(fflags: int) -> int:
    """fflags in the order of the engine's sticky flags, which is the opposite one. Its own inverse."""
    return int(f"{fflags & 31:05b}"[::-1], 2)


class LinuxPeer:
    """Runs cases with `command`, which is followed by the program's path; the program is built in `folder`."""

    def __init__(self, name: str, arch: Arch, command: Sequence[str], folder: Path) -> None:
        self.name, self.arch = name, arch
        self._command, self._folder = command, folder
        self._initial = window()

    @staticmethod
    def missing(*emulators: str) -> str:
        """What this machine lacks for it, "" if nothing."""
        absent = [tool for tool in (COMPILER, *emulators) if not shutil.which(tool)]
        return f"{' and '.join(absent)} not installed" if absent else ""

    @cached_property
    def _program(self) -> Path:
        march, mabi = _ABI[self.arch.word]
        program = self._folder / f"linux_peer{self.arch.word}"
        subprocess.run(
            [COMPILER, f"-march={march}", f"-mabi={mabi}", *_OPTIONS, "-o", str(program), str(SOURCE)], check=True
        )
        return program

    def run(self, cases: Sequence[Case]) -> Sequence[Outcome]:
        """The outcome of each case."""
        requests = window() + b"".join(self._request(case) for case in cases)
        done = subprocess.run(
            [*self._command, str(self._program)], input=requests, capture_output=True, check=False, timeout=300
        )
        answers = list(_ANSWER.iter_unpack(done.stdout[: len(done.stdout) // _ANSWER.size * _ANSWER.size]))
        assert not done.returncode, f"{self.name}: status {done.returncode}: {done.stderr.decode()[-1000:]}"
        assert len(answers) == len(cases), f"{self.name}: {len(cases)} cases, {len(answers)} answers"
        return [self._outcome(case, answer) for case, answer in zip(cases, answers, strict=True)]

    def _request(self, case: Case) -> bytes:
        fcsr = case.fields["frm"] << 5 | engine_flags(case.fields["fp_flags"])
        state = _STATE.pack(CODE, *case.registers["x"][1:], *case.registers["f"], fcsr)
        return _REQUEST.pack(case.word, case.insn.length) + state

    def _outcome(self, case: Case, answer: tuple[int, bytes, int, bytes]) -> Outcome:
        signal, packed, first, data = answer
        state = _STATE.unpack(packed)
        pc, fcsr = state[0], state[64]
        registers = {"x": (0, *state[1:32]), "f": tuple(state[32:64])}
        fields = {**case.fields, "frm": fcsr >> 5, "fp_flags": engine_flags(fcsr)}
        old = self._initial[first : first + len(data)]
        memory = {DATA + first + n: new for n, (was, new) in enumerate(zip(old, data, strict=False)) if was != new}
        event = _SIGNALS[signal] if pc == CODE else ""
        return Outcome(pc, registers, fields, memory if first < DATA_SIZE else {}, event)
