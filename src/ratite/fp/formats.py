"""Binary floating-point formats as declarations.

Source: IEEE Std 754-2019, 3.3 and 3.4 (sets of data, binary interchange encodings); Intel SDM volume 1, 4.2.2 (double
extended precision).

A `Format` says two things: how a datum is laid out in bits, and which set of numbers an operation may round to. The two
differ where an architecture keeps narrow numbers in wide registers: single precision results of POWER are those of
`F64.narrowed(F32)`; the precision control of the x87, which limits precision and not range, asks for
`F80.narrowed(F64, keep_range=True)`.

Not modelled: formats without infinities (Arm's alternative half precision, the 8-bit E4M3), decimal and hexadecimal
floating point.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, eq=False, slots=True)
class Format:
    """A binary format: sign, biased exponent, significand, from the most significant bit down.

    `fraction_bits` counts the bits after the binary point; a format with an `explicit_integer` bit stores one more. A
    finite number is taken as an integer significand times a power of two, its quantum: the weight of the last place.
    """

    name: str
    exponent_bits: int
    fraction_bits: int
    explicit_integer: bool = False
    precision: int = 0
    """Significant bits of a rounded result, the integer bit included; all that the layout has, unless given."""
    max_exponent: int = 0
    """The largest exponent of a rounded result, 2**max_exponent <= largest number; that of the layout, unless given."""

    width: int = field(init=False)
    field_bits: int = field(init=False)
    """Bits stored below the biased exponent."""
    field_mask: int = field(init=False)
    integer_bit: int = field(init=False)
    quiet_bit: int = field(init=False)
    """The most significant bit of the fraction, which tells quiet from signalling NaNs."""
    exponent_mask: int = field(init=False)
    """The biased exponent of infinities and NaNs."""
    sign_shift: int = field(init=False)
    sign_mask: int = field(init=False)
    bias: int = field(init=False)
    unbias: int = field(init=False)
    """What to add to a biased exponent to get the exponent of the quantum."""
    layout_quantum: int = field(init=False)
    """The exponent of the quantum of subnormal numbers of the layout."""
    min_quantum: int = field(init=False)
    """The exponent of the quantum of subnormal results."""
    max_quantum: int = field(init=False)
    """The exponent of the quantum of the largest results."""
    is_narrowed: bool = field(init=False)
    """Results have less precision or range than the layout."""
    infinity: int = field(init=False)
    """The pattern of plus infinity."""
    largest: int = field(init=False)
    """The pattern of the largest finite result."""

    def __post_init__(self) -> None:
        def derive(**values: int) -> None:
            for name, value in values.items():
                object.__setattr__(self, name, value)

        bias = (1 << (self.exponent_bits - 1)) - 1
        full_precision = self.fraction_bits + 1
        derive(precision=self.precision or full_precision, max_exponent=self.max_exponent or bias)
        derive(
            field_bits=self.fraction_bits + self.explicit_integer,
            integer_bit=1 << self.fraction_bits,
            quiet_bit=1 << (self.fraction_bits - 1),
            exponent_mask=(1 << self.exponent_bits) - 1,
            bias=bias,
            unbias=-(bias + self.fraction_bits),
            layout_quantum=1 - bias - self.fraction_bits,
            min_quantum=2 - self.max_exponent - self.precision,
            max_quantum=self.max_exponent + 1 - self.precision,
            is_narrowed=(self.precision, self.max_exponent) != (full_precision, bias),
        )
        derive(field_mask=(1 << self.field_bits) - 1, sign_shift=self.exponent_bits + self.field_bits)
        derive(width=self.sign_shift + 1, sign_mask=1 << self.sign_shift)
        integer_part = self.integer_bit if self.explicit_integer else 0
        derive(infinity=self.exponent_mask << self.field_bits | integer_part)
        derive(largest=self.encode((1 << self.precision) - 1, self.max_quantum))

    def __repr__(self) -> str:
        return self.name

    def encode(self, significand: int, exponent: int) -> int:
        """The pattern of `significand * 2**exponent`, a result of this format.

        The significand has `precision` bits, or fewer where `exponent` is `min_quantum`.
        """
        if self.is_narrowed:
            if not significand:
                return 0
            lift = min(self.fraction_bits + 1 - significand.bit_length(), exponent - self.layout_quantum)
            significand <<= lift
            exponent -= lift
        biased = exponent - self.layout_quantum
        if not self.explicit_integer:
            # The hidden integer bit of normal numbers carries into the exponent field.
            return (biased << self.fraction_bits) + significand
        return (biased + (significand >> self.fraction_bits)) << self.field_bits | significand

    def narrowed(self, to: Format, *, keep_range: bool = False) -> Format:
        """This layout with results rounded to the numbers of `to`, or with `keep_range` to its precision only."""
        return Format(
            f"{to.name}_precision_in_{self.name}" if keep_range else f"{to.name}_in_{self.name}",
            self.exponent_bits,
            self.fraction_bits,
            self.explicit_integer,
            precision=to.precision,
            max_exponent=self.max_exponent if keep_range else to.max_exponent,
        )


F16 = Format("f16", 5, 10)
BF16 = Format("bf16", 8, 7)
F32 = Format("f32", 8, 23)
F64 = Format("f64", 11, 52)
F80 = Format("f80", 15, 63, explicit_integer=True)
F128 = Format("f128", 15, 112)

FORMATS = {fmt.name: fmt for fmt in (F16, BF16, F32, F64, F80, F128)}
"""Every interchange format by its name."""
