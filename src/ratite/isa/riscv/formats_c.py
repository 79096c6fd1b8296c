"""Formats of the compressed instructions (The RISC-V Instruction Set Manual, volume I, 20191213, chapter 16.2 to 16.7).

Each gives the operands of the instruction that it expands to, in that instruction's order: registers that the short
form implies are fixed, and the three-bit register fields name x8 to x15 (f8 to f15).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ratite.bits import signed
from ratite.isa.dsl import Format, fixed, imm, reg
from ratite.isa.riscv.formats import Word


def scattered(fields: dict[int, str], width: int = 0) -> Callable[[int], int]:
    """An immediate whose bits lie out of order, written as the manual does.

    `fields` gives for the highest bit of each field in the instruction the immediate's bits that stand there, highest
    first: `{12: "5", 6: "4:2|7:6"}`. `width`: the immediate is signed and has so many bits; 0 for an unsigned one.
    """
    pieces: list[tuple[int, int, int]] = []
    for top, spec in fields.items():
        for part in spec.split("|"):
            hi, _, lo = part.partition(":")
            size = int(hi) - int(lo or hi) + 1
            pieces.append((top - size + 1, (1 << size) - 1, int(lo or hi)))
            top -= size

    def get(w: int) -> int:
        value = 0
        for source, mask, target in pieces:
            value |= (w >> source & mask) << target
        return signed(value, width) if width else value

    return get


def _full(file: str, hi: int) -> Any:
    """A register named by five bits."""
    return reg(file, hi, hi - 4)


def _short(file: str, hi: int) -> Any:
    """One of the registers 8 to 15, named by three bits."""
    return reg(file, hi, hi - 2, base=8)


#: The stack pointer.
_SP = fixed("x", 2)

IMM6 = scattered({12: "5", 6: "4:0"}, width=6)
UIMM6 = scattered({12: "5", 6: "4:0"})
WORD_OFFSET = scattered({12: "5:3", 6: "2|6"})
DOUBLE_OFFSET = scattered({12: "5:3", 6: "7:6"})
WORD_SP_LOAD = scattered({12: "5", 6: "4:2|7:6"})
DOUBLE_SP_LOAD = scattered({12: "5", 6: "4:3|8:6"})
WORD_SP_STORE = scattered({12: "5:2|7:6"})
DOUBLE_SP_STORE = scattered({12: "5:3|8:6"})
JUMP_OFFSET = scattered({12: "11|4|9:8|10|6|7|3:1|5"}, width=12)
BRANCH_OFFSET = scattered({12: "8|4:3", 6: "7:6|2:1|5"}, width=9)


# --- registers and immediates ---------------------------------------------------------------------------------------


class CI(Format):
    """A register and a signed immediate added to it."""

    rd, rs1 = _full("x", 11), _full("x", 11)
    imm = imm(IMM6)


class CILoad(Format):
    """A register and the signed immediate that it gets."""

    rd, rs1 = _full("x", 11), fixed("x", 0)
    imm = imm(IMM6)


class CIUpper(Format):
    """A register and the upper immediate that it gets."""

    rd = _full("x", 11)
    imm = imm(scattered({12: "17", 6: "16:12"}, width=18))


class CIStack(Format):
    """Stack pointer adjustment."""

    rd, rs1 = _SP, _SP
    imm = imm(scattered({12: "9", 6: "4|6|8:7|5"}, width=10))


class CIShift(Format):
    """A register and the amount by which it is shifted."""

    rd, rs1 = _full("x", 11), _full("x", 11)
    shamt = imm(UIMM6)


class CIW(Format):
    """Address of something in the stack frame."""

    rd, rs1 = _short("x", 4), _SP
    imm = imm(scattered({12: "5:4|9:6|2|3"}))


class CBImm(Format):
    """One of eight registers and a signed immediate."""

    rd, rs1 = _short("x", 9), _short("x", 9)
    imm = imm(IMM6)


class CBShift(Format):
    """One of eight registers and the amount by which it is shifted."""

    rd, rs1 = _short("x", 9), _short("x", 9)
    shamt = imm(UIMM6)


class CRMove(Format):
    """Copy of a register."""

    rd, rs1, rs2 = _full("x", 11), fixed("x", 0), _full("x", 6)


class CR(Format):
    """A register and another one added to it."""

    rd, rs1, rs2 = _full("x", 11), _full("x", 11), _full("x", 6)


class CA(Format):
    """Two of eight registers, the first being source and destination."""

    rd, rs1, rs2 = _short("x", 9), _short("x", 9), _short("x", 4)


# --- loads and stores -----------------------------------------------------------------------------------------------


class CLWord(Format):
    """Load of a word."""

    rd, rs1 = _short("x", 4), _short("x", 9)
    imm = imm(WORD_OFFSET)


class CLDouble(Format):
    """Load of a doubleword."""

    rd, rs1 = _short("x", 4), _short("x", 9)
    imm = imm(DOUBLE_OFFSET)


class CSWord(Format):
    """Store of a word."""

    rs1, rs2 = _short("x", 9), _short("x", 4)
    imm = imm(WORD_OFFSET)


class CSDouble(Format):
    """Store of a doubleword."""

    rs1, rs2 = _short("x", 9), _short("x", 4)
    imm = imm(DOUBLE_OFFSET)


class CIWordSp(Format):
    """Load of a word from the stack."""

    rd, rs1 = _full("x", 11), _SP
    imm = imm(WORD_SP_LOAD)


class CIDoubleSp(Format):
    """Load of a doubleword from the stack."""

    rd, rs1 = _full("x", 11), _SP
    imm = imm(DOUBLE_SP_LOAD)


class CSSWord(Format):
    """Store of a word on the stack."""

    rs1, rs2 = _SP, _full("x", 6)
    imm = imm(WORD_SP_STORE)


class CSSDouble(Format):
    """Store of a doubleword on the stack."""

    rs1, rs2 = _SP, _full("x", 6)
    imm = imm(DOUBLE_SP_STORE)


class CLFloatWord(CLWord, Word):
    """Load of a single-precision number."""

    rd = _short("f", 4)


class CLFloatDouble(CLDouble, Word):
    """Load of a double-precision number."""

    rd = _short("f", 4)


class CSFloatWord(CSWord, Word):
    """Store of a single-precision number."""

    rs2 = _short("f", 4)


class CSFloatDouble(CSDouble, Word):
    """Store of a double-precision number."""

    rs2 = _short("f", 4)


class CIFloatWordSp(CIWordSp, Word):
    """Load of a single-precision number from the stack."""

    rd = _full("f", 11)


class CIFloatDoubleSp(CIDoubleSp, Word):
    """Load of a double-precision number from the stack."""

    rd = _full("f", 11)


class CSSFloatWord(CSSWord, Word):
    """Store of a single-precision number on the stack."""

    rs2 = _full("f", 6)


class CSSFloatDouble(CSSDouble, Word):
    """Store of a double-precision number on the stack."""

    rs2 = _full("f", 6)


# --- jumps and branches ---------------------------------------------------------------------------------------------


class CJ(Format):
    """Jump."""

    rd = fixed("x", 0)
    imm = imm(JUMP_OFFSET)


class CJLink(Format):
    """Jump that keeps the return address in x1."""

    rd = fixed("x", 1)
    imm = imm(JUMP_OFFSET)


class CRJump(Format):
    """Jump to a register."""

    rd, rs1 = fixed("x", 0), _full("x", 11)
    imm = imm(lambda w: 0)


class CRJumpLink(Format):
    """Jump to a register that keeps the return address in x1."""

    rd, rs1 = fixed("x", 1), _full("x", 11)
    imm = imm(lambda w: 0)


class CB(Format):
    """Branch on one of eight registers being zero or not."""

    rs1, rs2 = _short("x", 9), fixed("x", 0)
    imm = imm(BRANCH_OFFSET)
