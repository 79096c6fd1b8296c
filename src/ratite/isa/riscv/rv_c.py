"""RV32C and RV64C, compressed instructions (volume I, 20191213, chapter 16): short encodings of others.

In patterns `n` marks the bits of a field that must not be all zero; the encodings with zero there are reserved, or
belong to another instruction. Hints (c.li to x0, shifts by 0, ...) execute as what they expand to. Loads and stores
of floating-point registers are extensions of their own here, named as in later editions of the manual: "zcf" (single
precision, RV32 only) and "zcd" (double precision).
"""

from __future__ import annotations

from ratite.isa.dsl import Format, Insn
from ratite.isa.riscv import formats_c as c
from ratite.isa.riscv import rv_d, rv_f, rv_i
from ratite.isa.riscv.formats import None_
from ratite.isa.riscv.table import RISCV


def _nonzero(pattern: str) -> list[str]:
    """The patterns that together match `pattern` where the bits marked `n` are not all zero, one for each first bit."""
    marks = [at for at, letter in enumerate(pattern) if letter == "n"]
    if not marks:
        return [pattern]
    found = []
    for first in marks:
        letters = list(pattern)
        for at in marks:
            letters[at] = "0" if at < first else "1" if at == first else "."
        found.append("".join(letters))
    return found


def _short(pattern: str, syntax: str, fmt: type[Format], target: Insn, xlen: int = 0, extension: str = "c") -> None:
    """Define a short encoding of `target`."""
    for distinct in _nonzero(pattern):
        RISCV.short(distinct, syntax, fmt, target, extension, xlen)


def _base(name: str, xlen: int) -> Insn:
    """The base instruction that differs between register widths."""
    return next(i for i in RISCV.insns if i.name == name and i.xlen == xlen)


# --- quadrant 0 -----------------------------------------------------------------------------------------------------

_short("000 nnnnnnnn ... 00", "c.addi4spn {rd}, {rs1}, {imm}", c.CIW, rv_i.addi)
_short("001 ... ... .. ... 00", "c.fld {rd}, {imm}({rs1})", c.CLFloatDouble, rv_d.fld, extension="zcd")
_short("010 ... ... .. ... 00", "c.lw {rd}, {imm}({rs1})", c.CLWord, rv_i.lw)
_short("011 ... ... .. ... 00", "c.flw {rd}, {imm}({rs1})", c.CLFloatWord, rv_f.flw, 32, "zcf")
_short("011 ... ... .. ... 00", "c.ld {rd}, {imm}({rs1})", c.CLDouble, rv_i.ld, 64)
_short("101 ... ... .. ... 00", "c.fsd {rs2}, {imm}({rs1})", c.CSFloatDouble, rv_d.fsd, extension="zcd")
_short("110 ... ... .. ... 00", "c.sw {rs2}, {imm}({rs1})", c.CSWord, rv_i.sw)
_short("111 ... ... .. ... 00", "c.fsw {rs2}, {imm}({rs1})", c.CSFloatWord, rv_f.fsw, 32, "zcf")
_short("111 ... ... .. ... 00", "c.sd {rs2}, {imm}({rs1})", c.CSDouble, rv_i.sd, 64)

# --- quadrant 1 -----------------------------------------------------------------------------------------------------

_short("000 0 00000 00000 01", "c.nop", c.CI, rv_i.addi)
_short("000 . ..... ..... 01", "c.addi {rd}, {imm}", c.CI, rv_i.addi)
_short("001 ........... 01", "c.jal {imm}", c.CJLink, rv_i.jal, 32)
_short("001 . nnnnn ..... 01", "c.addiw {rd}, {imm}", c.CI, rv_i.addiw, 64)
_short("010 . ..... ..... 01", "c.li {rd}, {imm}", c.CILoad, rv_i.addi)
_short("011 n 00010 nnnnn 01", "c.addi16sp {rd}, {imm}", c.CIStack, rv_i.addi)
_short("011 n ..... nnnnn 01", "c.lui {rd}, {imm}", c.CIUpper, rv_i.lui)
_short("100 0 00 ... ..... 01", "c.srli {rd}, {shamt}", c.CBShift, _base("srli", 32), 32)
_short("100 . 00 ... ..... 01", "c.srli {rd}, {shamt}", c.CBShift, _base("srli", 64), 64)
_short("100 0 01 ... ..... 01", "c.srai {rd}, {shamt}", c.CBShift, _base("srai", 32), 32)
_short("100 . 01 ... ..... 01", "c.srai {rd}, {shamt}", c.CBShift, _base("srai", 64), 64)
_short("100 . 10 ... ..... 01", "c.andi {rd}, {imm}", c.CBImm, rv_i.andi)
_short("100 0 11 ... 00 ... 01", "c.sub {rd}, {rs2}", c.CA, rv_i.sub)
_short("100 0 11 ... 01 ... 01", "c.xor {rd}, {rs2}", c.CA, rv_i.xor)
_short("100 0 11 ... 10 ... 01", "c.or {rd}, {rs2}", c.CA, rv_i.or_)
_short("100 0 11 ... 11 ... 01", "c.and {rd}, {rs2}", c.CA, rv_i.and_)
_short("100 1 11 ... 00 ... 01", "c.subw {rd}, {rs2}", c.CA, rv_i.subw, 64)
_short("100 1 11 ... 01 ... 01", "c.addw {rd}, {rs2}", c.CA, rv_i.addw, 64)
_short("101 ........... 01", "c.j {imm}", c.CJ, rv_i.jal)
_short("110 ... ... ..... 01", "c.beqz {rs1}, {imm}", c.CB, rv_i.beq)
_short("111 ... ... ..... 01", "c.bnez {rs1}, {imm}", c.CB, rv_i.bne)

# --- quadrant 2 -----------------------------------------------------------------------------------------------------

_short("000 0 ..... ..... 10", "c.slli {rd}, {shamt}", c.CIShift, _base("slli", 32), 32)
_short("000 . ..... ..... 10", "c.slli {rd}, {shamt}", c.CIShift, _base("slli", 64), 64)
_short("001 . ..... ..... 10", "c.fldsp {rd}, {imm}({rs1})", c.CIFloatDoubleSp, rv_d.fld, extension="zcd")
_short("010 . nnnnn ..... 10", "c.lwsp {rd}, {imm}({rs1})", c.CIWordSp, rv_i.lw)
_short("011 . ..... ..... 10", "c.flwsp {rd}, {imm}({rs1})", c.CIFloatWordSp, rv_f.flw, 32, "zcf")
_short("011 . nnnnn ..... 10", "c.ldsp {rd}, {imm}({rs1})", c.CIDoubleSp, rv_i.ld, 64)
_short("100 0 nnnnn 00000 10", "c.jr {rs1}", c.CRJump, rv_i.jalr)
_short("100 0 ..... nnnnn 10", "c.mv {rd}, {rs2}", c.CRMove, rv_i.add)
_short("100 1 00000 00000 10", "c.ebreak", None_, rv_i.ebreak)
_short("100 1 nnnnn 00000 10", "c.jalr {rs1}", c.CRJumpLink, rv_i.jalr)
_short("100 1 ..... nnnnn 10", "c.add {rd}, {rs2}", c.CR, rv_i.add)
_short("101 ...... ..... 10", "c.fsdsp {rs2}, {imm}({rs1})", c.CSSFloatDouble, rv_d.fsd, extension="zcd")
_short("110 ...... ..... 10", "c.swsp {rs2}, {imm}({rs1})", c.CSSWord, rv_i.sw)
_short("111 ...... ..... 10", "c.fswsp {rs2}, {imm}({rs1})", c.CSSFloatWord, rv_f.fsw, 32, "zcf")
_short("111 ...... ..... 10", "c.sdsp {rs2}, {imm}({rs1})", c.CSSDouble, rv_i.sd, 64)
