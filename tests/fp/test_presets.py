"""NaN rules from the architectures' manuals, also where emulators depart from them, and the families of minima."""

from __future__ import annotations

import dataclasses
from itertools import product

import pytest

from ratite.fp import soft
from ratite.fp.env import Flags, FpEnv
from ratite.fp.formats import F16, F32, F64, F80, Format
from ratite.fp.nans import NanRules, Payload, Prefer
from ratite.fp.presets import ARM, MIPS_LEGACY, POWER, RISCV, S390X, X86_SSE, X86_X87
from ratite.fp.soft import MinMax

ONE = 0x3F800000
INFINITY = 0x7F800000
Q1, Q2, S1, S2 = 0x7FC00001, 0xFFC00002, 0x7F800001, 0xFF800002
QUIETED = {S1: 0x7FC00001, S2: 0xFFC00002, Q1: Q1, Q2: Q2}


ALL_ONES = dataclasses.replace(RISCV, nan=NanRules(Prefer.DEFAULT, negative=1, payload=Payload.ALL_ONES))


@pytest.mark.parametrize(
    ("env", "default"),
    [(RISCV, 0x7FC00000), (X86_SSE, 0xFFC00000), (MIPS_LEGACY, 0x7FBFFFFF), (ALL_ONES, 0xFFFFFFFF)],
)
def test_default_nan(env: FpEnv, default: int) -> None:
    """What an invalid operation on numbers returns."""
    assert soft.sub(F32, env, INFINITY, INFINITY) == (default, Flags.INVALID)


def test_signalling_first() -> None:
    """Arm and s390x: the first signalling NaN, else the first quiet one."""
    expected = {(S1, S2): S1, (S1, Q2): S1, (Q1, S2): S2, (Q1, Q2): Q1, (ONE, Q2): Q2, (S1, ONE): S1}
    for env, ((a, b), chosen) in product((ARM, S390X), expected.items()):
        flags = Flags.INVALID if {S1, S2} & {a, b} else 0
        for operation in (soft.add, soft.sub, soft.mul, soft.div):
            assert operation(F32, env, a, b) == (QUIETED[chosen], flags)


def test_first() -> None:
    """SSE and POWER: the first operand if it is a NaN, whatever the second is."""
    expected = {(S1, S2): S1, (S1, Q2): S1, (Q1, S2): Q1, (Q1, Q2): Q1, (ONE, S2): S2}
    for env, ((a, b), chosen) in product((X86_SSE, POWER), expected.items()):
        flags = Flags.INVALID if {S1, S2} & {a, b} else 0
        assert soft.mul(F32, env, a, b) == (QUIETED[chosen], flags)


def test_s390x_multiply_and_add() -> None:
    """Signalling NaNs first; infinity times zero is invalid and the default NaN beside a quiet NaN."""
    assert soft.fma(F32, S390X, Q1, ONE, S2) == (QUIETED[S2], Flags.INVALID)
    assert soft.fma(F32, S390X, ONE, Q1, Q2) == (Q1, 0)
    assert soft.fma(F32, S390X, INFINITY, 0, Q2) == (0x7FC00000, Flags.INVALID)


def test_zero_times_infinity_and_a_quiet_nan() -> None:
    """Arm: invalid, the default NaN; POWER: invalid, the addend; x86: the addend and nothing else."""
    assert soft.fma(F32, ARM, 0, INFINITY, Q2) == (0x7FC00000, Flags.INVALID)
    assert soft.fma(F32, ARM, 0, INFINITY, S2) == (QUIETED[S2], Flags.INVALID)
    assert soft.fma(F32, POWER, 0, INFINITY, Q2) == (Q2, Flags.INVALID)
    assert soft.fma(F32, X86_SSE, 0, INFINITY, Q2) == (Q2, 0)


def test_negation_spares_nans() -> None:
    """A subtraction, or a negated term of a fused one, leaves the sign of a NaN alone."""
    assert soft.sub(F32, X86_SSE, ONE, Q1) == (Q1, 0)
    assert soft.fma(F32, X86_SSE, ONE, ONE, Q1, negate_product=True, negate_addend=True) == (Q1, 0)


def test_mips_legacy() -> None:
    """The top fraction bit marks signalling NaNs, which turn into the default one; quiet ones pass through."""
    quiet, signalling = 0x7F900001, 0x7FC00001
    assert soft.add(F32, MIPS_LEGACY, quiet, ONE) == (quiet, 0)
    assert soft.add(F32, MIPS_LEGACY, ONE, signalling) == (0x7FBFFFFF, Flags.INVALID)
    assert soft.add(F32, MIPS_LEGACY, quiet, signalling) == (0x7FBFFFFF, Flags.INVALID)
    assert soft.convert(F32, F64, MIPS_LEGACY, signalling) == (0x7FF7FFFFFFFFFFFF, Flags.INVALID)


def test_payload_lost_in_conversion() -> None:
    """A quiet NaN whose payload does not fit never becomes an infinity."""
    assert soft.convert(F64, F32, MIPS_LEGACY, 0x7FF0000000000001) == (0x7FBFFFFF, 0)
    assert soft.convert(F64, F32, ARM, 0x7FF0000000000001) == (0x7FC00000, Flags.INVALID)
    assert soft.convert(F32, F16, ARM, 0xFFC02001) == (0xFE01, 0)
    assert soft.convert(F32, F80, X86_X87, 0x7F800001) == (0x7FFF_C000010000000000, Flags.INVALID)


def test_power_single_precision() -> None:
    """frsp cuts the payload to single precision; arithmetic in single precision passes a wide NaN on whole (4.3.2)."""
    single = F64.narrowed(F32)
    wide = 0x7FF8000000000001
    assert soft.convert(F64, single, POWER, wide) == (0x7FF8000000000000, 0)
    assert soft.add(single, POWER, wide, 0) == (wide, 0)


FAMILIES = [
    # family, operands, minimum, maximum, flags
    (MinMax.NUM, (ONE, Q1), ONE, ONE, 0),
    (MinMax.NUM, (S1, ONE), Q1, Q1, Flags.INVALID),
    (MinMax.NUM, (Q1, S2), Q2, Q2, Flags.INVALID),
    (MinMax.NUMBER, (S1, ONE), ONE, ONE, Flags.INVALID),
    (MinMax.NUMBER, (Q2, Q1), Q2, Q2, 0),
    (MinMax.PROPAGATE, (ONE, Q1), Q1, Q1, 0),
    (MinMax.PROPAGATE, (ONE, S1), Q1, Q1, Flags.INVALID),
    (MinMax.SECOND, (Q1, ONE), ONE, ONE, Flags.INVALID),
    (MinMax.SECOND, (ONE, S1), S1, S1, Flags.INVALID),
    (MinMax.SECOND, (0, 0x80000000), 0x80000000, 0x80000000, 0),
    *((family, (0, 0x80000000), 0x80000000, 0, 0) for family in (MinMax.NUM, MinMax.NUMBER, MinMax.PROPAGATE)),
    *((family, (ONE, 0xFF800000), 0xFF800000, ONE, 0) for family in MinMax),
]


@pytest.mark.parametrize(("family", "operands", "smaller", "larger", "flags"), FAMILIES)
def test_families(family: MinMax, operands: tuple[int, int], smaller: int, larger: int, flags: int) -> None:
    """What each family makes of NaNs and zeros, with Arm's NaN rules."""
    assert soft.minimum(F32, ARM, *operands, family) == (smaller, flags)
    assert soft.maximum(F32, ARM, *operands, family) == (larger, flags)


@pytest.mark.parametrize("fmt", [F32, F64], ids=repr)
def test_by_magnitude(fmt: Format) -> None:
    """Magnitudes decide, and signs only between equal ones."""
    one = fmt.bias << fmt.fraction_bits
    two, minus_one = one + fmt.integer_bit, one | fmt.sign_mask
    for family in (MinMax.NUM, MinMax.NUMBER, MinMax.PROPAGATE):
        assert soft.minimum(fmt, RISCV, two | fmt.sign_mask, one, family, by_magnitude=True) == (one, 0)
        assert soft.maximum(fmt, RISCV, two | fmt.sign_mask, one, family, by_magnitude=True)[0] == two | fmt.sign_mask
        assert soft.minimum(fmt, RISCV, one, minus_one, family, by_magnitude=True) == (minus_one, 0)
        assert soft.maximum(fmt, RISCV, minus_one, one, family, by_magnitude=True) == (one, 0)


def test_signs() -> None:
    """Sign operations touch one bit, also of NaNs."""
    for bits in (ONE, Q2, S1, 0):
        assert soft.negate(F32, bits) == bits ^ 0x80000000
        assert soft.absolute(F32, bits) == bits & 0x7FFFFFFF
        assert soft.copy_sign(F32, bits, Q2) == bits | 0x80000000
        assert soft.copy_sign(F32, bits, Q1) == bits & 0x7FFFFFFF
        assert soft.multiply_sign(F32, bits, Q2) == bits ^ 0x80000000
