"""Taking bit patterns apart, and the results that NaN operands force.

An operand is `(kind, sign, exponent, significand)`, the number being `significand * 2**exponent` with an integer
significand. Kinds are bits that grow with oddity: or-ing the kinds of all operands of an operation tells at once
whether anything but plain arithmetic is due.
"""

from __future__ import annotations

from typing import Final

from ratite.fp.env import INPUT_DENORMAL, INVALID, DenormalSignal, FpEnv
from ratite.fp.formats import Format

FINITE: Final = 0
DENORMAL: Final = int(DenormalSignal.WHEN_USED)
FLUSHED: Final = int(DenormalSignal.WHEN_FLUSHED)
INFINITE: Final = 4
NAN: Final = 8
"""A quiet NaN, and the least kind that forces a NaN result."""
SIGNALLING: Final = 16
UNSUPPORTED: Final = 32
"""An encoding with a wrong integer bit (Intel SDM volume 1, 8.2.2: unnormal, pseudo-infinity, pseudo-NaN)."""


Operand = tuple[int, int, int, int]
Result = tuple[int, int]
"""A bit pattern and the union of the `Flags` that were signalled."""


def unpack(fmt: Format, env: FpEnv, bits: int) -> Operand:
    """Take a pattern apart. An infinity looks like a number above all finite ones; parts of a NaN mean nothing."""
    sign = bits >> fmt.sign_shift
    biased = bits >> fmt.field_bits & fmt.exponent_mask
    significand = bits & fmt.field_mask
    if fmt.explicit_integer:
        if biased and not significand & fmt.integer_bit:
            return UNSUPPORTED, sign, 0, 0
    elif biased:
        significand |= fmt.integer_bit
    if biased == fmt.exponent_mask:
        return _special_kind(fmt, env, bits), sign, biased + fmt.unbias, significand
    if biased:
        return FINITE, sign, biased + fmt.unbias, significand
    if not significand:
        return FINITE, sign, fmt.layout_quantum, 0
    if env.flush_inputs:
        return FLUSHED, sign, fmt.layout_quantum, 0
    return DENORMAL, sign, fmt.layout_quantum, significand


def _special_kind(fmt: Format, env: FpEnv, bits: int) -> int:
    if not bits & (fmt.integer_bit - 1):
        return INFINITE
    return SIGNALLING if env.nan.is_signalling(fmt, bits) else NAN


def denormal_flags(env: FpEnv, kinds: int) -> int:
    """The flag for subnormal operands of an operation on numbers."""
    return INPUT_DENORMAL if kinds & env.denormal_signal else 0


def flushed_flags(env: FpEnv, kinds: int) -> int:
    """The flag for subnormal operands of an operation that has a NaN, is invalid, or divides by zero."""
    return INPUT_DENORMAL if kinds & env.denormal_signal & FLUSHED else 0


def invalid(fmt: Format, env: FpEnv, kinds: int) -> Result:
    """The result of an operation on numbers that has none (IEEE 754, 7.2)."""
    return env.nan.default(fmt), INVALID | flushed_flags(env, kinds)


def nan_result(fmt: Format, env: FpEnv, kinds: int, ordered: tuple[int, ...]) -> Result:
    """The result of an operation with at least one NaN operand; `ordered` are its operands in the order of asking."""
    if kinds & UNSUPPORTED:
        return invalid(fmt, env, kinds)
    flags = flushed_flags(env, kinds)
    if kinds & SIGNALLING:
        flags |= INVALID
    return env.nan.chosen(fmt, [bits for bits in ordered if is_nan(fmt, bits)]), flags


def is_nan(fmt: Format, bits: int) -> bool:
    """Whether a pattern is a NaN, quiet or signalling."""
    return bits & (fmt.sign_mask - 1) > fmt.infinity
