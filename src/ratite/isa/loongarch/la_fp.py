"""Floating-point arithmetic (LoongArch Reference Manual, volume 1, v1.10, chapter 3.2.1)."""

from __future__ import annotations

from ratite.ir import Value
from ratite.isa.dsl import Session
from ratite.isa.loongarch.floats import DOUBLE, PRECISIONS, SINGLE, Precision
from ratite.isa.loongarch.formats import F2, F3, F4


def _arithmetic(p: Precision) -> None:
    @p.insn("00000001000000 0ff ..... ..... .....", "fadd.fmt {fd}, {fj}, {fk}")
    def fadd(s: Session, o: F3) -> Value:
        """Add fj and fk."""
        return p.compute(s, "fadd", p.get(s, o.fj), p.get(s, o.fk))

    @p.insn("00000001000000 1ff ..... ..... .....", "fsub.fmt {fd}, {fj}, {fk}")
    def fsub(s: Session, o: F3) -> Value:
        """Subtract fk from fj."""
        return p.compute(s, "fsub", p.get(s, o.fj), p.get(s, o.fk))

    @p.insn("00000001000001 0ff ..... ..... .....", "fmul.fmt {fd}, {fj}, {fk}")
    def fmul(s: Session, o: F3) -> Value:
        """Multiply fj and fk."""
        return p.compute(s, "fmul", p.get(s, o.fj), p.get(s, o.fk))

    @p.insn("00000001000001 1ff ..... ..... .....", "fdiv.fmt {fd}, {fj}, {fk}")
    def fdiv(s: Session, o: F3) -> Value:
        """Divide fj by fk."""
        return p.compute(s, "fdiv", p.get(s, o.fj), p.get(s, o.fk))


def _fused(p: Precision, code: str, name: str, negate_addend: bool, negate_result: bool, doc: str) -> None:
    @p.insn(f"00001000{code}ff ..... ..... ..... .....", f"{name}.fmt {{fd}}, {{fj}}, {{fk}}, {{fa}}")
    def fused(s: Session, o: F4) -> Value:
        a, b, c = p.get(s, o.fj), p.get(s, o.fk), p.get(s, o.fa)
        sum_ = s.fp("fma", p.width, a, b, c ^ p.sign if negate_addend else c, fmt=p.fmt, rm="dyn")
        return p.propagated(s, sum_ ^ p.sign if negate_result else sum_, c, a, b)

    fused.semantics.__doc__ = doc


def _multiply_add(p: Precision) -> None:
    _fused(p, "00", "fmadd", False, False, "fj times fk, plus fa, rounded once.")
    _fused(p, "01", "fmsub", True, False, "fj times fk, minus fa, rounded once.")
    _fused(p, "10", "fnmadd", False, True, "fj times fk, plus fa, rounded once and then negated.")
    _fused(p, "11", "fnmsub", True, True, "fj times fk, minus fa, rounded once and then negated.")


def _extreme(p: Precision, s: Session, op: str, a: Value, b: Value) -> Value:
    """minNum or maxNum of IEEE 754-2008: a number wins over a quiet NaN, and over nothing a signalling one."""
    chosen = s.var(s.fp(op, p.width, a, b, fmt=p.fmt))
    with s.when(p.is_signalling(a) | p.is_signalling(b) | p.is_nan(a) & p.is_nan(b), likely=False):
        chosen.value = p.passed_on(s, (a, b))
    return chosen.value


def _extreme_magnitude(p: Precision, s: Session, op: str, a: Value, b: Value) -> Value:
    """The one with the larger or smaller magnitude; where these are alike or not numbers, as `_extreme` has it."""
    x, y = a & p.magnitude, b & p.magnitude
    chosen = s.var(s.select(x < y if op == "fmin" else x > y, a, b))
    with s.when((x == y) | (x > p.infinity) | (y > p.infinity), likely=False):
        chosen.value = _extreme(p, s, op, a, b)
    return chosen.value


def _extremes(p: Precision) -> None:
    @p.insn("00000001000010 0ff ..... ..... .....", "fmax.fmt {fd}, {fj}, {fk}")
    def fmax(s: Session, o: F3) -> Value:
        """The greater of fj and fk."""
        return _extreme(p, s, "fmax", p.get(s, o.fj), p.get(s, o.fk))

    @p.insn("00000001000010 1ff ..... ..... .....", "fmin.fmt {fd}, {fj}, {fk}")
    def fmin(s: Session, o: F3) -> Value:
        """The lesser of fj and fk."""
        return _extreme(p, s, "fmin", p.get(s, o.fj), p.get(s, o.fk))

    @p.insn("00000001000011 0ff ..... ..... .....", "fmaxa.fmt {fd}, {fj}, {fk}")
    def fmaxa(s: Session, o: F3) -> Value:
        """The one of fj and fk with the greater magnitude."""
        return _extreme_magnitude(p, s, "fmax", p.get(s, o.fj), p.get(s, o.fk))

    @p.insn("00000001000011 1ff ..... ..... .....", "fmina.fmt {fd}, {fj}, {fk}")
    def fmina(s: Session, o: F3) -> Value:
        """The one of fj and fk with the lesser magnitude."""
        return _extreme_magnitude(p, s, "fmin", p.get(s, o.fj), p.get(s, o.fk))


def _reciprocal(p: Precision, s: Session, v: Value) -> Value:
    return p.propagated(s, s.fp("fdiv", p.width, s.const(p.power(0), p.width), v, fmt=p.fmt, rm="dyn"), v)


def _roots(p: Precision) -> None:
    @p.insn("0000000100010100 010 0ff ..... .....", "fsqrt.fmt {fd}, {fj}")
    def fsqrt(s: Session, o: F2) -> Value:
        """Square root of fj."""
        return p.compute(s, "fsqrt", p.get(s, o.fj))

    @p.insn("0000000100010100 010 1ff ..... .....", "frecip.fmt {fd}, {fj}")
    def frecip(s: Session, o: F2) -> Value:
        """One divided by fj."""
        return _reciprocal(p, s, p.get(s, o.fj))

    @p.insn("0000000100010100 011 0ff ..... .....", "frsqrt.fmt {fd}, {fj}")
    def frsqrt(s: Session, o: F2) -> Value:
        """One divided by the square root of fj, which is rounded before."""
        return _reciprocal(p, s, p.compute(s, "fsqrt", p.get(s, o.fj)))

    @p.insn("0000000100010100 011 1ff ..... .....", "frecipe.fmt {fd}, {fj}", extension="FRECIPE")
    def frecipe(s: Session, o: F2) -> Value:
        """An approximation of one divided by fj; here the quotient itself."""
        return _reciprocal(p, s, p.get(s, o.fj))

    @p.insn("0000000100010100 100 0ff ..... .....", "frsqrte.fmt {fd}, {fj}", extension="FRECIPE")
    def frsqrte(s: Session, o: F2) -> Value:
        """An approximation of one divided by the square root of fj; here as frsqrt computes it."""
        return _reciprocal(p, s, p.compute(s, "fsqrt", p.get(s, o.fj)))


def _exponents(p: Precision) -> None:
    @p.insn("0000000100010100 001 0ff ..... .....", "flogb.fmt {fd}, {fj}")
    def flogb(s: Session, o: F2) -> Value:
        """The exponent of fj as a number. Zero is a division by zero, a negative number invalid."""
        v = p.get(s, o.fj)
        result = s.var(0, p.width)
        with s.when(((v & p.magnitude) == 0) | (v >= p.infinity), likely=False):
            with s.when((v & p.magnitude) == 0):
                result.value = s.fp("fdiv", p.width, s.const(p.power(0) | p.sign, p.width), v & p.magnitude, fmt=p.fmt, rm="dyn")
            with s.otherwise():
                result.value = p.compute(s, "fsqrt", v)
        with s.otherwise():
            subnormal = s.const(p.width - 1 - p.fraction, p.width) - v.clz()
            exponent = s.select(v >> p.fraction == 0, subnormal + 1, v >> p.fraction) - p.bias
            result.value = s.fp("fcvt_i2f", p.width, exponent, fmt=p.fmt, int_width=p.width, signed=True, rm="dyn")
        return result.value


@SINGLE.insn("00000001000100001 ..... ..... .....", "fscaleb.s {fd}, {fj}, {fk}")
def fscaleb_s(s: Session, o: F3) -> Value:
    """fj times two to the power of the integer in fk."""
    v, n = SINGLE.get(s, o.fj), SINGLE.get(s, o.fk)
    limit = 2 * (SINGLE.bias + SINGLE.fraction + 1)
    n = s.select(n.s > s.const(limit, 32).s, limit, s.select(n.s < s.const(-limit, 32).s, -limit, n))
    wide = s.fp("fcvt_f2f", 64, v, src="f32", dst="f64", rm="dyn")
    factor = n.sext(64) + DOUBLE.bias << DOUBLE.fraction
    product = s.fp("fmul", 64, wide, factor, fmt="f64", rm="dyn")
    return SINGLE.propagated(s, s.fp("fcvt_f2f", 32, product, src="f64", dst="f32", rm="dyn"), v)


#: Factors of fscaleb.d before the last one: with the first nothing is rounded but what overflows anyway; the second keeps
#: so far from the smallest numbers that rounding twice does not tell.
_UP, _DOWN = DOUBLE.bias, 1 - DOUBLE.bias + DOUBLE.fraction + 1


def _scaled_once(s: Session, v: Value, n: Value) -> tuple[Value, Value]:
    """v times a power of two, and what is left of the exponent n, nearer to what a factor can have."""
    up, down = n.s > s.const(_UP, 64).s, n.s < s.const(1 - DOUBLE.bias, 64).s
    part = s.select(up, _UP, s.select(down, s.const(_DOWN, 64), 0))
    product = s.fp("fmul", 64, v, part + DOUBLE.bias << DOUBLE.fraction, fmt="f64", rm="dyn")
    return product, n - part


@DOUBLE.insn("00000001000100010 ..... ..... .....", "fscaleb.d {fd}, {fj}, {fk}")
def fscaleb_d(s: Session, o: F3) -> Value:
    """fj times two to the power of the integer in fk."""
    v, n = DOUBLE.get(s, o.fj), s.f[o.fk]
    limit = 3 * DOUBLE.bias
    n = s.select(n.s > s.const(limit, 64).s, limit, s.select(n.s < s.const(-limit, 64).s, -limit, n))
    product, n = _scaled_once(s, *_scaled_once(s, v, n))
    n = s.select(n.s < s.const(1 - DOUBLE.bias, 64).s, 1 - DOUBLE.bias, n)
    product = s.fp("fmul", 64, product, n + DOUBLE.bias << DOUBLE.fraction, fmt="f64", rm="dyn")
    return DOUBLE.propagated(s, product, v)


for _precision in PRECISIONS:
    _arithmetic(_precision)
    _multiply_add(_precision)
    _extremes(_precision)
    _roots(_precision)
    _exponents(_precision)
