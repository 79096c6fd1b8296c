"""RISC-V harts for whoever runs a machine, with the firmware that Ratite provides itself."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from ratite.boards.machine import Machine
from ratite.boards.riscv.boot import choose_firmware
from ratite.boards.riscv.hart import RiscvHart
from ratite.boards.support.riscv_sbi import Sbi
from ratite.cpu.engine import Engine
from ratite.errors import UsageError
from ratite.hw.model import CharBackend, Clock
from ratite.isa.arch import Arch
from ratite.isa.riscv.arch import make_arch
from ratite.isa.riscv.cpus import parse_cpu


class SerialConsole:
    """What built-in firmware prints and reads: the first serial port's other side."""

    def __init__(self, chardev: CharBackend | None) -> None:
        self._chardev = chardev

    def write(self, data: bytes) -> None:
        """Print bytes."""
        if self._chardev is not None:
            self._chardev.write(data)

    def read(self, limit: int) -> bytes:
        """Input belongs to the serial port."""
        return b""


class BoardFamily:
    """`ratite.boards.family.Family` for RISC-V."""

    def __init__(self, arch: str, cpu: str) -> None:
        xlen = 32 if arch == "riscv32" else 64
        self._config = parse_cpu(cpu or f"rv{xlen}", xlen)
        self._sbi: Sbi | None = None

    def make_arch(self, machine: Machine) -> Arch:
        if choose_firmware(machine)[1] and machine.flash(0) is None:
            self._config = self._config.for_firmware()
        return make_arch(self._config)

    def make_processor(self, engine: Engine, number: int, clock: Clock, lock: AbstractContextManager[Any]) -> RiscvHart:
        return RiscvHart(engine, self._config, number, clock, lock)

    def power_on(self, machine: Machine, processors: Sequence[Any], console: CharBackend | None) -> None:
        """Start the kernel in supervisor mode where no firmware was loaded that would."""
        plan = machine.boot
        if not plan.builtin_sbi:
            return
        if self._sbi is None:
            self._sbi = Sbi(machine, processors, self._config, SerialConsole(console))
            for hart in processors:
                hart.sbi = self._sbi
        if not plan.kernel_entry:
            raise UsageError("there is nothing to run: give a kernel (-kernel FILE) or firmware (-bios FILE)")
        self._sbi.boot(plan.kernel_entry, plan.device_tree)
