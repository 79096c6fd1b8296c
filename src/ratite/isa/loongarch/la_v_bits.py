"""Logic, single bits, comparisons and tests of vectors."""

from __future__ import annotations

from collections.abc import Callable

from ratite.ir import Lanes
from ratite.isa.loongarch.la_v_integer import ALL, UNSIGNED
from ratite.isa.loongarch.vectors import Vector, four, shift, three, two

# --- logic --------------------------------------------------------------------------------------------------------------


def _logic(code: int, name: str, doc: str, operation: Callable[[Lanes, Lanes], Lanes], immediate: int = 0) -> None:
    """An operation on all bits, and on those of bytes with a number."""

    def text(v: Vector) -> Lanes:
        return operation(v.j, v.k)

    def with_number(v: Vector) -> Lanes:
        return operation(v.j, v.scalar)

    text.__doc__, with_number.__doc__ = f"{doc}.", f"{doc}, every byte with a number."
    three(code, name, "v")(text)
    if immediate:
        three(immediate, f"{name}i", "b", "vd vj n8")(with_number)


_logic(0x71260000, "vand", "And", lambda a, b: a & b, 0x73D00000)
_logic(0x71268000, "vor", "Or", lambda a, b: a | b, 0x73D40000)
_logic(0x71270000, "vxor", "Exclusive or", lambda a, b: a ^ b, 0x73D80000)
_logic(0x71278000, "vnor", "Neither", lambda a, b: ~(a | b), 0x73DC0000)
_logic(0x71280000, "vandn", "vk without the bits of vj", lambda a, b: ~a & b)
_logic(0x71288000, "vorn", "Or with the opposite of vk", lambda a, b: a | ~b)


@four(0x0D100000, "vbitsel", "v", far=0x0010_0000)
def vbitsel(v: Vector) -> Lanes:
    """Bits of vk where va has ones, of vj where it has zeros."""
    return (~v.a & v.j) | (v.a & v.k)


@three(0x73C40000, "vbitseli", "b", "vd vj n8")
def vbitseli(v: Vector) -> Lanes:
    """In every byte, bits of the number where vd has ones, of vj where it has zeros."""
    return (~v.d & v.j) | (v.d & v.scalar)


# --- single bits --------------------------------------------------------------------------------------------------------


def _bit(code: int, immediate: int, name: str, doc: str, operation: Callable[[Lanes, Lanes], Lanes]) -> None:
    """An operation with one bit of every element, which vk or a number tells."""

    def text(v: Vector) -> Lanes:
        return operation(v.j, v.j.of(1) << v.k)

    def with_number(v: Vector) -> Lanes:
        return operation(v.j, v.j.of(1 << v.imm))

    text.__doc__, with_number.__doc__ = f"{doc} the bit that vk tells.", f"{doc} a bit."
    three(code, name, ALL)(text)
    shift(immediate, f"{name}i", ALL)(with_number)


_bit(0x710C0000, 0x73100000, "vbitclr", "Clear", lambda x, bit: x & ~bit)
_bit(0x710E0000, 0x73140000, "vbitset", "Set", lambda x, bit: x | bit)
_bit(0x71100000, 0x73180000, "vbitrev", "Flip", lambda x, bit: x ^ bit)


@two(0x729C0000, "vclo", ALL)
def vclo(v: Vector) -> Lanes:
    """Number of leading ones."""
    return (~v.j).clz()


@two(0x729C1000, "vclz", ALL)
def vclz(v: Vector) -> Lanes:
    """Number of leading zeros."""
    return v.j.clz()


@two(0x729C2000, "vpcnt", ALL)
def vpcnt(v: Vector) -> Lanes:
    """Number of ones."""
    return v.j.popcount()


# --- comparisons --------------------------------------------------------------------------------------------------------


def _compare(name: str, doc: str, operation: Callable[[Lanes, Lanes], Lanes], code: int, immediate: int, signed_only: bool) -> None:
    """A comparison, and one with a number, for signed and for unsigned elements."""

    def text(v: Vector) -> Lanes:
        return operation(v.j, v.k)

    def with_number(v: Vector) -> Lanes:
        return operation(v.j, v.scalar)

    text.__doc__, with_number.__doc__ = f"All ones where vj is {doc} vk.", f"All ones where vj is {doc} a number."
    three(code, name, ALL)(text)
    three(immediate, f"{name}i", ALL, "vd vj s5")(with_number)
    if not signed_only:
        three(code + 0x20000, name, UNSIGNED)(text)
        three(immediate + 0x20000, f"{name}i", UNSIGNED, "vd vj n5")(with_number)


_compare("vseq", "equal to", lambda a, b: a == b, 0x70000000, 0x72800000, signed_only=True)
_compare("vsle", "at most", lambda a, b: a <= b, 0x70020000, 0x72820000, signed_only=False)
_compare("vslt", "less than", lambda a, b: a < b, 0x70060000, 0x72860000, signed_only=False)


# --- tests --------------------------------------------------------------------------------------------------------------


@two(0x729C4000, "vmskltz", ALL)
def vmskltz(v: Vector) -> Lanes:
    """In each half, the signs of its elements as a number."""
    return v.numbered(v.signs(v.j))


@two(0x729C5000, "vmskgez", "b")
def vmskgez(v: Vector) -> Lanes:
    """In each half, the opposite signs of its elements as a number."""
    return v.numbered(v.signs(~v.j))


@two(0x729C6000, "vmsknz", "b")
def vmsknz(v: Vector) -> Lanes:
    """In each half a number that tells which bytes are not zero."""
    return v.numbered(v.signs(v.j != 0))


@two(0x729C9800, "vseteqz", "v", "cd vj")
def vseteqz(v: Vector) -> None:
    """Set the condition flag to whether all of vj is zero."""
    v.s.fcc[v.o.cd] = ((v.j.at(64) == 0).signs() == (1 << v.bits // 64) - 1).zext(8)


@two(0x729C9C00, "vsetnez", "v", "cd vj")
def vsetnez(v: Vector) -> None:
    """Set the condition flag to whether vj is not zero."""
    v.s.fcc[v.o.cd] = ((v.j.at(64) != 0).signs() != 0).zext(8)


@two(0x729CA000, "vsetanyeqz", ALL, "cd vj")
def vsetanyeqz(v: Vector) -> None:
    """Set the condition flag to whether any element is zero."""
    v.s.fcc[v.o.cd] = ((v.j == 0).signs() != 0).zext(8)


@two(0x729CB000, "vsetallnez", ALL, "cd vj")
def vsetallnez(v: Vector) -> None:
    """Set the condition flag to whether no element is zero."""
    v.s.fcc[v.o.cd] = ((v.j == 0).signs() == 0).zext(8)


def _first_negative(v: Vector, places: Lanes) -> Lanes:
    """vd with the number of vj's first negative element, or their count, in each half at the place that `places` tells."""
    per = v.j.count // v.parts
    here = v.d.each(list(range(per)) * v.parts) == (places & per - 1)
    found = v.d.of(0)
    for p, signs in enumerate(v.signs(v.j)):
        found = found.with_lane(p * per, (signs.zext(32) | 1 << per).ctz().trunc(v.w))
    return here.select(v.places(found, [0] * per), v.d)


@three(0x712B0000, "vfrstp", "b h")
def vfrstp(v: Vector) -> Lanes:
    """Put the number of vj's first negative element, or their count if none is, where the first element of vk says; each
    half on its own."""
    return _first_negative(v, v.places(v.k, [0] * (v.k.count // v.parts)))


@three(0x729A0000, "vfrstpi", "b h", "vd vj u5")
def vfrstpi(v: Vector) -> Lanes:
    """Put the number of vj's first negative element, or their count if none is, at a place in vd; each half on its own."""
    return _first_negative(v, v.d.of(v.imm))
