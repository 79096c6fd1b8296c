"""Loads and stores of general registers, and barriers (LoongArch Reference Manual, volume 1, v1.10, chapters 2.2.5, 2.2.6 and 2.2.8).

An ordinary access may be misaligned, as CPUCFG.UAL says; one with a bound check may not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ratite.ir import Value
from ratite.isa.arch import Exit
from ratite.isa.dsl import Format, Session
from ratite.isa.loongarch.exceptions import Cause, require_aligned
from ratite.isa.loongarch.formats import R2S12, R2S14, R3, Code, Hint, HintX, R2Source
from ratite.isa.loongarch.table import LOONGARCH

insn = LOONGARCH.extension("base")

#: Sizes by the letters of mnemonics.
WIDTHS = {"b": 8, "h": 16, "w": 32, "d": 64}
_PARTS = {8: "a byte", 16: "16 bits", 32: "32 bits", 64: "64 bits"}

Text = Callable[[Session, Any], None]


def _load(name: str, width: int, address: Callable[[Session, Any], Value]) -> Text:
    unsigned = name.endswith("u")

    def semantics(s: Session, o: Any) -> None:
        v = s.load(address(s, o), width)
        s.r[o.rd] = v.zext(64) if unsigned else v.sext(64)

    semantics.__doc__ = f"Load {_PARTS[width]}{'' if width == 64 else ', ' + ('zero' if unsigned else 'sign') + '-extended'}."
    return semantics


def _store(width: int, address: Callable[[Session, Any], Value]) -> Text:
    def semantics(s: Session, o: Any) -> None:
        s.store(address(s, o), s.r[o.rd].trunc(width))

    semantics.__doc__ = f"Store {_PARTS[width]}."
    return semantics


def offset(s: Session, o: Any) -> Value:
    """rj plus an immediate."""
    address: Value = s.r[o.rj] + o.imm
    return address


def index(s: Session, o: Any) -> Value:
    """rj plus rk."""
    address: Value = s.r[o.rj] + s.r[o.rk]
    return address


def _define(pattern: str, syntax: str, fmt: type[Format], text: Text) -> None:
    text.__annotations__ = {"o": fmt}
    insn(pattern, syntax)(text)


def access(name: str, size: str, code: str, indexed: str) -> None:
    """Define a load or store with an offset, and one with an index."""
    width = WIDTHS[size[0]]

    def text(address: Callable[[Session, Any], Value]) -> Text:
        return _load(size, width, address) if name == "ld" else _store(width, address)

    _define(f"0010{code} ............ ..... .....", f"{name}.{size} {{rd}}, {{rj}}, {{imm}}", R2S12, text(offset))
    _define(f"0011100000{indexed} ..... ..... .....", f"{name}x.{size} {{rd}}, {{rj}}, {{rk}}", R3, text(index))


access("ld", "b", "100000", "0000000")
access("ld", "h", "100001", "0001000")
access("ld", "w", "100010", "0010000")
access("ld", "d", "100011", "0011000")
access("st", "b", "100100", "0100000")
access("st", "h", "100101", "0101000")
access("st", "w", "100110", "0110000")
access("st", "d", "100111", "0111000")
access("ld", "bu", "101000", "1000000")
access("ld", "hu", "101001", "1001000")
access("ld", "wu", "101010", "1010000")

_define("00100100 .............. ..... .....", "ldptr.w {rd}, {rj}, {imm}", R2S14, _load("w", 32, offset))
_define("00100101 .............. ..... .....", "stptr.w {rd}, {rj}, {imm}", R2S14, _store(32, offset))
_define("00100110 .............. ..... .....", "ldptr.d {rd}, {rj}, {imm}", R2S14, _load("d", 64, offset))
_define("00100111 .............. ..... .....", "stptr.d {rd}, {rj}, {imm}", R2S14, _store(64, offset))


# --- bound checks -------------------------------------------------------------------------------------------------------


def bounded(s: Session, o: Any, above: bool, size: int) -> Value:
    """The address in rj, which must be aligned, and above rk or not above it; else an exception."""
    address: Value = s.r[o.rj]
    require_aligned(s, address, size)
    require_bound(s, address, s.r[o.rk], above)
    return address


def require_bound(s: Session, address: Value, bound: Value, above: bool) -> None:
    """Raise the exception of a bound check unless `address` is greater than `bound`, or not greater."""
    out = address.s <= bound.s if above else address.s > bound.s
    with s.when(out, likely=False):
        s.trap(Cause.BOUND_CHECK, address)


def _bounded_access(name: str, size: str, above: bool, code: str) -> None:
    width = WIDTHS[size]

    def address(s: Session, o: Any) -> Value:
        return bounded(s, o, above, width // 8)

    text = _load(size, width, address) if name == "ld" else _store(width, address)
    text.__doc__ = f"{text.__doc__} The address must be {'above' if above else 'at most'} rk."
    relation = "gt" if above else "le"
    _define(f"00111000011{code} ..... ..... .....", f"{name}{relation}.{size} {{rd}}, {{rj}}, {{rk}}", R3, text)


for _n, _size in enumerate("bhwd"):
    _bounded_access("ld", _size, above=True, code=f"1100{_n:02b}")
    _bounded_access("ld", _size, above=False, code=f"1101{_n:02b}")
    _bounded_access("st", _size, above=True, code=f"1110{_n:02b}")
    _bounded_access("st", _size, above=False, code=f"1111{_n:02b}")


@insn("00000000000000010 ..... ..... 00000", "asrtle.d {rj}, {rk}")
def asrtle_d(s: Session, o: R2Source) -> None:
    """Raise the exception of a bound check unless rj is at most rk."""
    require_bound(s, s.r[o.rj], s.r[o.rk], above=False)


@insn("00000000000000011 ..... ..... 00000", "asrtgt.d {rj}, {rk}")
def asrtgt_d(s: Session, o: R2Source) -> None:
    """Raise the exception of a bound check unless rj is greater than rk."""
    require_bound(s, s.r[o.rj], s.r[o.rk], above=True)


# --- hints and barriers -------------------------------------------------------------------------------------------------


@insn("0010101011 ............ ..... .....", "preld {hint}, {rj}, {imm}")
def preld(s: Session, o: Hint) -> None:
    """Prefetch; there is no cache."""


@insn("00111000001011000 ..... ..... .....", "preldx {hint}, {rj}, {rk}")
def preldx(s: Session, o: HintX) -> None:
    """Prefetch; there is no cache."""


@insn("00111000011100100 ...............", "dbar {code}")
def dbar(s: Session, o: Code) -> None:
    """Order memory accesses; every hint orders all of them."""
    s.fence()


@insn("00111000011100101 ...............", "ibar {code}")
def ibar(s: Session, o: Code) -> None:
    """Make earlier stores visible to instruction fetch."""
    # A machine sees them at once: pages that hold translated code are write-protected.
    if s.config.user:
        s.exit(Exit.CODE_SYNC)
