"""Operands of instructions: how the decoder finds them in the instruction word.

    class I(Format):
        rd, rs1 = reg("x", 11, 7), reg("x", 19, 15)
        imm = imm(lambda w: signed(bits(w, 31, 20), 12))

A `reg` operand names a register of a file; which one is not known while the text is recorded. An `imm` operand is a number, neither known
then. A `static` operand is known: the text may ask about it with a plain `if`, and each value gives a text (and machine code) of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from ratite.bits import bits


@dataclass(frozen=True)
class Reg:
    """A register operand: `file[number found by get]`."""

    file: str
    get: Callable[[int], int]
    name: str = ""


@dataclass(frozen=True)
class Imm:
    """A number that the decoder computes; signed, to be used at any width in which it fits."""

    get: Callable[[int], int]
    name: str = ""


@dataclass(frozen=True)
class Static:
    """A number on which the recorded text may depend."""

    get: Callable[[int], int]
    name: str = ""


def reg(file: str, hi: int, lo: int, base: int = 0) -> Any:
    """A register numbered by the field [hi:lo], plus `base`."""
    return Reg(file, lambda w: bits(w, hi, lo) + base)


def fixed(file: str, number: int) -> Any:
    """A register that the instruction implies."""
    return Reg(file, lambda w: number)


def imm(get: Callable[[int], int]) -> Any:
    """An immediate computed from the instruction word."""
    return Imm(get)


def static(get: Callable[[int], int]) -> Any:
    """An operand whose value selects among texts (a CSR number, a rounding mode)."""
    return Static(get)


class Format:
    """Base of operand formats. Attribute order is the order in keys and listings."""

    operands: ClassVar[dict[str, Reg | Imm | Static]]
    regs: ClassVar[tuple[Reg, ...]]
    imms: ClassVar[tuple[Imm, ...]]
    statics: ClassVar[tuple[Static, ...]]

    def __init_subclass__(cls) -> None:
        found: dict[str, Reg | Imm | Static] = {}
        for base in reversed(cls.__mro__):
            for name, o in vars(base).items():
                if isinstance(o, Reg):
                    found[name] = Reg(o.file, o.get, name)
                elif isinstance(o, Imm | Static):
                    found[name] = type(o)(o.get, name)
        cls.operands = found
        cls.regs = tuple(o for o in found.values() if isinstance(o, Reg))
        cls.imms = tuple(o for o in found.values() if isinstance(o, Imm))
        cls.statics = tuple(o for o in found.values() if isinstance(o, Static))
