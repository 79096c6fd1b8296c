"""Operations that signal nothing, not even for signalling NaNs: signs and classes.

Source: IEEE Std 754-2019, 5.5.1 (sign bit operations), 5.7.2 (class).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ratite.fp.env import FpEnv
from ratite.fp.formats import Format
from ratite.fp.operands import DENORMAL, FLUSHED, INFINITE, NAN, SIGNALLING, UNSUPPORTED, unpack


class FpClass(IntEnum):
    """The ten classes of IEEE 754, numbered as RISC-V's fclass does, and the x87's encodings that mean nothing."""

    NEGATIVE_INFINITY = 0
    NEGATIVE_NORMAL = 1
    NEGATIVE_SUBNORMAL = 2
    NEGATIVE_ZERO = 3
    POSITIVE_ZERO = 4
    POSITIVE_SUBNORMAL = 5
    POSITIVE_NORMAL = 6
    POSITIVE_INFINITY = 7
    SIGNALLING_NAN = 8
    QUIET_NAN = 9
    UNSUPPORTED = 10


_CLASS_OF_ODD: Final = {
    DENORMAL: (FpClass.POSITIVE_SUBNORMAL, FpClass.NEGATIVE_SUBNORMAL),
    FLUSHED: (FpClass.POSITIVE_SUBNORMAL, FpClass.NEGATIVE_SUBNORMAL),
    INFINITE: (FpClass.POSITIVE_INFINITY, FpClass.NEGATIVE_INFINITY),
    NAN: (FpClass.QUIET_NAN, FpClass.QUIET_NAN),
    SIGNALLING: (FpClass.SIGNALLING_NAN, FpClass.SIGNALLING_NAN),
    UNSUPPORTED: (FpClass.UNSUPPORTED, FpClass.UNSUPPORTED),
}


def classify(fmt: Format, env: FpEnv, bits: int) -> FpClass:
    """The class of a datum; a subnormal number is one also where operations flush it."""
    kind, sign, _, significand = unpack(fmt, env, bits)
    if kind:
        return _CLASS_OF_ODD[kind][sign]
    if significand:
        return FpClass.NEGATIVE_NORMAL if sign else FpClass.POSITIVE_NORMAL
    return FpClass.NEGATIVE_ZERO if sign else FpClass.POSITIVE_ZERO


def negate(fmt: Format, a: int) -> int:
    """a with the opposite sign."""
    return a ^ fmt.sign_mask


def absolute(fmt: Format, a: int) -> int:
    """a with a plus sign."""
    return a & ~fmt.sign_mask


def copy_sign(fmt: Format, a: int, b: int) -> int:
    """a with the sign of b."""
    return absolute(fmt, a) | b & fmt.sign_mask


def multiply_sign(fmt: Format, a: int, b: int) -> int:
    """a with the sign of a * b."""
    return a ^ b & fmt.sign_mask
