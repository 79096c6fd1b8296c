"""What the floating-point extensions share (volume I, 20191213, chapters 11 and 12): access to registers, checks,
and the instructions that exist alike for every precision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ratite.ir import Value
from ratite.isa.dsl import Insn, Session, around, format_of
from ratite.isa.dsl.floats import FLEN, FloatFormat
from ratite.isa.dsl.formats import Reg
from ratite.isa.riscv.exceptions import illegal
from ratite.isa.riscv.formats import F3, F2Round, F3Round, F4Round, FCompare, FToX, FToXRound, Rounding, XToFRound
from ratite.isa.riscv.table import RISCV

#: mstatus.FS.
FS_OFF, FS_DIRTY = 0, 3

Text = Callable[[Session, Any], None]


@dataclass(frozen=True)
class Precision(FloatFormat):
    """A floating-point format with the extension that has it. A narrower number than a register is boxed: the bits above it
    are ones."""

    extension: str

    def get(self, s: Session, r: Reg) -> Value:
        """The number in register `r`; the canonical NaN where it is not properly boxed."""
        v: Value = s.f[r]
        if self.width == FLEN:
            return v
        boxed = v >> self.width == (1 << (FLEN - self.width)) - 1
        return s.select(boxed, v.trunc(self.width), self.default_nan)

    def rounded(self, s: Session, o: Any, op: str, *args: Value) -> Value:
        """Operation `op` of this precision, rounded as the field rm asks."""
        return s.fp(op, self.width, *args, fmt=self.fmt, rm=rounding(o))

    def insn(self, pattern: str, syntax: str, xlen: int = 0, dirty: bool = True) -> Callable[[Text], Insn]:
        """The decorator for instructions of this precision: `ff` in the pattern and `fmt` in the syntax stand for it.

        The text gets the checks that all floating-point instructions begin with. `dirty`: it writes a floating-point
        register or flags.
        """
        insn = RISCV.extension(self.extension)(*self.named(pattern, syntax), xlen)
        return lambda text: insn(_checked(text, dirty))


SINGLE = Precision("s", "00", 32, 23, "f")
DOUBLE = Precision("d", "01", 64, 52, "d")


def rounding(o: Any) -> int | str:
    """The field rm as `Session.fp` takes it."""
    return "dyn" if o.rm == Rounding.DYN else int(o.rm)


def _checked(text: Text, dirty: bool) -> Text:
    """`text` after the checks that it is legal now, and followed by the note that floating-point state has changed."""
    fmt = format_of(text)

    def semantics(s: Session, o: Any) -> None:
        rm = o.rm if "rm" in fmt.operands else Rounding.RNE
        if rm in (Rounding.RESERVED5, Rounding.RESERVED6):
            illegal(s, o)
            return
        if not s.config.user:
            with s.when(s.fs == FS_OFF, likely=False):
                illegal(s, o)
        if rm == Rounding.DYN:
            _check_dynamic(s, o)
        text(s, o)
        if dirty and not s.config.user:
            s.fs = FS_DIRTY

    return around(text, semantics)


def _check_dynamic(s: Session, o: Any) -> None:
    """The host has the modes of frm up to 3; RMM is left to the reference evaluator, the rest is reserved."""
    with s.when(s.frm > Rounding.RUP, likely=False):
        with s.when(s.frm > Rounding.RMM):
            illegal(s, o)
        s.interpret()


def computations(p: Precision) -> None:
    """Define the computational instructions of one precision."""
    _arithmetic(p)
    _sign_injection(p)
    _comparisons(p)
    _integer_conversions(p)


def _arithmetic(p: Precision) -> None:
    @p.insn("00000ff ..... ..... ... ..... 1010011", "fadd.fmt {rd}, {rs1}, {rs2}, {rm}")
    def fadd(s: Session, o: F3Round) -> None:
        """Add rs1 and rs2."""
        p.set(s, o.rd, p.rounded(s, o, "fadd", p.get(s, o.rs1), p.get(s, o.rs2)))

    @p.insn("00001ff ..... ..... ... ..... 1010011", "fsub.fmt {rd}, {rs1}, {rs2}, {rm}")
    def fsub(s: Session, o: F3Round) -> None:
        """Subtract rs2 from rs1."""
        p.set(s, o.rd, p.rounded(s, o, "fsub", p.get(s, o.rs1), p.get(s, o.rs2)))

    @p.insn("00010ff ..... ..... ... ..... 1010011", "fmul.fmt {rd}, {rs1}, {rs2}, {rm}")
    def fmul(s: Session, o: F3Round) -> None:
        """Multiply rs1 and rs2."""
        p.set(s, o.rd, p.rounded(s, o, "fmul", p.get(s, o.rs1), p.get(s, o.rs2)))

    @p.insn("00011ff ..... ..... ... ..... 1010011", "fdiv.fmt {rd}, {rs1}, {rs2}, {rm}")
    def fdiv(s: Session, o: F3Round) -> None:
        """Divide rs1 by rs2."""
        p.set(s, o.rd, p.rounded(s, o, "fdiv", p.get(s, o.rs1), p.get(s, o.rs2)))

    @p.insn("01011ff 00000 ..... ... ..... 1010011", "fsqrt.fmt {rd}, {rs1}, {rm}")
    def fsqrt(s: Session, o: F2Round) -> None:
        """Square root of rs1."""
        p.set(s, o.rd, p.rounded(s, o, "fsqrt", p.get(s, o.rs1)))

    @p.insn(".....ff ..... ..... ... ..... 1000011", "fmadd.fmt {rd}, {rs1}, {rs2}, {rs3}, {rm}")
    def fmadd(s: Session, o: F4Round) -> None:
        """rs1 times rs2, plus rs3, rounded once."""
        p.set(s, o.rd, p.rounded(s, o, "fma", p.get(s, o.rs1), p.get(s, o.rs2), p.get(s, o.rs3)))

    @p.insn(".....ff ..... ..... ... ..... 1000111", "fmsub.fmt {rd}, {rs1}, {rs2}, {rs3}, {rm}")
    def fmsub(s: Session, o: F4Round) -> None:
        """rs1 times rs2, minus rs3, rounded once."""
        p.set(s, o.rd, p.rounded(s, o, "fma", p.get(s, o.rs1), p.get(s, o.rs2), p.get(s, o.rs3) ^ p.sign))

    @p.insn(".....ff ..... ..... ... ..... 1001011", "fnmsub.fmt {rd}, {rs1}, {rs2}, {rs3}, {rm}")
    def fnmsub(s: Session, o: F4Round) -> None:
        """The negated product of rs1 and rs2, plus rs3, rounded once."""
        p.set(s, o.rd, p.rounded(s, o, "fma", p.get(s, o.rs1) ^ p.sign, p.get(s, o.rs2), p.get(s, o.rs3)))

    @p.insn(".....ff ..... ..... ... ..... 1001111", "fnmadd.fmt {rd}, {rs1}, {rs2}, {rs3}, {rm}")
    def fnmadd(s: Session, o: F4Round) -> None:
        """The negated product of rs1 and rs2, minus rs3, rounded once."""
        p.set(s, o.rd, p.rounded(s, o, "fma", p.get(s, o.rs1) ^ p.sign, p.get(s, o.rs2), p.get(s, o.rs3) ^ p.sign))


def _sign_injection(p: Precision) -> None:
    @p.insn("00100ff ..... ..... 000 ..... 1010011", "fsgnj.fmt {rd}, {rs1}, {rs2}")
    def fsgnj(s: Session, o: F3) -> None:
        """rs1 with the sign of rs2."""
        p.set(s, o.rd, p.get(s, o.rs1) & p.magnitude | p.get(s, o.rs2) & p.sign)

    @p.insn("00100ff ..... ..... 001 ..... 1010011", "fsgnjn.fmt {rd}, {rs1}, {rs2}")
    def fsgnjn(s: Session, o: F3) -> None:
        """rs1 with the opposite of the sign of rs2."""
        p.set(s, o.rd, p.get(s, o.rs1) & p.magnitude | ~p.get(s, o.rs2) & p.sign)

    @p.insn("00100ff ..... ..... 010 ..... 1010011", "fsgnjx.fmt {rd}, {rs1}, {rs2}")
    def fsgnjx(s: Session, o: F3) -> None:
        """rs1 with the exclusive or of both signs."""
        p.set(s, o.rd, p.get(s, o.rs1) ^ p.get(s, o.rs2) & p.sign)


def _comparisons(p: Precision) -> None:
    @p.insn("00101ff ..... ..... 000 ..... 1010011", "fmin.fmt {rd}, {rs1}, {rs2}")
    def fmin(s: Session, o: F3) -> None:
        """The lesser of rs1 and rs2; the number where the other is a NaN. -0 is less than +0."""
        p.set(s, o.rd, s.fp("fmin", p.width, p.get(s, o.rs1), p.get(s, o.rs2), fmt=p.fmt))

    @p.insn("00101ff ..... ..... 001 ..... 1010011", "fmax.fmt {rd}, {rs1}, {rs2}")
    def fmax(s: Session, o: F3) -> None:
        """The greater of rs1 and rs2; the number where the other is a NaN. +0 is greater than -0."""
        p.set(s, o.rd, s.fp("fmax", p.width, p.get(s, o.rs1), p.get(s, o.rs2), fmt=p.fmt))

    @p.insn("10100ff ..... ..... 000 ..... 1010011", "fle.fmt {rd}, {rs1}, {rs2}")
    def fle(s: Session, o: FCompare) -> None:
        """Set rd to one when rs1 is not greater than rs2, else to zero; a NaN is invalid."""
        s.x[o.rd] = s.fp("fle", 1, p.get(s, o.rs1), p.get(s, o.rs2), fmt=p.fmt).zext(s.xlen)

    @p.insn("10100ff ..... ..... 001 ..... 1010011", "flt.fmt {rd}, {rs1}, {rs2}")
    def flt(s: Session, o: FCompare) -> None:
        """Set rd to one when rs1 is less than rs2, else to zero; a NaN is invalid."""
        s.x[o.rd] = s.fp("flt", 1, p.get(s, o.rs1), p.get(s, o.rs2), fmt=p.fmt).zext(s.xlen)

    @p.insn("10100ff ..... ..... 010 ..... 1010011", "feq.fmt {rd}, {rs1}, {rs2}")
    def feq(s: Session, o: FCompare) -> None:
        """Set rd to one when rs1 equals rs2, else to zero; only a signalling NaN is invalid."""
        s.x[o.rd] = s.fp("feq", 1, p.get(s, o.rs1), p.get(s, o.rs2), fmt=p.fmt).zext(s.xlen)

    @p.insn("11100ff 00000 ..... 001 ..... 1010011", "fclass.fmt {rd}, {rs1}", dirty=False)
    def fclass(s: Session, o: FToX) -> None:
        """Set the one bit of rd that tells the kind of rs1: 0 to 7 from minus to plus infinity, 8 and 9 for NaNs."""
        v = p.get(s, o.rs1)
        magnitude = v & p.magnitude
        rank = sum((magnitude >= limit).zext(s.xlen) for limit in (1, 1 << p.fraction, p.infinity))
        number = s.select(v.bit(p.width - 1), 3 - rank, rank + 4)
        nan = (magnitude >= p.infinity | p.quiet).zext(s.xlen) + 8
        s.x[o.rd] = 1 << s.select(magnitude > p.infinity, nan, number)


def _integer_conversions(p: Precision) -> None:
    def conversion(kind: str, code: str, width: int, signed: bool, xlen: int = 0) -> None:
        shape: dict[str, Any] = {"fmt": p.fmt, "int_width": width, "signed": signed}

        @p.insn(f"11000ff {code} ..... ... ..... 1010011", f"fcvt.{kind}.fmt {{rd}}, {{rs1}}, {{rm}}", xlen)
        def to_integer(s: Session, o: FToXRound) -> None:
            """Convert the number in rs1 to an integer; what does not fit is invalid and gives the nearest integer."""
            s.x[o.rd] = s.fp("fcvt_f2i", width, p.get(s, o.rs1), rm=rounding(o), **shape).sext(s.xlen)

        @p.insn(f"11010ff {code} ..... ... ..... 1010011", f"fcvt.fmt.{kind} {{rd}}, {{rs1}}, {{rm}}", xlen)
        def from_integer(s: Session, o: XToFRound) -> None:
            """Convert the integer in rs1 to a number."""
            p.set(s, o.rd, s.fp("fcvt_i2f", p.width, s.x[o.rs1].resize(width), rm=rounding(o), **shape))

    conversion("w", "00000", 32, signed=True)
    conversion("wu", "00001", 32, signed=False)
    conversion("l", "00010", 64, signed=True, xlen=64)
    conversion("lu", "00011", 64, signed=False, xlen=64)
