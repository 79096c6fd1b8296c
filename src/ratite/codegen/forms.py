"""Forms of instructions: what their stencils are kept under, and what is known of them without compiling anything.

A form is an instruction together with how its operands are held: a register operand is the zero register, one of the pinned registers, or in
memory; an immediate is zero, small or large, of either sign (`ratite.codegen.stencil` compiles them).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ratite.codegen import host_x86_64 as host
from ratite.codegen.kinds import MEMORY, ZERO

if TYPE_CHECKING:
    from ratite.codegen.inspect_x86_64 import RegisterField
    from ratite.isa.dsl import Insn, Layout


class Form(NamedTuple):
    """What determines an instruction's text: its name, static operands, and privilege mode (-1 where that does not matter)."""

    name: str
    statics: tuple[int, ...]
    context: int


def form_of(insn: Insn, statics: tuple[int, ...], context: int) -> Form:
    """The form of an instruction in a context."""
    return Form(insn.text.name, statics, context if insn.text.privileged else -1)


class Key(NamedTuple):
    """A form with the classes of its register and immediate operands."""

    form: Form
    regs: tuple[int, ...]
    imms: tuple[str, ...]


def key_from(plain: Any) -> Key:
    """The key that has become plain tuples."""
    (name, statics, context), regs, imms = plain
    return Key(Form(name, statics, context), regs, imms)


class Hole(NamedTuple):
    """An operand in the code: index of the operand (registers, then immediates; -1: offset of the jump cache), place, size, what to add."""

    operand: int
    offset: int
    size: int
    addend: int


class Late(NamedTuple):
    """A place to fill when the code is placed.

    base: what `addend` counts from: "pc", "npc", "imm" (pc + immediate), the name of a native helper, or the bytes of a constant.
    """

    kind: int
    offset: int
    addend: int
    base: str | bytes


class Stencil(NamedTuple):
    """A compiled form. fields: where the code names pinned registers, to be renamed for others; None where that can not be. others: pinned registers
    that it uses beside its operands."""

    code: bytes
    holes: tuple[Hole, ...]
    lates: tuple[Late, ...]
    fields: tuple[RegisterField, ...] | None
    others: tuple[int, ...]


class FormInfo(NamedTuple):
    """What the translator must know of a form before it can choose a stencil.

    imms: for each immediate "plain", "sum" (it is only added to something), "address" (the same, and that is where memory is accessed), "shift"
    (amount), "unused", "wide" (only describes an exception), "branch" or "pcrel". interpreted: it has no machine code. ends: execution never
    reaches the instruction after it directly. links: index of the register operand that receives the address of the instruction after it, or -1.
    resumes: it ends in an exception, from which execution may come back. forks: execution may leave here and not as an exception, or a helper is
    called, which may look at the clock.
    """

    imms: tuple[str, ...]
    interpreted: bool
    ends: bool
    links: int
    resumes: bool
    forks: bool


def canonical(regs: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """The register classes with canonical registers for the pinned ones, and which pinned ones they stand for, in order; None where there are too
    many."""
    pins: list[int] = []
    for cls in regs:
        if cls >= 0 and cls not in pins:
            pins.append(cls)
    if len(pins) > len(host.CANONICAL):
        return None
    return tuple([cls if cls < 0 else host.CANONICAL[pins.index(cls)] for cls in regs]), tuple(pins)


def register_classes(layout: Layout) -> dict[str, list[int]]:
    """The class of each register, by file."""
    pins = {p: i for i, p in enumerate(layout.pinned)}
    found = {}
    for slot in layout.slots.values():
        if hasattr(slot.decl, "count"):
            file = layout.file(slot.name)
            found[slot.name] = [ZERO if n == file.zero else pins.get((slot.name, n), MEMORY) for n in range(file.count)]
    return found


def imm_class(kind: str, value: int) -> str:
    """The class of an immediate: which code serves for it."""
    if kind in ("pcrel", "unused"):
        return "-"
    if kind == "wide":
        return "q"
    if kind == "branch":
        return "b" if value <= 0 else "f"  # a jump to itself is a loop too
    if value == 0 and kind != "address":
        return "0"
    if kind == "shift":
        return "s" if value < 32 else "S"
    if -112 <= value <= 111:
        return "p8" if value >= 0 else "n8"
    if -(1 << 31) + 16 <= value < (1 << 31) - 16:
        return "p" if value > 0 else "n"
    return "q"


#: A number of every interval whose numbers are in one class, of whatever kind they are.
INTERVALS = (-(1 << 40), -(1 << 30), -100, 0, 1, 40, 1 << 30, 1 << 40)


def of_either_sign(kind: str, cls: str, regs: tuple[int, ...]) -> str:
    """The class of an immediate, in a form with such registers: what adds a number to a host register is the same for both signs."""
    if kind in ("sum", "address") and ZERO not in regs:
        if cls in ("p8", "n8"):
            return "8"
        if cls in ("p", "n") and MEMORY not in regs:
            return "32"
    return cls
