"""The arithmetic operations, computed exactly and rounded once.

Source: IEEE Std 754-2019, 5.4.1 (formatOf general-computational operations), 5.3.1 (remainder), 6.3 (the sign of zero
results).

Patterns are integers in `0 <= bits < 2**fmt.width`. Each operation returns a pattern and the union of the `Flags` that
it signalled.
"""

from __future__ import annotations

from math import isqrt

from ratite.fp.env import DIVZERO, INVALID, FpEnv, Rounding
from ratite.fp.formats import Format
from ratite.fp.operands import (
    INFINITE,
    NAN,
    SIGNALLING,
    UNSUPPORTED,
    Result,
    denormal_flags,
    flushed_flags,
    invalid,
    nan_result,
    unpack,
)
from ratite.fp.rounding import round_result, round_shift


def _delivered(fmt: Format, env: FpEnv, kinds: int, sign: int, significand: int, exponent: int) -> Result:
    """Round a result; note subnormal operands."""
    bits, flags = round_result(fmt, env, sign, significand, exponent)
    return (bits, flags | denormal_flags(env, kinds)) if kinds else (bits, flags)


def _pair_nan(fmt: Format, env: FpEnv, kinds: int, a: int, b: int) -> Result:
    operands = (a, b)
    return nan_result(fmt, env, kinds, tuple(operands[i] for i in env.nan.pair_order))


def _infinity(fmt: Format, env: FpEnv, kinds: int, sign: int) -> Result:
    return sign << fmt.sign_shift | fmt.infinity, denormal_flags(env, kinds)


def _summed(
    fmt: Format, env: FpEnv, kinds: int, x: tuple[int, int, int], y: tuple[int, int, int], scale: int = 0
) -> Result:
    """The sum of two finite numbers given as (sign, exponent, significand), times 2**scale."""
    sign, exponent, significand = x
    y_sign, y_exponent, y_significand = y
    if exponent > y_exponent:
        significand <<= exponent - y_exponent
        exponent = y_exponent
    else:
        y_significand <<= y_exponent - exponent
    if sign == y_sign:
        significand += y_significand
    elif significand > y_significand:
        significand -= y_significand
    elif significand < y_significand:
        significand = y_significand - significand
        sign = y_sign
    else:
        significand = 0
        sign = 1 if env.rounding == Rounding.RDN else 0
    return _delivered(fmt, env, kinds, sign, significand, exponent + scale)


def _sum(fmt: Format, env: FpEnv, a: int, b: int, negate: int) -> Result:
    a_kind, a_sign, a_exponent, a_significand = unpack(fmt, env, a)
    b_kind, b_sign, b_exponent, b_significand = unpack(fmt, env, b)
    b_sign ^= negate
    kinds = a_kind | b_kind
    if kinds < INFINITE:
        return _summed(fmt, env, kinds, (a_sign, a_exponent, a_significand), (b_sign, b_exponent, b_significand))
    if kinds >= NAN:
        return _pair_nan(fmt, env, kinds, a, b)
    if a_kind == b_kind and a_sign != b_sign:
        return invalid(fmt, env, kinds)
    return _infinity(fmt, env, kinds, a_sign if a_kind == INFINITE else b_sign)


def add(fmt: Format, env: FpEnv, a: int, b: int) -> Result:
    """a + b."""
    return _sum(fmt, env, a, b, 0)


def sub(fmt: Format, env: FpEnv, a: int, b: int) -> Result:
    """a - b; a NaN b keeps its sign."""
    return _sum(fmt, env, a, b, 1)


def mul(fmt: Format, env: FpEnv, a: int, b: int) -> Result:
    """a * b."""
    a_kind, a_sign, a_exponent, a_significand = unpack(fmt, env, a)
    b_kind, b_sign, b_exponent, b_significand = unpack(fmt, env, b)
    sign = a_sign ^ b_sign
    kinds = a_kind | b_kind
    if kinds < INFINITE:
        return _delivered(fmt, env, kinds, sign, a_significand * b_significand, a_exponent + b_exponent)
    if kinds >= NAN:
        return _pair_nan(fmt, env, kinds, a, b)
    if not (a_significand and b_significand):
        return invalid(fmt, env, kinds)
    return _infinity(fmt, env, kinds, sign)


def div(fmt: Format, env: FpEnv, a: int, b: int) -> Result:
    """a / b."""
    a_kind, a_sign, a_exponent, a_significand = unpack(fmt, env, a)
    b_kind, b_sign, b_exponent, b_significand = unpack(fmt, env, b)
    sign = a_sign ^ b_sign
    kinds = a_kind | b_kind
    if kinds >= NAN:
        return _pair_nan(fmt, env, kinds, a, b)
    if a_kind == INFINITE:
        return invalid(fmt, env, kinds) if b_kind == INFINITE else _infinity(fmt, env, kinds, sign)
    if b_kind == INFINITE:
        return sign << fmt.sign_shift, denormal_flags(env, kinds)
    if not b_significand:
        if not a_significand:
            return invalid(fmt, env, kinds)
        return sign << fmt.sign_shift | fmt.infinity, DIVZERO | flushed_flags(env, kinds)
    shift = max(0, fmt.precision + 2 + b_significand.bit_length() - a_significand.bit_length())
    quotient, rest = divmod(a_significand << shift, b_significand)
    return _delivered(fmt, env, kinds, sign, quotient << 1 | (rest != 0), a_exponent - b_exponent - shift - 1)


def sqrt(fmt: Format, env: FpEnv, a: int) -> Result:
    """The square root; that of -0 is -0."""
    kind, sign, exponent, significand = unpack(fmt, env, a)
    if kind >= NAN:
        return nan_result(fmt, env, kind, (a,))
    if not significand:
        return sign << fmt.sign_shift, denormal_flags(env, kind)
    if sign:
        return invalid(fmt, env, kind)
    if kind == INFINITE:
        return a, 0
    shift = max(0, 2 * (fmt.precision + 2) - significand.bit_length())
    shift += (exponent - shift) & 1
    significand <<= shift
    root = isqrt(significand)
    return _delivered(fmt, env, kind, 0, root << 1 | (root * root != significand), (exponent - shift) // 2 - 1)


def fma(
    fmt: Format,
    env: FpEnv,
    a: int,
    b: int,
    c: int,
    *,
    negate_product: bool = False,
    negate_addend: bool = False,
    scale: int = 0,
) -> Result:
    """(a * b + c) * 2**scale, rounded once; the negations do not touch NaNs.

    `scale` serves the reciprocal and root steps of Arm. Whether 0 * infinity + quiet NaN is invalid is the
    environment's choice.
    """
    a_kind, a_sign, a_exponent, a_significand = unpack(fmt, env, a)
    b_kind, b_sign, b_exponent, b_significand = unpack(fmt, env, b)
    c_kind, c_sign, c_exponent, c_significand = unpack(fmt, env, c)
    sign = a_sign ^ b_sign ^ negate_product
    c_sign ^= negate_addend
    kinds = a_kind | b_kind | c_kind
    if kinds < INFINITE:
        product = (sign, a_exponent + b_exponent, a_significand * b_significand)
        return _summed(fmt, env, kinds, product, (c_sign, c_exponent, c_significand), scale)
    product_kinds = a_kind | b_kind
    no_product = product_kinds < NAN and product_kinds >= INFINITE and not (a_significand and b_significand)
    if kinds >= NAN:
        return _fma_nan(fmt, env, kinds, (a, b, c), no_product)
    if no_product or (product_kinds >= INFINITE and c_kind == INFINITE and sign != c_sign):
        return invalid(fmt, env, kinds)
    return _infinity(fmt, env, kinds, sign if product_kinds >= INFINITE else c_sign)


def _fma_nan(fmt: Format, env: FpEnv, kinds: int, operands: tuple[int, int, int], no_product: bool) -> Result:
    bits, flags = nan_result(fmt, env, kinds, tuple(operands[i] for i in env.nan.fma_order))
    if no_product and not kinds & (SIGNALLING | UNSUPPORTED):
        if env.nan.zero_times_infinity_default:
            bits = env.nan.default(fmt)
        if env.nan.zero_times_infinity_signals:
            flags |= INVALID
    return bits, flags


def remainder(fmt: Format, env: FpEnv, a: int, b: int, *, quotient: Rounding = Rounding.RNE) -> Result:
    """a - b * n, exactly; n is a / b rounded to an integer by `quotient`, RNE for IEEE 754's remainder, RTZ for fmod.

    Not modelled: the partial remainder of the x87 and m68k, and the quotient's low bits.
    """
    a_kind, sign, a_exponent, a_significand = unpack(fmt, env, a)
    b_kind, _, b_exponent, b_significand = unpack(fmt, env, b)
    kinds = a_kind | b_kind
    if kinds >= NAN:
        return _pair_nan(fmt, env, kinds, a, b)
    if a_kind == INFINITE or not b_significand:
        return invalid(fmt, env, kinds)
    if b_kind == INFINITE:
        return _delivered(fmt, env, kinds, sign, a_significand, a_exponent)
    exponent = min(a_exponent, b_exponent)
    a_significand <<= a_exponent - exponent
    b_significand <<= b_exponent - exponent
    whole, rest = divmod(a_significand, b_significand)
    # All that rounding the quotient needs of the rest is whether it is none, below, at or above a half: two bits.
    doubled = 2 * rest
    fourths = 4 * whole + (doubled > 0) + (doubled >= b_significand) + (doubled > b_significand)
    if round_shift(quotient, sign, fourths, 2)[0] > whole:
        rest = b_significand - rest
        sign ^= 1
    return _delivered(fmt, env, kinds, sign, rest, exponent)
