"""Floating-point arithmetic and comparisons of vectors. NaNs and exceptions are those of `floats.py`, element by element.

Machine code leaves vectors with NaNs in them to the reference evaluator, and does the rest with the host's vectors.
"""

from __future__ import annotations

from ratite.ir import Lanes
from ratite.isa.loongarch.exceptions import Cause
from ratite.isa.loongarch.floats import DOUBLE, SINGLE, Precision, deliver, watch
from ratite.isa.loongarch.la_fp_compare import CONDITIONS, any_of
from ratite.isa.loongarch.vectors import Text, Vector, four, one, three, two

PRECISIONS = {32: SINGLE, 64: DOUBLE}
NUMBERS = "s d"


def raising(text: Text) -> Text:
    """The text of an instruction that can raise exceptions."""

    def guarded(v: Vector) -> Lanes | None:
        watched, before = watch(v.s)
        result = text(v)
        with v.s.when(watched.value, likely=False):
            deliver(v.s, before.value, Cause.VECTOR_FLOATING_POINT)
        return result

    guarded.__doc__ = text.__doc__
    return guarded


def compute(v: Vector, op: str, width: int, *operands: Lanes, **attributes: object) -> Lanes:
    """Operation `op` on the elements of vectors; elements of the result have `width` bits."""
    count = operands[0].count
    made = v.s.fp(op, width * count, *(x.v for x in operands), lanes=count, **attributes)
    return made.lanes(width)


class Numbers:
    """The elements of vectors as numbers of a precision."""

    def __init__(self, v: Vector, width: int = 0) -> None:
        self.v, self.s, self.p = v, v.s, PRECISIONS[width or v.w]

    def is_nan(self, x: Lanes) -> Lanes:
        """Which are NaNs."""
        return is_nan(self.p, x)

    def is_signalling(self, x: Lanes) -> Lanes:
        """Which are signalling NaNs."""
        return self.is_nan(x) & (x & self.p.quiet == 0)

    def passed_on(self, *operands: Lanes) -> Lanes:
        """The NaNs that an operation returns, as `Precision.passed_on` has it."""
        nan = operands[0].of(self.p.default_nan)
        for test in (self.is_nan, self.is_signalling):
            for x in reversed(operands):
                nan = test(x).select(x | self.p.quiet, nan)
        return nan

    def replaced(self, result: Lanes, where: Lanes, other: Lanes | None, *operands: Lanes) -> Lanes:
        """`result`, and elements of `other` (none: the NaNs that the operands pass on) where a mask holds, which is seldom."""
        chosen = self.s.var(result.v)
        with self.s.when(where.signs() != 0, likely=False):
            self.s.interpret()
            chosen.value = where.select(self.passed_on(*operands) if other is None else other, result).v
        return chosen.value.lanes(result.w)

    def propagated(self, result: Lanes, *operands: Lanes) -> Lanes:
        """`result`, where that is a NaN the one that the operands pass on; they are in the order of their priority."""
        return self.replaced(result, self.is_nan(result), None, *operands)

    def compute(self, op: str, *operands: Lanes, rm: int | str = "dyn", **attributes: object) -> Lanes:
        """Operation `op` in the current rounding mode, or another one."""
        return self.propagated(compute(self.v, op, self.p.width, *operands, fmt=self.p.fmt, rm=rm, **attributes), *operands)

    def truth(self, op: str, a: Lanes, b: Lanes) -> Lanes:
        """Where a comparison holds."""
        return compute(self.v, op, self.p.width, a, b, fmt=self.p.fmt)

    def extreme(self, op: str, a: Lanes, b: Lanes) -> Lanes:
        """minNum or maxNum of IEEE 754-2008."""
        found = compute(self.v, op, self.p.width, a, b, fmt=self.p.fmt)
        return self.replaced(found, self.is_signalling(a) | self.is_signalling(b) | self.is_nan(a) & self.is_nan(b), None, a, b)

    def extreme_magnitude(self, op: str, a: Lanes, b: Lanes) -> Lanes:
        """The one with the larger or smaller magnitude; where these are alike or not numbers, as `extreme` has it."""
        x, y = (a & self.p.magnitude).s, (b & self.p.magnitude).s
        unclear = (x == y) | (x > self.p.infinity) | (y > self.p.infinity)
        return unclear.select(self.extreme(op, a, b), (x < y if op == "fmin" else x > y).select(a, b))

    def reciprocal(self, x: Lanes) -> Lanes:
        """One divided by numbers."""
        one = x.of(self.p.power(0))
        return self.propagated(compute(self.v, "fdiv", self.p.width, one, x, fmt=self.p.fmt, rm="dyn"), x)


def is_nan(p: Precision, x: Lanes) -> Lanes:
    """Which elements are NaNs."""
    return (x & p.magnitude).s > p.infinity


def documented(text: Text, doc: str) -> Text:
    """The text with a docstring."""
    text.__doc__ = doc
    return text


def _arithmetic(code: int, op: str, doc: str) -> None:
    text = raising(documented(lambda v: Numbers(v).compute(op, v.j, v.k), doc))
    three(code, f"v{op}", NUMBERS)(text)


_arithmetic(0x71308000, "fadd", "Sum.")
_arithmetic(0x71328000, "fsub", "Difference.")
_arithmetic(0x71388000, "fmul", "Product.")
_arithmetic(0x713A8000, "fdiv", "Quotient.")


def _extremes(op: str, code: int, magnitudes: int, doc: str) -> None:
    three(code, f"v{op}", NUMBERS)(raising(documented(lambda v: Numbers(v).extreme(op, v.j, v.k), f"{doc}.")))
    text = raising(documented(lambda v: Numbers(v).extreme_magnitude(op, v.j, v.k), f"{doc} magnitude."))
    three(magnitudes, f"v{op}a", NUMBERS)(text)


_extremes("fmax", 0x713C8000, 0x71408000, "The number with the greater value, or of those the greater")
_extremes("fmin", 0x713E8000, 0x71428000, "The number with the lesser value, or of those the lesser")


def _fused(code: int, name: str, negate_addend: bool, negate_result: bool, doc: str) -> None:
    def text(v: Vector) -> Lanes:
        numbers = Numbers(v)
        p, a, b, c = numbers.p, v.j, v.k, v.a
        sum_ = compute(v, "fma", p.width, a, b, c ^ p.sign if negate_addend else c, fmt=p.fmt, rm="dyn")
        return numbers.propagated(sum_ ^ p.sign if negate_result else sum_, c, a, b)

    four(code, name, NUMBERS, far=0x0100_0000)(raising(documented(text, doc)))


_fused(0x09100000, "vfmadd", False, False, "vj times vk, plus va, rounded once.")
_fused(0x09500000, "vfmsub", True, False, "vj times vk, minus va, rounded once.")
_fused(0x09900000, "vfnmadd", False, True, "vj times vk, plus va, rounded once and then negated.")
_fused(0x09D00000, "vfnmsub", True, True, "vj times vk, minus va, rounded once and then negated.")


@two(0x729CE400, "vfsqrt", NUMBERS)
@raising
def vfsqrt(v: Vector) -> Lanes:
    """Square root."""
    return Numbers(v).compute("fsqrt", v.j)


@two(0x729D1400, "vfrecipe", NUMBERS, feature="FRECIPE")
@two(0x729CF400, "vfrecip", NUMBERS)
@raising
def vfrecip(v: Vector) -> Lanes:
    """One divided by vj; the approximation is the quotient itself."""
    return Numbers(v).reciprocal(v.j)


@two(0x729D2400, "vfrsqrte", NUMBERS, feature="FRECIPE")
@two(0x729D0400, "vfrsqrt", NUMBERS)
@raising
def vfrsqrt(v: Vector) -> Lanes:
    """One divided by the square root of vj, which is rounded before; the approximation is that too."""
    numbers = Numbers(v)
    return numbers.reciprocal(numbers.compute("fsqrt", v.j))


@two(0x729CC400, "vflogb", NUMBERS)
@raising
def vflogb(v: Vector) -> Lanes:
    """The exponent as a number. Zero is a division by zero, a negative number invalid."""
    numbers = Numbers(v)
    p, x = numbers.p, v.j.u
    one = x.of(p.power(0))
    subnormal = x.of(p.width - p.fraction) - x.clz()
    exponent = ((x >> p.fraction) == 0).select(subnormal, x >> p.fraction) - p.bias
    result = compute(v, "fcvt_i2f", p.width, exponent, fmt=p.fmt, int_width=p.width, signed=True, rm="dyn")
    zero = x & p.magnitude == 0
    special = ~zero & (x >= p.infinity)
    chosen = v.s.var(result.v)
    with v.s.when((zero | special).signs() != 0, likely=False):
        v.s.interpret()
        infinite = compute(v, "fdiv", p.width, one | p.sign, zero.select(one.of(0), one), fmt=p.fmt, rm="dyn")
        chosen.value = zero.select(infinite, special.select(numbers.compute("fsqrt", special.select(x, one)), result)).v
    return chosen.value.lanes(p.width)


@two(0x729CD400, "vfclass", NUMBERS)
def vfclass(v: Vector) -> Lanes:
    """One bit that tells the kind of number, as fclass does. Nothing is raised."""
    p, x = PRECISIONS[v.w], v.j.u
    magnitude = x & p.magnitude
    rank = x.of(3)
    for limit in (1, 1 << p.fraction, p.infinity):
        rank = rank + (magnitude >= limit)
    number = rank + (x.s < 0).select(x.of(2), 6)
    nan = -(magnitude >= p.default_nan)
    return x.of(1) << (magnitude > p.infinity).select(nan, number)


def _rounding(code: int, name: str, rm: int | str, doc: str) -> None:
    text = raising(documented(lambda v: Numbers(v).compute("froundi", v.j, rm=rm, inexact=True), f"Round to integers, {doc}."))
    two(code, name, NUMBERS)(text)


_rounding(0x729D3400, "vfrint", "dyn", "as fcsr0 says")
_rounding(0x729D4400, "vfrintrm", 2, "down")
_rounding(0x729D5400, "vfrintrp", 3, "up")
_rounding(0x729D6400, "vfrintrz", 1, "towards zero")
_rounding(0x729D7400, "vfrintrne", 0, "to the nearest, ties to even")


def _holds(numbers: Numbers, a: Lanes, b: Lanes, condition: int, signalling: bool) -> Lanes:
    """Where a condition holds, as `la_fp_compare` has it."""
    unordered = numbers.is_nan(a) | numbers.is_nan(b)
    if signalling:
        numbers.truth("fle", a, b)
    equal = numbers.truth("feq", a, b)

    def less() -> Lanes:    # ordering comparisons signal for quiet NaNs: they get zeros instead
        return numbers.truth("flt", unordered.select(a.of(0), a), unordered.select(a.of(0), b))

    return any_of(condition, a.of(0), less, equal, unordered)


def _comparison(name: str, condition: int, signalling: bool) -> None:
    def text(v: Vector) -> Lanes:
        return _holds(Numbers(v), v.j, v.k, condition, signalling)

    kind = "A NaN" if signalling else "A signalling NaN"
    doc = f"All ones where vj and vk are in the relation `{name}`. {kind} is invalid."
    for size, code in (("s", 0x0C500000), ("d", 0x0C600000)):
        encoding = code + (condition | signalling) * 0x8000
        mnemonic = f"vfcmp.{'s' if signalling else 'c'}{name}"
        one(encoding, mnemonic, size, "vd vj vk", 0x0040_0000)(raising(documented(text, doc)))


for _name, _condition in CONDITIONS.items():
    _comparison(_name, _condition, signalling=False)
    _comparison(_name, _condition, signalling=True)
