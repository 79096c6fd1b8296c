"""Arithmetic over tiny formats equals IEEE 754's definition, written down with fractions and a list of all
representable numbers.

This covers what SoftFloat's build has not: rounding to odd, formats of any shape, results narrower than their layout,
flushing to zero.
"""

from __future__ import annotations

import dataclasses
import operator
from bisect import bisect_left
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from itertools import product
from math import isqrt

import pytest

from ratite.fp import soft
from ratite.fp.env import Flags, FlushResults, FpEnv, Rounding, Tininess
from ratite.fp.formats import Format
from ratite.fp.presets import RISCV

TINY = Format("tiny", 3, 2)
EXPLICIT = Format("explicit", 3, 2, explicit_integer=True)
WIDE = Format("wide", 4, 3)
NARROWED = WIDE.narrowed(TINY)
SAME_RANGE = WIDE.narrowed(TINY, keep_range=True)
SHAPES = [TINY, EXPLICIT, WIDE, NARROWED, SAME_RANGE]

Exact = Fraction | float
"""A number, or one of the floats inf and nan; signs of zeros are not the business of these tests."""


@cache
def value(fmt: Format, bits: int) -> Exact | None:
    """What a pattern stands for, None for an encoding that means nothing."""
    field = bits % (1 << fmt.field_bits)
    biased = (bits >> fmt.field_bits) % (1 << fmt.exponent_bits)
    sign = -1 if bits >> fmt.sign_shift else 1
    fraction = field % (1 << fmt.fraction_bits)
    integer = field >> fmt.fraction_bits if fmt.explicit_integer else int(biased > 0)
    if biased and not integer:
        return None
    if biased == fmt.exponent_mask:
        return float("nan") if fraction else sign * float("inf")
    significand = integer + Fraction(fraction, 1 << fmt.fraction_bits)
    return sign * significand * Fraction(2) ** (max(biased, 1) - fmt.bias)


@cache
def numbers(fmt: Format) -> list[int]:
    """Patterns that stand for finite numbers: all of a tiny format, every fifth of a wider one."""
    finite = [bits for bits in range(1 << fmt.width) if isinstance(value(fmt, bits), Fraction)]
    return finite if len(finite) < 100 else finite[::5]


@cache
def results(fmt: Format) -> list[Fraction]:
    """The magnitudes that may be delivered, ascending, and the number that would follow if exponents went on."""
    least = Fraction(2) ** (1 - fmt.max_exponent)
    magnitudes = {Fraction(0)}
    for exponent in range(2 * fmt.max_exponent):
        for step in range(1 << (fmt.precision - 1)):
            fraction = Fraction(step, 1 << (fmt.precision - 1))
            magnitudes |= {least * fraction, least * 2**exponent * (1 + fraction)}
    return [*sorted(magnitudes), Fraction(2) ** (fmt.max_exponent + 1)]


def pick(magnitudes: list[Fraction], exact: Fraction, negative: bool, mode: Rounding) -> Fraction:
    """The neighbour that a rounding direction chooses; neighbours alternate between even and odd."""
    above = bisect_left(magnitudes, exact)
    if above < len(magnitudes) and magnitudes[above] == exact:
        return exact
    low, high = magnitudes[above - 1], magnitudes[above]
    middle = (low + high) / 2
    low_is_even = (above - 1) % 2 == 0
    take_high = {
        Rounding.RNE: exact > middle or (exact == middle and not low_is_even),
        Rounding.RMM: exact >= middle,
        Rounding.RTZ: False,
        Rounding.RDN: negative,
        Rounding.RUP: not negative,
        Rounding.ODD: low_is_even,
    }[mode]
    return high if take_high else low


@cache
def delivered(
    fmt: Format, exact: Fraction, mode: Rounding, tininess: Tininess, flush: FlushResults
) -> tuple[Exact, Flags]:
    """The rounded value and the flags, for a number that is not zero."""
    negative = exact < 0
    sign = -1 if negative else 1
    magnitude = abs(exact)
    magnitudes = results(fmt)
    beyond = magnitudes[-1]
    least = Fraction(2) ** (1 - fmt.max_exponent)
    if magnitude > magnitudes[-2]:
        rounded = beyond if magnitude >= beyond else pick(magnitudes, magnitude, negative, mode)
        if rounded == beyond:
            infinite = mode in (Rounding.RNE, Rounding.RMM) or mode is (Rounding.RDN if negative else Rounding.RUP)
            return sign * (float("inf") if infinite else magnitudes[-2]), Flags.OVERFLOW | Flags.INEXACT
    tiny_before = magnitude < least
    # A number just below the normal ones, doubled, is rounded as if exponents had no end.
    tiny_after = magnitude < least / 2 or (tiny_before and pick(magnitudes, magnitude * 2, negative, mode) < least * 2)
    if flush is FlushResults.BEFORE_ROUNDING and tiny_before:
        return Fraction(0), Flags.UNDERFLOW
    if flush is FlushResults.AFTER_ROUNDING and tiny_after:
        return Fraction(0), Flags.UNDERFLOW | Flags.INEXACT
    rounded = pick(magnitudes, magnitude, negative, mode)
    if rounded == magnitude:
        return exact, Flags(0)
    tiny = tiny_before if tininess is Tininess.BEFORE_ROUNDING else tiny_after
    return sign * rounded, Flags.INEXACT | (Flags.UNDERFLOW if tiny else Flags(0))


def environments() -> Iterator[FpEnv]:
    """Every rounding direction with each kind of tininess and flushing."""
    for rounding in Rounding:
        for tininess, flush in product(Tininess, FlushResults):
            if flush is FlushResults.NEVER or tininess is Tininess.AFTER_ROUNDING:
                yield dataclasses.replace(RISCV, rounding=rounding, tininess=tininess, flush_results=flush)


Operation = Callable[[Format, FpEnv, int, int], tuple[int, int]]
EXACTLY = {"add": operator.add, "mul": operator.mul, "div": operator.truediv}


def check(fmt: Format, env: FpEnv, exact: Fraction, result: tuple[int, int], operands: tuple[int, ...]) -> None:
    """Compare a result with the definition."""
    expected: tuple[Exact, Flags] = (Fraction(0), Flags(0))
    if exact:
        expected = delivered(fmt, exact, env.rounding, env.tininess, env.flush_results)
    ours = value(fmt, result[0]), Flags(result[1])
    if ours != expected:
        pytest.fail(f"{fmt} {[value(fmt, x) for x in operands]} {env.rounding!r} {env.tininess}: {ours} not {expected}")


@pytest.mark.parametrize("fmt", SHAPES, ids=repr)
@pytest.mark.parametrize("name", EXACTLY)
def test_all_pairs(fmt: Format, name: str) -> None:
    """Two-operand operations over pairs of numbers, every environment."""
    operation: Operation = getattr(soft, name)
    exactly = EXACTLY[name]
    operands = numbers(fmt)
    pairs = [(a, b) for a, b in product(operands, repeat=2) if not (name == "div" and value(fmt, b) == 0)]
    exact = {(a, b): exactly(value(fmt, a), value(fmt, b)) for a, b in pairs}
    for env in environments():
        for a, b in pairs:
            check(fmt, env, exact[a, b], operation(fmt, env, a, b), (a, b))


@pytest.mark.parametrize("fmt", SHAPES, ids=repr)
def test_all_triples(fmt: Format) -> None:
    """Fused multiply-add, with and without a scale, over triples of numbers, every rounding direction."""
    operands = numbers(fmt)[:: len(numbers(fmt)) // 10]
    for a, b, c in product(operands, repeat=3):
        exact = value(fmt, a) * value(fmt, b) + value(fmt, c)  # type: ignore[operator]
        assert isinstance(exact, Fraction)
        for rounding in Rounding:
            env = RISCV.rounded(rounding)
            check(fmt, env, exact, soft.fma(fmt, env, a, b, c), (a, b, c))
        check(fmt, RISCV, exact / 2, soft.fma(fmt, RISCV, a, b, c, scale=-1), (a, b, c))


@pytest.mark.parametrize("fmt", SHAPES, ids=repr)
def test_all_roots(fmt: Format) -> None:
    """Square roots of all numbers: a number between the same two multiples of a small unit is rounded as the root."""
    for bits, env in product(numbers(fmt), environments()):
        square = value(fmt, bits)
        assert isinstance(square, Fraction)
        if square < 0:
            assert soft.sqrt(fmt, env, bits) == (env.nan.default(fmt), Flags.INVALID)
            continue
        unit = Fraction(1, square.denominator << 40)
        low = isqrt(int(square / unit**2)) * unit
        exact = low if low * low == square else low + unit / 2
        check(fmt, env, exact, soft.sqrt(fmt, env, bits), (bits,))


@pytest.mark.parametrize("source", SHAPES, ids=repr)
@pytest.mark.parametrize("target", SHAPES, ids=repr)
def test_all_conversions(source: Format, target: Format) -> None:
    """Conversions of all numbers between all shapes, also of a shape to itself."""
    for bits, env in product(numbers(source), environments()):
        exact = value(source, bits)
        assert isinstance(exact, Fraction)
        check(target, env, exact, soft.convert(source, target, env, bits), ())


@pytest.mark.parametrize("fmt", SHAPES, ids=repr)
@pytest.mark.parametrize("scale", [0, 2, -1])
def test_all_to_integers(fmt: Format, scale: int) -> None:
    """Conversions of all numbers to narrow integers and back, with binary points."""
    for bits, rounding, width, signed in product(numbers(fmt), Rounding, (3, 5), (True, False)):
        env = RISCV.rounded(rounding)
        exact = value(fmt, bits)
        assert isinstance(exact, Fraction)
        exact *= Fraction(2) ** scale
        low, high = (-(1 << width - 1), (1 << width - 1) - 1) if signed else (0, (1 << width) - 1)
        naturals = [Fraction(n) for n in range(int(abs(exact)) + 2)]
        rounded = int(pick(naturals, abs(exact), exact < 0, rounding)) * (-1 if exact < 0 else 1)
        expected = rounded, Flags.INEXACT if rounded != exact else Flags(0)
        if not low <= rounded <= high:
            expected = (low if rounded < low else high), Flags.INVALID
        pattern, flags = soft.to_int(fmt, env, bits, width, signed, scale=scale)
        assert (pattern, flags) == (expected[0] % (1 << width), expected[1])


@pytest.mark.parametrize("fmt", SHAPES, ids=repr)
@pytest.mark.parametrize("scale", [0, 2, -1])
def test_all_from_integers(fmt: Format, scale: int) -> None:
    """Conversions of all narrow integers, with binary points."""
    for number, env in product(range(-128, 256), environments()):
        bits = number % 256
        result = soft.from_int(fmt, env, bits, 8, signed=number < 0, scale=scale)
        check(fmt, env, Fraction(number) * Fraction(2) ** scale, result, ())


@pytest.mark.parametrize("fmt", SHAPES, ids=repr)
def test_all_remainders(fmt: Format) -> None:
    """The remainder of all pairs, with the quotient rounded either way; a zero has the sign of the first operand."""
    operands = numbers(fmt)
    for (a, b), quotient in product(product(operands, repeat=2), (Rounding.RNE, Rounding.RTZ)):
        x, y = value(fmt, a), value(fmt, b)
        assert isinstance(x, Fraction) and isinstance(y, Fraction)
        if y == 0:
            assert soft.remainder(fmt, RISCV, a, b, quotient=quotient) == (RISCV.nan.default(fmt), Flags.INVALID)
            continue
        whole = round(x / y) if quotient is Rounding.RNE else int(x / y)
        bits, flags = soft.remainder(fmt, RISCV, a, b, quotient=quotient)
        check(fmt, RISCV, x - whole * y, (bits, flags), (a, b))
        if x == whole * y:
            assert bits >> fmt.sign_shift == a >> fmt.sign_shift
