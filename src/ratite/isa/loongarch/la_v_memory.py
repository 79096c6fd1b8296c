"""Loads and stores of vectors. They may be misaligned."""

from __future__ import annotations

from ratite.ir import Lanes
from ratite.isa.loongarch.la_memory import index, offset
from ratite.isa.loongarch.vectors import BOTH, WIDTHS, Vector, define, one


def _load(v: Vector) -> Lanes:
    """Load a vector."""
    return v.s.load(offset(v.s, v.o), v.bits).lanes(64)


def _load_indexed(v: Vector) -> Lanes:
    """Load a vector."""
    return v.s.load(index(v.s, v.o), v.bits).lanes(64)


def _store(v: Vector) -> None:
    """Store a vector."""
    v.s.store(offset(v.s, v.o), v.d.v)


def _store_indexed(v: Vector) -> None:
    """Store a vector."""
    v.s.store(index(v.s, v.o), v.d.v)


one(0x2C000000, "vld", "", "vd rj s12", 0x0080_0000)(_load)
one(0x2C400000, "vst", "", "vd rj s12", 0x0080_0000)(_store)
one(0x38400000, "vldx", "", "vd rj rk", 0x0008_0000)(_load_indexed)
one(0x38440000, "vstx", "", "vd rj rk", 0x0008_0000)(_store_indexed)


def _repeat(v: Vector) -> Lanes:
    """Load one element, for every place."""
    return v.zero(v.w).splat(v.s.load(offset(v.s, v.o), v.w))


def _store_element(v: Vector) -> None:
    """Store one element."""
    v.s.store(offset(v.s, v.o), v.d.lane(v.o.element))


for _extension, _far in zip(BOTH, (0, 0x0200_0000), strict=True):
    for _size in "bhwd":
        _width = WIDTHS[_size]
        _unit, _place = (_width // 8).bit_length() - 1, _far + (64 // _width << 20)
        _count = (_extension.bits // _width).bit_length() - 1
        define(_extension, 0x30000000 + _place, "vldrepl", _size, f"vd rj s{12 - _unit}<{_unit}", _repeat)
        define(_extension, 0x31000000 + _place, "vstelm", _size, f"vd rj s8<{_unit} e{_count}<18", _store_element)
