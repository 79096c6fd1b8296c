"""Masks, sign extension and bit fields on Python integers. Imports nothing of Ratite."""

from __future__ import annotations

KiB = 1 << 10
MiB = 1 << 20
GiB = 1 << 30


def mask(width: int) -> int:
    """An integer with the low `width` bits set."""
    return (1 << width) - 1


def bits(word: int, hi: int, lo: int) -> int:
    """The field `word[hi:lo]`, both ends included, as manuals write it."""
    return (word >> lo) & ((1 << (hi - lo + 1)) - 1)


def bit(word: int, n: int) -> int:
    """Bit `n` of `word`."""
    return (word >> n) & 1


def signed(value: int, width: int) -> int:
    """Read the low `width` bits of `value` as two's complement."""
    value &= (1 << width) - 1
    return value - (1 << width) if value >> (width - 1) else value


def align_down(value: int, unit: int) -> int:
    """The largest multiple of `unit` (a power of two) that is not above `value`."""
    return value & -unit


def align_up(value: int, unit: int) -> int:
    """The smallest multiple of `unit` (a power of two) that is not below `value`."""
    return (value + unit - 1) & -unit
