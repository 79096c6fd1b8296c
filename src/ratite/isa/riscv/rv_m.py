"""RV32M and RV64M, integer multiplication and division (volume I, 20191213, chapter 7)."""

from __future__ import annotations

from ratite.ir import Value
from ratite.isa.dsl import Session
from ratite.isa.riscv.formats import R
from ratite.isa.riscv.table import RISCV

insn = RISCV.extension("m")


def _high(product: Value) -> Value:
    """The upper half of a product of double width."""
    return product.bits(product.width - 1, product.width // 2)


def _quotient(s: Session, a: Value, b: Value) -> Value:
    """Signed quotient, rounded towards zero; -1 for a zero divisor, the dividend where the quotient overflows."""
    return s.select(b == 0, -1, a.s // _harmless(s, a, b).s)


def _remainder(s: Session, a: Value, b: Value) -> Value:
    """Signed remainder, of the dividend's sign; the dividend for a zero divisor, 0 where the quotient overflows."""
    return s.select(b == 0, a, a.s % _harmless(s, a, b).s)


def _harmless(s: Session, a: Value, b: Value) -> Value:
    """The divisor, but 1 where `//` is not defined. Dividing by 1 is right where the quotient overflows."""
    lowest = s.const(1 << (a.width - 1), a.width)
    return s.select((b == 0) | ((a == lowest) & (b == -1)), 1, b)


def _uquotient(s: Session, a: Value, b: Value) -> Value:
    """Unsigned quotient; all ones for a zero divisor."""
    return s.select(b == 0, -1, a // s.select(b == 0, 1, b))


def _uremainder(s: Session, a: Value, b: Value) -> Value:
    """Unsigned remainder; the dividend for a zero divisor."""
    return s.select(b == 0, a, a % s.select(b == 0, 1, b))


# --- multiplication -------------------------------------------------------------------------------------------------


@insn("0000001 ..... ..... 000 ..... 0110011", "mul {rd}, {rs1}, {rs2}")
def mul(s: Session, o: R) -> None:
    """Multiply rs1 and rs2; the low half of the product."""
    s.x[o.rd] = s.x[o.rs1] * s.x[o.rs2]


@insn("0000001 ..... ..... 001 ..... 0110011", "mulh {rd}, {rs1}, {rs2}")
def mulh(s: Session, o: R) -> None:
    """Multiply rs1 and rs2, both signed; the high half of the product."""
    s.x[o.rd] = _high(s.x[o.rs1].sext(2 * s.xlen) * s.x[o.rs2].sext(2 * s.xlen))


@insn("0000001 ..... ..... 010 ..... 0110011", "mulhsu {rd}, {rs1}, {rs2}")
def mulhsu(s: Session, o: R) -> None:
    """Multiply rs1, signed, and rs2, unsigned; the high half of the product."""
    s.x[o.rd] = _high(s.x[o.rs1].sext(2 * s.xlen) * s.x[o.rs2].zext(2 * s.xlen))


@insn("0000001 ..... ..... 011 ..... 0110011", "mulhu {rd}, {rs1}, {rs2}")
def mulhu(s: Session, o: R) -> None:
    """Multiply rs1 and rs2, both unsigned; the high half of the product."""
    s.x[o.rd] = _high(s.x[o.rs1].zext(2 * s.xlen) * s.x[o.rs2].zext(2 * s.xlen))


@insn("0000001 ..... ..... 000 ..... 0111011", "mulw {rd}, {rs1}, {rs2}", xlen=64)
def mulw(s: Session, o: R) -> None:
    """Multiply the low words and sign-extend the low word of the product."""
    s.x[o.rd] = (s.x[o.rs1].trunc(32) * s.x[o.rs2].trunc(32)).sext(64)


# --- division -------------------------------------------------------------------------------------------------------


@insn("0000001 ..... ..... 100 ..... 0110011", "div {rd}, {rs1}, {rs2}")
def div(s: Session, o: R) -> None:
    """Divide rs1 by rs2, both signed, rounding towards zero."""
    s.x[o.rd] = _quotient(s, s.x[o.rs1], s.x[o.rs2])


@insn("0000001 ..... ..... 101 ..... 0110011", "divu {rd}, {rs1}, {rs2}")
def divu(s: Session, o: R) -> None:
    """Divide rs1 by rs2, both unsigned."""
    s.x[o.rd] = _uquotient(s, s.x[o.rs1], s.x[o.rs2])


@insn("0000001 ..... ..... 110 ..... 0110011", "rem {rd}, {rs1}, {rs2}")
def rem(s: Session, o: R) -> None:
    """Remainder of rs1 divided by rs2, both signed."""
    s.x[o.rd] = _remainder(s, s.x[o.rs1], s.x[o.rs2])


@insn("0000001 ..... ..... 111 ..... 0110011", "remu {rd}, {rs1}, {rs2}")
def remu(s: Session, o: R) -> None:
    """Remainder of rs1 divided by rs2, both unsigned."""
    s.x[o.rd] = _uremainder(s, s.x[o.rs1], s.x[o.rs2])


@insn("0000001 ..... ..... 100 ..... 0111011", "divw {rd}, {rs1}, {rs2}", xlen=64)
def divw(s: Session, o: R) -> None:
    """Divide the low word of rs1 by that of rs2, both signed, and sign-extend the quotient."""
    s.x[o.rd] = _quotient(s, s.x[o.rs1].trunc(32), s.x[o.rs2].trunc(32)).sext(64)


@insn("0000001 ..... ..... 101 ..... 0111011", "divuw {rd}, {rs1}, {rs2}", xlen=64)
def divuw(s: Session, o: R) -> None:
    """Divide the low word of rs1 by that of rs2, both unsigned, and sign-extend the quotient."""
    s.x[o.rd] = _uquotient(s, s.x[o.rs1].trunc(32), s.x[o.rs2].trunc(32)).sext(64)


@insn("0000001 ..... ..... 110 ..... 0111011", "remw {rd}, {rs1}, {rs2}", xlen=64)
def remw(s: Session, o: R) -> None:
    """Remainder of the low word of rs1 divided by that of rs2, both signed, sign-extended."""
    s.x[o.rd] = _remainder(s, s.x[o.rs1].trunc(32), s.x[o.rs2].trunc(32)).sext(64)


@insn("0000001 ..... ..... 111 ..... 0111011", "remuw {rd}, {rs1}, {rs2}", xlen=64)
def remuw(s: Session, o: R) -> None:
    """Remainder of the low word of rs1 divided by that of rs2, both unsigned, sign-extended."""
    s.x[o.rd] = _uremainder(s, s.x[o.rs1].trunc(32), s.x[o.rs2].trunc(32)).sext(64)
