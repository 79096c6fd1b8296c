"""Functions written in the subset of Python do natively what they do in Python."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratite.codegen import compiled as language
from ratite.codegen import host_x86_64 as host
from ratite.codegen.codemem import CodeMemory
from ratite.codegen.compiled import (
    compiled,
    copy,
    fill,
    load8,
    load16,
    load32,
    load64,
    load_signed32,
    store8,
    store16,
    store32,
    store64,
    store_release64,
)
from ratite.codegen.elfobj import Object
from ratite.codegen.native import text_of
from ratite.errors import DefinitionError

LIMIT = 40


class Place:
    """A constant inside a class."""

    AT = 24


@compiled
def operators(a: int, b: int) -> int:
    x = a + b * 3 - (a & b | a ^ 5)
    x -= b << 2
    x ^= a >> 1
    return ~x + -a


@compiled
def comparisons(a: int, b: int) -> int:
    result = (a < b) + 2 * (a <= b) + 4 * (a == b) + 8 * (a != b) + 16 * (a > b) + 32 * (a >= b)
    if (-5 <= a < b and b != 3) or a == LIMIT:
        result += 64
    elif a > 5 and (b < 0 or b > Place.AT):
        result += 128
    else:
        return -result
    return result if a & 1 else 7 - result


@compiled
def loops(a: int, b: int) -> int:
    total = 0
    for n in range(b & 15):
        if n == 9:
            break
        if n & 1 == a & 1:
            continue
        total += n * a
    for n in range(3, 3 + (a & 7)):
        for m in range(n):
            total += m
    while total > LIMIT:
        total -= LIMIT + 1
    return total


@compiled
def memory(at: int, n: int) -> int:
    store8(at, n)
    store16(at + 1, n)
    store32(at + 3, n)
    store64(at + 7, n)
    store_release64(at + Place.AT, n + 1)
    copy(at + 40, at, 16)
    fill(at + 60, n, 3)
    return load8(at + 61) + load16(at + 40) + load32(at + 43) + load_signed32(at + 43) + load64(at + 47) + load64(at + Place.AT)


@compiled
def calls(a: int, b: int) -> int:
    leave_there(a)
    return operators(a, 2) + comparisons(b, a)


@compiled
def leave_there(a: int) -> None:
    if a > 0:
        return


FUNCTIONS = (operators, comparisons, loops, memory, calls, leave_there)


@pytest.fixture(scope="module")
def native() -> Callable[[str], Any]:
    """The native functions by name."""
    from llvmlite import binding as llvm

    module = llvm.parse_assembly(f'target triple = "{host.TRIPLE}"\n' + "".join(text_of(f) for f in FUNCTIONS))
    code = CodeMemory(1 << 16)
    helpers = {name: ctypes.cast(f, ctypes.c_void_p).value or 0 for name, f in (("memcpy", ctypes.memmove), ("memset", ctypes.memset))}
    thunks = {name: code.put(b"\x48\xb8" + address.to_bytes(8, "little") + b"\xff\xe0") for name, address in helpers.items()}
    symbols = code.load(Object(host.machine().emit_object(module)).image(), thunks)

    def find(name: str) -> Any:
        function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)(symbols[name])
        function.memory = code  # type: ignore[attr-defined]
        return function

    return find


NUMBERS = st.integers(-100, 100) | st.integers(-(1 << 40), 1 << 40)


@pytest.mark.parametrize("function", [operators, comparisons, loops, calls], ids=lambda f: f.__name__)
@given(a=NUMBERS, b=NUMBERS)
def test_numbers(native: Callable[[str], Any], function: Callable[[int, int], int], a: int, b: int) -> None:
    if function is loops:
        a, b = a % 1000, b % 1000  # subtracting until little is left takes as many steps in Python
    assert native(function.__name__)(a, b) == function(a, b)


@given(n=NUMBERS)
def test_memory(native: Callable[[str], Any], n: int) -> None:
    ours, theirs = array("B", bytes(64)), array("B", bytes(64))
    assert native("memory")(ours.buffer_info()[0], n) == memory(theirs.buffer_info()[0], n)
    assert ours == theirs


def bad_division(a: int) -> int:
    return a // 2


def bad_call(a: int) -> int:
    return abs(a) + a


def bad_statement(a: int) -> int:
    with open(str(a)):
        return a


def bad_constant(a: int) -> int:
    return a + language.compiled.__name__  # type: ignore[operator, no-any-return]


@pytest.mark.parametrize(
    ("function", "why"),
    [(bad_division, "FloorDiv"), (bad_call, "abs"), (bad_statement, "With"), (bad_constant, "__name__")],
    ids=lambda x: getattr(x, "__name__", ""),
)  # fmt: skip
def test_what_is_not_of_the_subset_is_refused(function: Callable[..., int], why: str) -> None:
    with pytest.raises(DefinitionError, match=f"{function.__name__}, line .*{why}.* has no native form"):
        text_of(function)
