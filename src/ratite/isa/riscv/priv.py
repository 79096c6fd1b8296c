"""Privileged instructions: returns from traps, waiting, and translation fences (volume II, 20211203, 3.3, 4.2; chapter
7 for Svinval).
"""

from __future__ import annotations

from typing import Any

from ratite.isa.arch import Exit
from ratite.isa.dsl import Session
from ratite.isa.riscv import traps
from ratite.isa.riscv.csr import virtual_memory_trapped
from ratite.isa.riscv.exceptions import illegal
from ratite.isa.riscv.formats import Fence, Word
from ratite.isa.riscv.status import MACHINE, SUPERVISOR, TSR, TW, USER
from ratite.isa.riscv.table import RISCV

insn = RISCV.extension("priv")
insn_s = RISCV.extension("s")
insn_svinval = RISCV.extension("svinval")


@insn("0011000 00010 00000 000 00000 1110011", "mret", privileged=True)
def mret(s: Session, o: Word) -> None:
    """Return from a trap to machine mode."""
    if s.context != MACHINE:
        illegal(s, o)
        return
    traps.return_machine(s)


@insn_s("0001000 00010 00000 000 00000 1110011", "sret", privileged=True)
def sret(s: Session, o: Word) -> None:
    """Return from a trap to supervisor mode. mstatus.TSR keeps supervisor mode from it."""
    if s.context == USER:
        illegal(s, o)
        return
    if s.context == SUPERVISOR:
        with s.when((s.mstatus & TSR) != 0, likely=False):
            illegal(s, o)
    traps.return_supervisor(s)


@insn("0001000 00101 00000 000 00000 1110011", "wfi", privileged=True)
def wfi(s: Session, o: Word) -> None:
    """Wait until an enabled interrupt is pending. mstatus.TW keeps lower modes from it, and the presence of supervisor
    mode user mode.
    """
    if s.context == USER and s.config.has("s"):
        illegal(s, o)
        return
    if s.context != MACHINE:
        with s.when((s.mstatus & TW) != 0, likely=False):
            illegal(s, o)
    with s.when((traps.pending(s) & s.mie) == 0):
        s.exit(Exit.HALT)


def _flush(s: Session, o: Any) -> None:
    """Forget translations of one address, or of all."""
    if s.context == USER:
        illegal(s, o)
        return
    trapped = virtual_memory_trapped(s)
    if trapped is not None:
        with s.when(trapped, likely=False):
            illegal(s, o)
    if o.rs1_is_x0:
        s.call("tlb_flush")
    else:
        s.call("tlb_flush_page", s.x[o.rs1].zext(64))
    s.resync()


@insn_s("0001001 ..... ..... 000 00000 1110011", "sfence.vma {rs1}, {rs2}", privileged=True)
def sfence_vma(s: Session, o: Fence) -> None:
    """Have later accesses see changed page tables. Translations of all address spaces go, whatever rs2 says."""
    _flush(s, o)


@insn_svinval("0001011 ..... ..... 000 00000 1110011", "sinval.vma {rs1}, {rs2}", privileged=True)
def sinval_vma(s: Session, o: Fence) -> None:
    """The part of sfence.vma that forgets translations."""
    _flush(s, o)


@insn_svinval("0001100 00000 00000 000 00000 1110011", "sfence.w.inval", privileged=True)
def sfence_w_inval(s: Session, o: Word) -> None:
    """Order earlier writes of page tables before later sinval.vma; here they always are."""
    if s.context == USER:
        illegal(s, o)


@insn_svinval("0001100 00001 00000 000 00000 1110011", "sfence.inval.ir", privileged=True)
def sfence_inval_ir(s: Session, o: Word) -> None:
    """Order earlier sinval.vma before later accesses; here they always are."""
    if s.context == USER:
        illegal(s, o)
