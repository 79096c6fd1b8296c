"""RV32F and RV64F, single-precision floating point (volume I, 20191213, chapter 11)."""

from __future__ import annotations

from ratite.isa.dsl import Session
from ratite.isa.riscv.floats import SINGLE, computations
from ratite.isa.riscv.formats import FLoad, FStore, FToX, XToF

insn = SINGLE.insn


@insn("............ ..... 010 ..... 0000111", "flw {rd}, {imm}({rs1})")
def flw(s: Session, o: FLoad) -> None:
    """Load a single-precision number."""
    SINGLE.set(s, o.rd, s.load(s.x[o.rs1] + o.imm, 32))


@insn("....... ..... ..... 010 ..... 0100111", "fsw {rs2}, {imm}({rs1})", dirty=False)
def fsw(s: Session, o: FStore) -> None:
    """Store the low word of rs2, whether it is boxed or not."""
    s.store(s.x[o.rs1] + o.imm, s.f[o.rs2].trunc(32))


computations(SINGLE)


@insn("1110000 00000 ..... 000 ..... 1010011", "fmv.x.w {rd}, {rs1}", dirty=False)
def fmv_x_w(s: Session, o: FToX) -> None:
    """Copy the low word of rs1, whether it is boxed or not, and sign-extend it."""
    s.x[o.rd] = s.f[o.rs1].trunc(32).sext(s.xlen)


@insn("1111000 00000 ..... 000 ..... 1010011", "fmv.w.x {rd}, {rs1}")
def fmv_w_x(s: Session, o: XToF) -> None:
    """Copy the low word of rs1."""
    SINGLE.set(s, o.rd, s.x[o.rs1].resize(32))
