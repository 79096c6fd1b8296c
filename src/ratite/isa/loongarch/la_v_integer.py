"""Integer arithmetic of vectors."""

from __future__ import annotations

from collections.abc import Callable

from ratite.ir import Lanes
from ratite.isa.loongarch.vectors import Vector, three, two

ALL = "b h w d"
UNSIGNED = "bu hu wu du"
#: Results twice as wide as sources.
WIDE = "h.b w.h d.w q.d"
WIDE_UNSIGNED = "h.bu w.hu d.wu q.du"
WIDE_MIXED = "h.bu.b w.hu.h d.wu.w q.du.d"

Two = Callable[[Lanes, Lanes], Lanes]


def _binary(name: str, doc: str, operation: Two, *codes: tuple[int, str]) -> None:
    """An operation on elements, for each row of sizes."""

    def text(v: Vector) -> Lanes:
        return operation(v.j, v.k)

    text.__doc__ = doc
    for code, sizes in codes:
        three(code, name, sizes)(text)


def _with_number(name: str, doc: str, operation: Two, signed: int, unsigned: int) -> None:
    """An operation of elements and a number of five bits."""

    def text(v: Vector) -> Lanes:
        return operation(v.j, v.scalar)

    text.__doc__ = doc
    if signed:
        three(signed, name, ALL, "vd vj s5")(text)
    three(unsigned, name, UNSIGNED, "vd vj n5")(text)


def _difference(a: Lanes, b: Lanes) -> Lanes:
    return a.max(b) - a.min(b)


def _average(a: Lanes, b: Lanes) -> Lanes:
    return (a & b) + ((a ^ b) >> 1)


def _average_up(a: Lanes, b: Lanes) -> Lanes:
    return (a | b) - ((a ^ b) >> 1)


def _upper_product(a: Lanes, b: Lanes) -> Lanes:
    return ((a.widened() * b.widened()) >> a.w).narrowed()


def _divisors(a: Lanes, b: Lanes) -> tuple[Lanes, Lanes]:
    """Where a quotient is not zero for want of a divisor, and divisors with which the host does not fail."""
    good = b != 0
    overflow = (a == 1 << a.w - 1) & (b == -1)
    return good, (good & ~overflow if a.signed else good).select(b, 1)


def _quotient(a: Lanes, b: Lanes) -> Lanes:
    good, divisor = _divisors(a, b)
    return good.select(a // divisor, 0)


def _remainder(a: Lanes, b: Lanes) -> Lanes:
    good, divisor = _divisors(a, b)
    return good.select(a % divisor, 0)


_binary("vadd", "Sum.", lambda a, b: a + b, (0x700A0000, ALL), (0x712D0000, "q"))
_binary("vsub", "Difference.", lambda a, b: a - b, (0x700C0000, ALL), (0x712D8000, "q"))
_binary("vsadd", "Sum, the nearest number where it does not fit.", Lanes.add_sat, (0x70460000, ALL), (0x704A0000, UNSIGNED))
_binary("vssub", "Difference, the nearest number where it does not fit.", Lanes.sub_sat, (0x70480000, ALL), (0x704C0000, UNSIGNED))
_binary("vadda", "Sum of magnitudes.", lambda a, b: a.abs() + b.abs(), (0x705C0000, ALL))
_binary("vabsd", "Distance.", _difference, (0x70600000, ALL), (0x70620000, UNSIGNED))
_binary("vavg", "Average, rounded down.", _average, (0x70640000, ALL), (0x70660000, UNSIGNED))
_binary("vavgr", "Average, rounded up.", _average_up, (0x70680000, ALL), (0x706A0000, UNSIGNED))
_binary("vmax", "The greater number.", Lanes.max, (0x70700000, ALL), (0x70740000, UNSIGNED))
_binary("vmin", "The lesser number.", Lanes.min, (0x70720000, ALL), (0x70760000, UNSIGNED))
_binary("vmul", "Lower half of the product.", lambda a, b: a * b, (0x70840000, ALL))
_binary("vmuh", "Upper half of the product.", _upper_product, (0x70860000, ALL), (0x70880000, UNSIGNED))
_binary("vdiv", "Quotient, zero for the divisor zero.", _quotient, (0x70E00000, ALL), (0x70E40000, UNSIGNED))
_binary("vmod", "Remainder, zero for the divisor zero.", _remainder, (0x70E20000, ALL), (0x70E60000, UNSIGNED))
_with_number("vaddi", "Sum with a number.", lambda a, b: a + b, 0, 0x728A0000)
_with_number("vsubi", "Difference from a number.", lambda a, b: a - b, 0, 0x728C0000)
_with_number("vmaxi", "The greater of an element and a number.", Lanes.max, 0x72900000, 0x72940000)
_with_number("vmini", "The lesser of an element and a number.", Lanes.min, 0x72920000, 0x72960000)


@three(0x70A80000, "vmadd", ALL)
def vmadd(v: Vector) -> Lanes:
    """Add the product to vd."""
    return v.d + v.j * v.k


@three(0x70AA0000, "vmsub", ALL)
def vmsub(v: Vector) -> Lanes:
    """Subtract the product from vd."""
    return v.d - v.j * v.k


@two(0x729C3000, "vneg", ALL)
def vneg(v: Vector) -> Lanes:
    """The opposite number."""
    return -v.j


@three(0x712E0000, "vsigncov", ALL)
def vsigncov(v: Vector) -> Lanes:
    """vk with the sign of vj: negated where vj is negative, zero where it is zero."""
    return (v.j < 0).select(-v.k, v.k) & (v.j != 0)


# --- results twice as wide ----------------------------------------------------------------------------------------------


def _widening(name: str, doc: str, operation: Two, even: tuple[int, ...], odd: tuple[int, ...]) -> None:
    """An operation on the even elements, and one on the odd ones; rows are signed, unsigned, and unsigned with signed."""

    def on_even(v: Vector) -> Lanes:
        return operation(v.even(v.j), v.even(v.k))

    def on_odd(v: Vector) -> Lanes:
        return operation(v.odd(v.j), v.odd(v.k))

    on_even.__doc__, on_odd.__doc__ = f"{doc} of even elements, twice as wide.", f"{doc} of odd elements, twice as wide."
    for text, which, codes in ((on_even, "ev", even), (on_odd, "od", odd)):
        for code, sizes in zip(codes, (WIDE, WIDE_UNSIGNED, WIDE_MIXED), strict=False):
            three(code, f"{name}w{which}", sizes)(text)


_widening("vadd", "Sum", lambda a, b: a + b, (0x701E0000, 0x702E0000, 0x703E0000), (0x70220000, 0x70320000, 0x70400000))
_widening("vsub", "Difference", lambda a, b: a - b, (0x70200000, 0x70300000), (0x70240000, 0x70340000))
_widening("vmul", "Product", lambda a, b: a * b, (0x70900000, 0x70980000, 0x70A00000), (0x70920000, 0x709A0000, 0x70A20000))


def _accumulating(which: str, codes: tuple[int, int, int]) -> None:
    def text(v: Vector) -> Lanes:
        pick = v.even if which == "ev" else v.odd
        return v.d + pick(v.j) * pick(v.k)

    text.__doc__ = f"Add to vd the product of {'even' if which == 'ev' else 'odd'} elements, twice as wide."
    for code, sizes in zip(codes, (WIDE, WIDE_UNSIGNED, WIDE_MIXED), strict=True):
        three(code, f"vmaddw{which}", sizes)(text)


_accumulating("ev", (0x70AC0000, 0x70B40000, 0x70BC0000))
_accumulating("od", (0x70AE0000, 0x70B60000, 0x70BE0000))


@three(0x70580000, "vhaddw", "hu.bu wu.hu du.wu qu.du")
@three(0x70540000, "vhaddw", WIDE)
def vhaddw(v: Vector) -> Lanes:
    """Sum of odd elements of vj and even ones of vk, twice as wide."""
    return v.odd(v.j) + v.even(v.k)


@three(0x705A0000, "vhsubw", "hu.bu wu.hu du.wu qu.du")
@three(0x70560000, "vhsubw", WIDE)
def vhsubw(v: Vector) -> Lanes:
    """Difference of odd elements of vj and even ones of vk, twice as wide."""
    return v.odd(v.j) - v.even(v.k)


def _extension(code: int, name: str, sizes: str, upper: bool) -> None:
    def text(v: Vector) -> Lanes:
        return v.high(v.j) if upper else v.low(v.j)

    text.__doc__ = f"The {'upper' if upper else 'lower'} elements of each half, twice as wide."
    two(code, name, sizes)(text)


_extension(0x729EE000, "vexth", WIDE, upper=True)
_extension(0x729EF000, "vexth", "hu.bu wu.hu du.wu qu.du", upper=True)
_extension(0x73090000, "vextl", "q.d", upper=False)
_extension(0x730D0000, "vextl", "qu.du", upper=False)
