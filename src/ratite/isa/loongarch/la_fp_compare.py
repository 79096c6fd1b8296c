"""Floating-point comparisons and classes (LoongArch Reference Manual, volume 1, v1.10, chapters 3.2.1 and 3.2.2).

The five bits of a condition say which relations fulfil it, and whether quiet NaNs are invalid: bit 0 signalling, bit 1
less, bit 2 equal, bit 3 unordered, bit 4 less or greater.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ratite.ir import Lanes, Value
from ratite.isa.dsl import Session
from ratite.isa.loongarch.floats import PRECISIONS, Precision, raw
from ratite.isa.loongarch.formats import F2, FCompare
from ratite.isa.loongarch.units import instructions_of

insn = instructions_of("FP")

#: Conditions by name; those with an `s` for their `c` are the signalling ones, with the number after it.
CONDITIONS = {
    "af": 0x00, "lt": 0x02, "eq": 0x04, "le": 0x06, "un": 0x08, "ult": 0x0A, "ueq": 0x0C, "ule": 0x0E,
    "ne": 0x10, "or": 0x14, "une": 0x18,
}  # fmt: skip
LESS, EQUAL, UNORDERED, DIFFERENT = 2, 4, 8, 16


Truth = TypeVar("Truth", Value, Lanes)


def any_of(condition: int, none: Truth, less: Callable[[], Truth], equal: Truth, unordered: Truth) -> Truth:
    """Whether one of the relations holds that a condition names; none: the truth value of nothing."""
    found = none
    if condition & LESS:
        found = found | less()
    if condition & EQUAL:
        found = found | equal
    if condition & UNORDERED:
        found = found | unordered
    if condition & DIFFERENT:
        found = found | ~(equal | unordered)
    return found


def _to_flag(s: Session, o: FCompare, v: Value) -> None:
    s.fcc[o.cd] = v.zext(8)


def _holds(p: Precision, s: Session, a: Value, b: Value, condition: int, signalling: bool) -> Value:
    """Whether a condition holds; raises what comparing raises."""
    unordered = p.is_nan(a) | p.is_nan(b)
    if signalling:
        s.fp("fle", 1, a, b, fmt=p.fmt)
    equal = s.fp("feq", 1, a, b, fmt=p.fmt)

    def less() -> Value:    # ordering comparisons signal for quiet NaNs: they get zeros instead
        return s.fp("flt", 1, s.select(unordered, 0, a), s.select(unordered, 0, b), fmt=p.fmt)

    return any_of(condition, s.const(0, 1), less, equal, unordered)


def _comparison(p: Precision, name: str, condition: int, signalling: bool) -> None:
    code = f"{condition | signalling:05b}"
    syntax = f"fcmp.{'s' if signalling else 'c'}{name}.fmt {{cd}}, {{fj}}, {{fk}}"

    @p.insn(f"0000110000ff {code} ..... ..... 00 ...", syntax, _to_flag)
    def fcmp(s: Session, o: FCompare) -> Value:
        return _holds(p, s, p.get(s, o.fj), p.get(s, o.fk), condition, signalling)

    kind = "A NaN" if signalling else "A signalling NaN"
    fcmp.semantics.__doc__ = f"Set the condition flag to whether fj and fk are in the relation `{name}`. {kind} is invalid."


def _classes(p: Precision) -> None:
    @insn(f"0000000100010100 001 1{p.code} ..... .....", f"fclass.{p.suffix} {{fd}}, {{fj}}")
    def fclass(s: Session, o: F2) -> None:
        """Set the one bit of fd that tells the kind of fj: 0 and 1 signalling and quiet NaN, then infinity, normal,
        subnormal and zero, negative from bit 2 on and positive from bit 6 on. Nothing is raised.
        """
        v = p.get(s, o.fj)
        magnitude = v & p.magnitude
        rank = s.const(3, p.width)
        for limit in (1, 1 << p.fraction, p.infinity):
            rank = rank - (magnitude >= limit).zext(p.width)
        number = rank + s.select(v.bit(p.width - 1), s.const(2, p.width), 6)
        nan = (magnitude >= p.default_nan).zext(p.width)
        raw(s, o, s.const(1, p.width) << s.select(magnitude > p.infinity, nan, number))


for _precision in PRECISIONS:
    _classes(_precision)
    for _name, _condition in CONDITIONS.items():
        _comparison(_precision, _name, _condition, signalling=False)
        _comparison(_precision, _name, _condition, signalling=True)
