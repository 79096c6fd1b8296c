"""The state in which a hart begins to run a Linux program. (`hart.py` has those in which systems begin; programs need nothing of them.)"""

from __future__ import annotations

from ratite.bits import mask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Its privilege mode, and mstatus.FS: registers hold their first values.
_USER, _FS_INITIAL = 0, 1


def start_process(cpu: Any) -> None:
    """User mode, with floating point switched on."""
    state = cpu.state
    state.priv, state.fs, state.context_index, state.mmu_index = _USER, _FS_INITIAL, 0, 0
    state.reserve_addr = mask(64)
