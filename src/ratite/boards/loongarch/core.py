"""A LoongArch core in a machine: the vCPU with its interrupt inputs, its timer, and the registers of its surroundings."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from ratite import log
from ratite.boards.support.processor import MachineProcessor
from ratite.cpu.engine import Engine
from ratite.hw.model import Clock, Sink
from ratite.isa.loongarch import core as states
from ratite.isa.loongarch import counters, traps
from ratite.memory import AddressSpace
from ratite.memory.space import BusError


class LoongArchCore(MachineProcessor):
    """One core. Boards connect to `hardware` and `ipi`, and put devices into `iocsr`."""

    def __init__(self, engine: Engine, number: int, clock: Clock, lock: AbstractContextManager[Any]) -> None:
        super().__init__(engine, number, clock, lock)
        self.iocsr = AddressSpace(f"IOCSR{number}")
        """What the core's iocsrrd and iocsrwr reach."""
        self._overflow = clock.timer(self._monitors_expired)

    # --- state ------------------------------------------------------------------------------------------------------------------
    def power_on(self) -> None:
        self._overflow.cancel()
        states.reset(self.vcpu, self.number)

    def load(self, state: dict[str, Any]) -> None:
        """Take over a saved state."""
        super().load(state)
        counters.arm(self.vcpu)

    # --- what instruction texts ask for -------------------------------------------------------------------------------------------
    def arm_overflow(self, deadline: int) -> None:
        """Come back at this moment of the machine's clock for the performance monitors; 0 is never."""
        if deadline:
            self._overflow.at(deadline)
        else:
            self._overflow.cancel()

    def _monitors_expired(self) -> None:
        with self.lock:
            if counters.expired(self.vcpu):
                self._attend()

    def iocsr_read(self, address: int, size: int) -> int:
        """A register of the surroundings; zero where there is none."""
        with self.lock:
            try:
                return self.iocsr.read(address, size)
            except BusError:
                _note(f"IOCSR {address:#x} does not exist")
                return 0

    def iocsr_write(self, address: int, size: int, value: int) -> None:
        """Write a register of the surroundings."""
        with self.lock:
            try:
                self.iocsr.write(address, size, value)
            except BusError:
                _note(f"IOCSR {address:#x} does not exist")

    # --- interrupts -------------------------------------------------------------------------------------------------------------
    def set_interrupt(self, number: int, level: bool) -> None:
        """Drive an interrupt input, numbered as in ESTAT.IS; from any thread."""
        with self.lock:
            lines = self.state.irq_lines
            self.state.irq_lines = lines | 1 << number if level else lines & ~(1 << number)
            if level:
                self._attend()

    def _attend(self) -> None:
        self.state.attention = 1
        self.wake()

    def hardware(self, pin: int) -> Sink:
        """A hardware interrupt input, 0 to 7."""
        return partial(self.set_interrupt, traps.HWI + pin)

    def ipi(self, level: bool) -> None:
        """The input for interrupts between cores."""
        self.set_interrupt(traps.IPI, level)


def _note(text: str) -> None:
    if log.enabled("guest_errors"):
        log.write("guest_errors", text)
