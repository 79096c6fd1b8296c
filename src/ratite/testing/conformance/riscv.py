"""RISC-V as a subject of conformance tests: edges of operands, and what its peers are known to do otherwise."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ratite.bits import mask
from ratite.isa.dsl import Insn
from ratite.isa.riscv import hart
from ratite.isa.riscv.arch import make_arch
from ratite.isa.riscv.cpus import parse_cpu
from ratite.testing.conformance.assembly import Capstone, Texts
from ratite.testing.conformance.cases import BREAKPOINT, CALL, CODE, FAULT, ILLEGAL, MISALIGNED, Case, Outcome, Subject
from ratite.testing.conformance.edges import float_patterns, integer_edges
from ratite.testing.conformance.linux_peer import Seen, Target, engine_flags
from ratite.testing.conformance.native import MACHINES, PARK, Handles
from ratite.testing.conformance.profile import Profile, Round
from ratite.testing.conformance.report import Skip, Version
from ratite.testing.conformance.unicorn_peer import Binding

#: Exceptions by cause (volume II, 20211203, table 3.6).
EVENTS = {
    1: FAULT, 5: FAULT, 7: FAULT, 12: FAULT, 13: FAULT, 15: FAULT,
    2: ILLEGAL, 3: BREAKPOINT, 4: MISALIGNED, 6: MISALIGNED, 8: CALL, 11: CALL,
}  # fmt: skip

_BOX = 0xFFFF_FFFF_0000_0000


def float_edges() -> list[int]:
    """Doubles, boxed singles, and singles whose box is damaged."""
    singles = float_patterns(32, 23)
    return float_patterns(64, 52) + [v | _BOX for v in singles] * 2 + [singles[5], singles[9] | 0xFFFF_FFFE_0000_0000]


@cache
def subject(xlen: int) -> Subject:
    """User mode of the generic hart."""
    arch = make_arch(parse_cpu(f"rv{xlen}", xlen).for_user_mode())
    return Subject(
        arch,
        {"x": integer_edges(xlen), "f": float_edges()},
        {"frm": (0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7), "fp_flags": (0, 0, 0, 1, 6, 31), "fs": (3,)},
    )


# --- what peers do otherwise ------------------------------------------------------------------------------------------


def _extension(*names: str) -> Callable[[Case, Outcome], bool]:
    return lambda case, expected: case.insn.extension in names


def _single(case: Case, expected: Outcome) -> bool:
    """Whether an instruction reads or writes a boxed number."""
    return case.insn.extension in ("f", "zcf") or case.insn.name in ("fcvt.s.d", "fcvt.d.s")


def _extreme_of_signalling_nan(case: Case, expected: Outcome) -> bool:
    if not case.insn.name.startswith(("fmin.d", "fmax.d")):
        return False
    operands = (case.registers["f"][case.word >> at & 31] for at in (15, 20))
    return any(value >> 51 & 0xFFF == 0xFFE and value & mask(51) for value in operands)


def _sc_misaligned(case: Case, expected: Outcome) -> bool:
    return case.insn.name.startswith("sc.") and expected.event == MISALIGNED


def _ctzw_of_zero(case: Case, expected: Outcome) -> bool:
    rs1 = case.word >> 15 & 31
    return case.insn.name == "ctzw" and not case.registers["x"][rs1] & 0xFFFF_FFFF


def _block_nowhere(case: Case, expected: Outcome) -> bool:
    return case.insn.extension == "zicbom" and expected.event == FAULT


#: What is not compared with whom, and why.
SKIPS = (
    Skip("*", "jumps to itself", lambda case, expected: expected.pc == CODE and not expected.event),
    Skip("*", "calls the environment", lambda case, expected: case.insn.name == "ecall"),
    Skip("*", "depends on the privileged state: has tests of its own", _extension("zicsr", "s", "priv", "svinval")),
    Skip("qemu", "QEMU checks the alignment of sc only when there is a reservation", _sc_misaligned),
    Skip("unicorn", "Unicorn checks the alignment of sc only when there is a reservation", _sc_misaligned),
    Skip("qemu", "QEMU 7.2 has no cache-block instructions", _extension("zicbom", "zicboz"), before=(8, 0)),
    Skip("qemu", "QEMU 7.2 counts on into the upper word", _ctzw_of_zero, before=(8, 0)),
    *(Skip(name, "managing a block where nothing is does nothing in a bare machine", _block_nowhere) for name in MACHINES),
    Skip("unicorn", "Unicorn is too old for it", _extension("zba", "zbb", "zbc", "zbs", "zicbom", "zicboz")),
    Skip("unicorn", "Unicorn neither makes nor checks NaN boxes", _single),
    Skip("unicorn", "Unicorn has fmin and fmax of the manual before 2.2: a signalling NaN gives a NaN", _extreme_of_signalling_nan),
    Skip("unicorn", "Unicorn calls a breakpoint illegal", lambda case, expected: expected.event == BREAKPOINT),
)


def qemu_options(xlen: int, version: Version = ()) -> Sequence[str]:
    """The extensions of the generic hart."""
    blocks = ",zicbom=on,zicboz=on" if version >= (8, 0) else ""
    return "-cpu", f"rv{xlen},zba=on,zbb=on,zbc=on,zbs=on{blocks}"


# --- a Linux program --------------------------------------------------------------------------------------------------

_ABI = {32: ("rv32gc", "ilp32d"), 64: ("rv64gc", "lp64d")}
_OPTIONS = ("-fno-tree-loop-distribute-patterns", "-msmall-data-limit=0", "-mcmodel=medany", "-Wl,--no-relax")


def _pack(case: Case, pc: int) -> Sequence[int]:
    fcsr = case.fields["frm"] << 5 | engine_flags(case.fields["fp_flags"])
    return (pc, *case.registers["x"][1:], *case.registers["f"], fcsr)


def _unpack(case: Case, values: Sequence[int]) -> Seen:
    registers = {"x": (0, *values[1:32]), "f": tuple(values[32:64])}
    return Seen(values[0], registers, {"frm": values[64] >> 5, "fp_flags": engine_flags(values[64])})


@cache
def target(xlen: int) -> Target:
    """The program for a register width."""
    march, mabi = _ABI[xlen]
    compiler = ("riscv64-linux-gnu-gcc", f"-march={march}", f"-mabi={mabi}", *_OPTIONS, "-Wl,-Ttext-segment=0x40000000")
    return Target(Path(__file__).with_name("riscv.h"), [compiler], struct.Struct("<32Q32QQ"), _pack, _unpack)


# --- a bare machine ---------------------------------------------------------------------------------------------------

_WFI = 0x1050_0073.to_bytes(4, "little")
_C_EBREAK = 0x9002.to_bytes(2, "little")


def _prepare(vcpu: Any) -> None:
    hart.reset(vcpu, vcpu.engine.arch.config, 0)
    vcpu.state.mtvec = PARK


def _trapped(state: Any) -> tuple[int, str]:
    return state.mepc, EVENTS[state.mcause]


#: Machine mode, exceptions to a `wfi`.
HANDLES = Handles(_WFI, _C_EBREAK, _prepare, _trapped)


# --- Unicorn ----------------------------------------------------------------------------------------------------------

_FS_DIRTY = 3 << 13


def binding(xlen: int) -> Binding:
    """How Unicorn names RV32 and RV64: register numbers, and machine mode with floating point switched on."""
    from unicorn import UC_ARCH_RISCV, UC_MODE_RISCV32, UC_MODE_RISCV64
    from unicorn import riscv_const as names

    def write(machine: Any, fields: Mapping[str, int]) -> None:
        machine.reg_write(names.UC_RISCV_REG_FCSR, fields["frm"] << 5 | engine_flags(fields["fp_flags"]))

    def read(machine: Any, fields: Mapping[str, int]) -> dict[str, int]:
        fcsr = machine.reg_read(names.UC_RISCV_REG_FCSR)
        return {**fields, "frm": fcsr >> 5, "fp_flags": engine_flags(fcsr)}

    return Binding(
        arch=UC_ARCH_RISCV,
        mode=UC_MODE_RISCV64 if xlen == 64 else UC_MODE_RISCV32,
        registers={
            "x": [None, *(getattr(names, f"UC_RISCV_REG_X{n}") for n in range(1, 32))],
            "f": [getattr(names, f"UC_RISCV_REG_F{n}") for n in range(32)],
        },
        pc=names.UC_RISCV_REG_PC,
        events=EVENTS,
        prepare=lambda machine: machine.reg_write(names.UC_RISCV_REG_MSTATUS, _FS_DIRTY),
        write=write,
        read=read,
    )


# --- assembly text ----------------------------------------------------------------------------------------------------

#: What only looks different in Capstone: it prints these for special cases of the instruction.
_PSEUDO = {
    "addi": {"nop", "mv"}, "addiw": {"sext.w"}, "xori": {"not"}, "sltiu": {"seqz"}, "sltu": {"snez"}, "sub": {"neg"},
    "subw": {"negw"}, "slt": {"sltz", "sgtz"}, "jal": {"j"}, "jalr": {"jr", "ret"}, "fence": {"fence"},
    "c.addi": {"c.nop"}, "beq": {"beqz"}, "bne": {"bnez"}, "blt": {"bltz", "bgtz"}, "bge": {"bgez", "blez"},
    **{f"fsgnj{kind}.{p}": {f"f{name}.{p}"} for kind, name in (("", "mv"), ("n", "neg"), ("x", "abs")) for p in "sd"},
}  # fmt: skip

#: Instructions that other tools know without a rounding mode: their results are exact.
EXACT = {"fcvt.d.w", "fcvt.d.wu", "fcvt.d.s"}

_PRIVILEGED = {"zicsr", "priv", "s", "svinval"}


def text_left_out(insn: Insn, word: int, text: str) -> str:
    """Why the text of a word is not compared, "" if it is."""
    if insn.extension in _PRIVILEGED:
        return "names of control registers: has tests of its own"
    if insn.name in ("fence", "fence.i"):
        return "has fields that the text does not show"
    return "reserved rounding mode" if "reserved" in text else ""


def _number(text: str) -> str:
    return str(int(text, 0)) if re.fullmatch(r"-?(0x)?[0-9a-f]+", text) and text[0] in "-0123456789" else text


def tokens(text: str) -> list[str]:
    """A line of assembly as mnemonic and operands, numbers in decimal, the default rounding mode left out."""
    parts = [_number(t) for t in re.split(r"[\s,()]+", text.strip()) if t and t != "dyn"]
    if parts[0] in ("jalr", "c.jalr") and len(parts) == 4 and not parts[3].lstrip("-").isdigit():
        parts[2:] = [parts[3], parts[2]]
    return parts


def upper(parts: list[str]) -> list[str]:
    """`lui` and its like name the upper 20 bits only in other tools."""
    return [*parts[:-1], str(int(parts[-1]) >> 12 & 0xFFFFF)]


def _same_text(insn: Insn, text: str, other: str) -> bool:
    ours, theirs = tokens(text), tokens(other)
    if theirs[0] in _PSEUDO.get(insn.name, ()):
        return True
    if insn.name in ("lui", "auipc", "c.lui"):
        ours = upper(ours)
    if insn.name in ("jal", "jalr") and len(theirs) < len(ours):
        return True  # the short form for a link in ra
    return theirs[:3] == ours[:3] if insn.name in EXACT else theirs == ours


def capstone(xlen: int) -> Capstone:
    """Capstone, which knows all but what is newest."""
    return Capstone("CS_ARCH_RISCV", (f"CS_MODE_RISCV{xlen}", "CS_MODE_RISCVC"), Texts(text_left_out, _same_text))


# --- all of it --------------------------------------------------------------------------------------------------------


def profile(name: str) -> Profile:
    """RV32 or RV64 with all that the generic hart has."""
    xlen = 32 if name == "riscv32" else 64
    return Profile(
        name=name,
        rounds=[Round("edges", subject(xlen))],
        machine=lambda: make_arch(parse_cpu(f"rv{xlen}", xlen)),
        events=EVENTS,
        handles=HANDLES,
        target=target(xlen),
        qemu=(f"qemu-{name}-static", f"qemu-{name}"),
        qemu_options=lambda version: qemu_options(xlen, version),
        skips=SKIPS,
        disassemblers=[capstone(xlen)],
        unicorn=lambda: binding(xlen),
    )
