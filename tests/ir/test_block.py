"""The language's promises: widths never change silently, guest values have no truth, order is the order of recording."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratite.errors import DefinitionError
from ratite.ir import OPS, Block
from ratite.ir.ops import HELPERS
from ratite.ir.printer import listing
from ratite.ir.verify import verify


def test_widths_must_agree() -> None:
    b = Block("t")
    with pytest.raises(DefinitionError, match=r"widths differ \(32 and 64\)"):
        b.const(1, 32) + b.const(1, 64)


def test_a_guest_value_has_no_truth() -> None:
    b = Block("t")
    with pytest.raises(DefinitionError, match="select"):
        bool(b.const(1, 64) == 1)


def test_constants_must_fit() -> None:
    b = Block("t")
    assert b.const(-1, 8).attr == 0xFF
    with pytest.raises(DefinitionError, match="does not fit in 8 bits"):
        b.const(256, 8)


def test_a_value_of_a_branch_can_not_be_used_after_it() -> None:
    b = Block("t")
    c = b.add("param", 1, (), 0)
    b.add("if", 0, (c,))
    inner = b.add("param", 64, (), 1)
    b.add("end", 0)
    b.add("return", 0, (inner,))
    with pytest.raises(DefinitionError, match="only one branch computes"):
        verify(b)


def test_a_fault_after_an_effect_is_refused() -> None:
    b = Block("t")
    v = b.const(1, 64)
    b.add("reg.set", 0, (v,), ("x", 1))
    b.add("load", 64, (v,))
    with pytest.raises(DefinitionError, match="could not be precise"):
        verify(b)


def test_unbalanced_control_is_refused() -> None:
    b = Block("t")
    b.add("if", 0, (b.const(1, 1),))
    with pytest.raises(DefinitionError, match="not closed"):
        verify(b)


def test_a_listing_shows_operations_in_order() -> None:
    b = Block("addi")
    x = b.add("reg.get", 64, (), ("x", "rs1"))
    b.add("reg.set", 0, (x + 5,), ("x", "rd"))
    assert listing(b).splitlines() == ["addi:", "    %0:64 = reg.get ('x', 'rs1')", "    %2:64 = %0 + 5", "    reg.set ('x', 'rd') %2"]


def evaluate(op: str, width: int, *args: int) -> int:
    """The reference meaning of an operation."""
    names = dict(zip("abc", map(str, args), strict=False))
    text = OPS[op].python.format(w=width, wm=width - 1, n=width, m=(1 << width) - 1, **names)
    return int(eval(text, dict(HELPERS)))


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_arithmetic_means_what_its_symbol_says(a: int, b: int) -> None:
    m = 2**64 - 1
    assert evaluate("add", 64, a, b) == (a + b) & m
    assert evaluate("sub", 64, a, b) == (a - b) & m
    assert evaluate("shl", 64, a, b) == (a << (b % 64)) & m
    assert evaluate("rotl", 64, a, b) == evaluate("rotr", 64, a, -b % 64)
    assert evaluate("clz", 64, a) == 64 - len(f"{a:b}") + (a == 0)
    assert evaluate("bswap", 64, evaluate("bswap", 64, a)) == a
    assert evaluate("clmul", 64, a, b) == evaluate("clmul", 64, b, a)
