"""Operands around which instructions of any architecture change their behaviour."""

from __future__ import annotations


def integer_edges(width: int) -> list[int]:
    """Values around which integer instructions change their behaviour: small ones, powers of two, patterns."""
    values = {0, 1, 2, 3, 5, 7, 8, 31, 32, 33, 63, 64}
    values |= {0x5555555555555555, 0xAAAAAAAAAAAAAAAA, 0x0123456789ABCDEF, 0x00FF00FF00FF00FF}
    for n in (7, 8, 15, 16, 31, 32, 63):
        values |= {(1 << n) - 1, 1 << n, (1 << n) + 1, -(1 << n) - 1, -(1 << n), 1 - (1 << n)}
    values |= {-1, -2, -3}
    return sorted({v & ((1 << width) - 1) for v in values})


def float_patterns(width: int, fraction: int) -> list[int]:
    """Zero, subnormals, one and its neighbours, limits of integers, the largest, infinity and NaNs, of both signs."""
    bias = (1 << (width - fraction - 2)) - 1
    infinity = (2 * bias + 1) << fraction
    found = {0, 1, (1 << fraction) - 1, 1 << fraction, infinity - 1, infinity, infinity + 1}
    found |= {infinity | 1 << (fraction - 1), infinity | 3 << (fraction - 2), infinity | (1 << fraction) - 1}
    for exponent in (-2, -1, 0, 1, 2, fraction - 1, fraction, fraction + 1, 31, 32, 63, 64):
        found |= {((bias + exponent) << fraction) + ulp for ulp in (-1, 0, 1)}
        found.add(((bias + exponent) << fraction) | 1 << (fraction - 1))
    return sorted(found | {v | 1 << (width - 1) for v in found})
