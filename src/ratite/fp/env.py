"""What an operation depends on beside its operands, and the exceptions that it may signal.

Source: IEEE Std 754-2019, chapters 4 (attributes and rounding), 6.2 (NaNs) and 7 (default exception handling).

Not modelled: alternate exception handling. The result of an operation whose trap is enabled (scaled exponents,
underflow without inexactness) is for the architecture to derive.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import Enum, IntEnum, IntFlag, auto
from typing import Final

from ratite.fp.nans import NanRules


class Flags(IntFlag):
    """Exceptions that an operation signalled.

    Operations return a plain `int`, a union of these: `IntFlag` arithmetic costs as much as an addition. The low five
    bits are those of RISC-V's fflags.
    """

    INEXACT = 1
    UNDERFLOW = 2
    OVERFLOW = 4
    DIVZERO = 8
    INVALID = 16
    INPUT_DENORMAL = 32


# The same as plain numbers, for the operations.
INEXACT: Final = int(Flags.INEXACT)
UNDERFLOW: Final = int(Flags.UNDERFLOW)
OVERFLOW: Final = int(Flags.OVERFLOW)
DIVZERO: Final = int(Flags.DIVZERO)
INVALID: Final = int(Flags.INVALID)
INPUT_DENORMAL: Final = int(Flags.INPUT_DENORMAL)


class Rounding(IntEnum):
    """Rounding directions; the first five are numbered as RISC-V numbers them."""

    RNE = 0
    """To the nearest, ties to even."""
    RTZ = 1
    """Towards zero."""
    RDN = 2
    """Towards minus infinity."""
    RUP = 3
    """Towards plus infinity."""
    RMM = 4
    """To the nearest, ties away from zero."""
    ODD = 5
    """Towards zero, then the last bit set if that was inexact: safe to round once more to fewer bits."""


class Tininess(Enum):
    """When a result counts as too small for a normal number (IEEE 754, 7.5)."""

    BEFORE_ROUNDING = auto()
    AFTER_ROUNDING = auto()


class FlushResults(Enum):
    """What replaces a tiny result: nothing, or a zero of its sign."""

    NEVER = auto()
    BEFORE_ROUNDING = auto()
    """A zero, where the exact result is tiny; only UNDERFLOW (Arm FZ)."""
    AFTER_ROUNDING = auto()
    """A zero, where the rounded result is tiny; UNDERFLOW and INEXACT (x86 FTZ)."""


class DenormalSignal(IntEnum):
    """When INPUT_DENORMAL is raised. The values are the operand kinds of `operands` that raise it."""

    NEVER = 0
    WHEN_USED = 1
    """A subnormal operand took part in an operation without NaNs, neither invalid nor a division by zero (x86 DE)."""
    WHEN_FLUSHED = 2
    """A subnormal operand was replaced by zero, whatever came of it (Arm IDC)."""


class IntResult(Enum):
    """What a conversion to an integer returns when the number does not fit."""

    MAX = auto()
    MIN = auto()
    ZERO = auto()
    INDEFINITE = auto()
    """The sign bit alone for a signed integer, all ones for an unsigned one (x86)."""

    def pattern(self, width: int, signed: bool) -> int:
        """The result as a bit pattern of `width` bits."""
        sign_bit = 1 << (width - 1)
        ones = (1 << width) - 1
        match self:
            case IntResult.MAX:
                return sign_bit - 1 if signed else ones
            case IntResult.MIN:
                return sign_bit if signed else 0
            case IntResult.ZERO:
                return 0
            case IntResult.INDEFINITE:
                return sign_bit if signed else ones


@dataclass(frozen=True, slots=True)
class IntRules:
    """What conversions to integers return for numbers above and below the range, and for NaNs."""

    above: IntResult = IntResult.MAX
    below: IntResult = IntResult.MIN
    nan: IntResult = IntResult.MAX
    overflow_is_inexact: bool = False
    """A number out of range, also an infinity, raises INEXACT beside INVALID."""


@dataclass(frozen=True, slots=True)
class FpEnv:
    """All that an operation depends on beside its operands."""

    nan: NanRules
    integers: IntRules = IntRules()
    rounding: Rounding = Rounding.RNE
    tininess: Tininess = Tininess.AFTER_ROUNDING
    flush_inputs: bool = False
    """Subnormal operands count as zeros of their sign."""
    flush_results: FlushResults = FlushResults.NEVER
    denormal_signal: DenormalSignal = DenormalSignal.NEVER

    def rounded(self, rounding: Rounding) -> FpEnv:
        """This environment with another rounding direction."""
        return dataclasses.replace(self, rounding=rounding)
