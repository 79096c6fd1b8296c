"""Shifts of vectors, also those that round, narrow or saturate."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ratite.ir import Lanes
from ratite.isa.loongarch.la_v_integer import ALL, UNSIGNED
from ratite.isa.loongarch.vectors import Vector, shift, three

#: Sizes of narrowing shifts by vectors, of such by numbers, and those to unsigned results.
_NARROW, _NARROW_NUMBER = "b.h h.w w.d", "b.h h.w w.d d.q"
_NARROW_U, _NARROW_NUMBER_U = "bu.h hu.w wu.d", "bu.h hu.w wu.d du.q"

Shift = Callable[[Lanes, Lanes], Lanes]


def _logical(x: Lanes) -> Lanes:
    return x.u


def _arithmetic(x: Lanes) -> Lanes:
    return x.s


def _right(x: Lanes, amount: Lanes) -> Lanes:
    return x >> amount


def _rounded(x: Lanes, amount: Lanes) -> Lanes:
    """Shift right and round to the nearest, halves up."""
    half = (x >> amount - 1) & 1
    return (x >> amount) + (amount & x.w - 1 != 0).select(half, 0)


def _plain(name: str, doc: str, operation: Shift, code: int, immediate: int) -> None:
    """A shift by the amounts in vk, modulo the width, and one by a number."""

    def text(v: Vector) -> Lanes:
        return operation(v.j, v.k)

    def by_number(v: Vector) -> Lanes:
        return operation(v.j, v.j.of(v.imm))

    text.__doc__, by_number.__doc__ = f"{doc} by vk.", f"{doc} by a number."
    three(code, name, ALL)(text)
    shift(immediate, f"{name}i", ALL)(by_number)


_plain("vsll", "Shift left", lambda x, n: x << n, 0x70E80000, 0x732C0000)
_plain("vsrl", "Shift right", lambda x, n: x.u >> n, 0x70EA0000, 0x73300000)
_plain("vsra", "Shift right, keeping the sign,", lambda x, n: x.s >> n, 0x70EC0000, 0x73340000)
_plain("vrotr", "Rotate right", Lanes.rotr, 0x70EE0000, 0x72A00000)
_plain("vsrlr", "Shift right, rounded,", lambda x, n: _rounded(x.u, n), 0x70F00000, 0x72A40000)
_plain("vsrar", "Shift right, keeping the sign, rounded,", lambda x, n: _rounded(x.s, n), 0x70F20000, 0x72A80000)


@shift(0x730C0000, "vsllwil", "hu.bu wu.hu du.wu")
@shift(0x73080000, "vsllwil", "h.b w.h d.w")
def vsllwil(v: Vector) -> Lanes:
    """The lower elements of each half, twice as wide, shifted left."""
    return v.low(v.j) << v.imm


# --- saturation ---------------------------------------------------------------------------------------------------------


def _limited(x: Lanes, width: int, signed: bool) -> Lanes:
    """Elements as the nearest number of `width` bits."""
    top = (1 << (width - 1 if signed else width)) - 1
    if not x.signed:
        return x.min(top)
    return x.min(top).max(-1 - top if signed else 0)


@shift(0x73280000, "vsat", UNSIGNED)
@shift(0x73240000, "vsat", ALL)
def vsat(v: Vector) -> Lanes:
    """The nearest number of so many bits and one."""
    return _limited(v.j, v.imm + 1, v.signed)


# --- narrowing ----------------------------------------------------------------------------------------------------------


def _narrowing(
    name: str, doc: str, kind: Callable[[Lanes], Lanes], operation: Shift, codes: Sequence[int], numbers: Sequence[int], saturates: bool
) -> None:
    """A shift to elements of half the width: by vk with zeros above; and by a number, of vd too, which is above. The second
    of each pair of codes has unsigned results.
    """

    def narrow(v: Vector, x: Lanes, amount: Lanes) -> Lanes:
        shifted = operation(kind(x), amount)
        return _limited(shifted, v.w, v.signed) if saturates else shifted

    def text(v: Vector) -> Lanes:
        return v.packed(narrow(v, v.j, v.k))

    def by_number(v: Vector) -> Lanes:
        amount = v.j.of(v.imm)
        return v.packed(narrow(v, v.j, amount), narrow(v, v.d.at(v.n), amount))

    text.__doc__ = f"{doc} by vk to elements of half the width, with zeros above."
    by_number.__doc__ = f"{doc} by a number to elements of half the width, vj below and vd above."
    for code, sizes in zip(codes, (_NARROW, _NARROW_U), strict=False):
        three(code, f"{name}n", sizes)(text)
    for code, sizes in zip(numbers, (_NARROW_NUMBER, _NARROW_NUMBER_U), strict=False):
        shift(code, f"{name}ni", sizes)(by_number)


def _shifts(
    name: str, doc: str, kind: Callable[[Lanes], Lanes], operation: Shift, plain: Sequence[int], saturating: tuple[Sequence[int], Sequence[int]]
) -> None:
    _narrowing(f"vs{name}", f"Shift right{doc}", kind, operation, plain[:1], plain[1:], saturates=False)
    _narrowing(f"vss{name}", f"Shift right{doc}", kind, operation, *saturating, saturates=True)


_shifts("rl", "", _logical, _right, (0x70F48000, 0x73400000), ((0x70FC8000, 0x71048000), (0x73480000, 0x734C0000)))
_shifts("ra", ", keeping the sign,", _arithmetic, _right, (0x70F68000, 0x73580000),
        ((0x70FE8000, 0x71068000), (0x73600000, 0x73640000)))  # fmt: skip
_shifts("rlr", ", rounded,", _logical, _rounded, (0x70F88000, 0x73440000),
        ((0x71008000, 0x71088000), (0x73500000, 0x73540000)))  # fmt: skip
_shifts("rar", ", keeping the sign, rounded,", _arithmetic, _rounded, (0x70FA8000, 0x735C0000),
        ((0x71028000, 0x710A8000), (0x73680000, 0x736C0000)))  # fmt: skip
