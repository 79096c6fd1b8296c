"""RISC-V in Unicorn: register numbers, and machine mode with floating point switched on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ratite.testing.unicorn_peer import Binding
from tests.isa.linux_peer import engine_flags
from tests.isa.riscv.subject import EVENTS

_FS_DIRTY = 3 << 13


def binding(xlen: int) -> Binding:
    """How Unicorn names RV32 and RV64."""
    from unicorn import UC_ARCH_RISCV, UC_MODE_RISCV32, UC_MODE_RISCV64
    from unicorn import riscv_const as names

    def write(machine: Any, fields: Mapping[str, int]) -> None:
        machine.reg_write(names.UC_RISCV_REG_FCSR, fields["frm"] << 5 | engine_flags(fields["fp_flags"]))

    def read(machine: Any, fields: Mapping[str, int]) -> dict[str, int]:
        fcsr = machine.reg_read(names.UC_RISCV_REG_FCSR)
        return {**fields, "frm": fcsr >> 5, "fp_flags": engine_flags(fcsr)}

    return Binding(
        arch=UC_ARCH_RISCV,
        mode=UC_MODE_RISCV64 if xlen == 64 else UC_MODE_RISCV32,
        registers={
            "x": [None, *(getattr(names, f"UC_RISCV_REG_X{n}") for n in range(1, 32))],
            "f": [getattr(names, f"UC_RISCV_REG_F{n}") for n in range(32)],
        },
        pc=names.UC_RISCV_REG_PC,
        events=EVENTS,
        prepare=lambda machine: machine.reg_write(names.UC_RISCV_REG_MSTATUS, _FS_DIRTY),
        write=write,
        read=read,
    )
