"""The state in which a core begins to run a Linux program."""

from __future__ import annotations

from typing import Any

from ratite.bits import mask


def start_process(cpu: Any) -> None:
    """The lowest privilege level; nothing is reserved."""
    state = cpu.state
    state.context_index = state.mmu_index = 0
    state.reserve_addr = mask(64)
