"""Conversions between formats, to and from integers, and rounding to integral values.

Source: IEEE Std 754-2019, 5.4.1 and 5.4.2 (conversions), 5.8 (to integers), 5.9 (to integral values).

Integers are bit patterns of any width. Not modelled: conversions that keep the low bits of a number out of range
(Alpha, FJCVTZS of Arm, fcvtmod.w.d of RISC-V).
"""

from __future__ import annotations

from ratite.bits import signed as read_signed
from ratite.fp.env import INEXACT, INVALID, FpEnv
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


def convert(source: Format, target: Format, env: FpEnv, bits: int) -> Result:
    """The number in another format; a signalling NaN is invalid and comes out quiet, also in the same format."""
    kind, sign, exponent, significand = unpack(source, env, bits)
    if kind == UNSUPPORTED:
        return invalid(target, env, kind)
    if kind >= NAN:
        flags = INVALID if kind == SIGNALLING else 0
        return env.nan.converted(source, target, bits), flags
    if kind == INFINITE:
        return sign << target.sign_shift | target.infinity, 0
    result, flags = round_result(target, env, sign, significand, exponent)
    return result, flags | denormal_flags(env, kind)


def to_int(
    fmt: Format, env: FpEnv, bits: int, width: int, signed: bool, *, scale: int = 0, inexact: bool = True
) -> Result:
    """The number times 2**scale as an integer of `width` bits.

    Out of range, after rounding, is INVALID, with a result that `env.integers` names. INEXACT is raised only with
    `inexact`. A subnormal operand raises nothing unless it is flushed.
    """
    kind, sign, exponent, significand = unpack(fmt, env, bits)
    flags = flushed_flags(env, kind)
    if kind >= NAN:
        return env.integers.nan.pattern(width, signed), flags | INVALID
    if kind == INFINITE:
        return _out_of_range(env, sign, width, signed, flags, inexact)
    magnitude, is_inexact = round_shift(env.rounding, sign, significand, -exponent - scale)
    half_range = 1 << (width - signed)
    limit = (half_range if signed else 0) if sign else half_range - 1
    if magnitude > limit:
        return _out_of_range(env, sign, width, signed, flags, inexact)
    if is_inexact and inexact:
        flags |= INEXACT
    return (-magnitude if sign else magnitude) & ((1 << width) - 1), flags


def _out_of_range(env: FpEnv, sign: int, width: int, signed: bool, flags: int, inexact: bool) -> Result:
    rules = env.integers
    flags |= INVALID
    if rules.overflow_is_inexact and inexact:
        flags |= INEXACT
    return (rules.below if sign else rules.above).pattern(width, signed), flags


def from_int(fmt: Format, env: FpEnv, value: int, width: int, signed: bool, *, scale: int = 0) -> Result:
    """An integer of `width` bits times 2**scale as a floating-point number; zero is +0."""
    number = read_signed(value, width) if signed else value & ((1 << width) - 1)
    return round_result(fmt, env, int(number < 0), abs(number), scale)


def round_to_integral(fmt: Format, env: FpEnv, bits: int, *, inexact: bool) -> Result:
    """The number rounded to an integer that stays floating-point and keeps its sign, zeros too.

    INEXACT is raised only with `inexact`. The format is not a narrowed one.
    """
    kind, sign, exponent, significand = unpack(fmt, env, bits)
    if kind >= NAN:
        return nan_result(fmt, env, kind, (bits,))
    if kind == INFINITE or exponent >= 0:
        return bits, 0
    integer, is_inexact = round_shift(env.rounding, sign, significand, -exponent)
    # An integer below 2**precision is exact in any format with that many exponents.
    result, _ = round_result(fmt, env, sign, integer, 0)
    flags = denormal_flags(env, kind)
    return result, flags | INEXACT if is_inexact and inexact else flags
