"""Floating-point conversions (LoongArch Reference Manual, volume 1, v1.10, chapter 3.2.3).

A number that does not fit an integer is invalid and gives the nearest integer, a NaN zero.
"""

from __future__ import annotations

from ratite.ir import Value
from ratite.isa.dsl import Session
from ratite.isa.loongarch.floats import DOUBLE, PRECISIONS, SINGLE, Precision, raw
from ratite.isa.loongarch.formats import F2

_WIDTHS = {"w": 32, "l": 64}


@SINGLE.insn("0000000100011001000110 ..... .....", "fcvt.s.d {fd}, {fj}")
def fcvt_s_d(s: Session, o: F2) -> Value:
    """Round a double-precision number to single precision."""
    v = s.f[o.fj]
    nan = (v >> 32 & SINGLE.sign).trunc(32) | (v >> DOUBLE.fraction - SINGLE.fraction).trunc(32) & SINGLE.infinity - 1
    return _converted(s, SINGLE, s.fp("fcvt_f2f", 32, v, src="f64", dst="f32", rm="dyn"), nan)


@DOUBLE.insn("0000000100011001001001 ..... .....", "fcvt.d.s {fd}, {fj}")
def fcvt_d_s(s: Session, o: F2) -> Value:
    """Convert a single-precision number to double precision, which is exact."""
    v = SINGLE.get(s, o.fj)
    nan = (v & SINGLE.sign).zext(64) << 32 | v.zext(64) << DOUBLE.fraction - SINGLE.fraction
    return _converted(s, DOUBLE, s.fp("fcvt_f2f", 64, v, src="f32", dst="f64", rm="dyn"), nan)


def _converted(s: Session, p: Precision, result: Value, nan: Value) -> Value:
    """`result`, where that is a NaN with the sign and fraction of `nan`."""
    chosen = s.var(result)
    with s.when(p.is_nan(result), likely=False):
        kept = p.sign | (1 << p.fraction) - 1
        chosen.value = nan & kept | p.default_nan
    return chosen.value


def _to_integer(p: Precision, kind: str, code: str, name: str, rounding: int | str, doc: str) -> None:
    width = _WIDTHS[kind]
    syntax = f"{name}.{kind}.fmt {{fd}}, {{fj}}"

    def sign_extended(s: Session, o: F2, v: Value) -> None:
        s.f[o.fd] = v.sext(64)

    @p.insn(f"00000001000110{code}{'1' if kind == 'l' else '0'}0ff ..... .....", syntax, sign_extended)
    def to_integer(s: Session, o: F2) -> Value:
        v = p.get(s, o.fj)
        n = s.fp("fcvt_f2i", width, v, fmt=p.fmt, int_width=width, signed=True, rm=rounding)
        return s.select(p.is_nan(v), 0, n)

    to_integer.semantics.__doc__ = f"Convert fj to an integer of {width} bits, rounded {doc}."


def _from_integer(p: Precision, kind: str, code: str) -> None:
    width = _WIDTHS[kind]

    @p.insn(f"0000000100011101 {code} ..... .....", f"ffint.fmt.{kind} {{fd}}, {{fj}}")
    def from_integer(s: Session, o: F2) -> Value:
        return s.fp("fcvt_i2f", p.width, s.f[o.fj].trunc(width), fmt=p.fmt, int_width=width, signed=True, rm="dyn")

    from_integer.semantics.__doc__ = f"Convert the integer of {width} bits in fj to a number."


def _round_to_integral(p: Precision) -> None:
    @p.insn("00000001000111100100ff ..... .....", "frint.fmt {fd}, {fj}", raw)
    def frint(s: Session, o: F2) -> Value:
        """Round fj to an integer that stays a number."""
        v = p.get(s, o.fj)
        result = s.var(0, p.width)
        with s.when((v & p.magnitude) < p.power(p.fraction), likely=True):
            integer = s.fp("fcvt_f2i", 64, v, fmt=p.fmt, int_width=64, signed=True, rm="dyn")
            number = s.fp("fcvt_i2f", p.width, integer, fmt=p.fmt, int_width=64, signed=True, rm="dyn")
            result.value = number & p.magnitude | v & p.sign
        with s.otherwise():  # an integer already, or a NaN
            result.value = p.compute(s, "fmul", v, s.const(p.power(0), p.width))
        return result.value


#: Rounding of conversions to integers by mnemonic: code, the engine's number, and in words.
_ROUNDINGS: dict[str, tuple[str, int | str, str]] = {
    "ftintrm": ("1000", 2, "down"),
    "ftintrp": ("1001", 3, "up"),
    "ftintrz": ("1010", 1, "towards zero"),
    "ftintrne": ("1011", 0, "to the nearest, ties to even"),
    "ftint": ("1100", "dyn", "as fcsr0 says"),
}

for _precision in PRECISIONS:
    for _kind in _WIDTHS:
        for _mnemonic, (_code, _mode, _words) in _ROUNDINGS.items():
            _to_integer(_precision, _kind, _code, _mnemonic, _mode, _words)
    _round_to_integral(_precision)

_from_integer(SINGLE, "w", "000100")
_from_integer(SINGLE, "l", "000110")
_from_integer(DOUBLE, "w", "001000")
_from_integer(DOUBLE, "l", "001010")
