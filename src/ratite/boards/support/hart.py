"""What boards need of a RISC-V hart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ratite.boards.machine import Cpu


class Hart(Cpu, Protocol):
    """A hart with its interrupt inputs, and what the device tree says about it."""

    @property
    def isa(self) -> str:
        """The device tree's `riscv,isa`, such as `rv64imafdc_zicsr_zifencei`."""

    @property
    def mmu_type(self) -> str:
        """The device tree's `mmu-type`, such as `riscv,sv48`; empty without address translation."""

    @property
    def cache_properties(self) -> Mapping[str, int]:
        """Further properties of the device tree's node: sizes of cache blocks."""

    def software(self, level: bool) -> None:
        """Machine software interrupt (mip.MSIP)."""

    def software_s(self, level: bool) -> None:
        """A rising edge makes the supervisor software interrupt pending (mip.SSIP)."""

    def timer(self, level: bool) -> None:
        """Machine timer interrupt (mip.MTIP)."""

    def external_m(self, level: bool) -> None:
        """Machine external interrupt (mip.MEIP)."""

    def external_s(self, level: bool) -> None:
        """Supervisor external interrupt (mip.SEIP, the part of the interrupt controller)."""
