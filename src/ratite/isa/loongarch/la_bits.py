"""Bit manipulation (LoongArch Reference Manual, volume 1, v1.10, chapter 2.2.3)."""

from __future__ import annotations

from collections.abc import Callable

from ratite.bits import mask
from ratite.ir import Value
from ratite.isa.dsl import Session
from ratite.isa.loongarch.exceptions import illegal
from ratite.isa.loongarch.formats import R2, BytesD, BytesW, ExtractD, ExtractW, InsertD, InsertW
from ratite.isa.loongarch.table import LOONGARCH

insn = LOONGARCH.extension("base")

Unary = Callable[[Value], Value]


def unary(pattern: str, name: str, doc: str, text: Unary, word: bool = False) -> None:
    """Define an instruction that computes rd from rj; `word`: from its low word, giving a word that is sign-extended."""

    def semantics(s: Session, o: R2) -> None:
        v = s.r[o.rj]
        s.r[o.rd] = text(v.trunc(32)).sext(64) if word else text(v)

    semantics.__doc__ = doc
    insn(f"{pattern} ..... .....", f"{name} {{rd}}, {{rj}}")(semantics)


def _swapped(v: Value, *distances: int) -> Value:
    """Exchange neighbouring groups of bits: for each distance, groups of so many."""
    for n in distances:
        low = mask(v.width) // (mask(n) << n | mask(n)) * mask(n)
        v = v >> n & low | (v & low) << n
    return v


unary("0000000000000000010110", "ext.w.h", "Sign-extend the low 16 bits.", lambda v: v.trunc(16).sext(64))
unary("0000000000000000010111", "ext.w.b", "Sign-extend the low byte.", lambda v: v.trunc(8).sext(64))
unary("0000000000000000000100", "clo.w", "Count the leading ones of the low word.", lambda v: (~v).clz(), word=True)
unary("0000000000000000000101", "clz.w", "Count the leading zeros of the low word.", lambda v: v.clz(), word=True)
unary("0000000000000000000110", "cto.w", "Count the trailing ones of the low word.", lambda v: (~v).ctz(), word=True)
unary("0000000000000000000111", "ctz.w", "Count the trailing zeros of the low word.", lambda v: v.ctz(), word=True)
unary("0000000000000000001000", "clo.d", "Count the leading ones.", lambda v: (~v).clz())
unary("0000000000000000001001", "clz.d", "Count the leading zeros.", lambda v: v.clz())
unary("0000000000000000001010", "cto.d", "Count the trailing ones.", lambda v: (~v).ctz())
unary("0000000000000000001011", "ctz.d", "Count the trailing zeros.", lambda v: v.ctz())
unary("0000000000000000001100", "revb.2h", "Swap bytes in the halves of the low word.", lambda v: _swapped(v, 8), word=True)
unary("0000000000000000001101", "revb.4h", "Swap the bytes of every 16 bits.", lambda v: _swapped(v, 8))
unary("0000000000000000001110", "revb.2w", "Reverse the bytes of both words.", lambda v: v.bswap().rotl(32))
unary("0000000000000000001111", "revb.d", "Reverse the bytes.", lambda v: v.bswap())
unary("0000000000000000010000", "revh.2w", "Swap the halves of both words.", lambda v: _swapped(v, 16))
unary("0000000000000000010001", "revh.d", "Reverse the order of the four 16-bit parts.", lambda v: _swapped(v, 16).rotl(32))
unary(
    "0000000000000000010010", "bitrev.4b", "Reverse the bits in the bytes of the low word.",
    lambda v: _swapped(v, 1, 2, 4), word=True,
)  # fmt: skip
unary("0000000000000000010011", "bitrev.8b", "Reverse the bits of every byte.", lambda v: _swapped(v, 1, 2, 4))
unary(
    "0000000000000000010100", "bitrev.w", "Reverse the bits of the low word.",
    lambda v: _swapped(v, 1, 2, 4).bswap(), word=True,
)  # fmt: skip
unary("0000000000000000010101", "bitrev.d", "Reverse the bits.", lambda v: _swapped(v, 1, 2, 4).bswap())


def _window(above: Value, below: Value, count: int) -> Value:
    """As many bytes as a value has, out of two in a row: the last `count` of them are the first of `below`."""
    return above << 8 * count | below >> below.width - 8 * count if count else above


@insn("000000000000100 .. ..... ..... .....", "bytepick.w {rd}, {rj}, {rk}, {sa}")
def bytepick_w(s: Session, o: BytesW) -> None:
    """Four bytes out of the low words of rk and rj in a row; the last `sa` of them come from rj."""
    s.r[o.rd] = _window(s.r[o.rk].trunc(32), s.r[o.rj].trunc(32), o.sa).sext(64)


@insn("00000000000011 ... ..... ..... .....", "bytepick.d {rd}, {rj}, {rk}, {sa}")
def bytepick_d(s: Session, o: BytesD) -> None:
    """Eight bytes out of rk and rj in a row; the last `sa` of them come from rj."""
    s.r[o.rd] = _window(s.r[o.rk], s.r[o.rj], o.sa)


def _inserted(old: Value, new: Value, spare: Value, lsb: Value) -> Value:
    """`old` with the low bits of `new` from bit `lsb` on, but for `spare` bits."""
    differences = (old.rotr(lsb) ^ new) << spare >> spare
    return old ^ differences.rotl(lsb)


@insn("00000000011 ..... 0 ..... ..... .....", "bstrins.w {rd}, {rj}, {msb}, {lsb}")
def bstrins_w(s: Session, o: InsertW) -> None:
    """Replace bits `msb` to `lsb` of the low word of rd by the low bits of rj; the word is sign-extended."""
    if o.reversed:
        illegal(s, o)
        return
    old, new = s.r[o.rd].trunc(32), s.r[o.rj].trunc(32)
    s.r[o.rd] = _inserted(old, new, o.msb.trunc(32), o.lsb.trunc(32)).sext(64)


@insn("0000000010 ...... ...... ..... .....", "bstrins.d {rd}, {rj}, {msb}, {lsb}")
def bstrins_d(s: Session, o: InsertD) -> None:
    """Replace bits `msb` to `lsb` of rd by the low bits of rj."""
    if o.reversed:
        illegal(s, o)
        return
    s.r[o.rd] = _inserted(s.r[o.rd], s.r[o.rj], o.msb, o.lsb)


@insn("00000000011 ..... 1 ..... ..... .....", "bstrpick.w {rd}, {rj}, {msb}, {lsb}")
def bstrpick_w(s: Session, o: ExtractW) -> None:
    """Bits `msb` to `lsb` of the low word of rj; the word that they make is sign-extended."""
    if o.reversed:
        illegal(s, o)
        return
    s.r[o.rd] = (s.r[o.rj].trunc(32) << o.msb.trunc(32) >> o.lsb.trunc(32)).sext(64)


@insn("0000000011 ...... ...... ..... .....", "bstrpick.d {rd}, {rj}, {msb}, {lsb}")
def bstrpick_d(s: Session, o: ExtractD) -> None:
    """Bits `msb` to `lsb` of rj."""
    if o.reversed:
        illegal(s, o)
        return
    s.r[o.rd] = s.r[o.rj] << o.msb >> o.lsb
