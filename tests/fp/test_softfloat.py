"""Ratite's RISCV arithmetic equals Berkeley SoftFloat, results and flags, over crossed edges and random operands."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from itertools import permutations, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratite.fp import soft
from ratite.fp.env import FpEnv, Rounding, Tininess
from ratite.fp.formats import BF16, F16, F32, F64, F128, Format
from ratite.fp.presets import RISCV

from .patterns import edges, few_edges, patterns
from .softfloat import ROUNDINGS, call, datum, set_modes

Result = tuple[int, int]
Ours = Callable[[Format, FpEnv, tuple[int, ...]], Result]

FORMATS = [F16, F32, F64, F128]
INTEGERS = [("i32", 32, True), ("ui32", 32, False), ("i64", 64, True), ("ui64", 64, False)]

BINARY: dict[str, Ours] = {
    "add": lambda fmt, env, x: soft.add(fmt, env, *x),
    "sub": lambda fmt, env, x: soft.sub(fmt, env, *x),
    "mul": lambda fmt, env, x: soft.mul(fmt, env, *x),
    "div": lambda fmt, env, x: soft.div(fmt, env, *x),
}
EXACT_BINARY: dict[str, Ours] = {
    "rem": lambda fmt, env, x: soft.remainder(fmt, env, *x),
    "eq": lambda fmt, env, x: soft.eq(fmt, env, *x),
    "lt": lambda fmt, env, x: soft.lt(fmt, env, *x),
    "le": lambda fmt, env, x: soft.le(fmt, env, *x),
    "eq_signaling": lambda fmt, env, x: soft.eq(fmt, env, *x, signalling=True),
    "lt_quiet": lambda fmt, env, x: soft.lt(fmt, env, *x, signalling=False),
    "le_quiet": lambda fmt, env, x: soft.le(fmt, env, *x, signalling=False),
}
UNARY: dict[str, Ours] = {"sqrt": lambda fmt, env, x: soft.sqrt(fmt, env, *x)}
TERNARY: dict[str, Ours] = {"mul_add": lambda fmt, env, x: soft.fma(fmt, env, *x)}


def environments(every_tininess: bool) -> Iterator[FpEnv]:
    """All rounding modes, and both kinds of tininess where a result may be tiny; SoftFloat is set likewise."""
    for rounding in ROUNDINGS:
        for tininess in Tininess if every_tininess else [Tininess.AFTER_ROUNDING]:
            set_modes(rounding, tininess)
            yield dataclasses.replace(RISCV, rounding=rounding, tininess=tininess)


def check(fmt: Format, env: FpEnv, name: str, ours: Ours, operands: Iterable[tuple[tuple[int, Any], ...]]) -> None:
    """Compare one function over operands, each given as (pattern, SoftFloat's object)."""
    function = f"{fmt.name}_{name}"
    for operand in operands:
        bits = tuple(pattern for pattern, _ in operand)
        expected = call(function, *(theirs for _, theirs in operand))
        result = ours(fmt, env, bits)
        if result != expected:
            pytest.fail(f"{function} {[hex(b) for b in bits]} {env.rounding!r} {env.tininess}: {result} not {expected}")


def both(fmt: Format, bits: Iterable[int]) -> list[tuple[int, Any]]:
    """Patterns together with SoftFloat's objects."""
    return [(pattern, datum(fmt.name, pattern)) for pattern in bits]


@pytest.mark.parametrize("fmt", FORMATS, ids=repr)
@pytest.mark.parametrize("name", BINARY)
def test_binary_edges(fmt: Format, name: str) -> None:
    """Rounded two-operand operations over all pairs of edges, every rounding mode, both kinds of tininess."""
    operands = both(fmt, edges(fmt))
    for env in environments(every_tininess=True):
        check(fmt, env, name, BINARY[name], product(operands, repeat=2))


@pytest.mark.parametrize("fmt", FORMATS, ids=repr)
@pytest.mark.parametrize("name", EXACT_BINARY)
def test_exact_binary_edges(fmt: Format, name: str) -> None:
    """Comparisons and the remainder over all pairs of edges; no rounding mode changes them."""
    operands = both(fmt, edges(fmt))
    for rounding in (Rounding.RNE, Rounding.RDN):
        set_modes(rounding)
        check(fmt, RISCV.rounded(rounding), name, EXACT_BINARY[name], product(operands, repeat=2))


@pytest.mark.parametrize("fmt", FORMATS, ids=repr)
def test_sqrt_edges(fmt: Format) -> None:
    """Square roots of all edges; of f16 every 13th number."""
    operands = both(fmt, range(0, 1 << 16, 13) if fmt is F16 else edges(fmt))
    for env in environments(every_tininess=False):
        check(fmt, env, "sqrt", UNARY["sqrt"], ((x,) for x in operands))


@pytest.mark.parametrize("fmt", FORMATS, ids=repr)
def test_fma_edges(fmt: Format) -> None:
    """Fused multiply-add over all triples of a short list of edges."""
    operands = both(fmt, few_edges(fmt))
    for env in environments(every_tininess=False):
        check(fmt, env, "mul_add", TERNARY["mul_add"], product(operands, repeat=3))


def integral(inexact: bool) -> Ours:
    """Round to an integral value, reporting inexactness or not."""
    return lambda fmt, env, x: soft.round_to_integral(fmt, env, x[0], inexact=inexact)


def to_integer(width: int, signed: bool, inexact: bool) -> Ours:
    """Convert to an integer, reporting inexactness or not."""
    return lambda fmt, env, x: soft.to_int(fmt, env, x[0], width, signed, inexact=inexact)


def rounding_calls() -> Iterator[tuple[str, bool, Ours]]:
    """The functions that take (rounding, exact) as arguments: name, exactness, and Ratite's."""
    for inexact in (True, False):
        yield "round_to_int", inexact, integral(inexact)
        for integer, width, signed in INTEGERS:
            yield f"to_{integer}", inexact, to_integer(width, signed, inexact)


@pytest.mark.parametrize("fmt", FORMATS, ids=repr)
def test_integral_edges(fmt: Format) -> None:
    """Conversions to integers and to integral values: all edges, of f16 every 31st number."""
    operands = both(fmt, range(0, 1 << 16, 31) if fmt is F16 else edges(fmt))
    for rounding, (name, inexact, ours) in product(ROUNDINGS, rounding_calls()):
        env = RISCV.rounded(rounding)
        for bits, theirs in operands:
            expected = call(f"{fmt.name}_{name}", theirs, int(rounding), inexact)
            assert ours(fmt, env, (bits,)) == expected, (name, hex(bits), rounding, inexact)


def converted(target: Format) -> Ours:
    """Convert to another format."""
    return lambda fmt, env, x: soft.convert(fmt, target, env, *x)


@pytest.mark.parametrize(("source", "target"), list(permutations(FORMATS, 2)), ids=repr)
def test_format_conversion_edges(source: Format, target: Format) -> None:
    """Conversions between formats: all edges of both and their neighbours; all f16 numbers."""
    # The target's edges as numbers of the source are where rounding to it turns.
    turns = {soft.convert(target, source, RISCV, bits)[0] for bits in edges(target)}
    candidates = {near for bits in turns | set(edges(source)) for near in (bits - 1, bits, bits + 1)}
    operands = both(source, (bits for bits in candidates if 0 <= bits < 1 << source.width))
    for env in environments(every_tininess=True):
        check(source, env, f"to_{target.name}", converted(target), ((x,) for x in operands))
    if source is F16:
        set_modes(Rounding.RNE)
        check(F16, RISCV, f"to_{target.name}", converted(target), ((x,) for x in both(F16, range(1 << 16))))


def test_bfloat16() -> None:
    """bf16 has conversions only: all of its numbers to f32; f32 around some of them, and half-way between, back."""
    for bits in range(1 << 16):
        assert soft.convert(BF16, F32, RISCV, bits) == call("bf16_to_f32", datum("bf16", bits))
    around = [bits << 16 | low for bits in range(0, 1 << 16, 61) for low in (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF)]
    operands = both(F32, around)
    for env in environments(every_tininess=True):
        check(F32, env, "to_bf16", converted(BF16), ((x,) for x in operands))


@pytest.mark.parametrize("fmt", FORMATS, ids=repr)
@pytest.mark.parametrize(("integer", "width", "signed"), INTEGERS)
def test_from_integer_edges(fmt: Format, integer: str, width: int, signed: bool) -> None:
    """Integers around all powers of two, and runs of ones, to floating point."""
    values = {sign * ((1 << n) + d) & (1 << width) - 1 for n in range(width) for d in range(-3, 4) for sign in (1, -1)}
    values |= {(1 << n) - (1 << m) for n in range(width + 1) for m in range(n)}
    operands = [(value, datum(integer, value)) for value in sorted(values)]
    for env in environments(every_tininess=False):
        for value, theirs in operands:
            expected = call(f"{integer}_to_{fmt.name}", theirs)
            assert soft.from_int(fmt, env, value, width, signed) == expected, (hex(value), env.rounding)


@pytest.mark.parametrize("fmt", FORMATS, ids=repr)
@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data())
def test_random(fmt: Format, data: st.DataObject) -> None:
    """Every arithmetic operation over random operands, every rounding mode, both kinds of tininess."""
    numbers = data.draw(st.tuples(*[patterns(fmt)] * 3))
    x = both(fmt, numbers)
    for env in environments(every_tininess=True):
        for arity, operations in ((1, UNARY), (2, BINARY | EXACT_BINARY), (3, TERNARY)):
            for name, ours in operations.items():
                check(fmt, env, name, ours, [tuple(x[:arity])])
        for target in FORMATS:
            if target is not fmt:
                check(fmt, env, f"to_{target.name}", converted(target), [tuple(x[:1])])
    for rounding, (name, inexact, ours) in product(ROUNDINGS, rounding_calls()):
        expected = call(f"{fmt.name}_{name}", x[0][1], int(rounding), inexact)
        assert ours(fmt, RISCV.rounded(rounding), (numbers[0],)) == expected
