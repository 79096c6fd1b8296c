"""The presets for x86 equal the host's SSE, FMA and x87 units, results and flags, over crossed edges."""

from __future__ import annotations

import dataclasses
from itertools import product

import pytest

from ratite.fp import soft
from ratite.fp.env import DenormalSignal, FlushResults, FpEnv, Rounding
from ratite.fp.formats import F16, F32, F64, F80, Format
from ratite.fp.presets import X86_SSE, X86_X87
from ratite.fp.soft import MinMax, Relation

from . import x86_host as host
from .patterns import edges, few_edges

pytestmark = pytest.mark.skipif(not host.IS_X86_64, reason="compares with the floating-point units of an x86-64 host")

SSE_FORMATS = [pytest.param(F32, "ss", id="f32"), pytest.param(F64, "sd", id="f64")]
FLUSHING = list(product((False, True), repeat=2))

COMPARED = {Relation.GREATER: 0, Relation.EQUAL: 0x000001, Relation.LESS: 0x010000, Relation.UNORDERED: 0x010101}
"""ZF, PF and CF as the host's functions return them, a byte each."""

NONSENSE = [
    0x0000_8000000000000000,
    0x0000_8000000000000001,
    0x8000_FFFFFFFFFFFFFFFF,
    0x7FFF_0000000000000000,
    0x7FFF_4000000000000000,
    0x7FFF_0000000000000001,
    0xBFFF_0000000000000000,
    0x0001_7FFFFFFFFFFFFFFF,
]
"""Pseudo-denormals, and encodings that the x87 does not support."""


def environment(rounding: Rounding, daz: bool, ftz: bool) -> FpEnv:
    """The environment of MXCSR's control bits."""
    flush = FlushResults.AFTER_ROUNDING if ftz else FlushResults.NEVER
    return dataclasses.replace(X86_SSE, rounding=rounding, flush_inputs=daz, flush_results=flush)


def silent(env: FpEnv) -> FpEnv:
    """The same for the instructions that never report subnormal operands."""
    return dataclasses.replace(env, denormal_signal=DenormalSignal.NEVER)


@pytest.mark.parametrize(("fmt", "suffix"), SSE_FORMATS)
@pytest.mark.parametrize(("daz", "ftz"), FLUSHING)
def test_sse_arithmetic(fmt: Format, suffix: str, daz: bool, ftz: bool) -> None:
    """Two-operand arithmetic, MIN and MAX, comparisons."""
    others = edges(fmt)[::4] + few_edges(fmt)
    for rounding in host.ROUNDINGS:
        env = environment(rounding, daz, ftz)
        for a, b in product(edges(fmt), others):
            for name, operation in (("add", soft.add), ("sub", soft.sub), ("mul", soft.mul), ("div", soft.div)):
                expected = host.sse(name + suffix, rounding, a, b, daz=daz, ftz=ftz)
                assert operation(fmt, env, a, b) == expected, (name, hex(a), hex(b), rounding)
        for a, b in product(edges(fmt), few_edges(fmt)):
            expected = host.sse(f"min{suffix}", rounding, a, b, daz=daz, ftz=ftz)
            assert soft.minimum(fmt, env, a, b, MinMax.SECOND) == expected, (hex(a), hex(b))
            expected = host.sse(f"max{suffix}", rounding, a, b, daz=daz, ftz=ftz)
            assert soft.maximum(fmt, env, a, b, MinMax.SECOND) == expected, (hex(a), hex(b))
            for name, signalling in (("comi", True), ("ucomi", False)):
                relation, flags = soft.compare(fmt, env, a, b, signalling=signalling)
                expected = host.sse(name + suffix, rounding, a, b, daz=daz, ftz=ftz)
                assert (COMPARED[relation], flags) == expected, (name, hex(a), hex(b))


@pytest.mark.parametrize(("fmt", "suffix"), SSE_FORMATS)
@pytest.mark.parametrize(("daz", "ftz"), FLUSHING)
def test_sse_one_operand(fmt: Format, suffix: str, daz: bool, ftz: bool) -> None:
    """Roots, conversions to and from integers and between formats, and SSE4.1's rounding."""
    other, conversion = (F64, "cvtss2sd") if fmt is F32 else (F32, "cvtsd2ss")
    for rounding, a in product(host.ROUNDINGS, edges(fmt)):
        env = environment(rounding, daz, ftz)
        towards_zero = env.rounded(Rounding.RTZ)
        ours = {
            f"sqrt{suffix}": soft.sqrt(fmt, env, a),
            f"cvt{suffix}2si": soft.to_int(fmt, env, a, 32, True),
            f"cvt{suffix}2siq": soft.to_int(fmt, env, a, 64, True),
            f"cvtt{suffix}2si": soft.to_int(fmt, towards_zero, a, 32, True),
            f"cvtsi2{suffix}l": soft.from_int(fmt, env, a & 0xFFFFFFFF, 32, True),
            f"cvtsi2{suffix}q": soft.from_int(fmt, env, a, 64, True),
            f"round_current{suffix}": soft.round_to_integral(fmt, silent(env), a, inexact=True),
            f"round_quiet{suffix}": soft.round_to_integral(fmt, silent(env), a, inexact=False),
            conversion: soft.convert(fmt, other, env, a),
        }
        for name, result in ours.items():
            if host.has(name):
                assert result == host.sse(name, rounding, a, daz=daz, ftz=ftz), (name, hex(a), rounding)


def test_half_precision() -> None:
    """F16C's conversions, which know neither flushing on the narrow side nor reports of subnormal f16 operands."""
    if not host.has("vcvtph2ps"):
        pytest.skip("the host has no F16C")
    for a in range(0, 1 << 16, 3):
        assert soft.convert(F16, F32, silent(X86_SSE), a) == host.sse("vcvtph2ps", Rounding.RNE, a)
    for rounding, a in product(host.ROUNDINGS, edges(F32)):
        bits, flags = host.sse("vcvtps2ph", rounding, a)
        assert soft.convert(F32, F16, X86_SSE.rounded(rounding), a) == (bits & 0xFFFF, flags), (hex(a), rounding)


@pytest.mark.parametrize(("fmt", "suffix"), SSE_FORMATS)
def test_fma(fmt: Format, suffix: str) -> None:
    """All forms of FMA: NaNs are asked for in the order factor, factor, addend, as the form's digits name them."""
    if not host.has(f"fmadd132{suffix}"):
        pytest.skip("the host has no FMA")
    negations = {"fmadd": (False, False), "fmsub": (False, True), "fnmadd": (True, False), "fnmsub": (True, True)}
    nans = [fmt.infinity | fmt.quiet_bit | 9 | fmt.sign_mask, fmt.infinity | 77]
    for rounding, x in product((Rounding.RNE, Rounding.RDN), product(few_edges(fmt) + nans, repeat=3)):
        env = X86_SSE.rounded(rounding)
        for form in ("132", "213", "231"):
            a, b, c = (x[int(digit) - 1] for digit in form)
            for name, (negate_product, negate_addend) in negations.items():
                if rounding is Rounding.RNE or name == "fmadd":
                    ours = soft.fma(fmt, env, a, b, c, negate_product=negate_product, negate_addend=negate_addend)
                    assert ours == host.sse(name + form + suffix, rounding, *x), (name, form, [hex(v) for v in x])


@pytest.mark.parametrize("precision", [F80, F64, F32], ids=repr)
def test_x87_arithmetic(precision: Format) -> None:
    """The x87 in each of its precisions, with operands that only it has."""
    fmt = F80 if precision is F80 else F80.narrowed(precision, keep_range=True)
    others = edges(F80)[::5] + few_edges(F80) + NONSENSE
    for rounding, a in product(host.ROUNDINGS, edges(F80) + NONSENSE):
        env = X86_X87.rounded(rounding)
        for b in others:
            for name, operation in (("fadd", soft.add), ("fsub", soft.sub), ("fmul", soft.mul), ("fdiv", soft.div)):
                expected = host.x87(name, rounding, a, b, result=fmt)
                assert operation(fmt, env, a, b) == expected, (name, hex(a), hex(b), rounding)
        assert soft.sqrt(fmt, env, a) == host.x87("fsqrt", rounding, a, result=fmt), (hex(a), rounding)


def test_x87_conversions() -> None:
    """Comparisons, rounding to integers, and conversions to and from memory formats."""
    for rounding, a in product(host.ROUNDINGS, edges(F80) + NONSENSE):
        env = X86_X87.rounded(rounding)
        ours = {
            "frndint": soft.round_to_integral(F80, env, a, inexact=True),
            "fistpl": soft.to_int(F80, env, a, 32, True),
            "fistpll": soft.to_int(F80, env, a, 64, True),
            "fstps": soft.convert(F80, F32, silent(env), a),
            "fstpl": soft.convert(F80, F64, silent(env), a),
        }
        for name, result in ours.items():
            assert result == host.x87(name, rounding, a), (name, hex(a), rounding)
    for a, b in product(edges(F80) + NONSENSE, repeat=2):
        for name, signalling in (("fcomi", True), ("fucomi", False)):
            relation, flags = soft.compare(F80, X86_X87, a, b, signalling=signalling)
            assert (COMPARED[relation], flags) == host.x87(name, Rounding.RNE, a, b), (name, hex(a), hex(b))
    for a in edges(F32):
        assert soft.convert(F32, F80, X86_X87, a) == host.x87("flds", Rounding.RNE, a)
    for a in edges(F64):
        assert soft.convert(F64, F80, X86_X87, a) == host.x87("fldl", Rounding.RNE, a)
        assert soft.from_int(F80, X86_X87, a, 64, True) == host.x87("fildll", Rounding.RNE, a)
