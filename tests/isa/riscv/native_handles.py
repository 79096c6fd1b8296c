"""RISC-V in a bare machine: machine mode, exceptions to a `wfi`."""

from __future__ import annotations

from typing import Any

from ratite.isa.riscv import hart
from ratite.testing.native_peer import PARK, Handles
from tests.isa.riscv.subject import EVENTS

_WFI = 0x1050_0073.to_bytes(4, "little")
_C_EBREAK = 0x9002.to_bytes(2, "little")


def _prepare(vcpu: Any) -> None:
    hart.reset(vcpu, vcpu.engine.arch.config, 0)
    vcpu.state.mtvec = PARK


def _trapped(state: Any) -> tuple[int, str]:
    return state.mepc, EVENTS[state.mcause]


HANDLES = Handles(_WFI, _C_EBREAK, _prepare, _trapped)
