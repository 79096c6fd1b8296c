"""Multiplication and division (LoongArch Reference Manual, volume 1, v1.10, chapter 2.2.1).

Division by zero may give anything; here the quotient is the dividend and the remainder zero. Where word divisions find
operands that are no sign-extended words, without CPUCFG.DIV32 anything may come out; here they look at the low words.
"""

from __future__ import annotations

from collections.abc import Callable

from ratite.ir import Value
from ratite.isa.dsl import Session
from ratite.isa.loongarch.formats import R3
from ratite.isa.loongarch.la_base import binary, insn, word_binary


def _high(product: Value) -> Value:
    """The upper half of a product of double width."""
    return product.bits(product.width - 1, product.width // 2)


def _mulh(a: Value, b: Value) -> Value:
    """The upper half of the signed product."""
    return _high(a.sext(2 * a.width) * b.sext(2 * b.width))


def _mulhu(a: Value, b: Value) -> Value:
    """The upper half of the unsigned product."""
    return _high(a.zext(2 * a.width) * b.zext(2 * b.width))


word_binary("00000000000111000", "mul.w", "Multiply the low words; the low half.", lambda a, b: a * b)
word_binary("00000000000111001", "mulh.w", "Multiply the low words, both signed; the upper half.", _mulh)
word_binary("00000000000111010", "mulh.wu", "Multiply the low words, both unsigned; the upper half.", _mulhu)
binary("00000000000111011", "mul.d", "Multiply rj and rk; the low half.", lambda a, b: a * b)
binary("00000000000111100", "mulh.d", "Multiply rj and rk, both signed; the upper half.", _mulh)
binary("00000000000111101", "mulh.du", "Multiply rj and rk, both unsigned; the upper half.", _mulhu)
binary(
    "00000000000111110", "mulw.d.w", "Multiply the low words, both signed, to a doubleword.",
    lambda a, b: a.trunc(32).sext(64) * b.trunc(32).sext(64),
)  # fmt: skip
binary(
    "00000000000111111", "mulw.d.wu", "Multiply the low words, both unsigned, to a doubleword.",
    lambda a, b: a.trunc(32).zext(64) * b.trunc(32).zext(64),
)  # fmt: skip


def _division(pattern: str, name: str, doc: str, signed: bool, text: Callable[[Value, Value], Value]) -> None:
    """Define a division of words and of doublewords."""

    def semantics(s: Session, o: R3, width: int) -> None:
        a, b = s.r[o.rj].trunc(width), s.r[o.rk].trunc(width)
        undefined = b == 0
        if signed:  # dividing by one is right where the quotient overflows
            undefined = undefined | (a == 1 << width - 1) & (b == -1)
        s.r[o.rd] = text(a, s.select(undefined, 1, b)).sext(64)

    def word(s: Session, o: R3) -> None:
        semantics(s, o, 32)

    def doubleword(s: Session, o: R3) -> None:
        semantics(s, o, 64)

    unsigned = "" if signed else "u"
    for size, width, define in (("w", "0", word), ("d", "1", doubleword)):
        define.__doc__ = doc.format("the low words of rj and rk" if define is word else "rj and rk")
        syntax = f"{name}.{size}{unsigned} {{rd}}, {{rj}}, {{rk}}"
        insn(f"00000000001000{width}{pattern} ..... ..... .....", syntax)(define)


_division("00", "div", "Divide {}, both signed, towards zero.", True, lambda a, b: a.s // b.s)
_division("01", "mod", "Remainder of {}, both signed; it has the sign of the dividend.", True, lambda a, b: a.s % b.s)
_division("10", "div", "Divide {}, both unsigned.", False, lambda a, b: a // b)
_division("11", "mod", "Remainder of {}, both unsigned.", False, lambda a, b: a % b)
