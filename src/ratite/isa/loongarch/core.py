"""The states in which a core starts. `cpu` is a vCPU of the engine: its `state` has the fields of `LoongArchState`."""

from __future__ import annotations

from typing import Any

from ratite.bits import mask
from ratite.isa.arch import Exit
from ratite.isa.dsl import RegFile
from ratite.isa.dsl.state import ISA_BASE
from ratite.isa.loongarch import iocsr

#: Where a core begins to execute (LoongArch Reference Manual, volume 1, v1.10, chapter 6.4).
RESET_VECTOR = 0x1C00_0000

#: State that belongs to devices, or to the engine.
_KEPT = ("irq_lines", "tlb_table")


def reset(cpu: Any, number: int) -> None:
    """Power-on: privilege level 0 with direct addresses at the reset vector, everything else zero."""
    state = cpu.state
    cpu.hooks[Exit.BOARD] = iocsr.access
    for slot in cpu.engine.arch.layout.slots.values():
        if slot.name in _KEPT or 0 <= slot.offset < ISA_BASE:
            continue
        if isinstance(slot.decl, RegFile):
            file = getattr(state, slot.name)
            for n in range(slot.count):
                file[n] = 0
        else:
            setattr(state, slot.name, slot.decl.reset)
    cpu.tables["tlb_table"].clear()
    state.cpuid = state.tid = number
    state.next_pc = RESET_VECTOR
    state.fp_flags = 0
    cpu.set_fp_round(0)
    settle(cpu)


def settle(cpu: Any) -> None:
    """Have the engine follow a change of state that was not made by instructions."""
    cpu.state.reserve_addr = mask(64)
    cpu.state.attention = 1
    cpu.call("tlb_flush")
    cpu.call("mode_update")


def start_process(cpu: Any, entry: int) -> None:
    """A Linux program."""
    state = cpu.state
    state.context_index = state.mmu_index = 0
    state.reserve_addr = mask(64)
    state.next_pc = entry
