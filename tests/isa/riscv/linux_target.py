"""RISC-V's part of the program that runs instructions under Linux."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from ratite.testing.conformance import Case
from tests.isa.linux_peer import Seen, Target, engine_flags

_ABI = {32: ("rv32gc", "ilp32d"), 64: ("rv64gc", "lp64d")}
_OPTIONS = ("-fno-tree-loop-distribute-patterns", "-msmall-data-limit=0", "-mcmodel=medany", "-Wl,--no-relax")


def _pack(case: Case, pc: int) -> Sequence[int]:
    fcsr = case.fields["frm"] << 5 | engine_flags(case.fields["fp_flags"])
    return (pc, *case.registers["x"][1:], *case.registers["f"], fcsr)


def _unpack(case: Case, values: Sequence[int]) -> Seen:
    registers = {"x": (0, *values[1:32]), "f": tuple(values[32:64])}
    return Seen(values[0], registers, {"frm": values[64] >> 5, "fp_flags": engine_flags(values[64])})


@cache
def target(xlen: int) -> Target:
    """The program for a register width."""
    march, mabi = _ABI[xlen]
    compiler = ("riscv64-linux-gnu-gcc", f"-march={march}", f"-mabi={mabi}", *_OPTIONS, "-Wl,-Ttext-segment=0x40000000")
    return Target(Path(__file__).with_name("linux_peer.h"), [compiler], struct.Struct("<32Q32QQ"), _pack, _unpack)
