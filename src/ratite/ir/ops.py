"""The operation table: one row says everything that the readers of a block know about one operation.

A value is a bit vector of a fixed width, held by the reference evaluator as a Python integer in [0, 2**width). `python` and `llvm` are
templates over

    {a} {b} {c}   the operands          {t}   LLVM type of the first operand     {r}   LLVM type of the result
    {w}           width of operand a    {n}   width of the result                {m}   mask of the result
    {wm}          width of a, minus 1   {s}   how intrinsics spell {t}           {p}   LLVM type of a truth

Every operation also exists lane-wise: with an element width as its attribute it works on the elements of its operands, each as the row says, and
{w}, {n}, {t} and so on are those of elements or of LLVM vectors of them. A truth is then a whole element, all ones or zero. Operations of rule
"vector" are only about elements; `ratite.ir.lanes` is how texts write all of these.

Shifts and rotations take their amount modulo the width (a power of two). Division by zero and signed overflow of division are not
defined: an instruction text selects a harmless divisor first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Op(NamedTuple):
    """One pure operation."""

    symbol: str  #: how listings and documentation print it
    rule: str  #: "same": operands and result of one width; "bit": one-bit result; "cast": the result's width is given; "select"; "vector"
    python: str  #: expression of the reference evaluator
    llvm: str  #: right-hand side of the LLVM instruction; several instructions are separated by ";" and may use {x} temporaries


def _compare(symbol: str, python: str, predicate: str) -> Op:
    return Op(symbol, "bit", python, f"icmp {predicate} {{t}} {{a}}, {{b}}")


def _shift(symbol: str, python: str, llvm: str) -> Op:
    return Op(symbol, "same", python, f"and {{t}} {{b}}, {{wm}};{llvm} {{t}} {{a}}, {{x}}")


def _unary(symbol: str, python: str, intrinsic: str, extra: str = "") -> Op:
    return Op(symbol, "same", python, f"call {{t}} @llvm.{intrinsic}.{{s}}({{t}} {{a}}{extra})")


def _binary(symbol: str, python: str, intrinsic: str) -> Op:
    return Op(symbol, "same", python, f"call {{t}} @llvm.{intrinsic}.{{s}}({{t}} {{a}}, {{t}} {{b}})")


OPS: dict[str, Op] = {
    "add": Op("+", "same", "({a} + {b}) & {m}", "add {t} {a}, {b}"),
    "sub": Op("-", "same", "({a} - {b}) & {m}", "sub {t} {a}, {b}"),
    "mul": Op("*", "same", "({a} * {b}) & {m}", "mul {t} {a}, {b}"),
    "and": Op("&", "same", "{a} & {b}", "and {t} {a}, {b}"),
    "or": Op("|", "same", "{a} | {b}", "or {t} {a}, {b}"),
    "xor": Op("^", "same", "{a} ^ {b}", "xor {t} {a}, {b}"),
    "udiv": Op("/", "same", "{a} // {b}", "udiv {t} {a}, {b}"),
    "urem": Op("%", "same", "{a} % {b}", "urem {t} {a}, {b}"),
    "sdiv": Op("/s", "same", "quotient(sx({a}, {w}), sx({b}, {w})) & {m}", "sdiv {t} {a}, {b}"),
    "srem": Op("%s", "same", "remainder(sx({a}, {w}), sx({b}, {w})) & {m}", "srem {t} {a}, {b}"),
    "shl": _shift("<<", "({a} << ({b} & {wm})) & {m}", "shl"),
    "lshr": _shift(">>", "{a} >> ({b} & {wm})", "lshr"),
    "ashr": _shift(">>s", "(sx({a}, {w}) >> ({b} & {wm})) & {m}", "ashr"),
    "rotl": Op("<<<", "same", "rotate({a}, {b}, {w})", "call {t} @llvm.fshl.{s}({t} {a}, {t} {a}, {t} {b})"),
    "rotr": Op(">>>", "same", "rotate({a}, -{b}, {w})", "call {t} @llvm.fshr.{s}({t} {a}, {t} {a}, {t} {b})"),
    "eq": _compare("==", "int({a} == {b})", "eq"),
    "ne": _compare("!=", "int({a} != {b})", "ne"),
    "ult": _compare("<", "int({a} < {b})", "ult"),
    "ule": _compare("<=", "int({a} <= {b})", "ule"),
    "slt": _compare("<s", "int(sx({a}, {w}) < sx({b}, {w}))", "slt"),
    "sle": _compare("<=s", "int(sx({a}, {w}) <= sx({b}, {w}))", "sle"),
    "clz": _unary("clz", "{w} - ({a}).bit_length()", "ctlz", ", i1 false"),
    "ctz": _unary("ctz", "trailing_zeros({a}, {w})", "cttz", ", i1 false"),
    "popcount": _unary("popcount", "({a}).bit_count()", "ctpop"),
    "bswap": _unary("bswap", "int.from_bytes(({a}).to_bytes({w} // 8, 'little'), 'big')", "bswap"),
    "clmul": Op("clmul", "same", "carryless({a}, {b}) & {m}", "call {t} @llvm.clmul.{s}({t} {a}, {t} {b})"),
    "zext": Op("zext", "cast", "{a}", "zext {t} {a} to {r}"),
    "sext": Op("sext", "cast", "sx({a}, {w}) & {m}", "sext {t} {a} to {r}"),
    "trunc": Op("trunc", "cast", "{a} & {m}", "trunc {t} {a} to {r}"),
    "select": Op("?", "select", "({b} if {a} else {c})", "select {p} {a}, {r} {b}, {r} {c}"),
    "umin": _binary("min", "min({a}, {b})", "umin"),
    "umax": _binary("max", "max({a}, {b})", "umax"),
    "smin": _binary("mins", "min(sx({a}, {w}), sx({b}, {w})) & {m}", "smin"),
    "smax": _binary("maxs", "max(sx({a}, {w}), sx({b}, {w})) & {m}", "smax"),
    "uadd_sat": _binary("+sat", "min({a} + {b}, {m})", "uadd.sat"),
    "usub_sat": _binary("-sat", "max({a} - {b}, 0)", "usub.sat"),
    "sadd_sat": _binary("+sats", "clamp(sx({a}, {w}) + sx({b}, {w}), {w}) & {m}", "sadd.sat"),
    "ssub_sat": _binary("-sats", "clamp(sx({a}, {w}) - sx({b}, {w}), {w}) & {m}", "ssub.sat"),
    # About elements: `shuffle` takes those with the numbers in its attribute from two values, one behind the other; `permute` those of a with the
    # numbers that the elements of b are, modulo their count; `splat` repeats a value; `insert` replaces one; `signs` packs top bits into a number.
    "shuffle": Op("shuffle", "vector", "join([(x + y)[i] for x, y in ((split({a}, {w}, {k}), split({b}, {w}, {k})),) for i in {i}], {w})", ""),
    "permute": Op("permute", "vector", "join([x[i % {k}] for x in (split({a}, {w}, {k}),) for i in split({b}, {w}, {k})], {w})", ""),
    "splat": Op("splat", "vector", "join([{a}] * {k}, {w})", ""),
    "insert": Op("insert", "vector", "{a} & ~({m} << {w} * {i}) | {b} << {w} * {i}", ""),
    "signs": Op("signs", "vector", "sum(e >> {w} - 1 << i for i, e in enumerate(split({a}, {w}, {k})))", ""),
}


def sx(value: int, width: int) -> int:
    """Two's complement reading of a `width`-bit pattern."""
    return value - (1 << width) if value >> (width - 1) else value


def quotient(a: int, b: int) -> int:
    """Division that rounds towards zero."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def remainder(a: int, b: int) -> int:
    """Remainder with the sign of the dividend."""
    return abs(a) % abs(b) * (1 if a >= 0 else -1)


def rotate(a: int, n: int, width: int) -> int:
    """Rotate left by `n` modulo `width`; a negative `n` rotates right."""
    n %= width
    return ((a << n) | (a >> (width - n))) & ((1 << width) - 1)


def trailing_zeros(a: int, width: int) -> int:
    """Number of zero bits below the lowest set bit, `width` for zero."""
    return (a & -a).bit_length() - 1 if a else width


def carryless(a: int, b: int) -> int:
    """Product of two polynomials over GF(2)."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a, b = a << 1, b >> 1
    return product


def clamp(value: int, width: int) -> int:
    """The nearest number to `value` that `width` bits hold in two's complement."""
    return max(min(value, (1 << width - 1) - 1), -1 << width - 1)


def split(value: int, width: int, count: int) -> list[int]:
    """The `count` elements of `width` bits of a value, lowest first."""
    mask = (1 << width) - 1
    return [value >> at & mask for at in range(0, width * count, width)]


def join(elements: Iterable[int], width: int) -> int:
    """The value that has these elements of `width` bits."""
    return sum(e << width * n for n, e in enumerate(elements))


#: What the `python` templates may name.
HELPERS = {
    "sx": sx,
    "quotient": quotient,
    "remainder": remainder,
    "rotate": rotate,
    "trailing_zeros": trailing_zeros,
    "carryless": carryless,
    "clamp": clamp,
    "split": split,
    "join": join,
}
