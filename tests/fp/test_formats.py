"""Formats: their published constants, and that widths of results nest as rounding theory says."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratite.fp import soft
from ratite.fp.env import Flags, Rounding
from ratite.fp.formats import BF16, F16, F32, F64, F80, F128, FORMATS, Format
from ratite.fp.presets import RISCV

from .patterns import patterns


@pytest.mark.parametrize(
    ("fmt", "width", "bias", "infinity", "largest"),
    [
        (F16, 16, 15, 0x7C00, 0x7BFF),
        (BF16, 16, 127, 0x7F80, 0x7F7F),
        (F32, 32, 127, 0x7F800000, 0x7F7FFFFF),
        (F64, 64, 1023, 0x7FF << 52, (0x7FF << 52) - 1),
        (F80, 80, 16383, 0x7FFF_8000000000000000, 0x7FFE_FFFFFFFFFFFFFFFF),
        (F128, 128, 16383, 0x7FFF << 112, (0x7FFF << 112) - 1),
        (F64.narrowed(F32), 64, 1023, 0x7FF << 52, struct.unpack("<Q", struct.pack("<d", 2.0**128 - 2.0**104))[0]),
    ],
    ids=repr,
)
def test_constants(fmt: Format, width: int, bias: int, infinity: int, largest: int) -> None:
    """Width, bias, and the patterns at the top of each format."""
    assert (fmt.width, fmt.bias, fmt.infinity, fmt.largest) == (width, bias, infinity, largest)


def test_names() -> None:
    """Formats are found by the names that they print."""
    assert all(name == repr(fmt) for name, fmt in FORMATS.items())


def as_float(bits: int) -> float:
    """An f64 pattern as the host's number."""
    return struct.unpack("<d", struct.pack("<Q", bits))[0]  # type: ignore[no-any-return]


def as_bits(number: float) -> int:
    """The host's number as an f64 pattern; any NaN as RISC-V's."""
    return RISCV.nan.default(F64) if math.isnan(number) else struct.unpack("<Q", struct.pack("<d", number))[0]


@settings(max_examples=500, derandomize=True, deadline=None)
@given(a=patterns(F64), b=patterns(F64))
def test_host_floats(a: int, b: int) -> None:
    """Python's floats, which are the host's f64 rounded to nearest even, agree; so do its conversions by `struct`."""
    x, y = as_float(a), as_float(b)
    assert soft.add(F64, RISCV, a, b)[0] == as_bits(x + y)
    assert soft.sub(F64, RISCV, a, b)[0] == as_bits(x - y)
    assert soft.mul(F64, RISCV, a, b)[0] == as_bits(x * y)
    if y:
        assert soft.div(F64, RISCV, a, b)[0] == as_bits(x / y)
    if x >= 0:
        assert soft.sqrt(F64, RISCV, a)[0] == as_bits(math.sqrt(x))
    assert soft.lt(F64, RISCV, a, b)[0] == (x < y)
    assert soft.le(F64, RISCV, a, b)[0] == (x <= y)
    assert soft.eq(F64, RISCV, a, b)[0] == (x == y)
    if math.isfinite(x) and math.isfinite(y) and y:
        assert soft.remainder(F64, RISCV, a, b)[0] == as_bits(math.remainder(x, y))
        assert soft.remainder(F64, RISCV, a, b, quotient=Rounding.RTZ)[0] == as_bits(math.fmod(x, y))
        assert soft.from_int(F64, RISCV, int(x) & (1 << 1100) - 1, 1100, True)[0] == as_bits(float(int(x)))
        assert soft.to_int(F64, RISCV.rounded(Rounding.RTZ), a, 1100, True)[0] == int(x) & (1 << 1100) - 1
        for fmt, code in ((F32, "<f"), (F16, "<e")):
            narrow, flags = soft.convert(F64, fmt, RISCV, a)
            if flags & Flags.OVERFLOW:
                with pytest.raises(OverflowError):
                    struct.pack(code, x)
            else:
                assert narrow == int.from_bytes(struct.pack(code, x), "little")


OPERATIONS: list[tuple[Callable[..., tuple[int, int]], int]] = [
    (soft.add, 2),
    (soft.sub, 2),
    (soft.mul, 2),
    (soft.div, 2),
    (soft.sqrt, 1),
    (soft.fma, 3),
]
NESTED = [(BF16, F64), (F16, F32), (F32, F64), (F32, F80), (F64, F128), (F80, F128)]


@pytest.mark.parametrize(("narrow", "wide"), NESTED, ids=repr)
@settings(max_examples=150, derandomize=True, deadline=None)
@given(data=st.data())
def test_round_to_odd_is_safe_to_round_again(narrow: Format, wide: Format, data: st.DataObject) -> None:
    """Computing in a wider format to odd and rounding that gives what computing in the narrow format gives."""
    x = data.draw(st.tuples(*[patterns(narrow)] * 3))
    odd = RISCV.rounded(Rounding.ODD)
    widened = [soft.convert(narrow, wide, RISCV, bits)[0] for bits in x]
    for rounding in Rounding:
        env = RISCV.rounded(rounding)
        for operation, arity in OPERATIONS:
            direct, _ = operation(narrow, env, *x[:arity])
            wide_result, _ = operation(wide, odd, *widened[:arity])
            in_steps, _ = soft.convert(wide, narrow, env, wide_result)
            # The sign of an exact zero depends on the direction in which it was computed.
            ignored = narrow.sign_mask if direct & ~narrow.sign_mask == 0 else 0
            assert direct | ignored == in_steps | ignored, (operation, [hex(bits) for bits in x], rounding)
