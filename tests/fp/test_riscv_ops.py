"""RISC-V's own choices, as its manual states them (F 2.2, D 2.2): NaNs, boxing, classes, minima, saturation, flags."""

from __future__ import annotations

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratite.errors import UsageError
from ratite.fp import riscv_ops as ops
from ratite.fp.env import Flags
from ratite.fp.formats import F16, F32, F64, F128, Format
from ratite.fp.riscv_ops import OPERATIONS, bind, box, unbox

from .patterns import patterns

FORMATS = [F16, F32, F64, F128]
RNE, RTZ, RDN, RUP, RMM = range(5)
CANONICAL = 0x7FC00000
SIGNALLING = 0x7F800001
QUIET = 0xFFC00123
ONE = 0x3F800000


def test_every_operation_is_reachable_by_name() -> None:
    """The IR's names lead to functions of the promised signature, and a wrong name to an error that helps."""
    wanted = "fadd fsub fmul fdiv fsqrt fma fmin fmax feq flt fle fclass fcvt_f2f fcvt_f2i fcvt_i2f froundi"
    assert sorted(OPERATIONS) == sorted(wanted.split())
    for name, op in OPERATIONS.items():
        assert list(inspect.signature(op).parameters)[:2] == ["fmt", "rm"], name
        assert bind(name) is op
    with pytest.raises(UsageError, match="did you mean 'fsqrt'"):
        bind("fsqr")


@pytest.mark.parametrize("rm", [5, 6, 7, -1])
def test_reserved_rounding_modes_are_refused(rm: int) -> None:
    """A rounding mode that an instruction's text should have trapped never computes anything."""
    with pytest.raises(KeyError):
        ops.fadd(F32, rm, ONE, ONE)


def test_results_that_are_nans_are_canonical() -> None:
    """Payloads and signs of NaN operands are lost; only signalling ones are invalid (11.3)."""
    assert ops.fadd(F32, RNE, QUIET, ONE) == (CANONICAL, 0)
    assert ops.fmul(F32, RNE, ONE, SIGNALLING) == (CANONICAL, Flags.INVALID)
    assert ops.fcvt_f2f(F32, RNE, QUIET, to=F64) == (0x7FF8000000000000, 0)
    assert ops.fcvt_f2f(F32, RNE, SIGNALLING, to=F64) == (0x7FF8000000000000, Flags.INVALID)
    assert ops.fsqrt(F32, RNE, 0xBF800000) == (CANONICAL, Flags.INVALID)


def test_fma_of_zero_and_infinity_is_invalid_even_with_a_quiet_nan() -> None:
    """11.6 says so expressly."""
    assert ops.fma(F32, RNE, 0x7F800000, 0, QUIET) == (CANONICAL, Flags.INVALID)


def test_fma_negations() -> None:
    """fmadd, fmsub, fnmsub and fnmadd of 2 * 3 and 4; and the zero that fnmadd makes of equal terms."""
    two, three, four = 0x40000000, 0x40400000, 0x40800000
    results = [
        ops.fma(F32, RNE, two, three, four, negate_product=product, negate_addend=addend)[0]
        for product, addend in ((False, False), (False, True), (True, False), (True, True))
    ]
    assert results == [0x41200000, 0x40000000, 0xC0000000, 0xC1200000]
    assert ops.fma(F32, RNE, ONE, ONE, ONE, negate_addend=True) == (0, 0)
    assert ops.fma(F32, RDN, ONE, ONE, ONE, negate_addend=True) == (0x80000000, 0)


@pytest.mark.parametrize("fmt", FORMATS, ids=repr)
def test_minimum_and_maximum(fmt: Format) -> None:
    """-0 is below +0; a number beats any NaN; two NaNs give the canonical one; signalling ones are invalid (11.6)."""
    one = fmt.bias << fmt.fraction_bits
    minus_zero, quiet = fmt.sign_mask, fmt.infinity | fmt.quiet_bit
    signalling = fmt.infinity | 1
    for a, b in ((0, minus_zero), (minus_zero, 0)):
        assert ops.fmin(fmt, RNE, a, b) == (minus_zero, 0)
        assert ops.fmax(fmt, RNE, a, b) == (0, 0)
    for op in (ops.fmin, ops.fmax):
        assert op(fmt, RNE, one, quiet | 1) == op(fmt, RNE, quiet | 1, one) == (one, 0)
        assert op(fmt, RNE, one, signalling) == op(fmt, RNE, signalling, one) == (one, Flags.INVALID)
        assert op(fmt, RNE, quiet | 1, quiet) == (quiet, 0)
        assert op(fmt, RNE, quiet, signalling) == op(fmt, RNE, signalling, quiet) == (quiet, Flags.INVALID)


def test_comparisons() -> None:
    """feq is quiet, flt and fle are signalling; all are false for NaNs (11.8)."""
    assert ops.feq(F32, RNE, QUIET, QUIET) == (0, 0)
    assert ops.feq(F32, RNE, SIGNALLING, ONE) == (0, Flags.INVALID)
    for op in (ops.flt, ops.fle):
        assert op(F32, RNE, QUIET, ONE) == (0, Flags.INVALID)
    assert ops.feq(F32, RNE, 0, 0x80000000) == ops.fle(F32, RNE, 0, 0x80000000) == (1, 0)
    assert ops.flt(F32, RNE, 0x80000000, 0) == (0, 0)


@pytest.mark.parametrize("fmt", FORMATS, ids=repr)
def test_classes(fmt: Format) -> None:
    """One bit for each of the ten classes (table 11.5), and no flags, not even for signalling NaNs."""
    normal = 1 << fmt.fraction_bits
    positive = [fmt.infinity, normal, normal - 1, 0]
    samples = [bits | fmt.sign_mask for bits in positive] + positive[::-1]
    samples += [fmt.infinity | 1, fmt.infinity | fmt.quiet_bit]
    assert [ops.fclass(fmt, RNE, bits) for bits in samples] == [(1 << n, 0) for n in range(10)]


def test_conversions_to_integers_saturate() -> None:
    """The table of domains and results of fcvt.int.S (table 11.4)."""
    infinity, minus_infinity = 0x7F800000, 0xFF800000
    for width in (32, 64):
        least, most, ones = 1 << (width - 1), (1 << (width - 1)) - 1, (1 << width) - 1
        signed = bind("fcvt_f2i", width=width, signed=True)
        unsigned = bind("fcvt_f2i", width=width, signed=False)
        for bits in (infinity, CANONICAL, QUIET, SIGNALLING, 0x7F7FFFFF):
            assert signed(F32, RNE, bits) == (most, Flags.INVALID)
            assert unsigned(F32, RNE, bits) == (ones, Flags.INVALID)
        for bits in (minus_infinity, 0xFF7FFFFF):
            assert signed(F32, RNE, bits) == (least, Flags.INVALID)
            assert unsigned(F32, RNE, bits) == (0, Flags.INVALID)
        assert unsigned(F32, RTZ, 0xBF7FFFFF) == (0, Flags.INEXACT)
        assert unsigned(F32, RNE, 0xBF7FFFFF) == (0, Flags.INVALID)
        assert signed(F32, RMM, 0xBF000000) == (ones, Flags.INEXACT)


def test_conversions_from_integers() -> None:
    """Only the low bits count; zero is +0 in every direction."""
    fcvt_s_w = bind("fcvt_i2f", width=32, signed=True)
    assert fcvt_s_w(F32, RNE, 0x1_FFFFFFFF) == (0xBF800000, 0)
    assert fcvt_s_w(F32, RDN, 0) == (0, 0)
    assert bind("fcvt_i2f", width=64, signed=False)(F32, RUP, (1 << 64) - 1) == (0x5F800000, Flags.INEXACT)


def test_rounding_to_integers() -> None:
    """fround is silent about inexactness and froundnx is not; both keep the sign of zero (Zfa)."""
    minus_half = 0xBF000000
    assert ops.froundi(F32, RNE, minus_half) == (0x80000000, 0)
    assert bind("froundi", inexact=True)(F32, RMM, minus_half) == (0xBF800000, Flags.INEXACT)
    assert ops.froundi(F32, RNE, SIGNALLING) == (CANONICAL, Flags.INVALID)


@pytest.mark.parametrize(("fmt", "flen"), [(F16, 32), (F16, 64), (F32, 64), (F64, 128), (F32, 32)])
@given(data=st.data())
def test_boxing(fmt: Format, flen: int, data: st.DataObject) -> None:
    """What is boxed comes out again; with any of the upper bits clear it is the canonical NaN (12.2)."""
    bits = data.draw(patterns(fmt))
    boxed = box(fmt, bits, flen)
    assert boxed >> fmt.width == (1 << flen - fmt.width) - 1
    assert unbox(fmt, boxed, flen) == bits
    if flen > fmt.width:
        hole = data.draw(st.integers(fmt.width, flen - 1))
        assert unbox(fmt, boxed & ~(1 << hole), flen) == fmt.infinity | fmt.quiet_bit
