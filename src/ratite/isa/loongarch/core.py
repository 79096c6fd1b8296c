"""The states in which a core starts. `cpu` is a vCPU of the engine: its `state` has the fields of `LoongArchState`."""

from __future__ import annotations

from typing import Any

from ratite.bits import mask


def start_process(cpu: Any, entry: int) -> None:
    """A Linux program."""
    state = cpu.state
    state.context_index = state.mmu_index = 0
    state.reserve_addr = mask(64)
    state.next_pc = entry
