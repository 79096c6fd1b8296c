"""Instruction formats of the base ISA (The RISC-V Instruction Set Manual, volume I, 20191213, chapter 2.2 and 2.3)."""

from __future__ import annotations

from enum import IntEnum

from ratite.bits import bits, signed
from ratite.isa.dsl import Format, imm, reg, static


class Rounding(IntEnum):
    """The field rm of floating-point instructions (chapter 11.2). 5 and 6 are reserved."""

    RNE, RTZ, RDN, RUP, RMM, RESERVED5, RESERVED6, DYN = range(8)

    def __str__(self) -> str:
        return self.name.lower()


_ROUNDINGS = tuple(Rounding)


def imm_i(w: int) -> int:
    """The signed 12-bit immediate of I-type."""
    return signed(w >> 20, 12)


def imm_s(w: int) -> int:
    """The signed 12-bit immediate of S-type."""
    return signed(bits(w, 31, 25) << 5 | bits(w, 11, 7), 12)


def imm_b(w: int) -> int:
    """The signed 13-bit branch offset of B-type."""
    return signed(bits(w, 31, 31) << 12 | bits(w, 7, 7) << 11 | bits(w, 30, 25) << 5 | bits(w, 11, 8) << 1, 13)


def imm_u(w: int) -> int:
    """The upper 20 bits of U-type, in place, sign-extended."""
    return signed(w & 0xFFFFF000, 32)


def imm_j(w: int) -> int:
    """The signed 21-bit jump offset of J-type."""
    return signed(bits(w, 31, 31) << 20 | bits(w, 19, 12) << 12 | bits(w, 20, 20) << 11 | bits(w, 30, 21) << 1, 21)


class Word(Format):
    """Mixed into formats of instructions that can turn out illegal when they run: `word` is the instruction itself."""

    word = imm(lambda w: signed(w, 32))


class R(Format):
    """Register to register."""

    rd, rs1, rs2 = reg("x", 11, 7), reg("x", 19, 15), reg("x", 24, 20)


class I(Format):  # noqa: E742 - the manual's name
    """Register and 12-bit immediate."""

    rd, rs1 = reg("x", 11, 7), reg("x", 19, 15)
    imm = imm(imm_i)


class Unary(Format):
    """One source register."""

    rd, rs1 = reg("x", 11, 7), reg("x", 19, 15)


class Shift(Format):
    """Register and shift amount of five or six bits."""

    rd, rs1 = reg("x", 11, 7), reg("x", 19, 15)
    shamt = imm(lambda w: bits(w, 25, 20))


class S(Format):
    """Store: base, source and 12-bit offset."""

    rs1, rs2 = reg("x", 19, 15), reg("x", 24, 20)
    imm = imm(imm_s)


class B(Format):
    """Branch: two registers and an offset."""

    rs1, rs2 = reg("x", 19, 15), reg("x", 24, 20)
    imm = imm(imm_b)


class U(Format):
    """Upper immediate."""

    rd = reg("x", 11, 7)
    imm = imm(imm_u)


class J(Format):
    """Jump: link register and offset."""

    rd = reg("x", 11, 7)
    imm = imm(imm_j)


class Csr(Word):
    """CSR access with a register. `csr` selects a text; so does the question whether rd and rs1 are x0."""

    rd, rs1 = reg("x", 11, 7), reg("x", 19, 15)
    csr = static(lambda w: w >> 20)
    rd_is_x0 = static(lambda w: int(bits(w, 11, 7) == 0))
    rs1_is_x0 = static(lambda w: int(bits(w, 19, 15) == 0))


class CsrImm(Word):
    """CSR access with a 5-bit immediate."""

    rd = reg("x", 11, 7)
    csr = static(lambda w: w >> 20)
    rd_is_x0 = static(lambda w: int(bits(w, 11, 7) == 0))
    uimm = static(lambda w: bits(w, 19, 15))


class FLoad(I, Word):
    """Load of a floating-point register."""

    rd = reg("f", 11, 7)


class FStore(S, Word):
    """Store of a floating-point register."""

    rs2 = reg("f", 24, 20)


class F3(Word):
    """Two floating-point sources, a floating-point result."""

    rd, rs1, rs2 = reg("f", 11, 7), reg("f", 19, 15), reg("f", 24, 20)


class FCompare(Word):
    """Two floating-point sources, an integer result."""

    rd, rs1, rs2 = reg("x", 11, 7), reg("f", 19, 15), reg("f", 24, 20)


class FToX(Word):
    """Floating-point source, integer result."""

    rd, rs1 = reg("x", 11, 7), reg("f", 19, 15)


class XToF(Word):
    """Integer source, floating-point result."""

    rd, rs1 = reg("f", 11, 7), reg("x", 19, 15)


class Rounded(Word):
    """Mixed into formats of floating-point instructions that round."""

    rm = static(lambda w: _ROUNDINGS[bits(w, 14, 12)])


class F4Round(F3, Rounded):
    """Three floating-point sources, a rounded floating-point result."""

    rs3 = reg("f", 31, 27)


class F3Round(F3, Rounded):
    """Two floating-point sources, a rounded floating-point result."""


class F2Round(Rounded):
    """One floating-point source, a rounded floating-point result."""

    rd, rs1 = reg("f", 11, 7), reg("f", 19, 15)


class FToXRound(FToX, Rounded):
    """Floating-point source, rounded integer result."""


class XToFRound(XToF, Rounded):
    """Integer source, rounded floating-point result."""


class Cbo(Word):
    """Cache-block operation: an address in rs1."""

    rs1 = reg("x", 19, 15)


class None_(Format):
    """No operands."""


class Fence(Word):
    """Translation fence: an address, or all of them where rs1 is x0, and an address space."""

    rs1, rs2 = reg("x", 19, 15), reg("x", 24, 20)
    rs1_is_x0 = static(lambda w: int(bits(w, 19, 15) == 0))
