"""Branches (LoongArch Reference Manual, volume 1, v1.10, chapter 2.2.4; 3.2.5 for condition flags)."""

from __future__ import annotations

from collections.abc import Callable

from ratite.ir import Value
from ratite.isa.dsl import Session
from ratite.isa.loongarch.exceptions import Cause
from ratite.isa.loongarch.formats import Branch, BranchFlag, BranchZero, Jump, JumpLink, JumpRegister
from ratite.isa.loongarch.table import LOONGARCH
from ratite.isa.loongarch.units import instructions_of

insn = LOONGARCH.extension("base")
fp = instructions_of("FP")


def _compare(code: str, name: str, doc: str, text: Callable[[Value, Value], Value]) -> None:
    def semantics(s: Session, o: Branch) -> None:
        with s.when(text(s.r[o.rj], s.r[o.rd])):
            s.jump(s.pc + o.imm)

    semantics.__doc__ = doc
    insn(f"{code} ................ ..... .....", f"{name} {{rj}}, {{rd}}, {{imm}}")(semantics)


_compare("010110", "beq", "Branch when rj equals rd.", lambda a, b: a == b)
_compare("010111", "bne", "Branch when rj differs from rd.", lambda a, b: a != b)
_compare("011000", "blt", "Branch when rj is less than rd, both signed.", lambda a, b: a.s < b.s)
_compare("011001", "bge", "Branch when rj is not less than rd, both signed.", lambda a, b: a.s >= b.s)
_compare("011010", "bltu", "Branch when rj is less than rd, both unsigned.", lambda a, b: a < b)
_compare("011011", "bgeu", "Branch when rj is not less than rd, both unsigned.", lambda a, b: a >= b)


@insn("010000 ................ ..... .....", "beqz {rj}, {imm}")
def beqz(s: Session, o: BranchZero) -> None:
    """Branch when rj is zero."""
    with s.when(s.r[o.rj] == 0):
        s.jump(s.pc + o.imm)


@insn("010001 ................ ..... .....", "bnez {rj}, {imm}")
def bnez(s: Session, o: BranchZero) -> None:
    """Branch when rj is not zero."""
    with s.when(s.r[o.rj] != 0):
        s.jump(s.pc + o.imm)


@fp("010010 ................ 00 ... .....", "bceqz {cj}, {imm}")
def bceqz(s: Session, o: BranchFlag) -> None:
    """Branch when the condition flag is zero."""
    with s.when(s.fcc[o.cj] == 0):
        s.jump(s.pc + o.imm)


@fp("010010 ................ 01 ... .....", "bcnez {cj}, {imm}")
def bcnez(s: Session, o: BranchFlag) -> None:
    """Branch when the condition flag is one."""
    with s.when(s.fcc[o.cj] != 0):
        s.jump(s.pc + o.imm)


@insn("010100 ................ ..........", "b {imm}")
def b(s: Session, o: Jump) -> None:
    """Jump."""
    s.jump(s.pc + o.imm)


@insn("010101 ................ ..........", "bl {imm}")
def bl(s: Session, o: JumpLink) -> None:
    """Jump and keep the return address in ra."""
    to = s.pc + o.imm
    s.r[o.ra] = s.npc
    s.jump(to)


@insn("010011 ................ ..... .....", "jirl {rd}, {rj}, {imm}")
def jirl(s: Session, o: JumpRegister) -> None:
    """Jump to rj + imm and keep the return address in rd.

    At an address that is no multiple of four the fetch raises an exception, when the jump has been done. Fetches do not look at that, so
    it is raised here; `take_trap` and user mode know that it belongs to the address.
    """
    to = s.r[o.rj] + o.imm
    misaligned = (s.r[o.rj] & 3) != 0
    s.r[o.rd] = s.npc
    with s.when(misaligned, likely=False):
        s.trap(Cause.FETCH_ADDRESS, to)
    s.jump(to)
