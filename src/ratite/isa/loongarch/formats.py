"""Instruction formats (LoongArch Reference Manual, volume 1, v1.10, chapter 1.2). The names of classes list the operands:
registers first, then immediates by their width.

Immediates are what texts work with: in place, or as the shift amounts that a field comes to. `Written` keeps what
assembly says instead.
"""

from __future__ import annotations

from ratite.bits import bits, signed
from ratite.isa.dsl import Format, fixed, imm, reg, static


class Written(int):
    """A number that assembly writes as another one."""

    text: int

    def __new__(cls, value: int, text: int) -> Written:
        """`value` for texts, `text` for assembly."""
        made = super().__new__(cls, value)
        made.text = text
        return made

    def __str__(self) -> str:
        return str(self.text)


def scaled(value: int, shift: int) -> Written:
    """`value` shifted left, written as it was before."""
    return Written(value << shift, value)


class Word(Format):
    """Mixed into formats of instructions that can turn out illegal: `word` is the instruction itself."""

    word = imm(lambda w: signed(w, 32))


class None_(Format):
    """No operands."""


class Code(Format):
    """A number of 15 bits that the hardware does not look at, or not much."""

    code = imm(lambda w: w & 0x7FFF)


# --- general registers --------------------------------------------------------------------------------------------------


class R3(Format):
    """Two sources and a result; in stores rd is the third source."""

    rd, rj, rk = reg("r", 4, 0), reg("r", 9, 5), reg("r", 14, 10)


class R2(Format):
    """A source and a result."""

    rd, rj = reg("r", 4, 0), reg("r", 9, 5)


class Iocsr(R2, Word):
    """An address, and a value or a result, with the instruction word for who does the access."""


class R2Source(Format):
    """Two sources."""

    rj, rk = reg("r", 9, 5), reg("r", 14, 10)


class R3Shift(R3):
    """Two sources and a shift amount of one to four."""

    sa = imm(lambda w: bits(w, 16, 15) + 1)


class BytesW(R3):
    """A window of four bytes out of eight, so many of them from rj."""

    sa = static(lambda w: bits(w, 16, 15))


class BytesD(R3):
    """A window of eight bytes out of sixteen."""

    sa = static(lambda w: bits(w, 17, 15))


class R2U5(R2):
    """Shift amount of a word."""

    imm = imm(lambda w: bits(w, 14, 10))


class R2U6(R2):
    """Shift amount of a doubleword."""

    imm = imm(lambda w: bits(w, 15, 10))


class R2S12(R2):
    """Signed 12-bit immediate."""

    imm = imm(lambda w: signed(w >> 10, 12))


class R2U12(R2):
    """Unsigned 12-bit immediate."""

    imm = imm(lambda w: bits(w, 21, 10))


class R2S14(R2):
    """Signed 14-bit count of words."""

    imm = imm(lambda w: signed(w >> 10, 14) << 2)


class R2S12Top(R2):
    """Signed 12-bit immediate from bit 52 on."""

    imm = imm(lambda w: scaled(signed(w >> 10, 12), 52))


class Linked(R2S14):
    """The same; `odd`: the count is, so that a doubleword there is aligned where rj is not."""

    odd = static(lambda w: bits(w, 10, 10))


class R2S16(R2):
    """Signed 16-bit immediate from bit 16 on."""

    imm = imm(lambda w: scaled(signed(w >> 10, 16), 16))


class RS20(Format):
    """Signed 20-bit immediate from bit 12 on."""

    rd = reg("r", 4, 0)
    imm = imm(lambda w: scaled(signed(w >> 5, 20), 12))


class RS20Words(RS20):
    """Signed 20-bit count of words."""

    imm = imm(lambda w: scaled(signed(w >> 5, 20), 2))


class RS20Far(RS20):
    """Signed 20-bit immediate from bit 18 on."""

    imm = imm(lambda w: scaled(signed(w >> 5, 20), 18))


class RS20Top(RS20):
    """Signed 20-bit immediate from bit 32 on."""

    imm = imm(lambda w: scaled(signed(w >> 5, 20), 32))


def _spare(width: int, msb: int, lsb: int) -> int:
    """How many of `width` bits lie outside [msb:lsb]."""
    return width - 1 - msb + lsb & width - 1


class InsertW(R2, Word):
    """Bits `msb` to `lsb` of a word, as the number of bits outside them and `lsb`. `reversed`: there are none."""

    msb = imm(lambda w: Written(_spare(32, bits(w, 20, 16), bits(w, 14, 10)), bits(w, 20, 16)))
    lsb = imm(lambda w: bits(w, 14, 10))
    reversed = static(lambda w: int(bits(w, 20, 16) < bits(w, 14, 10)))


class InsertD(R2, Word):
    """The same of a doubleword."""

    msb = imm(lambda w: Written(_spare(64, bits(w, 21, 16), bits(w, 15, 10)), bits(w, 21, 16)))
    lsb = imm(lambda w: bits(w, 15, 10))
    reversed = static(lambda w: int(bits(w, 21, 16) < bits(w, 15, 10)))


class ExtractW(InsertW):
    """Bits `msb` to `lsb` of a word, as the number of bits above them and the number of bits outside them."""

    msb = imm(lambda w: Written(31 - bits(w, 20, 16), bits(w, 20, 16)))
    lsb = imm(lambda w: Written(_spare(32, bits(w, 20, 16), bits(w, 14, 10)), bits(w, 14, 10)))


class ExtractD(InsertD):
    """The same of a doubleword."""

    msb = imm(lambda w: Written(63 - bits(w, 21, 16), bits(w, 21, 16)))
    lsb = imm(lambda w: Written(_spare(64, bits(w, 21, 16), bits(w, 15, 10)), bits(w, 15, 10)))


class Atomic(R3, Word):
    """Atomic read-modify-write. `overlap`: the result register is also the address or the other source."""

    overlap = static(lambda w: int(bits(w, 4, 0) in {bits(w, 9, 5), bits(w, 14, 10)} - {0}))


class Hint(Format):
    """Prefetch: an address and what it is for."""

    rj = reg("r", 9, 5)
    hint = imm(lambda w: bits(w, 4, 0))
    imm = imm(lambda w: signed(w >> 10, 12))


class HintX(R2Source):
    """Prefetch with an index."""

    hint = imm(lambda w: bits(w, 4, 0))


# --- branches -----------------------------------------------------------------------------------------------------------


class Branch(Format):
    """Comparison of two registers, and an offset of 16 bits in words."""

    rj, rd = reg("r", 9, 5), reg("r", 4, 0)
    imm = imm(lambda w: signed(w >> 10, 16) << 2)


class BranchZero(Format):
    """Comparison of a register with zero, and an offset of 21 bits in words."""

    rj = reg("r", 9, 5)
    imm = imm(lambda w: signed(bits(w, 4, 0) << 16 | bits(w, 25, 10), 21) << 2)


class BranchFlag(Format):
    """A condition flag, and an offset of 21 bits in words."""

    cj = reg("fcc", 7, 5)
    imm = imm(lambda w: signed(bits(w, 4, 0) << 16 | bits(w, 25, 10), 21) << 2)


class Jump(Format):
    """An offset of 26 bits in words."""

    imm = imm(lambda w: signed(bits(w, 9, 0) << 16 | bits(w, 25, 10), 26) << 2)


class JumpLink(Jump):
    """The same, with the register that gets the return address."""

    ra = fixed("r", 1)


class JumpRegister(R2):
    """An address register, the register that gets the return address, and an offset of 16 bits in words."""

    imm = imm(lambda w: signed(w >> 10, 16) << 2)


# --- floating-point registers -------------------------------------------------------------------------------------------


class F4(Format):
    """Three sources and a result."""

    fd, fj, fk, fa = reg("f", 4, 0), reg("f", 9, 5), reg("f", 14, 10), reg("f", 19, 15)


class F3(Format):
    """Two sources and a result."""

    fd, fj, fk = reg("f", 4, 0), reg("f", 9, 5), reg("f", 14, 10)


class F2(Format):
    """A source and a result."""

    fd, fj = reg("f", 4, 0), reg("f", 9, 5)


class FCompare(Format):
    """Two sources and a condition flag."""

    cd, fj, fk = reg("fcc", 2, 0), reg("f", 9, 5), reg("f", 14, 10)


class FSelect(F3):
    """Two sources, and the condition flag that chooses one of them."""

    ca = reg("fcc", 17, 15)


class RToF(Format):
    """From a general register."""

    fd, rj = reg("f", 4, 0), reg("r", 9, 5)


class FToR(Format):
    """To a general register."""

    rd, fj = reg("r", 4, 0), reg("f", 9, 5)


class FToC(Format):
    """From a floating-point register to a condition flag."""

    cd, fj = reg("fcc", 2, 0), reg("f", 9, 5)


class CToF(Format):
    """From a condition flag to a floating-point register."""

    fd, cj = reg("f", 4, 0), reg("fcc", 7, 5)


class RToC(Format):
    """From a general register to a condition flag."""

    cd, rj = reg("fcc", 2, 0), reg("r", 9, 5)


class CToR(Format):
    """From a condition flag to a general register."""

    rd, cj = reg("r", 4, 0), reg("fcc", 7, 5)


class ToFcsr(Word):
    """From a general register to a floating-point control register."""

    rj = reg("r", 9, 5)
    fcsr = static(lambda w: bits(w, 4, 0))


class FromFcsr(Word):
    """From a floating-point control register to a general register."""

    rd = reg("r", 4, 0)
    fcsr = static(lambda w: bits(w, 9, 5))


class FMemory(Format):
    """Load or store of a floating-point register."""

    fd, rj = reg("f", 4, 0), reg("r", 9, 5)
    imm = imm(lambda w: signed(w >> 10, 12))


class FMemoryX(Format):
    """Load or store of a floating-point register with an index."""

    fd, rj, rk = reg("f", 4, 0), reg("r", 9, 5), reg("r", 14, 10)


# --- privileged instructions --------------------------------------------------------------------------------------------


class CsrRead(Format):
    """A control and status register, and a result."""

    rd = reg("r", 4, 0)
    csr = static(lambda w: bits(w, 23, 10))


class CsrExchange(CsrRead):
    """The same with a mask."""

    rj = reg("r", 9, 5)


class Cache(Format):
    """A cache operation and its address."""

    rj = reg("r", 9, 5)
    code = imm(lambda w: bits(w, 4, 0))
    imm = imm(lambda w: signed(w >> 10, 12))


class Invalidate(R2Source, Word):
    """An operation on the TLB, an address space and an address."""

    op = static(lambda w: bits(w, 4, 0))


class Directory(R2):
    """A directory and its level."""

    level = imm(lambda w: bits(w, 17, 10))


class TableEntry(Format):
    """A page table and which of two entries."""

    rj = reg("r", 9, 5)
    odd = imm(lambda w: bits(w, 17, 10))
