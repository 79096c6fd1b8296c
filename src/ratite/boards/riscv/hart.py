"""A RISC-V hart in a machine: the vCPU with its interrupt inputs, its reset, and the calls that built-in firmware answers."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from ratite.boards.support.processor import MachineProcessor
from ratite.cpu.engine import Engine
from ratite.cpu.vcpu import Event
from ratite.isa.riscv import hart as states
from ratite.isa.riscv import interrupts
from ratite.isa.riscv.config import RiscvConfig

if TYPE_CHECKING:
    from ratite.boards.support.riscv_sbi import Sbi
    from ratite.hw.model import Clock


class RiscvHart(MachineProcessor):
    """One hart; `boards.support.hart.Hart` says what boards use of it."""

    def __init__(
        self, engine: Engine, config: RiscvConfig, number: int, clock: Clock, lock: AbstractContextManager[Any]
    ) -> None:
        super().__init__(engine, number, clock, lock)
        self.config = config
        self.sbi: Sbi | None = None

    @property
    def isa(self) -> str:
        """The device tree's `riscv,isa`."""
        return self.config.isa_string

    @property
    def mmu_type(self) -> str:
        """The device tree's `mmu-type`."""
        return self.config.mmu_type

    @property
    def cache_properties(self) -> dict[str, int]:
        """Sizes of cache blocks, for the device tree."""
        return self.config.cache_properties

    def power_on(self) -> None:
        states.reset(self.vcpu, self.config, self.number)

    def call(self, name: str, *args: int) -> int:
        """Call a native helper on this hart's state."""
        return self.vcpu.call(name, *args)

    # --- interrupts -------------------------------------------------------------------------------------------------------------
    def set_interrupt(self, number: int, level: bool) -> None:
        """Drive an interrupt input, numbered as in mip; from any thread."""
        with self.lock:
            lines = self.state.irq_lines
            self.state.irq_lines = lines | 1 << number if level else lines & ~(1 << number)
            if level:
                self.state.attention = 1
                self.wake()

    def software(self, level: bool) -> None:
        """Machine software interrupt."""
        self.set_interrupt(interrupts.MSI, level)

    def software_s(self, level: bool) -> None:
        """A rising edge makes the supervisor software interrupt pending; from any thread."""
        if level:
            with self.lock:
                self.state.ssip_edge = 1
                self.state.attention = 1
                self.wake()

    def timer(self, level: bool) -> None:
        """Machine timer interrupt."""
        self.set_interrupt(interrupts.MTI, level)

    def external_m(self, level: bool) -> None:
        """Machine external interrupt."""
        self.set_interrupt(interrupts.MEI, level)

    def external_s(self, level: bool) -> None:
        """Supervisor external interrupt."""
        self.set_interrupt(interrupts.SEI, level)

    # --- events -----------------------------------------------------------------------------------------------------------------
    def wake(self) -> None:
        if self.waiting and self.sbi is not None:
            self.sbi.resumed(self.number)
        super().wake()

    def answer(self, event: Event) -> None:
        assert event.kind == "firmware" and self.sbi is not None, event
        with self.lock:
            if self.sbi.handle(self.number) and not self.stopped:
                self.waiting = not self.must_wake()
                if not self.waiting:
                    self.sbi.resumed(self.number)
