"""What becomes of NaNs: an architecture's choices, as data.

IEEE Std 754-2019, 6.2, leaves open which NaN an operation returns, and the 1985 edition left open how a signalling NaN
looks. Sources of the choices that are offered here are named in `presets`.

Not modelled: HPPA's way of quieting a NaN, which sets another bit than the one that it clears.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from ratite.fp.formats import Format


class Prefer(Enum):
    """Which of several NaN operands becomes the (quieted) result."""

    DEFAULT = auto()
    """None of them: the result is always the default NaN."""
    FIRST = auto()
    """The first one."""
    SIGNALLING = auto()
    """The first signalling one, else the first."""
    LARGER = auto()
    """A quiet one before a signalling one, then the larger significand, then the positive one (x87)."""


class Payload(Enum):
    """The fraction of the default NaN."""

    TOP_BIT = auto()
    ALL_ONES = auto()
    ALL_BUT_TOP = auto()


@dataclass(frozen=True, slots=True)
class NanRules:
    """How one architecture, in one mode, makes and passes on NaNs."""

    prefer: Prefer
    negative: int = 0
    """Sign of the default NaN."""
    payload: Payload = Payload.TOP_BIT
    quiet_is_one: bool = True
    """The top fraction bit is set in quiet NaNs (IEEE 754-2008); old MIPS and SH-4 have the opposite convention."""
    pair_order: tuple[int, ...] = (0, 1)
    """In which order the operands of two-operand operations are asked for a NaN."""
    fma_order: tuple[int, ...] = (0, 1, 2)
    """The same for a * b + c; 2 is the addend."""
    zero_times_infinity_signals: bool = True
    """0 * infinity + quiet NaN raises INVALID."""
    zero_times_infinity_default: bool = False
    """0 * infinity + quiet NaN returns the default NaN and not the addend."""

    def default(self, fmt: Format) -> int:
        """The pattern of the default NaN."""
        match self.payload:
            case Payload.TOP_BIT:
                fraction = fmt.quiet_bit
            case Payload.ALL_ONES:
                fraction = fmt.integer_bit - 1
            case Payload.ALL_BUT_TOP:
                fraction = fmt.quiet_bit - 1
        return self.negative << fmt.sign_shift | fmt.infinity | fraction

    def is_signalling(self, fmt: Format, bits: int) -> bool:
        """Whether a NaN is a signalling one."""
        return bool(bits & fmt.quiet_bit) != self.quiet_is_one

    def quieted(self, fmt: Format, bits: int) -> int:
        """The quiet NaN that a NaN operand turns into."""
        if self.quiet_is_one:
            return bits | fmt.quiet_bit
        # Clearing the top bit could leave an infinity, so these architectures replace the NaN.
        return self.default(fmt) if self.is_signalling(fmt, bits) else bits

    def chosen(self, fmt: Format, nans: Sequence[int]) -> int:
        """The NaN that an operation returns, `nans` being its NaN operands in the order of asking."""
        match self.prefer:
            case Prefer.DEFAULT:
                return self.default(fmt)
            case Prefer.FIRST:
                source = nans[0]
            case Prefer.SIGNALLING:
                source = next((nan for nan in nans if self.is_signalling(fmt, nan)), nans[0])
            case Prefer.LARGER:
                source = max(nans, key=lambda nan: self._x87_rank(fmt, nan))
        return self.quieted(fmt, source)

    def converted(self, source: Format, target: Format, bits: int) -> int:
        """The NaN of `target` that a NaN of `source` turns into: its payload cut or padded on the right."""
        replaced = self.is_signalling(source, bits) and not self.quiet_is_one
        if replaced or self.prefer is Prefer.DEFAULT:
            return self.default(target)
        fraction = self.quieted(source, bits) & (source.integer_bit - 1)
        fraction = fraction << target.fraction_bits >> source.fraction_bits
        unused = target.fraction_bits + 1 - target.precision
        fraction = fraction >> unused << unused
        if not fraction:
            return self.default(target)
        return (bits >> source.sign_shift) << target.sign_shift | target.infinity | fraction

    def _x87_rank(self, fmt: Format, nan: int) -> tuple[bool, int, bool]:
        return not self.is_signalling(fmt, nan), nan & fmt.field_mask, not nan & fmt.sign_mask
