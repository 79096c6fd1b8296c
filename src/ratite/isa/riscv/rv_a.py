"""RV32A and RV64A, atomic instructions (volume I, 20191213, chapter 8).

Every atomic access is sequentially consistent, so aq and rl ask for nothing more and share one text; only lr with
both set, which is a plain load, gets a fence before it. sc fails where an atomic instruction of another hart has
touched the reserved 16 bytes, or memory holds another value than lr read; plain stores of other harts that change it and
change it back are not noticed. A page that sc may not write raises an exception only where the address matches. Misaligned addresses raise an
exception.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ratite.isa.dsl import Insn, Session
from ratite.isa.riscv.exceptions import LOAD_MISALIGNED, STORE_MISALIGNED, require_aligned
from ratite.isa.riscv.formats import R, Unary
from ratite.isa.riscv.table import RISCV

#: Suffix of the mnemonic by the bits aq and rl.
_ORDERINGS = {"": "00", ".rl": "01", ".aq": "10", ".aqrl": "11"}


def _atomic(
    pattern: str, syntax: str, xlen: int = 0, orderings: tuple[str, ...] = tuple(_ORDERINGS)
) -> Callable[[Callable[[Session, Any], None]], Insn]:
    """Define an instruction for several orderings, which share its text. `qq` in the pattern stands for aq and rl."""
    name, operands = syntax.split(" ", 1)

    def spelled(ordering: str) -> tuple[str, str]:
        return pattern.replace("qq", _ORDERINGS[ordering]), f"{name}{ordering} {operands}"

    def define(text: Callable[[Session, Any], None]) -> Insn:
        first = RISCV.extension("a")(*spelled(orderings[0]), xlen)(text)
        for ordering in orderings[1:]:
            RISCV.short(*spelled(ordering), first.fmt, first, "a", xlen)
        return first

    return define


# --- load-reserved and store-conditional ----------------------------------------------------------------------------


def _load_reserved(s: Session, o: Unary, width: int) -> None:
    addr = s.x[o.rs1]
    require_aligned(s, addr, width // 8, LOAD_MISALIGNED)
    s.x[o.rd] = s.load_reserved(addr, width).sext(s.xlen)


def _store_conditional(s: Session, o: R, width: int) -> None:
    addr = s.x[o.rs1]
    require_aligned(s, addr, width // 8, STORE_MISALIGNED)
    stored = s.store_conditional(addr, s.x[o.rs2].resize(width))
    s.x[o.rd] = (~stored).zext(s.xlen)


@_atomic("00010 qq 00000 ..... 010 ..... 0101111", "lr.w {rd}, ({rs1})", orderings=("", ".aq", ".rl"))
def lr_w(s: Session, o: Unary) -> None:
    """Load a word and reserve its address."""
    _load_reserved(s, o, 32)


@_atomic("00010 qq 00000 ..... 010 ..... 0101111", "lr.w {rd}, ({rs1})", orderings=(".aqrl",))
def lr_w_aqrl(s: Session, o: Unary) -> None:
    """Load a word and reserve its address, after all earlier memory accesses."""
    s.fence()
    _load_reserved(s, o, 32)


@_atomic("00010 qq 00000 ..... 011 ..... 0101111", "lr.d {rd}, ({rs1})", xlen=64, orderings=("", ".aq", ".rl"))
def lr_d(s: Session, o: Unary) -> None:
    """Load a doubleword and reserve its address."""
    _load_reserved(s, o, 64)


@_atomic("00010 qq 00000 ..... 011 ..... 0101111", "lr.d {rd}, ({rs1})", xlen=64, orderings=(".aqrl",))
def lr_d_aqrl(s: Session, o: Unary) -> None:
    """Load a doubleword and reserve its address, after all earlier memory accesses."""
    s.fence()
    _load_reserved(s, o, 64)


@_atomic("00011 qq ..... ..... 010 ..... 0101111", "sc.w {rd}, {rs2}, ({rs1})")
def sc_w(s: Session, o: R) -> None:
    """Store a word if the reservation still holds; rd tells whether that failed."""
    _store_conditional(s, o, 32)


@_atomic("00011 qq ..... ..... 011 ..... 0101111", "sc.d {rd}, {rs2}, ({rs1})", xlen=64)
def sc_d(s: Session, o: R) -> None:
    """Store a doubleword if the reservation still holds; rd tells whether that failed."""
    _store_conditional(s, o, 64)


# --- read-modify-write ----------------------------------------------------------------------------------------------


def _amo(funct5: str, name: str, operation: str, doc: str) -> None:
    """Define the word and the doubleword form of an atomic read-modify-write."""

    def define(funct3: str, suffix: str, width: int, xlen: int) -> None:
        def semantics(s: Session, o: R) -> None:
            addr = s.x[o.rs1]
            require_aligned(s, addr, width // 8, STORE_MISALIGNED)
            s.x[o.rd] = s.amo(operation, addr, s.x[o.rs2].resize(width)).sext(s.xlen)

        semantics.__doc__ = doc
        pattern = f"{funct5} qq ..... ..... {funct3} ..... 0101111"
        _atomic(pattern, f"{name}.{suffix} {{rd}}, {{rs2}}, ({{rs1}})", xlen)(semantics)

    define("010", "w", 32, 0)
    define("011", "d", 64, 64)


_amo("00001", "amoswap", "xchg", "Exchange memory and rs2; rd gets what memory held.")
_amo("00000", "amoadd", "add", "Add rs2 to memory; rd gets what memory held.")
_amo("00100", "amoxor", "xor", "Exclusive-or rs2 into memory; rd gets what memory held.")
_amo("01100", "amoand", "and", "And rs2 into memory; rd gets what memory held.")
_amo("01000", "amoor", "or", "Or rs2 into memory; rd gets what memory held.")
_amo("10000", "amomin", "min", "Keep the lesser of memory and rs2, both signed; rd gets what memory held.")
_amo("10100", "amomax", "max", "Keep the greater of memory and rs2, both signed; rd gets what memory held.")
_amo("11000", "amominu", "umin", "Keep the lesser of memory and rs2, both unsigned; rd gets what memory held.")
_amo("11100", "amomaxu", "umax", "Keep the greater of memory and rs2, both unsigned; rd gets what memory held.")
