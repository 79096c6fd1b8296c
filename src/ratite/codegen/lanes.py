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


def _lower_numbers(part: int, of: int, above: int | None) -> str:
    """The numbers of elements in a shuffle that takes the lowest ones of a first vector, and those above them from nowhere, or of a second one."""
    first = [f"i32 {n}" for n in range(part)]
    rest = ["i32 poison" if above is None else f"i32 {above + n}" for n in range(part, of)]
    return f"<{part + len(rest)} x i32> <{', '.join(first + rest)}>"


def part_of(t: Lowering, name: str, whole: int, width: int) -> str:
    """The lowest `width` bits of what `name` is, `whole` bits as registers hold them (`memory_type`)."""
    if width == whole:
        return name
    ty = memory_type(whole)
    if whole <= 64:
        return t(f"trunc {ty} {name} to i{width}")
    if width == 64:
        return t(f"extractelement {ty} {name}, i64 0")
    return t(f"shufflevector {ty} {name}, {ty} poison, {_lower_numbers(width // 64, width // 64, None)}")


def with_part(t: Lowering, name: str, whole: int, part: str, width: int) -> str:
    """The same with `part` in the place of its lowest `width` bits."""
    if width == whole:
        return part
    ty, count = memory_type(whole), whole // 64
    if whole <= 64:
        above = t(f"and {ty} {name}, {-1 << width}")
        return t(f"or {ty} {above}, {t(f'zext i{width} {part} to {ty}')}")
    if width == 64:
        return t(f"insertelement {ty} {name}, i64 {part}, i64 0")
    wide = t(f"shufflevector {memory_type(width)} {part}, {memory_type(width)} poison, {_lower_numbers(width // 64, count, None)}")
    return t(f"shufflevector {ty} {wide}, {ty} {name}, {_lower_numbers(width // 64, count, count)}")


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
    if max(width, v.width // count) > 64:
        return _of_wide(t, v, width, count)
    ty, result = vector_type(width, count), vector_type(v.width // count, count)
    names = dict(zip("abc", (as_vector(t, a, width) for a in v.args), strict=False))
    truth = vector_type(1, count)
    if op.rule == "select":
        names["a"] = t(f"icmp ne {ty} {names['a']}, zeroinitializer")
    wm = f"splat (i{width} {width - 1})"
    name = t.by_row(op, names, t=ty, r=result, s=f"v{count}i{width}", p=truth, w=width, n=v.width // count, wm=wm)
    if op.rule == "bit":
        name = t(f"sext {truth} {name} to {result}")
    return as_integer(t, v, result, name)


def _of_wide(t: Lowering, v: Value, width: int, count: int) -> str:
    """The same for elements that are wider than the host's: each by itself, as an integer. LLVM's code generator ends the whole process for some
    vectors of those."""
    op, size = OPS[v.op], v.width // count
    results = []
    for n in range(count):
        names = dict(zip("abc", (_element(t, a, n, a.width // count) for a in v.args), strict=False))
        if op.rule == "select":
            names["a"] = t(f"icmp ne i{width} {names['a']}, 0")
        name = t.by_row(op, names, t=f"i{width}", r=f"i{size}", s=f"i{width}", p="i1", w=width, n=size, wm=width - 1)
        results.append(t(f"sext i1 {name} to i{size}") if op.rule == "bit" else name)
    return _of_elements(t, v, results, size)


def _element(t: Lowering, v: Value, n: int, width: int) -> str:
    """Element `n` of a value, of a multiple of 64 bits, as an integer."""
    parts = width // 64
    if width == 64:
        return t(f"extractelement {vector_type(64, v.width // 64)} {as_vector(t, v, 64)}, i64 {n}")
    numbers = _constant(range(n * parts, (n + 1) * parts), 32)
    ty = vector_type(64, v.width // 64)
    piece = t(f"shufflevector {ty} {as_vector(t, v, 64)}, {ty} poison, <{parts} x i32> {numbers}")
    return t(f"bitcast {vector_type(64, parts)} {piece} to i{width}")


def _of_elements(t: Lowering, v: Value, elements: list[str], width: int) -> str:
    """The integer form of the value `v`, whose elements are these integers."""
    parts, ty = width // 64, vector_type(64, v.width // 64)
    made = "poison"
    for n, element in enumerate(elements):
        pieces = t(f"bitcast i{width} {element} to {vector_type(64, parts)}")
        for part in range(parts):
            number = t(f"extractelement {vector_type(64, parts)} {pieces}, i64 {part}")
            made = t(f"insertelement {ty} {made}, i64 {number}, i64 {n * parts + part}")
    return as_integer(t, v, ty, made)


def _shuffle(t: Lowering, v: Value) -> tuple[str, str]:
    width, count, numbers = v.attr
    if width > 64:
        parts = width // 64
        width, count, numbers = 64, count * parts, [parts * n + part for n in numbers for part in range(parts)]
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
