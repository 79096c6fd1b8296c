"""LoongArch as a subject of conformance tests: edges of operands, and what its peers are known to do otherwise."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from ratite.bits import mask, signed
from ratite.ir.ops import join
from ratite.isa.dsl import Insn
from ratite.isa.loongarch import core
from ratite.isa.loongarch.arch import make_arch
from ratite.isa.loongarch.cpus import parse_cpu
from ratite.isa.loongarch.exceptions import Cause
from ratite.testing import cross
from ratite.testing.conformance.assembly import Capstone, Llvm, Texts, decimal
from ratite.testing.conformance.cases import AT_TARGET, BREAKPOINT, CALL, CODE, FAULT, ILLEGAL, MISALIGNED, Case, Outcome, Subject
from ratite.testing.conformance.edges import float_patterns, integer_edges
from ratite.testing.conformance.linux_peer import Seen, Target, engine_flags
from ratite.testing.conformance.native import PARK, Handles
from ratite.testing.conformance.profile import Profile, Round
from ratite.testing.conformance.report import Skip, Version

#: An event that only LoongArch has.
ARITHMETIC = "floating-point exception"

#: Exceptions by cause, as Linux shows them: a failed bound check is a segmentation fault too. That of a misaligned jump comes after it.
EVENTS: dict[int, str] = {
    Cause.LOAD_PAGE: FAULT, Cause.STORE_PAGE: FAULT, Cause.FETCH_PAGE: FAULT, Cause.FETCH_ADDRESS: AT_TARGET,
    Cause.MEMORY_ADDRESS: FAULT, Cause.ALIGNMENT: MISALIGNED, Cause.BOUND_CHECK: FAULT,
    Cause.SYSTEM_CALL: CALL, Cause.BREAKPOINT: BREAKPOINT, Cause.ILLEGAL: ILLEGAL, Cause.FLOATING_POINT: ARITHMETIC,
    Cause.VECTOR_FLOATING_POINT: ARITHMETIC,
}  # fmt: skip


_BOX = 0xFFFF_FFFF_0000_0000


def _vectors(halves: Sequence[int], singles: Sequence[int], doubles: Sequence[int], count: int) -> list[int]:
    """Vectors of edges: one everywhere, and rows of different ones for every width of elements."""
    choice = random.Random("vectors")
    alike = [join([v & mask(w)] * (256 // w), w) for w in (8, 16, 32, 64) for v in (0, 1, 1 << w - 1, (1 << w - 1) - 1, mask(w))]
    bytes_ = (0, 1, 2, 7, 8, 15, 16, 31, 63, 127, 128, 255)
    rows = [
        join([choice.choice(values) & mask(w) for _ in range(256 // w)], w)
        for values, w in ((bytes_, 8), (halves, 16), (singles, 32), (doubles, 64))
        for _ in range(count)
    ]
    return alike + rows


@cache
def subject(cpu: str = "la464", traps: bool = False, vectors: bool = False) -> Subject:
    """User mode of a CPU; `traps`: with floating-point exceptions enabled; `vectors`: whole vector registers, not only the
    floating-point ones."""
    arch = make_arch(parse_cpu(cpu).for_user_mode())
    singles = float_patterns(32, 23)
    numbers = float_patterns(64, 52) + [v | _BOX for v in singles] + [v | 0x0123_4567 << 32 for v in singles]
    integers = integer_edges(64)
    floats = {"x": _vectors(float_patterns(16, 10), singles, float_patterns(64, 52) + integers, 60)} if vectors else {"f": numbers + integers}
    return Subject(
        arch,
        {"r": integers, **floats, "fcc": (0, 1)},
        {
            "fp_round": (0, 0, 1, 2, 3),
            "fp_flags": (0, 0, 1, 16, 31),
            "fcsr_enables": (1, 2, 4, 8, 16, 31) if traps else (0,),
            "fcsr_cause": (0, 1, 31),
        },
        {"fcc": 1},
    )


def is_vector(insn: Insn) -> bool:
    """Whether an instruction is of LSX or LASX."""
    return insn.extension.startswith(("LSX", "LASX"))


# --- what peers do otherwise ------------------------------------------------------------------------------------------

_BOUNDED = ("ldgt", "ldle", "stgt", "stle", "asrt")
_LOWER = (1 << 128) - 1
#: The first version of QEMU that has vectors and most of version 1.1.
_NEW = (8, 2)


def _named(*names: str) -> Callable[[Case, Outcome], bool]:
    return lambda case, expected: case.insn.name in names


def _extension(*names: str) -> Callable[[Case, Outcome], bool]:
    return lambda case, expected: case.insn.extension in names


def _bounds_differ(case: Case, expected: Outcome) -> bool:
    """Whether a bound check gives something else for unsigned addresses, or would come before one of alignment."""
    if not case.insn.name.startswith(_BOUNDED):
        return False
    a, b = (case.registers["r"][case.word >> at & 31] for at in (5, 10))
    return (a <= b) != (signed(a, 64) <= signed(b, 64)) or expected.event == MISALIGNED


def _bounded_float(case: Case, expected: Outcome) -> bool:
    return case.insn.name.startswith(("fldgt", "fldle", "fstgt", "fstle"))


def _linked_misaligned(case: Case, expected: Outcome) -> bool:
    return case.insn.name.startswith(("ll.", "sc.", "llacq.", "screl.")) and expected.event == MISALIGNED


def _atomic_misaligned(case: Case, expected: Outcome) -> bool:
    return case.insn.extension == "LAM" and expected.event == MISALIGNED


def _negated_directed(case: Case, expected: Outcome) -> bool:
    return case.insn.name.startswith(("fnmadd", "fnmsub")) and case.fields["fp_round"] > 1


def _no_such_control_register(case: Case, expected: Outcome) -> bool:
    return case.insn.name in ("movgr2fcsr", "movfcsr2gr") and expected.event == ILLEGAL


def _newer_words(case: Case, expected: Outcome) -> bool:
    return case.insn.name == "cpucfg" and case.registers["r"][case.word >> 5 & 31] in (2, 3, 6)


def _splits_access(case: Case, expected: Outcome) -> bool:
    return is_vector(case.insn) and expected.event == FAULT


#: What is not compared with whom, and why.
SKIPS = (
    Skip("*", "jumps to itself", lambda case, expected: expected.pc == CODE and not expected.event),
    Skip("*", "calls the system", _named("syscall")),
    Skip("*", "reads the clock", _extension("LLFTP")),
    Skip("qemu", "max is another processor in QEMU", _named("cpucfg"), since=_NEW),
    Skip("qemu", "QEMU does the part of a wide access that lies before a page which is not there", _splits_access),
    Skip("qemu", "QEMU 7.2 has no vectors", lambda case, expected: is_vector(case.insn), before=_NEW),
    Skip("qemu", "QEMU 7.2 has nothing of version 1.1", _extension("LAM_BH", "LAMCAS", "LLACQ_SCREL", "FRECIPE", "SCQ"), before=_NEW),
    Skip("qemu", "QEMU compares bounds unsigned (the manual: asrt signed), before it looks at alignment", _bounds_differ),
    Skip("qemu", "QEMU adds the bound to the address", _bounded_float),
    Skip("qemu", "QEMU lets sc be misaligned, 7.2 ll too", _linked_misaligned),
    Skip("qemu", "QEMU 7.2 lets atomic operations of user mode be misaligned", _atomic_misaligned, before=_NEW),
    Skip("qemu", "QEMU 7.2 rounds the negated sum, the manual negates the rounded one", _negated_directed, before=_NEW),
    Skip("qemu", "QEMU zero-extends where the manual allows anything", _named("ftintrz.w.s", "ftintrne.w.s")),
    Skip("qemu", "QEMU 7.2 does not have it", _named("preldx"), before=_NEW),
    Skip("qemu", "QEMU 7.2 forgets page walks and performance monitors in words 2, 3 and 6", _newer_words, before=_NEW),
    Skip("qemu", "QEMU takes numbers of control registers that there are not", _no_such_control_register),
    Skip("qemu", "QEMU 7.2 keeps reserved bits of fcsr0, among them some of RM's aliases", _named("movgr2fcsr"), before=_NEW),
)


def without_upper(case: Case, seen: Outcome) -> Outcome:
    """An outcome without the upper half of an LSX instruction's result: some of QEMU's clear that, some do not."""
    if not case.insn.extension.startswith("LSX"):
        return seen
    vectors = tuple(v & _LOWER if n == case.word & 31 else v for n, v in enumerate(seen.registers["x"]))
    return replace(seen, registers={**seen.registers, "x": vectors})


#: What is looked at of outcomes with whom.
VIEWS = {"qemu": without_upper}


def qemu_options(version: Version) -> Sequence[str]:
    """The processor that has most."""
    return ("-cpu", "max") if version >= _NEW else ()


# --- a Linux program --------------------------------------------------------------------------------------------------

#: fcsr0 has rounding up before down, the engine down before up.
_ROUNDING = (0, 1, 3, 2)


def compilers(*options: str) -> list[tuple[str, ...]]:
    """Command lines of compilers for LoongArch, for programs without vectors."""
    return [(*command, "-mno-lsx", *options) for command in cross.commands("loongarch64")]


def _pack(case: Case, pc: int) -> Sequence[int]:
    fields = case.fields
    fcsr = fields["fcsr_enables"] | _ROUNDING[fields["fp_round"]] << 8 | engine_flags(fields["fp_flags"]) << 16
    flags = int.from_bytes(case.registers["fcc"], "little")
    fcsr |= fields["fcsr_cause"] << 24
    vectors = case.registers.get("x") or case.registers["f"]
    words = [v >> 64 * n & mask(64) for v in vectors for n in range(4)]
    return (pc, *case.registers["r"][1:], *words, flags, fcsr)


def _unpack(case: Case, values: Sequence[int]) -> Seen:
    flags, fcsr = values[160:]
    registers = {"r": (0, *values[1:32]), "fcc": tuple(flags.to_bytes(8, "little"))}
    if "x" in case.registers:
        registers["x"] = tuple(join(values[n : n + 4], 64) for n in range(32, 160, 4))
    else:
        registers["f"] = tuple(values[32:160:4])
    fields = {
        "fcsr_enables": fcsr & 31, "fp_round": _ROUNDING[fcsr >> 8 & 3], "fp_flags": engine_flags(fcsr >> 16),
    }  # fmt: skip
    # Arithmetic does not keep Cause up while no exception is enabled.
    if case.fields["fcsr_enables"] or case.insn.name == "movgr2fcsr":
        fields["fcsr_cause"] = fcsr >> 24 & 31
    return Seen(values[0], registers, fields)


TARGET = Target(
    Path(__file__).with_name("loongarch.h"),
    compilers("-Wl,--image-base=0x40000000"),
    struct.Struct("<32Q128QQQ"),
    _pack,
    _unpack,
    {8: ARITHMETIC, 31: FAULT},  # QEMU 7.2 sends SIGSYS for a failed bound check
)


# --- a bare machine ---------------------------------------------------------------------------------------------------

_IDLE = 0x0648_8000.to_bytes(4, "little")
_BREAK = 0x002A_0000.to_bytes(4, "little")
#: Floating point and vectors switched on.
_ALL_UNITS = 7


class _NoOwner:
    """The surroundings of a core where there are none: nothing comes of what is asked of them."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


def _prepare(vcpu: Any) -> None:
    vcpu.owner = _NoOwner()
    core.reset(vcpu, 0)
    vcpu.state.eentry, vcpu.state.euen = PARK, _ALL_UNITS


def _trapped(state: Any) -> tuple[int, str]:
    cause = state.estat_code >> 16 & 0x3F | (state.estat_code >> 22 & 0x1FF) << 16
    return state.era, EVENTS[cause]


#: Level 0 with direct addresses, exceptions to an `idle`.
HANDLES = Handles(_IDLE, _BREAK, _prepare, _trapped)


# --- assembly text ----------------------------------------------------------------------------------------------------

#: What other tools print for special cases of instructions.
_SPECIAL = {"andi": {"nop"}, "or": {"move"}, "jirl": {"ret", "jr"}}


def text_left_out(insn: Insn, word: int, text: str) -> str:
    """Why the text of a word is not compared, "" if it is."""
    operands = {o.name: o.get(word) for o in insn.fmt.statics}
    illegal = operands.get("overlap") or operands.get("reversed") or operands.get("fcsr", 0) > 3
    return "illegal when it runs" if illegal else ""


def _same_text(insn: Insn, text: str, other: str) -> bool:
    ours, theirs = decimal(text), decimal(other)
    return ours == theirs or theirs.split()[0] in _SPECIAL.get(insn.name, ())


_TEXTS = Texts(text_left_out, _same_text)
LLVM = Llvm("loongarch64", "+d,+lsx,+lasx,+frecipe,+ual", 18, _TEXTS)
CAPSTONE = Capstone("CS_ARCH_LOONGARCH", ("CS_MODE_LOONGARCH64",), _TEXTS)


# --- all of it --------------------------------------------------------------------------------------------------------


def profile(name: str) -> Profile:
    """LA64 with everything."""
    return Profile(
        name=name,
        rounds=[
            Round("scalars", subject("max"), lambda insn: not is_vector(insn)),
            Round("floating-point exceptions enabled", subject("max", traps=True), lambda insn: insn.extension in ("FP", "FRECIPE")),
            Round("vectors", subject("max", vectors=True), is_vector),
        ],
        machine=lambda: make_arch(parse_cpu("max")),
        events=EVENTS,
        handles=HANDLES,
        target=TARGET,
        qemu=(f"qemu-{name}-static", f"qemu-{name}"),
        qemu_options=qemu_options,
        skips=SKIPS,
        views=VIEWS,
        disassemblers=[CAPSTONE, LLVM],
        user_options=("-cpu", "max"),
    )
