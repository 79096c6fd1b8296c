"""The states in which a core starts. `cpu` is a vCPU of the engine: its `state` has the fields of `LoongArchState`."""

from __future__ import annotations

from typing import Any

from ratite.isa.arch import Exit
from ratite.isa.loongarch import iocsr

#: Where a core begins to execute (LoongArch Reference Manual, volume 1, v1.10, chapter 6.4).
RESET_VECTOR = 0x1C00_0000


def reset(cpu: Any, number: int) -> None:
    """Power-on: privilege level 0 with direct addresses at the reset vector, everything else zero."""
    state = cpu.state
    state.reset("irq_lines")
    cpu.hooks[Exit.BOARD] = iocsr.access
    state.cpuid = state.tid = number
    state.next_pc = RESET_VECTOR
    cpu.settle()
