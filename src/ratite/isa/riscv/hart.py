"""The states in which a hart starts: after reset, and in supervisor mode by firmware's hand.

`cpu` is a vCPU of the engine: its `state` has the fields of `RiscvState` by name, `call` runs a native helper.
"""

from __future__ import annotations

from typing import Any

from ratite.bits import mask
from ratite.isa.riscv import pmp, traps
from ratite.isa.riscv.config import RiscvConfig
from ratite.isa.riscv.csr import environment_fields
from ratite.isa.riscv.status import SUPERVISOR

_A0, _A1 = 10, 11

#: scounteren: cycle, time, instret.
_CYCLE_TIME_INSTRET = 0b111


def reset(cpu: Any, config: RiscvConfig, hartid: int) -> None:
    """Power-on: machine mode at the reset vector, everything else zero (volume II, 3.4). The interrupt inputs keep
    their levels, which belong to devices.
    """
    state = cpu.state
    state.reset("irq_lines")
    state.mhartid = hartid
    state.next_pc = config.reset_vector & mask(config.xlen)
    cpu.settle()


def enter_supervisor(cpu: Any, config: RiscvConfig, hartid: int, address: int, opaque: int) -> None:
    """As firmware starts a hart (SBI specification 2.0, table "HSM Hart Start Register State"): supervisor mode at
    `address` without translation, interrupts disabled, its number in a0 and `opaque` in a1.

    Exceptions and interrupts are delegated, counters, cache-block operations and memory types allowed, and the first
    entry of memory protection allows everything. User mode may read cycles, time and instructions, as OpenSBI has it:
    Linux changes that only where firmware offers performance counters, and its vDSO reads the time.
    """
    state, ones = cpu.state, mask(config.xlen)
    state.x[_A0], state.x[_A1] = hartid, opaque & ones
    state.next_pc = address & ones
    state.mhartid, state.priv, state.mstatus, state.satp, state.fs = hartid, SUPERVISOR, 0, 0, 0
    state.medeleg, state.mideleg = traps.DELEGABLE, traps.SUPERVISOR_INTERRUPTS
    state.mie = state.mip_soft = 0
    state.mcounteren, state.scounteren = mask(32), _CYCLE_TIME_INSTRET
    state.menvcfg = environment_fields(config) if config.since("v1.12.0") else 0
    if config.pmp:
        state.pmpcfg[0], state.pmpaddr[0] = pmp.NAPOT << 3 | pmp.R | pmp.W | pmp.X, pmp.address_mask(config.xlen)
        state.pmp_first[0], state.pmp_last[0] = 0, mask(pmp.address_mask(config.xlen).bit_length() + 3)
        state.pmp_rules = 1
    cpu.call("tlb_flush")
    cpu.call("mode_update")
