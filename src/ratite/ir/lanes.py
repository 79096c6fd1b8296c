"""Vectors: a view of a wide value as equal elements, on which operators work element by element.

    a, b = s.v[o.vj].lanes(16), s.v[o.vk].lanes(16)
    s.v[o.vd] = (a + b).v

Comparisons give masks, elements of all ones or zeros, from which `select` chooses. Whether <, >>, //, %, `min`, `widened` and such take elements as
two's complement is a property of the view (`s`, `u`), which results inherit from the left operand. A number beside a vector stands for that
number in every element.
"""

from __future__ import annotations

from collections.abc import Sequence

from ratite.errors import DefinitionError
from ratite.ir.block import Value
from ratite.ir.ops import OPS, join


class Lanes:
    """A value `v` as elements of `w` bits, the lowest first."""

    __slots__ = ("signed", "v", "w")

    def __init__(self, v: Value, w: int, signed: bool = False) -> None:
        if v.width % w:
            raise DefinitionError(f"{v.width} bits are no whole number of elements of {w}")
        self.v, self.w, self.signed = v, w, signed

    @property
    def count(self) -> int:
        """Number of elements."""
        return self.v.width // self.w

    # --- views ------------------------------------------------------------------------------------------------------------------
    @property
    def s(self) -> Lanes:
        """The same with elements read as two's complement."""
        return Lanes(self.v, self.w, True)

    @property
    def u(self) -> Lanes:
        """The same with elements read as unsigned numbers."""
        return Lanes(self.v, self.w, False)

    def at(self, w: int) -> Lanes:
        """The same bits as elements of `w` bits."""
        return Lanes(self.v, w, self.signed)

    # --- building ---------------------------------------------------------------------------------------------------------------
    def _like(self, v: Value) -> Lanes:
        return Lanes(v, self.w, self.signed)

    def of(self, n: int) -> Lanes:
        """The number `n` in every element."""
        return self._like(self.v.block.const(join([n & (1 << self.w) - 1] * self.count, self.w), self.v.width))

    def each(self, numbers: Sequence[int]) -> Lanes:
        """These numbers as elements."""
        return self._like(self.v.block.const(join([n & (1 << self.w) - 1 for n in numbers], self.w), self.v.width))

    def splat(self, x: Value) -> Lanes:
        """The value `x`, as wide as an element, in every element."""
        return self._like(self.v.block.add("splat", self.v.width, (x,), (self.w, self.count)))

    def _apply(self, op: str, *others: Lanes | int) -> Lanes:
        vectors = [self, *(self.of(o) if isinstance(o, int) else o for o in others)]
        if any(o.w != self.w or o.v.width != self.v.width for o in vectors):
            raise DefinitionError(f"{op}: vectors of unlike shapes {[(o.count, o.w) for o in vectors]}")
        return self._like(self.v.block.add(op, self.v.width, tuple(o.v for o in vectors), self.w))

    def _by_sign(self, op: str, *others: Lanes | int) -> Lanes:
        return self._apply(("s" if self.signed else "u") + op, *others)

    # --- arithmetic and logic ---------------------------------------------------------------------------------------------------
    def __add__(self, o: Lanes | int) -> Lanes:
        return self._apply("add", o)

    def __sub__(self, o: Lanes | int) -> Lanes:
        return self._apply("sub", o)

    def __mul__(self, o: Lanes | int) -> Lanes:
        return self._apply("mul", o)

    def __and__(self, o: Lanes | int) -> Lanes:
        return self._apply("and", o)

    def __or__(self, o: Lanes | int) -> Lanes:
        return self._apply("or", o)

    def __xor__(self, o: Lanes | int) -> Lanes:
        return self._apply("xor", o)

    def __invert__(self) -> Lanes:
        return self._apply("xor", -1)

    def __neg__(self) -> Lanes:
        return self.of(0) - self

    def __lshift__(self, o: Lanes | int) -> Lanes:
        return self._apply("shl", o)

    def __rshift__(self, o: Lanes | int) -> Lanes:
        return self._apply("ashr" if self.signed else "lshr", o)

    def __floordiv__(self, o: Lanes | int) -> Lanes:
        return self._by_sign("div", o)

    def __mod__(self, o: Lanes | int) -> Lanes:
        return self._by_sign("rem", o)

    def rotr(self, o: Lanes | int) -> Lanes:
        """Rotate right."""
        return self._apply("rotr", o)

    def min(self, o: Lanes | int) -> Lanes:
        """The lesser elements."""
        return self._by_sign("min", o)

    def max(self, o: Lanes | int) -> Lanes:
        """The greater elements."""
        return self._by_sign("max", o)

    def add_sat(self, o: Lanes | int) -> Lanes:
        """Sums, the nearest number where one does not fit."""
        return self._by_sign("add_sat", o)

    def sub_sat(self, o: Lanes | int) -> Lanes:
        """Differences, the nearest number where one does not fit."""
        return self._by_sign("sub_sat", o)

    def abs(self) -> Lanes:
        """Magnitudes; the most negative number stays as it is."""
        return self.s.max(-self)

    def clz(self) -> Lanes:
        """Numbers of leading zero bits."""
        return self._apply("clz")

    def popcount(self) -> Lanes:
        """Numbers of one bits."""
        return self._apply("popcount")

    # --- comparison -------------------------------------------------------------------------------------------------------------
    def _compare(self, op: str, a: Lanes | int, b: Lanes | int) -> Lanes:
        x, y = (o if isinstance(o, Lanes) else self.of(o) for o in (a, b))
        return x._apply(op, y)

    def __eq__(self, o: object) -> Lanes:  # type: ignore[override]
        assert isinstance(o, Lanes | int)
        return self._apply("eq", o)

    def __ne__(self, o: object) -> Lanes:  # type: ignore[override]
        assert isinstance(o, Lanes | int)
        return self._apply("ne", o)

    __hash__ = object.__hash__

    def __lt__(self, o: Lanes | int) -> Lanes:
        return self._by_sign("lt", o)

    def __le__(self, o: Lanes | int) -> Lanes:
        return self._by_sign("le", o)

    def __gt__(self, o: Lanes | int) -> Lanes:
        return self._compare("slt" if self.signed else "ult", o, self)

    def __ge__(self, o: Lanes | int) -> Lanes:
        return self._compare("sle" if self.signed else "ule", o, self)

    def __bool__(self) -> bool:
        return bool(self.v)

    def select(self, a: Lanes, b: Lanes | int) -> Lanes:
        """`a` where this mask has all ones, `b` where it has zeros."""
        b = a.of(b) if isinstance(b, int) else b
        return a._like(self.v.block.add("select", a.v.width, (self.v, a.v, b.v), self.w))

    def signs(self) -> Value:
        """The top bits of the elements as a number, that of the lowest element first: where a mask holds."""
        return self.v.block.add("signs", self.count, (self.v,), (self.w, self.count))

    # --- widths -----------------------------------------------------------------------------------------------------------------
    def widened(self, factor: int = 2) -> Lanes:
        """Elements `factor` times as wide, in a value so much wider."""
        op = "sext" if self.signed else "zext"
        return Lanes(self.v.block.add(op, self.v.width * factor, (self.v,), self.w), self.w * factor, self.signed)

    def narrowed(self) -> Lanes:
        """The lower halves of the elements, in a value half as wide."""
        return Lanes(self.v.block.add("trunc", self.v.width // 2, (self.v,), self.w), self.w // 2, self.signed)

    # --- places -----------------------------------------------------------------------------------------------------------------
    def shuffle(self, numbers: Sequence[int], other: Lanes | None = None) -> Lanes:
        """The elements with these numbers; from `count` on they are those of `other`."""
        o = self if other is None else other
        attr = (self.w, self.count, tuple(numbers))
        return self._like(self.v.block.add("shuffle", self.w * len(attr[2]), (self.v, o.v), attr))

    def permute(self, numbers: Lanes) -> Lanes:
        """The elements whose numbers the elements of `numbers` are, modulo the count."""
        return self._like(self.v.block.add("permute", self.v.width, (self.v, numbers.v), (self.w, self.count)))

    def lane(self, n: int) -> Value:
        """Element `n` as a value of its own."""
        return self.shuffle((n,)).v

    def with_lane(self, n: int, x: Value) -> Lanes:
        """The same with `x` as element `n`."""
        return self._like(self.v.block.add("insert", self.v.width, (self.v, x), (self.w, self.count, n)))


assert all(sign + op in OPS for op in ("div", "rem", "min", "max", "add_sat", "sub_sat", "lt", "le") for sign in "su")
