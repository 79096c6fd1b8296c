"""Machines as Python objects: what `from ratite import Machine` gives.

    from ratite import Machine

    with Machine("virt", "-bios", "none", "-kernel", "monitor.elf") as machine:
        print(machine.console.ask("info", until="ratite> "))

A Machine takes the words of the command line, so whatever `ratite-system-ARCH` can do is there; the first serial port is a conversation
(`Console`) unless `-serial` says where it goes. The machine runs on threads of its own, beside the program.

Not there yet: stopping and single-stepping the processors, their registers, hooks on guest code, snapshots.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from types import TracebackType

from ratite import log
from ratite.chardev.ringbuf import RingbufChardev
from ratite.cli import machine_options
from ratite.errors import HostError, UsageError
from ratite.machine_runner import Emulation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ratite.cpu.statistics import Statistics

PATIENCE = 60.0
"""Seconds that a conversation waits for an answer, when nothing else is said."""

_GLANCE = 0.2    # seconds after which a wait for text looks whether the machine has ended


class Console:
    """The guest's first serial port as a conversation. What the guest prints waits here, the newest 64 KiB of it."""

    def __init__(self, stream: RingbufChardev, ended: Callable[[], bool]) -> None:
        self._stream, self._ended = stream, ended

    def send(self, line: str) -> None:
        """Type a line and the return key."""
        self._stream.feed(line.encode() + b"\r")

    def read(self) -> str:
        """Take what the guest has printed so far and nobody has taken."""
        return self._stream.read().decode(errors="replace")

    def wait_for(self, text: str, timeout: float = PATIENCE) -> str:
        """Wait until the guest prints `text`, and take the output up to its end.

        Raises TimeoutError after `timeout` seconds, and EOFError when the machine ends before.
        """
        deadline = time.monotonic() + timeout
        while True:
            ended = self._ended()
            left = 0.0 if ended else max(0.0, deadline - time.monotonic())
            try:
                return self._stream.wait_for(text.encode(), min(left, _GLANCE)).decode(errors="replace")
            except TimeoutError:
                if ended:
                    raise EOFError(f"the machine ended before it printed {text!r}; its last words: {self.read()[-200:]!r}") from None
                if left == 0.0:
                    raise TimeoutError(f"the guest did not print {text!r} within {timeout:g} s; it printed {self.read()[-200:]!r}") from None

    def ask(self, line: str, until: str, timeout: float = PATIENCE) -> str:
        """Type a line and take what comes back up to `until`, usually the prompt. Raises as `wait_for` does."""
        self.send(line)
        return self.wait_for(until, timeout)


class Machine:
    """A machine that this program runs.

    `board` and `options` are those of `ratite-system-ARCH -M board options...`; `arch` is the ISA's name. Leaving the `with` block ends
    the machine. Raises UsageError, ImageError or HostError for what cannot be built.
    """

    def __init__(self, board: str = "virt", *options: str, arch: str = "riscv64") -> None:
        config = machine_options.parse(arch, ["-M", board, *options])
        if config.show:
            raise UsageError(f"a machine is asked for, not '{config.show}'; the programs and `ratite` list things")
        talks = not config.serial
        if talks:
            config.serial = ["ringbuf"]
        log.configure(config.log_items, config.log_file or None)
        emulation = Emulation(config)
        self._emulation: Emulation | None = emulation
        stream = emulation.serials[0]
        self._console = Console(stream, lambda: self.ended) if talks and isinstance(stream, RingbufChardev) else None
        self._started = False

    def __enter__(self) -> Machine:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def console(self) -> Console:
        """The first serial port. Raises UsageError when `-serial` took it elsewhere."""
        if self._console is None:
            raise UsageError("the first serial port goes where -serial says; without -serial it is the console of this object")
        return self._console

    @property
    def ended(self) -> bool:
        """Whether the guest has powered off, or the machine was closed."""
        return self._emulation is None or self._emulation.ended

    @property
    def instructions(self) -> int | None:
        """How many instructions the guest has executed; None without `-icount`."""
        return self._open().instructions

    def start(self) -> None:
        """Let it run. `with` does this. Raises HostError when it was started before."""
        emulation = self._open()
        if self._started:
            raise HostError("a machine starts once; make another one")
        self._started = True
        emulation.start()

    def wait(self, timeout: float | None = None) -> int:
        """Wait until the guest powers off, and return its exit status. Raises TimeoutError after `timeout` seconds."""
        status = self._open().wait(timeout)
        if status is None:
            raise TimeoutError(f"the machine still runs after {timeout:g} s")
        return status

    def close(self) -> None:
        """End the machine, and give its memory, files and threads back. A second call does nothing."""
        emulation, self._emulation = self._emulation, None
        if emulation is None:
            return
        emulation.quit()
        try:
            if self._started:
                emulation.wait()
        finally:
            emulation.close()
            del emulation
            gc.collect()    # its parts refer to each other, and room for machine code (below 2 GiB) is for few machines at a time

    def read(self, address: int, size: int) -> bytes:
        """Copy bytes out of guest-physical memory. Raises MemoryAccessError where there is none, and on devices."""
        emulation = self._open()
        with emulation.lock:
            return emulation.machine.memory.dma_read(address, size)

    def write(self, address: int, data: bytes) -> None:
        """Copy bytes into guest-physical memory. Raises as `read` does."""
        emulation = self._open()
        with emulation.lock:
            emulation.machine.memory.dma_write(address, data)

    def statistics(self) -> Statistics:
        """What its engine and its CPUs have counted so far; `ratite.cpu.statistics` says what there is and in which units."""
        from ratite.cpu import statistics

        engine = self._open().engine
        assert engine is not None, "a board has at least one CPU"
        return statistics.read(engine)

    def _open(self) -> Emulation:
        if self._emulation is None:
            raise HostError("this machine has been closed")
        return self._emulation
