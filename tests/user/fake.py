"""A vCPU that runs no instructions: a Python generator stands in the guest program's place and makes system calls."""

from __future__ import annotations

import ctypes
import os
import signal
import traceback
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from types import SimpleNamespace
from typing import Any

from ratite.cpu.faults import install
from ratite.user.abi import abi as find_abi
from ratite.user.process import Process
from ratite.user.space import MAP_ANONYMOUS, MAP_PRIVATE, GuestSpace
from ratite.user.thread import Thread

Steps = Generator["Stop", None, None]
Script = Callable[["FakeVcpu"], Steps]


class Stop:
    """An exit of native code."""

    def __init__(self, kind: str, cause: int = 0, value: int = 0, signo: int = 0, code: int = 0) -> None:
        self.kind = kind
        self.cause = cause
        self.value = value
        self.signo = signo
        self.code = code


class State:
    """RISC-V registers."""

    def __init__(self, words: memoryview) -> None:
        self.x, self.f, self._pc = words[:32], words[32:64], words[64:65]
        self.pc = 0x1_0000
        self.frm = 0
        self.fp_flags = 0

    @property
    def pc(self) -> int:
        return self._pc[0]

    @pc.setter
    def pc(self, value: int) -> None:
        self._pc[0] = value


class FakeVcpu:
    """Runs a script: a generator that yields a Stop wherever native code would stop."""

    def __init__(self, space: GuestSpace, script: Script) -> None:
        self.space = space
        self.words = memoryview(bytearray(65 * 8)).cast("Q")
        self.base8 = 0
        slots = {"x": SimpleNamespace(offset=0), "f": SimpleNamespace(offset=256, stride=8), "next_pc": SimpleNamespace(offset=512)}
        self.engine: Any = SimpleNamespace(arch=SimpleNamespace(layout=SimpleNamespace(slots=slots)))
        self.state: Any = State(self.words)
        self.fp_round = 0
        self.invalidated: list[tuple[int, int]] = []
        self.thread_script: Script = script
        self.closed = False
        self._interrupt = ctypes.create_string_buffer(1)
        self._steps = script(self)

    @property
    def interrupt_address(self) -> int:
        return ctypes.addressof(self._interrupt)

    def run(self) -> Stop:
        if self._interrupt.raw != b"\0":
            self._interrupt.raw = b"\0"
            return Stop("interrupt")
        return next(self._steps)

    def step(self) -> Stop | None:
        return self.run()

    def kick(self) -> None:
        self._interrupt.raw = b"\1"

    def interrupted(self) -> bool:
        """Whether native code would leave now."""
        return self._interrupt.raw != b"\0"

    def clone(self) -> FakeVcpu:
        other = FakeVcpu(self.space, self.thread_script)
        other.words[:] = self.words
        return other

    def close(self) -> None:
        self.closed = True

    def finish(self) -> None:
        pass

    def set_fp_round(self, mode: int) -> None:
        self.fp_round = mode

    def leave_sent_faults_to(self, handler: int) -> None:
        for number in (signal.SIGSEGV, signal.SIGBUS):
            install(number, handler)

    def fork_lock(self) -> AbstractContextManager[object]:
        return nullcontext()

    def invalidate(self, start: int, size: int) -> None:
        self.invalidated.append((start, size))

    # For scripts

    def call(self, number: int, *arguments: int) -> Stop:
        """Registers as for a system call; yield the result, then read `result`."""
        self.state.x[17] = number
        for n, value in enumerate(arguments):
            self.state.x[10 + n] = value & (1 << 64) - 1
        return Stop("syscall")

    @property
    def result(self) -> int:
        """What the last system call returned, signed."""
        value: int = self.state.x[10]
        return value - (1 << 64) if value >> 63 else value

    def memory(self, data: bytes = b"", size: int = 4096) -> int:
        """Guest address of new memory that starts with `data`."""
        address = self.space.mmap(0, max(size, len(data)), 3, MAP_PRIVATE | MAP_ANONYMOUS)
        self.space.write(address, data)
        return address


def make_process(script: Script, arch: str = "riscv64", **options: Any) -> Process:
    """A process whose program is a script."""
    return Process(find_abi(arch), lambda space: FakeVcpu(space, script), **options)


def run_script(script: Script, arch: str = "riscv64", **options: Any) -> int:
    """Run a script as a guest program in a child process, as signals and exits are the whole process's.

    Returns the wait status. A failed assertion in the script is printed and gives exit status 99.
    """
    child = os.fork()
    if not child:
        try:
            os._exit(make_process(script, arch, **options).run() & 0xFF)
        except BaseException:
            traceback.print_exc()
            os._exit(99)
    _, status = os.waitpid(child, 0)
    return status


def thread_of(process: Process) -> Thread:
    """The first thread."""
    return process.main
