"""Zba, Zbb, Zbc and Zbs, bit manipulation (RISC-V Bit-Manipulation ISA-extensions, version 1.0.0)."""

from __future__ import annotations

from collections.abc import Callable

from ratite.ir import Value
from ratite.isa.dsl import Session
from ratite.isa.riscv.formats import R, Shift, Unary
from ratite.isa.riscv.table import RISCV

zba = RISCV.extension("zba")
zbb = RISCV.extension("zbb")
zbc = RISCV.extension("zbc")
zbs = RISCV.extension("zbs")


def _immediate(
    define: Callable[..., Callable[..., object]],
    funct6: str,
    funct3: str,
    name: str,
    doc: str,
    text: Callable[[Value, Value], Value],
) -> None:
    """Define an instruction with a bit number for both widths: five bits of it in RV32, six in RV64."""

    def semantics(s: Session, o: Shift) -> None:
        s.x[o.rd] = text(s.x[o.rs1], o.shamt)

    semantics.__doc__ = doc
    syntax = f"{name} {{rd}}, {{rs1}}, {{shamt}}"
    define(f"{funct6} 0 ..... ..... {funct3} ..... 0010011", syntax, 32)(semantics)
    define(f"{funct6} ...... ..... {funct3} ..... 0010011", syntax, 64)(semantics)


# --- Zba: address generation ----------------------------------------------------------------------------------------


@zba("0010000 ..... ..... 010 ..... 0110011", "sh1add {rd}, {rs1}, {rs2}")
def sh1add(s: Session, o: R) -> None:
    """Add rs2 and rs1 shifted left by 1."""
    s.x[o.rd] = s.x[o.rs2] + (s.x[o.rs1] << 1)


@zba("0010000 ..... ..... 100 ..... 0110011", "sh2add {rd}, {rs1}, {rs2}")
def sh2add(s: Session, o: R) -> None:
    """Add rs2 and rs1 shifted left by 2."""
    s.x[o.rd] = s.x[o.rs2] + (s.x[o.rs1] << 2)


@zba("0010000 ..... ..... 110 ..... 0110011", "sh3add {rd}, {rs1}, {rs2}")
def sh3add(s: Session, o: R) -> None:
    """Add rs2 and rs1 shifted left by 3."""
    s.x[o.rd] = s.x[o.rs2] + (s.x[o.rs1] << 3)


def _unsigned_word(s: Session, o: R | Shift) -> Value:
    """The low word of rs1, zero-extended."""
    v: Value = s.x[o.rs1]
    return v.trunc(32).zext(64)


@zba("0000100 ..... ..... 000 ..... 0111011", "add.uw {rd}, {rs1}, {rs2}", xlen=64)
def add_uw(s: Session, o: R) -> None:
    """Add rs2 and the zero-extended low word of rs1."""
    s.x[o.rd] = s.x[o.rs2] + _unsigned_word(s, o)


@zba("0010000 ..... ..... 010 ..... 0111011", "sh1add.uw {rd}, {rs1}, {rs2}", xlen=64)
def sh1add_uw(s: Session, o: R) -> None:
    """Add rs2 and the zero-extended low word of rs1 shifted left by 1."""
    s.x[o.rd] = s.x[o.rs2] + (_unsigned_word(s, o) << 1)


@zba("0010000 ..... ..... 100 ..... 0111011", "sh2add.uw {rd}, {rs1}, {rs2}", xlen=64)
def sh2add_uw(s: Session, o: R) -> None:
    """Add rs2 and the zero-extended low word of rs1 shifted left by 2."""
    s.x[o.rd] = s.x[o.rs2] + (_unsigned_word(s, o) << 2)


@zba("0010000 ..... ..... 110 ..... 0111011", "sh3add.uw {rd}, {rs1}, {rs2}", xlen=64)
def sh3add_uw(s: Session, o: R) -> None:
    """Add rs2 and the zero-extended low word of rs1 shifted left by 3."""
    s.x[o.rd] = s.x[o.rs2] + (_unsigned_word(s, o) << 3)


@zba("000010 ...... ..... 001 ..... 0011011", "slli.uw {rd}, {rs1}, {shamt}", xlen=64)
def slli_uw(s: Session, o: Shift) -> None:
    """Shift the zero-extended low word of rs1 left."""
    s.x[o.rd] = _unsigned_word(s, o) << o.shamt


# --- Zbb: logic with negation, counts, minima -----------------------------------------------------------------------


@zbb("0100000 ..... ..... 111 ..... 0110011", "andn {rd}, {rs1}, {rs2}")
def andn(s: Session, o: R) -> None:
    """And of rs1 and the inverse of rs2."""
    s.x[o.rd] = s.x[o.rs1] & ~s.x[o.rs2]


@zbb("0100000 ..... ..... 110 ..... 0110011", "orn {rd}, {rs1}, {rs2}")
def orn(s: Session, o: R) -> None:
    """Or of rs1 and the inverse of rs2."""
    s.x[o.rd] = s.x[o.rs1] | ~s.x[o.rs2]


@zbb("0100000 ..... ..... 100 ..... 0110011", "xnor {rd}, {rs1}, {rs2}")
def xnor(s: Session, o: R) -> None:
    """Inverse of the exclusive or of rs1 and rs2."""
    s.x[o.rd] = ~(s.x[o.rs1] ^ s.x[o.rs2])


@zbb("0110000 00000 ..... 001 ..... 0010011", "clz {rd}, {rs1}")
def clz(s: Session, o: Unary) -> None:
    """Count the zeros above the highest one."""
    s.x[o.rd] = s.x[o.rs1].clz()


@zbb("0110000 00001 ..... 001 ..... 0010011", "ctz {rd}, {rs1}")
def ctz(s: Session, o: Unary) -> None:
    """Count the zeros below the lowest one."""
    s.x[o.rd] = s.x[o.rs1].ctz()


@zbb("0110000 00010 ..... 001 ..... 0010011", "cpop {rd}, {rs1}")
def cpop(s: Session, o: Unary) -> None:
    """Count the ones."""
    s.x[o.rd] = s.x[o.rs1].popcount()


@zbb("0110000 00000 ..... 001 ..... 0011011", "clzw {rd}, {rs1}", xlen=64)
def clzw(s: Session, o: Unary) -> None:
    """Count the zeros above the highest one of the low word."""
    s.x[o.rd] = s.x[o.rs1].trunc(32).clz().zext(64)


@zbb("0110000 00001 ..... 001 ..... 0011011", "ctzw {rd}, {rs1}", xlen=64)
def ctzw(s: Session, o: Unary) -> None:
    """Count the zeros below the lowest one of the low word."""
    s.x[o.rd] = s.x[o.rs1].trunc(32).ctz().zext(64)


@zbb("0110000 00010 ..... 001 ..... 0011011", "cpopw {rd}, {rs1}", xlen=64)
def cpopw(s: Session, o: Unary) -> None:
    """Count the ones of the low word."""
    s.x[o.rd] = s.x[o.rs1].trunc(32).popcount().zext(64)


@zbb("0000101 ..... ..... 110 ..... 0110011", "max {rd}, {rs1}, {rs2}")
def max_(s: Session, o: R) -> None:
    """The greater of rs1 and rs2, both signed."""
    a, b = s.x[o.rs1], s.x[o.rs2]
    s.x[o.rd] = s.select(a.s < b.s, b, a)


@zbb("0000101 ..... ..... 111 ..... 0110011", "maxu {rd}, {rs1}, {rs2}")
def maxu(s: Session, o: R) -> None:
    """The greater of rs1 and rs2, both unsigned."""
    a, b = s.x[o.rs1], s.x[o.rs2]
    s.x[o.rd] = s.select(a < b, b, a)


@zbb("0000101 ..... ..... 100 ..... 0110011", "min {rd}, {rs1}, {rs2}")
def min_(s: Session, o: R) -> None:
    """The lesser of rs1 and rs2, both signed."""
    a, b = s.x[o.rs1], s.x[o.rs2]
    s.x[o.rd] = s.select(a.s < b.s, a, b)


@zbb("0000101 ..... ..... 101 ..... 0110011", "minu {rd}, {rs1}, {rs2}")
def minu(s: Session, o: R) -> None:
    """The lesser of rs1 and rs2, both unsigned."""
    a, b = s.x[o.rs1], s.x[o.rs2]
    s.x[o.rd] = s.select(a < b, a, b)


# --- Zbb: extension, rotation, bytes --------------------------------------------------------------------------------


@zbb("0110000 00100 ..... 001 ..... 0010011", "sext.b {rd}, {rs1}")
def sext_b(s: Session, o: Unary) -> None:
    """Sign-extend the lowest byte."""
    s.x[o.rd] = s.x[o.rs1].trunc(8).sext(s.xlen)


@zbb("0110000 00101 ..... 001 ..... 0010011", "sext.h {rd}, {rs1}")
def sext_h(s: Session, o: Unary) -> None:
    """Sign-extend the low 16 bits."""
    s.x[o.rd] = s.x[o.rs1].trunc(16).sext(s.xlen)


def zext_h(s: Session, o: Unary) -> None:
    """Zero-extend the low 16 bits."""
    s.x[o.rd] = s.x[o.rs1].trunc(16).zext(s.xlen)


zbb("0000100 00000 ..... 100 ..... 0110011", "zext.h {rd}, {rs1}", xlen=32)(zext_h)
zbb("0000100 00000 ..... 100 ..... 0111011", "zext.h {rd}, {rs1}", xlen=64)(zext_h)


@zbb("0110000 ..... ..... 001 ..... 0110011", "rol {rd}, {rs1}, {rs2}")
def rol(s: Session, o: R) -> None:
    """Rotate rs1 left by the low bits of rs2."""
    s.x[o.rd] = s.x[o.rs1].rotl(s.x[o.rs2])


@zbb("0110000 ..... ..... 101 ..... 0110011", "ror {rd}, {rs1}, {rs2}")
def ror(s: Session, o: R) -> None:
    """Rotate rs1 right by the low bits of rs2."""
    s.x[o.rd] = s.x[o.rs1].rotr(s.x[o.rs2])


_immediate(zbb, "011000", "101", "rori", "Rotate rs1 right.", lambda v, n: v.rotr(n))


@zbb("0110000 ..... ..... 001 ..... 0111011", "rolw {rd}, {rs1}, {rs2}", xlen=64)
def rolw(s: Session, o: R) -> None:
    """Rotate the low word of rs1 left by the low five bits of rs2 and sign-extend it."""
    s.x[o.rd] = s.x[o.rs1].trunc(32).rotl(s.x[o.rs2].trunc(32)).sext(64)


@zbb("0110000 ..... ..... 101 ..... 0111011", "rorw {rd}, {rs1}, {rs2}", xlen=64)
def rorw(s: Session, o: R) -> None:
    """Rotate the low word of rs1 right by the low five bits of rs2 and sign-extend it."""
    s.x[o.rd] = s.x[o.rs1].trunc(32).rotr(s.x[o.rs2].trunc(32)).sext(64)


@zbb("0110000 ..... ..... 101 ..... 0011011", "roriw {rd}, {rs1}, {shamt}", xlen=64)
def roriw(s: Session, o: Shift) -> None:
    """Rotate the low word of rs1 right and sign-extend it."""
    s.x[o.rd] = s.x[o.rs1].trunc(32).rotr(o.shamt.trunc(32)).sext(64)


@zbb("001010000111 ..... 101 ..... 0010011", "orc.b {rd}, {rs1}")
def orc_b(s: Session, o: Unary) -> None:
    """Make every byte that is not zero all ones."""
    lowest = int.from_bytes(b"\x01" * (s.xlen // 8), "little")
    v = s.x[o.rs1]
    for distance in (4, 2, 1):  # gather each byte's bits in its lowest one
        v = v | ((v >> distance) & lowest * ((1 << distance) - 1))
    s.x[o.rd] = (v & lowest) * s.const(0xFF)


def rev8(s: Session, o: Unary) -> None:
    """Put the bytes in opposite order."""
    s.x[o.rd] = s.x[o.rs1].bswap()


zbb("011010011000 ..... 101 ..... 0010011", "rev8 {rd}, {rs1}", xlen=32)(rev8)
zbb("011010111000 ..... 101 ..... 0010011", "rev8 {rd}, {rs1}", xlen=64)(rev8)


# --- Zbc: carry-less multiplication ---------------------------------------------------------------------------------


def _carryless(s: Session, o: R) -> Value:
    """The whole carry-less product, of double width."""
    a: Value = s.x[o.rs1]
    b: Value = s.x[o.rs2]
    return a.zext(2 * s.xlen).clmul(b.zext(2 * s.xlen))


@zbc("0000101 ..... ..... 001 ..... 0110011", "clmul {rd}, {rs1}, {rs2}")
def clmul(s: Session, o: R) -> None:
    """The low half of the carry-less product."""
    s.x[o.rd] = s.x[o.rs1].clmul(s.x[o.rs2])


@zbc("0000101 ..... ..... 011 ..... 0110011", "clmulh {rd}, {rs1}, {rs2}")
def clmulh(s: Session, o: R) -> None:
    """The high half of the carry-less product."""
    s.x[o.rd] = _carryless(s, o).bits(2 * s.xlen - 1, s.xlen)


@zbc("0000101 ..... ..... 010 ..... 0110011", "clmulr {rd}, {rs1}, {rs2}")
def clmulr(s: Session, o: R) -> None:
    """The bits of the carry-less product that are its low half when all numbers are read in opposite bit order."""
    s.x[o.rd] = _carryless(s, o).bits(2 * s.xlen - 2, s.xlen - 1)


# --- Zbs: single bits -----------------------------------------------------------------------------------------------


def _one(n: Value) -> Value:
    """The value with bit `n` set."""
    return 1 << n


@zbs("0100100 ..... ..... 001 ..... 0110011", "bclr {rd}, {rs1}, {rs2}")
def bclr(s: Session, o: R) -> None:
    """rs1 with the bit cleared that rs2 names."""
    s.x[o.rd] = s.x[o.rs1] & ~_one(s.x[o.rs2])


@zbs("0100100 ..... ..... 101 ..... 0110011", "bext {rd}, {rs1}, {rs2}")
def bext(s: Session, o: R) -> None:
    """The bit of rs1 that rs2 names."""
    s.x[o.rd] = (s.x[o.rs1] >> s.x[o.rs2]) & 1


@zbs("0110100 ..... ..... 001 ..... 0110011", "binv {rd}, {rs1}, {rs2}")
def binv(s: Session, o: R) -> None:
    """rs1 with the bit inverted that rs2 names."""
    s.x[o.rd] = s.x[o.rs1] ^ _one(s.x[o.rs2])


@zbs("0010100 ..... ..... 001 ..... 0110011", "bset {rd}, {rs1}, {rs2}")
def bset(s: Session, o: R) -> None:
    """rs1 with the bit set that rs2 names."""
    s.x[o.rd] = s.x[o.rs1] | _one(s.x[o.rs2])


_immediate(zbs, "010010", "001", "bclri", "rs1 with one bit cleared.", lambda v, n: v & ~_one(n))
_immediate(zbs, "010010", "101", "bexti", "One bit of rs1.", lambda v, n: (v >> n) & 1)
_immediate(zbs, "011010", "001", "binvi", "rs1 with one bit inverted.", lambda v, n: v ^ _one(n))
_immediate(zbs, "001010", "001", "bseti", "rs1 with one bit set.", lambda v, n: v | _one(n))
