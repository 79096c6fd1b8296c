"""Lowering of lane-wise operations to LLVM vectors.

To the rest of a text a vector is a wide integer. Here each has its LLVM vector beside that (`Lowering.vectors`), so that chains of vector operations,
and registers and memory, never go through integers; LLVM drops the integer forms that nobody asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ratite.codegen import host_x86_64 as host
from ratite.ir import OPS, Value
from ratite.ir.ops import split

if TYPE_CHECKING:
    from ratite.codegen.lower import Lowering


def vector_type(width: int, count: int) -> str:
    """A vector of integers."""
    return f"<{count} x i{width}>"


def memory_type(width: int) -> str:
    """What a value of `width` bits is in registers and memory: wide ones are vectors."""
    return f"i{width}" if width <= 64 else vector_type(64, width // 64)


def _constant(elements: Iterable[int], width: int) -> str:
    return "<" + ", ".join(f"i{width} {e}" for e in elements) + ">"


def as_vector(t: Lowering, v: Value, width: int) -> str:
    """The LLVM operand for a value as a vector of elements of `width` bits."""
    count = v.width // width
    ty = vector_type(width, count)
    if v.op == "const":
        return _constant(split(v.attr, width, count), width)
    whole = t.value(v)
    have, name = t.vectors.get(whole, (f"i{v.width}", whole))
    return name if have == ty else t(f"bitcast {have} {name} to {ty}")


def as_integer(t: Lowering, v: Value, ty: str, name: str) -> str:
    """The integer form of a vector that is the value `v`; the vector is remembered under that name."""
    whole = t(f"bitcast {ty} {name} to i{v.width}")
    t.vectors[whole] = ty, name
    return whole


def lower_lanes(t: Lowering, v: Value) -> str:
    """Lower a lane-wise operation; gives the integer form of the result."""
    if OPS[v.op].rule == "vector":
        ty, name = _RULES[v.op](t, v)
        return name if ty == f"i{v.width}" else as_integer(t, v, ty, name)
    return _by_row(t, v)


def _by_row(t: Lowering, v: Value) -> str:
    """As the row of the operation says, on vectors."""
    op, width = OPS[v.op], v.attr
    count = v.args[0].width // width
    ty, result = vector_type(width, count), vector_type(v.width // count, count)
    names = dict(zip("abc", (as_vector(t, a, width) for a in v.args), strict=False))
    truth = vector_type(1, count)
    if op.rule == "select":
        names["a"] = t(f"icmp ne {ty} {names['a']}, zeroinitializer")
    name = ""
    for part in op.llvm.split(";"):
        wm = f"splat (i{width} {width - 1})"
        text = part.format(t=ty, r=result, s=f"v{count}i{width}", p=truth, w=width, n=v.width // count, wm=wm, x=name, **names)
        t.declare_intrinsic(part, ty, f"v{count}i{width}")
        name = t(text)
    if op.rule == "bit":
        name = t(f"sext {truth} {name} to {result}")
    return as_integer(t, v, result, name)


def _shuffle(t: Lowering, v: Value) -> tuple[str, str]:
    width, count, numbers = v.attr
    ty = vector_type(width, count)
    a, b = (as_vector(t, x, width) for x in v.args)
    if len(numbers) == 1:
        n = numbers[0]
        return f"i{width}", t(f"extractelement {ty} {a if n < count else b}, i64 {n % count}")
    made = t(f"shufflevector {ty} {a}, {ty} {b}, <{len(numbers)} x i32> {_constant(numbers, 32)}")
    return vector_type(width, len(numbers)), made


def _splat(t: Lowering, v: Value) -> tuple[str, str]:
    width, count = v.attr
    ty = vector_type(width, count)
    first = t(f"insertelement {ty} poison, i{width} {t.value(v.args[0])}, i64 0")
    return ty, t(f"shufflevector {ty} {first}, {ty} poison, <{count} x i32> zeroinitializer")


def _insert(t: Lowering, v: Value) -> tuple[str, str]:
    width, count, n = v.attr
    ty = vector_type(width, count)
    return ty, t(f"insertelement {ty} {as_vector(t, v.args[0], width)}, i{width} {t.value(v.args[1])}, i64 {n}")


def _signs(t: Lowering, v: Value) -> tuple[str, str]:
    width, count = v.attr
    negative = t(f"icmp slt {vector_type(width, count)} {as_vector(t, v.args[0], width)}, zeroinitializer")
    return f"i{count}", t(f"bitcast {vector_type(1, count)} {negative} to i{count}")


def _permute(t: Lowering, v: Value) -> tuple[str, str]:
    width, count = v.attr
    ty = vector_type(width, count)
    a, numbers = (as_vector(t, x, width) for x in v.args)
    below = t(f"and {ty} {numbers}, splat (i{width} {count - 1})")
    if (width, count) == (8, 16) and host.permutes_bytes():
        return ty, host.permute_bytes(t, a, below)
    made = "poison"
    for n in range(count):
        number = t(f"extractelement {ty} {below}, i64 {n}")
        element = t(f"extractelement {ty} {a}, i{width} {number}")
        made = t(f"insertelement {ty} {made}, i{width} {element}, i64 {n}")
    return ty, made


def element_wise(t: Lowering, v: Value, count: int, one: Callable[[list[str]], str]) -> str:
    """Apply `one` to the elements of `count` each of the arguments; the integer form of what it gives for all."""
    ty = vector_type(v.width // count, count)
    vectors = [(vector_type(a.width // count, count), as_vector(t, a, a.width // count)) for a in v.args]
    made = "poison"
    for n in range(count):
        element = one([t(f"extractelement {of} {x}, i64 {n}") for of, x in vectors])
        made = t(f"insertelement {ty} {made}, i{v.width // count} {element}, i64 {n}")
    return as_integer(t, v, ty, made)


_RULES = {"shuffle": _shuffle, "splat": _splat, "insert": _insert, "signs": _signs, "permute": _permute}
