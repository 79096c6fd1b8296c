"""Floating-point formats: the numbers that texts of any instruction set need to know of them (IEEE 754-2019, chapter 3.4)."""

from __future__ import annotations

from dataclasses import dataclass

from ratite.ir import Value
from ratite.isa.dsl.formats import Reg
from ratite.isa.dsl.record import Session

#: Width of floating-point registers.
FLEN = 64


@dataclass(frozen=True)
class FloatFormat:
    """A binary format: the suffix of its mnemonics, its code in instructions, its width and that of its fraction."""

    suffix: str
    code: str
    width: int
    fraction: int

    @property
    def fmt(self) -> str:
        """Its name in `Session.fp`."""
        return f"f{self.width}"

    @property
    def sign(self) -> int:
        """The sign bit."""
        return 1 << (self.width - 1)

    @property
    def magnitude(self) -> int:
        """All bits but the sign."""
        return self.sign - 1

    @property
    def infinity(self) -> int:
        """The bits of positive infinity."""
        return self.sign - (1 << self.fraction)

    @property
    def quiet(self) -> int:
        """The bit that makes a NaN quiet."""
        return 1 << (self.fraction - 1)

    @property
    def default_nan(self) -> int:
        """The NaN of operations that have no NaN to pass on."""
        return self.infinity | self.quiet

    @property
    def bias(self) -> int:
        """What is added to exponents."""
        return (1 << (self.width - self.fraction - 2)) - 1

    def power(self, exponent: int) -> int:
        """The bits of a power of two that is a normal number."""
        return self.bias + exponent << self.fraction

    def is_nan(self, v: Value) -> Value:
        """Whether a number is a NaN."""
        return v & self.magnitude > self.infinity

    def is_signalling(self, v: Value) -> Value:
        """Whether a number is a signalling NaN."""
        return self.is_nan(v) & (v & self.quiet == 0)

    def set(self, s: Session, r: Reg, v: Value) -> None:
        """Write the number `v` to register `r` of the file `f`, with ones above it."""
        s.f[r] = v if self.width == FLEN else v.zext(FLEN) | (1 << FLEN) - (1 << self.width)

    def named(self, pattern: str, syntax: str) -> tuple[str, str]:
        """Pattern and syntax of an instruction, where `ff` in the one and `fmt` in the other stand for this format."""
        return pattern.replace("ff", self.code), syntax.replace("fmt", self.suffix)
