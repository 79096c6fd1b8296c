"""Floating-point conversions of vectors. A number that does not fit an integer is invalid and gives the nearest integer, a
NaN zero. Half precision is left to the reference evaluator.
"""

from __future__ import annotations

from collections.abc import Callable

from ratite.ir import Lanes
from ratite.isa.loongarch.floats import DOUBLE, SINGLE, Precision
from ratite.isa.loongarch.la_v_fp import compute, documented, is_nan, raising
from ratite.isa.loongarch.vectors import Vector, three, two

HALF = Precision("h", "", 16, 10)

Convert = Callable[[Vector, Lanes], Lanes]


# --- between precisions -------------------------------------------------------------------------------------------------


def _rounded(v: Vector, x: Lanes, source: Precision, to: Precision) -> Lanes:
    """Numbers in a precision of half the width; NaNs keep their sign and the upper part of their fraction."""
    result = compute(v, "fcvt_f2f", to.width, x, src=source.fmt, dst=to.fmt, rm="dyn")
    chosen = v.s.var(result.v)
    with v.s.when(is_nan(to, result).signs() != 0, likely=False):
        v.s.interpret()
        kept = (x.u >> to.width & to.sign) | (x.u >> source.fraction - to.fraction & to.infinity - 1) | to.default_nan
        chosen.value = is_nan(to, result).select(kept.narrowed(), result).v
    return chosen.value.lanes(to.width)


def _widened(v: Vector, x: Lanes, source: Precision, to: Precision) -> Lanes:
    """Numbers in a precision of twice the width, which is exact; NaNs keep their sign and fraction."""
    result = compute(v, "fcvt_f2f", to.width, x, src=source.fmt, dst=to.fmt, rm="dyn")
    chosen = v.s.var(result.v)
    with v.s.when(is_nan(to, result).signs() != 0, likely=False):
        v.s.interpret()
        y = x.u.widened()
        kept = ((y & source.sign) << source.width) | ((y & source.sign - 1) << to.fraction - source.fraction) | to.default_nan
        chosen.value = is_nan(to, result).select(kept, result).v
    return chosen.value.lanes(to.width)


def _half(v: Vector, x: Lanes, upper: bool) -> Lanes:
    """The upper or lower elements of every part, as a vector half as wide."""
    return x.at(64).shuffle(range(int(upper), 2 * v.parts, 2)).at(x.w)


def _between(code: int, to_wide: tuple[int, int], narrow: Precision, wide: Precision) -> None:
    def rounded(v: Vector) -> Lanes:
        """Round vk, and above it vj, to half the width."""
        low, high = (_rounded(v, x, wide, narrow) for x in (v.k, v.j))
        return v.joined(low, high)

    three(code, "vfcvt", f"{narrow.suffix}.{wide.suffix}")(raising(rounded))
    for upper, name, place in ((False, "vfcvtl", "lower"), (True, "vfcvth", "upper")):
        text = documented(_widening_text(narrow, wide, upper), f"The {place} numbers of each half in twice the width.")
        two(to_wide[upper], name, f"{wide.suffix}.{narrow.suffix}")(raising(text))


def _widening_text(narrow: Precision, wide: Precision, upper: bool) -> Callable[[Vector], Lanes]:
    return lambda v: _widened(v, _half(v, v.j, upper), narrow, wide)


_between(0x71460000, (0x729DE800, 0x729DEC00), HALF, SINGLE)
_between(0x71468000, (0x729DF000, 0x729DF400), SINGLE, DOUBLE)


# --- from integers ------------------------------------------------------------------------------------------------------


def _from_integers(v: Vector, x: Lanes, to: Precision) -> Lanes:
    return compute(v, "fcvt_i2f", to.width, x, fmt=to.fmt, int_width=x.w, signed=x.signed, rm="dyn")


def _of_one_width(v: Vector) -> Lanes:
    """Integers as numbers."""
    return _from_integers(v, v.j, DOUBLE if v.w == 64 else SINGLE)


two(0x729E0000, "vffint", "s.w s.wu d.l d.lu")(raising(_of_one_width))


@two(0x729E1000, "vffintl", "d.w")
@raising
def vffintl(v: Vector) -> Lanes:
    """The lower integers of each half as numbers of twice the width."""
    return _from_integers(v, _half(v, v.j, upper=False), DOUBLE)


@two(0x729E1400, "vffinth", "d.w")
@raising
def vffinth(v: Vector) -> Lanes:
    """The upper integers of each half as numbers of twice the width."""
    return _from_integers(v, _half(v, v.j, upper=True), DOUBLE)


@three(0x71480000, "vffint", "s.l")
@raising
def vffint_s_l(v: Vector) -> Lanes:
    """Integers of vk, and above them those of vj, as numbers of half the width."""
    return v.joined(_from_integers(v, v.k, SINGLE), _from_integers(v, v.j, SINGLE))


# --- to integers --------------------------------------------------------------------------------------------------------


def _to_integers(v: Vector, x: Lanes, width: int, signed: bool, rm: int | str) -> Lanes:
    p = DOUBLE if x.w == 64 else SINGLE
    nan = is_nan(p, x)
    result = compute(v, "fcvt_f2i", width, x, fmt=p.fmt, int_width=width, signed=signed, rm=rm)
    chosen = v.s.var(result.v)
    with v.s.when(nan.signs() != 0, likely=False):
        v.s.interpret()
        wanted = nan if width == x.w else (nan.s.widened() if width > x.w else nan.narrowed())
        chosen.value = wanted.select(result.of(0), result).v
    return chosen.value.lanes(width)


def _plain(code: int, name: str, sizes: str, rm: int | str, words: str) -> None:
    def text(v: Vector) -> Lanes:
        return _to_integers(v, v.j, v.w, v.signed, rm)

    two(code, name, sizes)(raising(documented(text, f"Integers, rounded {words}.")))


def _narrowing(code: int, name: str, rm: int | str, words: str) -> None:
    def text(v: Vector) -> Lanes:
        return v.joined(_to_integers(v, v.k, 32, True, rm), _to_integers(v, v.j, 32, True, rm))

    three(code, name, "w.d")(raising(documented(text, f"Integers of half the width, of vk and above them of vj, rounded {words}.")))


def _widening(code: int, name: str, upper: bool, rm: int | str, words: str) -> None:
    def text(v: Vector) -> Lanes:
        return _to_integers(v, _half(v, v.j, upper), 64, True, rm)

    place = "upper" if upper else "lower"
    two(code, name, "l.s")(raising(documented(text, f"The {place} numbers of each half as integers of twice the width, rounded {words}.")))


#: Rounding by the end of mnemonics: the engine's number, and in words; in the order of codes.
_ROUNDINGS: dict[str, tuple[int | str, str]] = {
    "": ("dyn", "as fcsr0 says"),
    "rm": (2, "down"),
    "rp": (3, "up"),
    "rz": (1, "towards zero"),
    "rne": (0, "to the nearest, ties to even"),
}

for _n, (_suffix, (_rm, _words)) in enumerate(_ROUNDINGS.items()):
    _plain(0x729E3000 + 0x800 * _n, f"vftint{_suffix}", "w.s l.d", _rm, _words)
    _narrowing(0x71498000 + 0x8000 * _n, f"vftint{_suffix}", _rm, _words)
    _widening(0x729E8000 + 0x800 * _n, f"vftint{_suffix}l", False, _rm, _words)
    _widening(0x729E8400 + 0x800 * _n, f"vftint{_suffix}h", True, _rm, _words)

_plain(0x729E5800, "vftint", "wu.s lu.d", *_ROUNDINGS[""])
_plain(0x729E7000, "vftintrz", "wu.s lu.d", *_ROUNDINGS["rz"])
