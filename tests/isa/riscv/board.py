"""A bare board around one hart: RAM, test finisher and CLINT at the addresses of the `virt` board, and time that passes
only while the hart waits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from elftools.elf.elffile import ELFFile

from ratite.bits import MiB
from ratite.cpu.engine import Engine, Tuning
from ratite.cpu.vcpu import Event, Vcpu
from ratite.hw.intc.riscv_aclint import AclintMtimer, AclintSwi
from ratite.hw.misc.sifive_test import SiFiveTest
from ratite.hw.model import VirtualClock
from ratite.isa.riscv import hart, interrupts
from ratite.isa.riscv.arch import make_arch
from ratite.isa.riscv.cpus import parse_cpu
from ratite.memory import AddressSpace, RamBlock

RAM, RAM_SIZE = 0x8000_0000, 16 * MiB


class Board:
    """The platform of its devices, and the run loop."""

    def __init__(self, cpu: str, xlen: int, region: str = "off") -> None:
        self.config = parse_cpu(cpu, xlen)
        self.memory, self.clock, self.lock = AddressSpace(), VirtualClock(1), threading.RLock()
        self.ram = RamBlock("ram", RAM_SIZE)
        self.memory.add_ram(RAM, self.ram)
        self.shutdown: int | None = None
        self.engine = Engine(make_arch(self.config), space=self.memory, code_size=16 * MiB, tuning=Tuning(region=region))
        self.cpu = Vcpu(self.engine)
        self.swi, self.timer = AclintSwi(), AclintMtimer()
        for device, at in ((SiFiveTest(), 0x10_0000), (self.swi, 0x200_0000), (self.timer, 0x200_4000)):
            device.map_into(self.memory, at)
            device.realize(self)
        self.swi.soft[0].connect(self._input(interrupts.MSI))
        self.timer.timer_irq[0].connect(self._input(interrupts.MTI))

    def request_shutdown(self, status: int = 0) -> None:
        """The finisher was written to."""
        self.shutdown = status
        self.cpu.kick()

    def request_reset(self) -> None:
        """No program asks for it."""
        raise AssertionError("reset")

    def _input(self, number: int) -> Callable[[bool], None]:
        def drive(level: bool) -> None:
            state = self.cpu.state
            state.irq_lines = state.irq_lines & ~(1 << number) | level << number
            state.attention = 1

        return drive

    def load(self, path: Path) -> None:
        """Put a program into memory and start at its entry."""
        self.engine.flush_code()
        self.ram.view[:] = bytes(RAM_SIZE)
        for device in (self.swi, self.timer):
            device.reset()
        hart.reset(self.cpu, self.config, 0)
        with path.open("rb") as file:
            elf = ELFFile(file)
            for segment in elf.iter_segments("PT_LOAD"):
                self.memory.dma_write(segment["p_paddr"], segment.data())
            self.cpu.state.next_pc = elf["e_entry"]

    def run(self, native: bool, limit: int = 200_000) -> int:
        """Exit status of the program. `native`: machine code rather than the reference evaluator."""
        self.shutdown = None
        for _ in range(limit):
            self.cpu.state.clock_frozen = self.clock.now()
            event = self.cpu.run() if native else self.cpu.step()
            if self.shutdown is not None:
                return self.shutdown
            if event is not None:
                self._wait(event)
        raise AssertionError(f"no end: pc {self.cpu.state.pc:#x}, privilege {self.cpu.state.priv}")

    def _wait(self, event: Event) -> None:
        """Let time pass until something happens."""
        if event.kind == "halt":
            deadline = self.clock.next_deadline()
            assert deadline is not None, "the hart waits for ever"
            self.clock.advance_to(deadline)
