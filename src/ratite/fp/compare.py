"""Comparisons, and the smaller or larger of two numbers.

Source: IEEE Std 754-2019, 5.6.1 and 5.11 (comparisons), 9.6 (minimum and maximum); IEEE Std 754-2008, 5.3.1 (minNum and
maxNum).
"""

from __future__ import annotations

from enum import Enum, IntEnum, auto

from ratite.fp.env import INVALID, FpEnv
from ratite.fp.formats import Format
from ratite.fp.operands import (
    FLUSHED,
    NAN,
    SIGNALLING,
    UNSUPPORTED,
    Operand,
    Result,
    denormal_flags,
    flushed_flags,
    nan_result,
    unpack,
)


class Relation(IntEnum):
    """How the first number stands to the second; exactly one holds."""

    LESS = -1
    EQUAL = 0
    GREATER = 1
    UNORDERED = 2


class MinMax(Enum):
    """What minimum and maximum do with NaNs. In all but SECOND, -0 is less than +0."""

    NUM = auto()
    """A number wins over a quiet NaN; a signalling NaN gives a NaN (minNum of 2008)."""
    NUMBER = auto()
    """A number wins over any NaN (minimumNumber of 2019)."""
    PROPAGATE = auto()
    """Any NaN gives a NaN (minimum of 2019)."""
    SECOND = auto()
    """The second operand, unless the first is strictly smaller or larger; any NaN is invalid (x86 MIN and MAX)."""


def _order(x: Operand, y: Operand, *, by_magnitude: bool = False) -> Relation:
    """The relation of two operands that are not NaNs."""
    _, x_sign, *x_magnitude = x
    _, y_sign, *y_magnitude = y
    if by_magnitude:
        x_sign = y_sign = 0
    if x_magnitude == y_magnitude and (x_sign == y_sign or not x_magnitude[1]):
        return Relation.EQUAL
    # Normal significands have all their bits, and subnormal numbers share the exponent of the smallest normal ones:
    # pairs of exponent and significand are ordered as the numbers are.
    x_is_less = x_sign > y_sign if x_sign != y_sign else (x_magnitude < y_magnitude) != x_sign
    return Relation.LESS if x_is_less else Relation.GREATER


def compare(fmt: Format, env: FpEnv, a: int, b: int, *, signalling: bool) -> tuple[Relation, int]:
    """How a stands to b; a quiet NaN is invalid in the signalling comparison only."""
    x = unpack(fmt, env, a)
    y = unpack(fmt, env, b)
    kinds = x[0] | y[0]
    if kinds >= NAN:
        is_invalid = signalling or kinds & (SIGNALLING | UNSUPPORTED)
        return Relation.UNORDERED, (INVALID if is_invalid else 0) | flushed_flags(env, kinds)
    return _order(x, y), denormal_flags(env, kinds)


def eq(fmt: Format, env: FpEnv, a: int, b: int, *, signalling: bool = False) -> Result:
    """1 where a equals b, else 0."""
    relation, flags = compare(fmt, env, a, b, signalling=signalling)
    return int(relation is Relation.EQUAL), flags


def lt(fmt: Format, env: FpEnv, a: int, b: int, *, signalling: bool = True) -> Result:
    """1 where a is less than b, else 0."""
    relation, flags = compare(fmt, env, a, b, signalling=signalling)
    return int(relation is Relation.LESS), flags


def le(fmt: Format, env: FpEnv, a: int, b: int, *, signalling: bool = True) -> Result:
    """1 where a is less than or equal to b, else 0."""
    relation, flags = compare(fmt, env, a, b, signalling=signalling)
    return int(relation <= Relation.EQUAL), flags


def minimum(fmt: Format, env: FpEnv, a: int, b: int, family: MinMax, *, by_magnitude: bool = False) -> Result:
    """The smaller of a and b; by magnitude first, where that is asked for."""
    return _extreme(fmt, env, a, b, family, Relation.LESS, by_magnitude)


def maximum(fmt: Format, env: FpEnv, a: int, b: int, family: MinMax, *, by_magnitude: bool = False) -> Result:
    """The larger of a and b; by magnitude first, where that is asked for."""
    return _extreme(fmt, env, a, b, family, Relation.GREATER, by_magnitude)


def _extreme(fmt: Format, env: FpEnv, a: int, b: int, family: MinMax, wanted: Relation, by_magnitude: bool) -> Result:
    x = unpack(fmt, env, a)
    y = unpack(fmt, env, b)
    kinds = x[0] | y[0]
    if kinds >= NAN:
        return _extreme_with_nan(fmt, env, (a, x[0]), (b, y[0]), family)
    relation = _order(x, y, by_magnitude=by_magnitude)
    if relation is Relation.EQUAL and by_magnitude:
        relation = _order(x, y)
    if relation is Relation.EQUAL and family is not MinMax.SECOND:
        # Equal numbers differ at most as zeros do, in their signs.
        relation = Relation(y[1] - x[1])
    a_wins = relation is wanted or (relation is Relation.EQUAL and family is not MinMax.SECOND)
    return _kept(fmt, a, x[0]) if a_wins else _kept(fmt, b, y[0]), denormal_flags(env, kinds)


def _kept(fmt: Format, bits: int, kind: int) -> int:
    return bits & fmt.sign_mask if kind == FLUSHED else bits


def _extreme_with_nan(fmt: Format, env: FpEnv, x: tuple[int, int], y: tuple[int, int], family: MinMax) -> Result:
    kinds = x[1] | y[1]
    flags = flushed_flags(env, kinds)
    if family is MinMax.SECOND:
        return _kept(fmt, *y), flags | INVALID
    tolerated = {MinMax.NUM: NAN, MinMax.NUMBER: NAN | SIGNALLING, MinMax.PROPAGATE: 0}[family]
    for nan_kind, (bits, kind) in ((x[1], y), (y[1], x)):
        if kind < NAN and nan_kind & tolerated:
            return _kept(fmt, bits, kind), flags | (INVALID if nan_kind == SIGNALLING else 0)
    operands = (x[0], y[0])
    return nan_result(fmt, env, kinds, tuple(operands[i] for i in env.nan.pair_order))
