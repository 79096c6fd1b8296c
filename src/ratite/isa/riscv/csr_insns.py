"""Zicsr, the instructions that read and write control and status registers (volume I, 20191213, chapter 9)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ratite.ir import Value
from ratite.isa.dsl import Session
from ratite.isa.riscv.csr import find
from ratite.isa.riscv.exceptions import illegal
from ratite.isa.riscv.formats import Csr, CsrImm
from ratite.isa.riscv.status import Change
from ratite.isa.riscv.table import RISCV

insn = RISCV.extension("zicsr")

#: The new value of a register, of its old one and the operand.
Combine = Callable[[Value, Value], Value]


def _access(s: Session, o: Any, operand: Value | None, combine: Combine, change: Change) -> None:
    """Read a register into rd and write it, unless there is no operand."""
    csr = find(s.config, o.csr)
    if csr is None or csr.mode > s.context or (operand is not None and csr.read_only):
        illegal(s, o)
        return
    forbidden = csr.forbidden(s)
    if forbidden is not None:
        with s.when(forbidden, likely=False):
            illegal(s, o)
    old = csr.read(s)
    new = None
    if operand is not None and csr.write is not None:
        new = combine(csr.modify(s) if csr.modify is not None else old, operand)
    s.x[o.rd] = old
    if new is not None and csr.write is not None:
        csr.write(s, new, change)


def _replace(old: Value, operand: Value) -> Value:
    return operand


def _set(old: Value, operand: Value) -> Value:
    return old | operand


def _clear(old: Value, operand: Value) -> Value:
    return old & ~operand


@insn("............ ..... 001 ..... 1110011", "csrrw {rd}, {csr}, {rs1}", privileged=True)
def csrrw(s: Session, o: Csr) -> None:
    """Exchange a register with rs1."""
    _access(s, o, s.x[o.rs1], _replace, Change(sets=-1, clears=-1))


@insn("............ ..... 010 ..... 1110011", "csrrs {rd}, {csr}, {rs1}", privileged=True)
def csrrs(s: Session, o: Csr) -> None:
    """Read a register and set the bits of it that are set in rs1; with x0 only read."""
    _access(s, o, None if o.rs1_is_x0 else s.x[o.rs1], _set, Change(sets=-1, clears=0))


@insn("............ ..... 011 ..... 1110011", "csrrc {rd}, {csr}, {rs1}", privileged=True)
def csrrc(s: Session, o: Csr) -> None:
    """Read a register and clear the bits of it that are set in rs1; with x0 only read."""
    _access(s, o, None if o.rs1_is_x0 else s.x[o.rs1], _clear, Change(sets=0, clears=-1))


@insn("............ ..... 101 ..... 1110011", "csrrwi {rd}, {csr}, {uimm}", privileged=True)
def csrrwi(s: Session, o: CsrImm) -> None:
    """Read a register and replace it by a five-bit number."""
    _access(s, o, s.const(o.uimm), _replace, Change(sets=o.uimm, clears=-1))


@insn("............ ..... 110 ..... 1110011", "csrrsi {rd}, {csr}, {uimm}", privileged=True)
def csrrsi(s: Session, o: CsrImm) -> None:
    """Read a register and set the bits of it that are set in a five-bit number; with 0 only read."""
    _access(s, o, s.const(o.uimm) if o.uimm else None, _set, Change(sets=o.uimm, clears=0))


@insn("............ ..... 111 ..... 1110011", "csrrci {rd}, {csr}, {uimm}", privileged=True)
def csrrci(s: Session, o: CsrImm) -> None:
    """Read a register and clear the bits of it that are set in a five-bit number; with 0 only read."""
    _access(s, o, s.const(o.uimm) if o.uimm else None, _clear, Change(sets=0, clears=o.uimm))
