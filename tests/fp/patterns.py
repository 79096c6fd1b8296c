"""Operands that find mistakes: the edges of a format, and random patterns that crowd around them."""

from __future__ import annotations

from hypothesis import strategies as st

from ratite.fp.formats import Format


def edges(fmt: Format) -> list[int]:
    """Both signs of zeros, ends of ranges, numbers around powers of two and integer limits, infinities and NaNs."""
    positive = {0, fmt.infinity, fmt.largest, fmt.largest - 1}
    one = fmt.bias << fmt.field_bits | (fmt.integer_bit if fmt.explicit_integer else 0)
    smallest_normal = 1 << fmt.field_bits | (fmt.integer_bit if fmt.explicit_integer else 0)
    positive |= {1, 2, 3, fmt.quiet_bit, fmt.integer_bit - 1, smallest_normal, smallest_normal + 1}
    step = 1 << fmt.field_bits
    for base in (one, one - step, one + step, one + fmt.fraction_bits * step, one + (fmt.fraction_bits + 1) * step):
        if base < fmt.infinity:
            positive |= {base, base + 1, base | fmt.quiet_bit}
    positive.add(one - step + fmt.integer_bit - 1)
    for exponent in (7, 8, 31, 32, 63, 64):
        if exponent < fmt.bias:
            limit = one + exponent * step
            positive |= {limit, limit - step + fmt.integer_bit - 1}
    payload = fmt.quiet_bit >> 2 | 1
    positive |= {fmt.infinity | 1, fmt.infinity | payload}
    quiet = fmt.infinity | fmt.quiet_bit
    positive |= {quiet, quiet | payload, fmt.infinity | fmt.integer_bit - 1}
    return sorted(positive) + sorted(bits | fmt.sign_mask for bits in positive)


def few_edges(fmt: Format) -> list[int]:
    """A short list for operations with three operands."""
    one = fmt.bias << fmt.field_bits | (fmt.integer_bit if fmt.explicit_integer else 0)
    step = 1 << fmt.field_bits
    ulp_is_two = one + step * (fmt.fraction_bits + 1)
    positive = [0, 1, fmt.integer_bit - 1, one, one + 1, ulp_is_two, fmt.largest, fmt.infinity]
    signalling = [fmt.infinity | 1]
    return positive + [bits | fmt.sign_mask for bits in positive] + signalling + [fmt.infinity | fmt.quiet_bit | 5]


def patterns(fmt: Format) -> st.SearchStrategy[int]:
    """Patterns of any kind: exponents near each other and near the ends, fractions with long runs of ones and zeros."""
    top = fmt.exponent_mask
    near = st.sampled_from([0, fmt.bias, fmt.bias + fmt.fraction_bits, top])
    exponent = st.one_of(
        st.tuples(near, st.integers(-3, 3)).map(lambda pair: min(max(sum(pair), 0), top)),
        st.integers(0, top),
    )
    ones = fmt.integer_bit - 1
    cut = st.integers(0, fmt.fraction_bits)
    fraction = st.one_of(
        st.integers(0, ones),
        cut.map(lambda n: ones >> n),
        cut.map(lambda n: ones & ~(ones >> n)),
        cut.map(lambda n: (1 << n) & ones),
    )

    def build(sign: int, biased: int, low: int) -> int:
        integer = fmt.integer_bit if fmt.explicit_integer and biased else 0
        return sign << fmt.sign_shift | biased << fmt.field_bits | integer | low

    return st.builds(build, st.integers(0, 1), exponent, fraction)
