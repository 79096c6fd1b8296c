"""RV32D and RV64D, double-precision floating point (volume I, 20191213, chapter 12)."""

from __future__ import annotations

from ratite.isa.dsl import Session
from ratite.isa.riscv.floats import DOUBLE, SINGLE, computations, rounding
from ratite.isa.riscv.formats import F2Round, FLoad, FStore, FToX, XToF

insn = DOUBLE.insn


@insn("............ ..... 011 ..... 0000111", "fld {rd}, {imm}({rs1})")
def fld(s: Session, o: FLoad) -> None:
    """Load a double-precision number."""
    s.f[o.rd] = s.load(s.x[o.rs1] + o.imm, 64)


@insn("....... ..... ..... 011 ..... 0100111", "fsd {rs2}, {imm}({rs1})", dirty=False)
def fsd(s: Session, o: FStore) -> None:
    """Store rs2."""
    s.store(s.x[o.rs1] + o.imm, s.f[o.rs2])


computations(DOUBLE)


@insn("0100000 00001 ..... ... ..... 1010011", "fcvt.s.d {rd}, {rs1}, {rm}")
def fcvt_s_d(s: Session, o: F2Round) -> None:
    """Round a double-precision number to single precision."""
    SINGLE.set(s, o.rd, s.fp("fcvt_f2f", 32, s.f[o.rs1], src="f64", dst="f32", rm=rounding(o)))


@insn("0100001 00000 ..... ... ..... 1010011", "fcvt.d.s {rd}, {rs1}, {rm}")
def fcvt_d_s(s: Session, o: F2Round) -> None:
    """Convert a single-precision number to double precision, which is exact."""
    s.f[o.rd] = s.fp("fcvt_f2f", 64, SINGLE.get(s, o.rs1), src="f32", dst="f64", rm=rounding(o))


@insn("1110001 00000 ..... 000 ..... 1010011", "fmv.x.d {rd}, {rs1}", xlen=64)
def fmv_x_d(s: Session, o: FToX) -> None:
    """Copy the bits of rs1."""
    s.x[o.rd] = s.f[o.rs1]


@insn("1111001 00000 ..... 000 ..... 1010011", "fmv.d.x {rd}, {rs1}", xlen=64)
def fmv_d_x(s: Session, o: XToF) -> None:
    """Copy the bits of rs1."""
    s.f[o.rd] = s.x[o.rs1]
