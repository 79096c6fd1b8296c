"""Instructions for the TLB and for page tables (LoongArch Reference Manual, volume 1, v1.10, chapters 4.2.4 and 4.2.5)."""

from __future__ import annotations

from collections.abc import Callable

from ratite.ir import Value
from ratite.isa.dsl import Session
from ratite.isa.loongarch import tlb, walk
from ratite.isa.loongarch.exceptions import illegal, kernel_only
from ratite.isa.loongarch.formats import Directory, Invalidate, None_, TableEntry
from ratite.isa.loongarch.table import LOONGARCH

insn = LOONGARCH.extension("privileged")


def _define(code: int, name: str, doc: str, act: Callable[[Session], Value]) -> None:
    """Define an instruction without operands. What it changes holds from the next instruction on."""

    @insn(f"0000011001001000001{code:03b} 00000 00000", name, privileged=True)
    def semantics(s: Session, o: None_) -> None:
        if kernel_only(s):
            act(s)
            s.resync()

    semantics.semantics.__doc__ = doc


_define(0, "tlbclr", "Empty the entries of the current address space beside the one that TLBIDX names.", lambda s: s.call(tlb.tlb_clear, 0))
_define(1, "tlbflush", "Empty the entries beside the one that TLBIDX names.", lambda s: s.call(tlb.tlb_clear, 1))
_define(2, "tlbsrch", "Find the entry for TLBEHI.", lambda s: s.call(tlb.tlb_search))
_define(3, "tlbrd", "Read the entry that TLBIDX names.", lambda s: s.call(tlb.tlb_read))
_define(4, "tlbwr", "Write the entry that TLBIDX names.", lambda s: s.call(tlb.tlb_write))
_define(5, "tlbfill", "Write an entry that the hardware chooses.", lambda s: s.call(tlb.tlb_fill))


@insn("00000110010010011 ..... ..... .....", "invtlb {op}, {rj}, {rk}", privileged=True)
def invtlb(s: Session, o: Invalidate) -> None:
    """Empty entries of the TLB by kind, the address space in rj and the address in rk."""
    if not kernel_only(s):
        return
    op: int = o.op
    if op > tlb.PAGE:
        illegal(s, o)
        return
    s.call(tlb.tlb_invalidate, op, s.r[o.rj], s.r[o.rk])
    s.resync()


@insn("00000110010000 ........ ..... .....", "lddir {rd}, {rj}, {level}", privileged=True)
def lddir(s: Session, o: Directory) -> None:
    """The entry of the directory at rj for the address that needs a refill."""
    if kernel_only(s):
        s.r[o.rd] = s.call(walk.directory, s.r[o.rj], o.level)


@insn("00000110010001 ........ ..... 00000", "ldpte {rj}, {odd}", privileged=True)
def ldpte(s: Session, o: TableEntry) -> None:
    """Read an entry of the page table at rj for a refill."""
    if kernel_only(s):
        s.call(walk.page_entry, s.r[o.rj], o.odd)
