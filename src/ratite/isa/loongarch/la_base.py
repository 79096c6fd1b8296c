"""Arithmetic and logic on general registers (LoongArch Reference Manual, volume 1, v1.10, chapters 2.2.1 and 2.2.2)."""

from __future__ import annotations

from collections.abc import Callable

from ratite.ir import Value
from ratite.isa.dsl import Session
from ratite.isa.loongarch.formats import (
    R2S12,
    R2S16,
    R2U5,
    R2U6,
    R2U12,
    R3,
    RS20,
    R2S12Top,
    R3Shift,
    RS20Far,
    RS20Top,
    RS20Words,
)
from ratite.isa.loongarch.table import LOONGARCH

insn = LOONGARCH.extension("base")

Binary = Callable[[Value, Value], Value]


def binary(pattern: str, name: str, doc: str, text: Binary) -> None:
    """Define an instruction that computes rd from all of rj and rk."""

    def semantics(s: Session, o: R3) -> None:
        s.r[o.rd] = text(s.r[o.rj], s.r[o.rk])

    semantics.__doc__ = doc
    insn(f"{pattern} ..... ..... .....", f"{name} {{rd}}, {{rj}}, {{rk}}")(semantics)


def word_binary(pattern: str, name: str, doc: str, text: Binary) -> None:
    """Define an instruction that computes rd from the low words of rj and rk; the word that results is sign-extended."""
    binary(pattern, name, doc, lambda a, b: text(a.trunc(32), b.trunc(32)).sext(64))


# --- register and register ----------------------------------------------------------------------------------------------

word_binary("00000000000100000", "add.w", "Add the low words of rj and rk.", lambda a, b: a + b)
binary("00000000000100001", "add.d", "Add rj and rk.", lambda a, b: a + b)
word_binary("00000000000100010", "sub.w", "Subtract the low word of rk from that of rj.", lambda a, b: a - b)
binary("00000000000100011", "sub.d", "Subtract rk from rj.", lambda a, b: a - b)
binary("00000000000100100", "slt", "One where rj is less than rk, both signed, else zero.", lambda a, b: (a.s < b.s).zext(64))
binary("00000000000100101", "sltu", "One where rj is less than rk, both unsigned, else zero.", lambda a, b: (a < b).zext(64))
binary("00000000000101000", "nor", "Inverse of the or of rj and rk.", lambda a, b: ~(a | b))
binary("00000000000101001", "and", "And of rj and rk.", lambda a, b: a & b)
binary("00000000000101010", "or", "Or of rj and rk.", lambda a, b: a | b)
binary("00000000000101011", "xor", "Exclusive or of rj and rk.", lambda a, b: a ^ b)
binary("00000000000101100", "orn", "Or of rj and the inverse of rk.", lambda a, b: a | ~b)
binary("00000000000101101", "andn", "And of rj and the inverse of rk.", lambda a, b: a & ~b)

word_binary("00000000000101110", "sll.w", "Shift the low word of rj left by the low five bits of rk.", lambda a, b: a << b)
word_binary("00000000000101111", "srl.w", "Shift the low word of rj right, filling with zeros.", lambda a, b: a >> b)
word_binary("00000000000110000", "sra.w", "Shift the low word of rj right, filling with its sign.", lambda a, b: a.s >> b)
binary("00000000000110001", "sll.d", "Shift rj left by the low six bits of rk.", lambda a, b: a << b)
binary("00000000000110010", "srl.d", "Shift rj right, filling with zeros.", lambda a, b: a >> b)
binary("00000000000110011", "sra.d", "Shift rj right, filling with its sign.", lambda a, b: a.s >> b)
word_binary("00000000000110110", "rotr.w", "Rotate the low word of rj right.", lambda a, b: a.rotr(b))
binary("00000000000110111", "rotr.d", "Rotate rj right.", lambda a, b: a.rotr(b))


@insn("00000000000100110 ..... ..... .....", "maskeqz {rd}, {rj}, {rk}")
def maskeqz(s: Session, o: R3) -> None:
    """rj, or zero where rk is zero."""
    s.r[o.rd] = s.select(s.r[o.rk] == 0, 0, s.r[o.rj])


@insn("00000000000100111 ..... ..... .....", "masknez {rd}, {rj}, {rk}")
def masknez(s: Session, o: R3) -> None:
    """rj, or zero where rk is not zero."""
    s.r[o.rd] = s.select(s.r[o.rk] != 0, 0, s.r[o.rj])


@insn("000000000000010 .. ..... ..... .....", "alsl.w {rd}, {rj}, {rk}, {sa}")
def alsl_w(s: Session, o: R3Shift) -> None:
    """Add rk and rj shifted left; the low word of the sum, sign-extended."""
    s.r[o.rd] = ((s.r[o.rj] << o.sa) + s.r[o.rk]).trunc(32).sext(64)


@insn("000000000000011 .. ..... ..... .....", "alsl.wu {rd}, {rj}, {rk}, {sa}")
def alsl_wu(s: Session, o: R3Shift) -> None:
    """Add rk and rj shifted left; the low word of the sum, zero-extended."""
    s.r[o.rd] = ((s.r[o.rj] << o.sa) + s.r[o.rk]).trunc(32).zext(64)


@insn("000000000010110 .. ..... ..... .....", "alsl.d {rd}, {rj}, {rk}, {sa}")
def alsl_d(s: Session, o: R3Shift) -> None:
    """Add rk and rj shifted left."""
    s.r[o.rd] = (s.r[o.rj] << o.sa) + s.r[o.rk]


# --- register and immediate ---------------------------------------------------------------------------------------------


@insn("0000001010 ............ ..... .....", "addi.w {rd}, {rj}, {imm}")
def addi_w(s: Session, o: R2S12) -> None:
    """Add the immediate to the low word of rj and sign-extend the word."""
    s.r[o.rd] = (s.r[o.rj] + o.imm).trunc(32).sext(64)


@insn("0000001011 ............ ..... .....", "addi.d {rd}, {rj}, {imm}")
def addi_d(s: Session, o: R2S12) -> None:
    """Add the immediate to rj."""
    s.r[o.rd] = s.r[o.rj] + o.imm


@insn("000100 ................ ..... .....", "addu16i.d {rd}, {rj}, {imm}")
def addu16i_d(s: Session, o: R2S16) -> None:
    """Add the immediate times 65,536 to rj."""
    s.r[o.rd] = s.r[o.rj] + o.imm


@insn("0000001000 ............ ..... .....", "slti {rd}, {rj}, {imm}")
def slti(s: Session, o: R2S12) -> None:
    """One where rj is less than the immediate, both signed, else zero."""
    s.r[o.rd] = (s.r[o.rj].s < o.imm.s).zext(64)


@insn("0000001001 ............ ..... .....", "sltui {rd}, {rj}, {imm}")
def sltui(s: Session, o: R2S12) -> None:
    """One where rj is less than the sign-extended immediate, both unsigned, else zero."""
    s.r[o.rd] = (s.r[o.rj] < o.imm).zext(64)


@insn("0000001101 ............ ..... .....", "andi {rd}, {rj}, {imm}")
def andi(s: Session, o: R2U12) -> None:
    """And of rj and the zero-extended immediate."""
    s.r[o.rd] = s.r[o.rj] & o.imm


@insn("0000001110 ............ ..... .....", "ori {rd}, {rj}, {imm}")
def ori(s: Session, o: R2U12) -> None:
    """Or of rj and the zero-extended immediate."""
    s.r[o.rd] = s.r[o.rj] | o.imm


@insn("0000001111 ............ ..... .....", "xori {rd}, {rj}, {imm}")
def xori(s: Session, o: R2U12) -> None:
    """Exclusive or of rj and the zero-extended immediate."""
    s.r[o.rd] = s.r[o.rj] ^ o.imm


def _shift(bits: str, name: str, doc: str, text: Binary) -> None:
    """Define a shift by an immediate for words and doublewords."""

    def word(s: Session, o: R2U5) -> None:
        s.r[o.rd] = text(s.r[o.rj].trunc(32), o.imm.trunc(32)).sext(64)

    def doubleword(s: Session, o: R2U6) -> None:
        s.r[o.rd] = text(s.r[o.rj], o.imm)

    word.__doc__ = doc.format("the low word of rj")
    doubleword.__doc__ = doc.format("rj")
    insn(f"00000000010{bits}001 ..... ..... .....", f"{name}.w {{rd}}, {{rj}}, {{imm}}")(word)
    insn(f"00000000010{bits}01 ...... ..... .....", f"{name}.d {{rd}}, {{rj}}, {{imm}}")(doubleword)


_shift("000", "slli", "Shift {} left.", lambda a, n: a << n)
_shift("001", "srli", "Shift {} right, filling with zeros.", lambda a, n: a >> n)
_shift("010", "srai", "Shift {} right, filling with its sign.", lambda a, n: a.s >> n)
_shift("011", "rotri", "Rotate {} right.", lambda a, n: a.rotr(n))


# --- parts of constants and addresses -----------------------------------------------------------------------------------


@insn("0001010 .................... .....", "lu12i.w {rd}, {imm}")
def lu12i_w(s: Session, o: RS20) -> None:
    """The immediate from bit 12 on, sign-extended, above zeros."""
    s.r[o.rd] = o.imm


@insn("0001011 .................... .....", "lu32i.d {rd}, {imm}")
def lu32i_d(s: Session, o: RS20Top) -> None:
    """Replace the upper word of rd by the sign-extended immediate."""
    s.r[o.rd] = s.r[o.rd].trunc(32).zext(64) | o.imm


@insn("0000001100 ............ ..... .....", "lu52i.d {rd}, {rj}, {imm}")
def lu52i_d(s: Session, o: R2S12Top) -> None:
    """rj with its upper twelve bits replaced by the immediate."""
    s.r[o.rd] = s.r[o.rj] & (1 << 52) - 1 | o.imm


@insn("0001100 .................... .....", "pcaddi {rd}, {imm}")
def pcaddi(s: Session, o: RS20Words) -> None:
    """Add the immediate times 4 to the address of this instruction."""
    s.r[o.rd] = s.pc + o.imm


@insn("0001101 .................... .....", "pcalau12i {rd}, {imm}")
def pcalau12i(s: Session, o: RS20) -> None:
    """The page that lies the immediate in pages from the one of this instruction."""
    s.r[o.rd] = s.pc + o.imm & -0x1000


@insn("0001110 .................... .....", "pcaddu12i {rd}, {imm}")
def pcaddu12i(s: Session, o: RS20) -> None:
    """Add the immediate times 4,096 to the address of this instruction."""
    s.r[o.rd] = s.pc + o.imm


@insn("0001111 .................... .....", "pcaddu18i {rd}, {imm}")
def pcaddu18i(s: Session, o: RS20Far) -> None:
    """Add the immediate times 262,144 to the address of this instruction."""
    s.r[o.rd] = s.pc + o.imm
