"""The one place where a result is rounded.

Source: IEEE Std 754-2019, 4.3 (rounding directions), 7.4 (overflow), 7.5 (underflow).
"""

from __future__ import annotations

from typing import Final

from ratite.fp.env import INEXACT, OVERFLOW, UNDERFLOW, FlushResults, FpEnv, Rounding, Tininess
from ratite.fp.formats import Format

_RNE: Final = Rounding.RNE
_RTZ: Final = Rounding.RTZ
_RDN: Final = Rounding.RDN
_RUP: Final = Rounding.RUP
_RMM: Final = Rounding.RMM


def round_shift(mode: Rounding, sign: int, magnitude: int, shift: int) -> tuple[int, bool]:
    """Round `magnitude * 2**-shift`, of a number with this sign, to an integer; also tell whether that was inexact."""
    if shift <= 0:
        return magnitude << -shift, False
    kept = magnitude >> shift
    rest = magnitude - (kept << shift)
    if not rest:
        return kept, False
    if mode == _RNE:
        half = 1 << (shift - 1)
        return kept + (rest > half or (rest == half and kept & 1)), True
    if mode == _RTZ:
        return kept, True
    if mode == _RDN:
        return kept + sign, True
    if mode == _RUP:
        return kept + 1 - sign, True
    if mode == _RMM:
        return kept + (rest >> (shift - 1)), True
    return kept | 1, True


def round_result(fmt: Format, env: FpEnv, sign: int, significand: int, exponent: int) -> tuple[int, int]:
    """Deliver `significand * 2**exponent` as a pattern of `fmt` with flags.

    A result that is not a dyadic fraction is given with at least two bits more than `fmt.precision` and its last bit
    set ("sticky").
    """
    if not significand:
        return sign << fmt.sign_shift, 0
    precision = fmt.precision
    quantum = exponent + significand.bit_length() - precision
    if quantum < fmt.min_quantum:
        return _round_tiny(fmt, env, sign, significand, exponent)
    rounded, inexact = round_shift(env.rounding, sign, significand, quantum - exponent)
    if rounded >> precision:
        rounded >>= 1
        quantum += 1
    if quantum > fmt.max_quantum:
        return _overflowed(fmt, env, sign)
    return sign << fmt.sign_shift | fmt.encode(rounded, quantum), INEXACT if inexact else 0


def _round_tiny(fmt: Format, env: FpEnv, sign: int, significand: int, exponent: int) -> tuple[int, int]:
    """Deliver a result whose exact value is below the normal numbers."""
    quantum = fmt.min_quantum
    if env.flush_results is FlushResults.BEFORE_ROUNDING:
        return sign << fmt.sign_shift, UNDERFLOW
    rounded, inexact = round_shift(env.rounding, sign, significand, quantum - exponent)
    still_tiny = not _rounds_to_normal(fmt, env, sign, significand, exponent)
    if still_tiny and env.flush_results is FlushResults.AFTER_ROUNDING:
        return sign << fmt.sign_shift, UNDERFLOW | INEXACT
    bits = sign << fmt.sign_shift | fmt.encode(rounded, quantum)
    if not inexact:
        return bits, 0
    if still_tiny or env.tininess is Tininess.BEFORE_ROUNDING:
        return bits, UNDERFLOW | INEXACT
    return bits, INEXACT


def _rounds_to_normal(fmt: Format, env: FpEnv, sign: int, significand: int, exponent: int) -> bool:
    """Whether a tiny result would become the smallest normal number if exponents had no lower bound."""
    unbounded_quantum = exponent + significand.bit_length() - fmt.precision
    if unbounded_quantum != fmt.min_quantum - 1:
        return False
    rounded, _ = round_shift(env.rounding, sign, significand, unbounded_quantum - exponent)
    return rounded >> fmt.precision != 0


def _overflowed(fmt: Format, env: FpEnv, sign: int) -> tuple[int, int]:
    nearest = env.rounding in (_RNE, _RMM)
    away = env.rounding == (_RDN if sign else _RUP)
    magnitude = fmt.infinity if nearest or away else fmt.largest
    return sign << fmt.sign_shift | magnitude, OVERFLOW | INEXACT
