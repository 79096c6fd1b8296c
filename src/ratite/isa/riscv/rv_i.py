"""RV32I and RV64I, the base integer instructions (volume I, 20191213, chapters 2 and 5)."""

from __future__ import annotations

from collections.abc import Callable

from ratite.ir import Value
from ratite.isa.arch import Exit
from ratite.isa.dsl import Session
from ratite.isa.riscv.formats import B, I, J, None_, R, S, Shift, U
from ratite.isa.riscv.table import RISCV

insn = RISCV.extension("i")


def check_target(s: Session, to: Value) -> None:
    """Without compressed instructions a taken jump to an address that is not a multiple of four is an exception (volume I, 2.2)."""
    if not s.config.has("c"):
        with s.when((to & 2) != 0, likely=False):
            s.trap(0, to)


def branch(s: Session, to: Value) -> None:
    """Take a branch."""
    check_target(s, to)
    s.jump(to)


@insn(".................... ..... 0110111", "lui {rd}, {imm}")
def lui(s: Session, o: U) -> None:
    """Put the upper immediate into rd."""
    s.x[o.rd] = o.imm


@insn(".................... ..... 0010111", "auipc {rd}, {imm}")
def auipc(s: Session, o: U) -> None:
    """Add the upper immediate to the address of this instruction."""
    s.x[o.rd] = s.pc + o.imm


@insn(".................... ..... 1101111", "jal {rd}, {imm}")
def jal(s: Session, o: J) -> None:
    """Jump and keep the return address in rd."""
    to = s.pc + o.imm
    check_target(s, to)
    s.x[o.rd] = s.npc
    s.jump(to)


@insn("............ ..... 000 ..... 1100111", "jalr {rd}, {imm}({rs1})")
def jalr(s: Session, o: I) -> None:
    """Jump to rs1 + imm and keep the return address in rd."""
    to = (s.x[o.rs1] + o.imm) & ~1
    check_target(s, to)
    s.x[o.rd] = s.npc
    s.jump(to)


@insn("....... ..... ..... 000 ..... 1100011", "beq {rs1}, {rs2}, {imm}")
def beq(s: Session, o: B) -> None:
    """Branch when rs1 equals rs2."""
    with s.when(s.x[o.rs1] == s.x[o.rs2]):
        branch(s, s.pc + o.imm)


@insn("....... ..... ..... 001 ..... 1100011", "bne {rs1}, {rs2}, {imm}")
def bne(s: Session, o: B) -> None:
    """Branch when rs1 differs from rs2."""
    with s.when(s.x[o.rs1] != s.x[o.rs2]):
        branch(s, s.pc + o.imm)


@insn("....... ..... ..... 100 ..... 1100011", "blt {rs1}, {rs2}, {imm}")
def blt(s: Session, o: B) -> None:
    """Branch when rs1 is less than rs2, both signed."""
    with s.when(s.x[o.rs1].s < s.x[o.rs2].s):
        branch(s, s.pc + o.imm)


@insn("....... ..... ..... 101 ..... 1100011", "bge {rs1}, {rs2}, {imm}")
def bge(s: Session, o: B) -> None:
    """Branch when rs1 is not less than rs2, both signed."""
    with s.when(s.x[o.rs1].s >= s.x[o.rs2].s):
        branch(s, s.pc + o.imm)


@insn("....... ..... ..... 110 ..... 1100011", "bltu {rs1}, {rs2}, {imm}")
def bltu(s: Session, o: B) -> None:
    """Branch when rs1 is less than rs2, both unsigned."""
    with s.when(s.x[o.rs1] < s.x[o.rs2]):
        branch(s, s.pc + o.imm)


@insn("....... ..... ..... 111 ..... 1100011", "bgeu {rs1}, {rs2}, {imm}")
def bgeu(s: Session, o: B) -> None:
    """Branch when rs1 is not less than rs2, both unsigned."""
    with s.when(s.x[o.rs1] >= s.x[o.rs2]):
        branch(s, s.pc + o.imm)


# --- loads and stores -------------------------------------------------------------------------------------------------------------


@insn("............ ..... 000 ..... 0000011", "lb {rd}, {imm}({rs1})")
def lb(s: Session, o: I) -> None:
    """Load a byte and sign-extend it."""
    s.x[o.rd] = s.load(s.x[o.rs1] + o.imm, 8).sext(s.xlen)


@insn("............ ..... 001 ..... 0000011", "lh {rd}, {imm}({rs1})")
def lh(s: Session, o: I) -> None:
    """Load 16 bits and sign-extend them."""
    s.x[o.rd] = s.load(s.x[o.rs1] + o.imm, 16).sext(s.xlen)


@insn("............ ..... 010 ..... 0000011", "lw {rd}, {imm}({rs1})")
def lw(s: Session, o: I) -> None:
    """Load 32 bits and sign-extend them."""
    s.x[o.rd] = s.load(s.x[o.rs1] + o.imm, 32).sext(s.xlen)


@insn("............ ..... 011 ..... 0000011", "ld {rd}, {imm}({rs1})", xlen=64)
def ld(s: Session, o: I) -> None:
    """Load 64 bits."""
    s.x[o.rd] = s.load(s.x[o.rs1] + o.imm, 64)


@insn("............ ..... 100 ..... 0000011", "lbu {rd}, {imm}({rs1})")
def lbu(s: Session, o: I) -> None:
    """Load a byte and zero-extend it."""
    s.x[o.rd] = s.load(s.x[o.rs1] + o.imm, 8).zext(s.xlen)


@insn("............ ..... 101 ..... 0000011", "lhu {rd}, {imm}({rs1})")
def lhu(s: Session, o: I) -> None:
    """Load 16 bits and zero-extend them."""
    s.x[o.rd] = s.load(s.x[o.rs1] + o.imm, 16).zext(s.xlen)


@insn("............ ..... 110 ..... 0000011", "lwu {rd}, {imm}({rs1})", xlen=64)
def lwu(s: Session, o: I) -> None:
    """Load 32 bits and zero-extend them."""
    s.x[o.rd] = s.load(s.x[o.rs1] + o.imm, 32).zext(64)


@insn("....... ..... ..... 000 ..... 0100011", "sb {rs2}, {imm}({rs1})")
def sb(s: Session, o: S) -> None:
    """Store the low byte of rs2."""
    s.store(s.x[o.rs1] + o.imm, s.x[o.rs2].trunc(8))


@insn("....... ..... ..... 001 ..... 0100011", "sh {rs2}, {imm}({rs1})")
def sh(s: Session, o: S) -> None:
    """Store the low 16 bits of rs2."""
    s.store(s.x[o.rs1] + o.imm, s.x[o.rs2].trunc(16))


@insn("....... ..... ..... 010 ..... 0100011", "sw {rs2}, {imm}({rs1})")
def sw(s: Session, o: S) -> None:
    """Store the low 32 bits of rs2."""
    s.store(s.x[o.rs1] + o.imm, s.x[o.rs2].trunc(32))


@insn("....... ..... ..... 011 ..... 0100011", "sd {rs2}, {imm}({rs1})", xlen=64)
def sd(s: Session, o: S) -> None:
    """Store rs2."""
    s.store(s.x[o.rs1] + o.imm, s.x[o.rs2])


# --- register and immediate -------------------------------------------------------------------------------------------------------


@insn("............ ..... 000 ..... 0010011", "addi {rd}, {rs1}, {imm}")
def addi(s: Session, o: I) -> None:
    """Add the immediate to rs1."""
    s.x[o.rd] = s.x[o.rs1] + o.imm


@insn("............ ..... 010 ..... 0010011", "slti {rd}, {rs1}, {imm}")
def slti(s: Session, o: I) -> None:
    """Set rd to one when rs1 is less than the immediate, both signed, else to zero."""
    s.x[o.rd] = (s.x[o.rs1].s < o.imm.s).zext(s.xlen)


@insn("............ ..... 011 ..... 0010011", "sltiu {rd}, {rs1}, {imm}")
def sltiu(s: Session, o: I) -> None:
    """Set rd to one when rs1 is less than the sign-extended immediate, both unsigned, else to zero."""
    s.x[o.rd] = (s.x[o.rs1] < o.imm).zext(s.xlen)


@insn("............ ..... 100 ..... 0010011", "xori {rd}, {rs1}, {imm}")
def xori(s: Session, o: I) -> None:
    """Exclusive or of rs1 and the immediate."""
    s.x[o.rd] = s.x[o.rs1] ^ o.imm


@insn("............ ..... 110 ..... 0010011", "ori {rd}, {rs1}, {imm}")
def ori(s: Session, o: I) -> None:
    """Or of rs1 and the immediate."""
    s.x[o.rd] = s.x[o.rs1] | o.imm


@insn("............ ..... 111 ..... 0010011", "andi {rd}, {rs1}, {imm}")
def andi(s: Session, o: I) -> None:
    """And of rs1 and the immediate."""
    s.x[o.rd] = s.x[o.rs1] & o.imm


def _shift(name: str, bits: str, doc: str, text: Callable[[Session, Shift], Value]) -> None:
    """Define a shift by an immediate for both widths: five bits of amount in RV32, six in RV64."""

    def semantics(s: Session, o: Shift) -> None:
        s.x[o.rd] = text(s, o)

    semantics.__doc__ = doc
    insn(f"0{bits}00000 ..... ..... {'001' if name == 'slli' else '101'} ..... 0010011", f"{name} {{rd}}, {{rs1}}, {{shamt}}", 32)(
        semantics
    )
    insn(f"0{bits}0000 ...... ..... {'001' if name == 'slli' else '101'} ..... 0010011", f"{name} {{rd}}, {{rs1}}, {{shamt}}", 64)(
        semantics
    )


_shift("slli", "0", "Shift rs1 left.", lambda s, o: s.x[o.rs1] << o.shamt)
_shift("srli", "0", "Shift rs1 right, filling with zeros.", lambda s, o: s.x[o.rs1] >> o.shamt)
_shift("srai", "1", "Shift rs1 right, filling with the sign.", lambda s, o: s.x[o.rs1].s >> o.shamt)


# --- register and register --------------------------------------------------------------------------------------------------------


@insn("0000000 ..... ..... 000 ..... 0110011", "add {rd}, {rs1}, {rs2}")
def add(s: Session, o: R) -> None:
    """Add rs1 and rs2; overflow is ignored."""
    s.x[o.rd] = s.x[o.rs1] + s.x[o.rs2]


@insn("0100000 ..... ..... 000 ..... 0110011", "sub {rd}, {rs1}, {rs2}")
def sub(s: Session, o: R) -> None:
    """Subtract rs2 from rs1."""
    s.x[o.rd] = s.x[o.rs1] - s.x[o.rs2]


@insn("0000000 ..... ..... 001 ..... 0110011", "sll {rd}, {rs1}, {rs2}")
def sll(s: Session, o: R) -> None:
    """Shift rs1 left by the low bits of rs2."""
    s.x[o.rd] = s.x[o.rs1] << s.x[o.rs2]


@insn("0000000 ..... ..... 010 ..... 0110011", "slt {rd}, {rs1}, {rs2}")
def slt(s: Session, o: R) -> None:
    """Set rd to one when rs1 is less than rs2, both signed, else to zero."""
    s.x[o.rd] = (s.x[o.rs1].s < s.x[o.rs2].s).zext(s.xlen)


@insn("0000000 ..... ..... 011 ..... 0110011", "sltu {rd}, {rs1}, {rs2}")
def sltu(s: Session, o: R) -> None:
    """Set rd to one when rs1 is less than rs2, both unsigned, else to zero."""
    s.x[o.rd] = (s.x[o.rs1] < s.x[o.rs2]).zext(s.xlen)


@insn("0000000 ..... ..... 100 ..... 0110011", "xor {rd}, {rs1}, {rs2}")
def xor(s: Session, o: R) -> None:
    """Exclusive or of rs1 and rs2."""
    s.x[o.rd] = s.x[o.rs1] ^ s.x[o.rs2]


@insn("0000000 ..... ..... 101 ..... 0110011", "srl {rd}, {rs1}, {rs2}")
def srl(s: Session, o: R) -> None:
    """Shift rs1 right by the low bits of rs2, filling with zeros."""
    s.x[o.rd] = s.x[o.rs1] >> s.x[o.rs2]


@insn("0100000 ..... ..... 101 ..... 0110011", "sra {rd}, {rs1}, {rs2}")
def sra(s: Session, o: R) -> None:
    """Shift rs1 right by the low bits of rs2, filling with the sign."""
    s.x[o.rd] = s.x[o.rs1].s >> s.x[o.rs2]


@insn("0000000 ..... ..... 110 ..... 0110011", "or {rd}, {rs1}, {rs2}")
def or_(s: Session, o: R) -> None:
    """Or of rs1 and rs2."""
    s.x[o.rd] = s.x[o.rs1] | s.x[o.rs2]


@insn("0000000 ..... ..... 111 ..... 0110011", "and {rd}, {rs1}, {rs2}")
def and_(s: Session, o: R) -> None:
    """And of rs1 and rs2."""
    s.x[o.rd] = s.x[o.rs1] & s.x[o.rs2]


# --- RV64 words -------------------------------------------------------------------------------------------------------------------


@insn("............ ..... 000 ..... 0011011", "addiw {rd}, {rs1}, {imm}", xlen=64)
def addiw(s: Session, o: I) -> None:
    """Add the immediate to the low word of rs1 and sign-extend the 32-bit sum."""
    s.x[o.rd] = (s.x[o.rs1] + o.imm).trunc(32).sext(64)


@insn("0000000 ..... ..... 001 ..... 0011011", "slliw {rd}, {rs1}, {shamt}", xlen=64)
def slliw(s: Session, o: Shift) -> None:
    """Shift the low word of rs1 left and sign-extend it."""
    s.x[o.rd] = (s.x[o.rs1].trunc(32) << o.shamt.trunc(32)).sext(64)


@insn("0000000 ..... ..... 101 ..... 0011011", "srliw {rd}, {rs1}, {shamt}", xlen=64)
def srliw(s: Session, o: Shift) -> None:
    """Shift the low word of rs1 right, filling with zeros, and sign-extend it."""
    s.x[o.rd] = (s.x[o.rs1].trunc(32) >> o.shamt.trunc(32)).sext(64)


@insn("0100000 ..... ..... 101 ..... 0011011", "sraiw {rd}, {rs1}, {shamt}", xlen=64)
def sraiw(s: Session, o: Shift) -> None:
    """Shift the low word of rs1 right, filling with its sign, and sign-extend it."""
    s.x[o.rd] = (s.x[o.rs1].trunc(32).s >> o.shamt.trunc(32)).sext(64)


@insn("0000000 ..... ..... 000 ..... 0111011", "addw {rd}, {rs1}, {rs2}", xlen=64)
def addw(s: Session, o: R) -> None:
    """Add the low words and sign-extend the 32-bit sum."""
    s.x[o.rd] = (s.x[o.rs1].trunc(32) + s.x[o.rs2].trunc(32)).sext(64)


@insn("0100000 ..... ..... 000 ..... 0111011", "subw {rd}, {rs1}, {rs2}", xlen=64)
def subw(s: Session, o: R) -> None:
    """Subtract the low words and sign-extend the 32-bit difference."""
    s.x[o.rd] = (s.x[o.rs1].trunc(32) - s.x[o.rs2].trunc(32)).sext(64)


@insn("0000000 ..... ..... 001 ..... 0111011", "sllw {rd}, {rs1}, {rs2}", xlen=64)
def sllw(s: Session, o: R) -> None:
    """Shift the low word of rs1 left by the low five bits of rs2 and sign-extend it."""
    s.x[o.rd] = (s.x[o.rs1].trunc(32) << s.x[o.rs2].trunc(32)).sext(64)


@insn("0000000 ..... ..... 101 ..... 0111011", "srlw {rd}, {rs1}, {rs2}", xlen=64)
def srlw(s: Session, o: R) -> None:
    """Shift the low word of rs1 right by the low five bits of rs2, filling with zeros, and sign-extend it."""
    s.x[o.rd] = (s.x[o.rs1].trunc(32) >> s.x[o.rs2].trunc(32)).sext(64)


@insn("0100000 ..... ..... 101 ..... 0111011", "sraw {rd}, {rs1}, {rs2}", xlen=64)
def sraw(s: Session, o: R) -> None:
    """Shift the low word of rs1 right by the low five bits of rs2, filling with its sign, and sign-extend it."""
    s.x[o.rd] = (s.x[o.rs1].trunc(32).s >> s.x[o.rs2].trunc(32)).sext(64)


# --- order and environment --------------------------------------------------------------------------------------------------------


@insn("................. 000 ..... 0001111", "fence")
def fence(s: Session, o: None_) -> None:
    """Order memory accesses; every fence orders all of them. PAUSE and reserved forms are fences too."""
    s.fence()


@insn("000000000000 00000 000 00000 1110011", "ecall", privileged=True)
def ecall(s: Session, o: None_) -> None:
    """Call the execution environment."""
    if s.context == 1 and s.config.firmware:
        from ratite.isa.riscv.sbi_calls import answer

        answer(s)
        s.exit(Exit.FIRMWARE, s.pc)
    else:
        s.trap(8 + s.context)


@insn("000000000001 00000 000 00000 1110011", "ebreak")
def ebreak(s: Session, o: None_) -> None:
    """Raise a breakpoint exception."""
    s.trap(3, s.pc)
