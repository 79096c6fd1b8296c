"""From instruction words to finished machine code, remembered by word.

One `Memo` serves one translation context (a privilege mode). An entry is what the translator joins:

    (code, lates, length, branch, flow)

lates: places to fill when the code is placed, as (kind, offset, value): for TAKEN and STUB the value is the distance of the target from the
instruction, for addresses what to add to the instruction's address, for FIXED and CONSTANT (symbol, what to add to its address). branch:
distance of a direct jump's target, or None. flow: GOES_ON, FORKS (execution may leave here), ENDS (what follows is not reached from here) or
RETURNS (it is reached when a callee or a trap handler returns).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ratite.codegen import pseudo
from ratite.codegen.stencil import (
    ADDRESS32,
    ADDRESS64,
    CONSTANT,
    FIXED,
    JUMP_BASE,
    JUMP_SIZE,
    MEMORY,
    STUB,
    TAKEN,
    ZERO,
    Form,
    FormInfo,
    Job,
    analyse,
    block_of,
    imm_class,
)
from ratite.isa.dsl import Insn

if TYPE_CHECKING:
    from ratite.cpu.engine import Engine

Lates = tuple[tuple[int, int, Any], ...]
Entry = tuple[bytes, Lates | None, int, int | None, int]
GOES_ON, ENDS, RETURNS, FORKS = range(4)

_PACK = {1: struct.Struct("b").pack_into, 4: struct.Struct("<i").pack_into, 8: struct.Struct("<q").pack_into}


class _Recipe(NamedTuple):
    """How entries of a form are built: for each register how to find its number, and its classes and offsets by number; for each immediate
    how to find it, and its kind."""

    form: Form
    info: FormInfo
    regs: list[tuple[Callable[[int], int], list[int], list[int]]]
    imms: list[tuple[Callable[[int], int], str]]


class _How(NamedTuple):
    """What an entry needs beside code and operands: kinds and values of immediates, length, and how execution goes on."""

    kinds: tuple[str, ...]
    values: list[int]
    length: int
    flow: int


class Missing(Exception):
    """A form that has not been compiled."""

    def __init__(self, job: Job) -> None:
        self.job = job


class Memo:
    """Entries of one context, by 16-bit unit and by 32-bit word."""

    def __init__(self, engine: Engine, context: int) -> None:
        self.engine, self.context = engine, context
        self.short: dict[int, Entry | None] = {}
        self.long: dict[int, Entry] = {}
        layout = engine.arch.layout
        pins = {p: i for i, p in enumerate(layout.pinned)}
        self.classes: dict[str, list[int]] = {}
        self.offsets: dict[str, list[int]] = {}
        for slot in layout.slots.values():
            if hasattr(slot.decl, "count"):
                file = layout.file(slot.name)
                self.classes[slot.name] = [ZERO if n == file.zero else pins.get((slot.name, n), MEMORY) for n in range(file.count)]
                self.offsets[slot.name] = [slot.at(n) for n in range(file.count)]
        self.jump_cache = JUMP_BASE + context * JUMP_SIZE
        self._goto: Entry | None = None
        self._recipes: dict[tuple[Insn, tuple[int, ...]], _Recipe] = {}

    def make(self, word: int, length: int) -> Entry:
        """The entry for an instruction seen for the first time; raises Missing when it has to be compiled before."""
        insn = self.engine.arch.decoder.decode(word, length)
        if insn is None:
            return self._build(self.engine.arch.illegal, word, length)
        return self._build(insn, word, length)

    def goto(self) -> Entry:
        """Code that goes on at a guest address through the jump cache."""
        if self._goto is None:
            self._goto = self._build(pseudo.GOTO, 0, 0)
        return self._goto

    def guard(self, page: int, expected: int) -> Entry:
        """Code that checks the second page of an instruction across two pages."""
        return self._build(pseudo.GUARD, 0, 0, imms=(page, expected & 0xFFFFFFFF, expected >> 32))

    def interpreted(self, length: int) -> Entry:
        """Code that leaves the instruction to the reference evaluator."""
        code, lates, _, _, _ = self._build(pseudo.INTERPRETED, 0, length)
        return code, lates, length, None, FORKS

    def count(self, instructions: int, run: int) -> Entry:
        """Code that charges the budget for a run of instructions, or leaves when it is too small."""
        return self._build(pseudo.COUNT, 0, 0, imms=(instructions, run))

    def form_of(self, insn: Insn, statics: tuple[int, ...]) -> Form:
        """The form of an instruction in this context."""
        return Form(insn.text.name, statics, self.context if insn.text.privileged else -1)

    def _recipe(self, insn: Insn, statics: tuple[int, ...]) -> _Recipe:
        """How to build entries of a form; made once."""
        form = self.form_of(insn, statics)
        library = self.engine.library
        info = library.forms.get(form)
        if info is None:
            info = analyse(block_of(insn, self.engine.arch, form), insn)
            library.add_form(form, info)
        _, reg_of, imm_of = insn.getters
        files = [r.file for r in insn.text.fmt.regs]
        regs = [(g, self.classes[f], self.offsets[f]) for g, f in zip(reg_of, files, strict=True)]
        recipe = self._recipes[insn, statics] = _Recipe(form, FormInfo(*info), regs, list(zip(imm_of, info[0], strict=True)))
        return recipe

    def _build(self, insn: Insn, word: int, length: int, imms: tuple[int, ...] | None = None) -> Entry:
        statics = tuple([int(g(word)) for g in insn.getters[0]])
        recipe = self._recipes.get((insn, statics)) or self._recipe(insn, statics)
        form, info, reg_ways, imm_ways = recipe
        if info.interpreted:
            return self.interpreted(length)
        classes, operands = [], []
        for get, cls, offset in reg_ways:
            n = get(word)
            classes.append(cls[n])
            operands.append(offset[n])
        kinds = []
        for n, (get, kind) in enumerate(imm_ways):
            value = get(word) if imms is None else imms[n]
            kinds.append(imm_class(kind, value))
            operands.append(value)
        comes_back = (info.resumes if info.links < 0 else classes[info.links] != ZERO) and insn is not self.engine.arch.illegal
        flow = (RETURNS if comes_back else ENDS) if info.ends else FORKS if info.forks else GOES_ON
        how = _How(info.imms, operands[len(classes) :], length, flow)
        imm_classes = tuple(kinds)
        library, regs = self.engine.library, tuple(classes)
        stencil = library.find(form, regs, imm_classes)
        if stencil is None:
            raise Missing(Job(library.missing(form, regs, imm_classes), insn, block_of(insn, self.engine.arch, form)))
        return self._patch(stencil, operands, how)

    def _patch(self, stencil: Any, operands: list[int], how: _How) -> Entry:
        code, holes, lates, _, _ = stencil
        if holes:
            data = bytearray(code)
            for operand, offset, size, addend in holes:
                value = (operands[operand] if operand >= 0 else self.jump_cache) + addend
                if size == 8 or value >> 31:  # a full-width operand: its bits, whatever their sign
                    half = 1 << (8 * size - 1)
                    value = (value + half) % (2 * half) - half
                _PACK[size](data, offset, value)
            code = bytes(data)
        distance = next((v for k, v in zip(how.kinds, how.values, strict=True) if k in ("branch", "pcrel")), None)
        branch = distance if "branch" in how.kinds else None
        return code, self._lates(lates, distance, how.length) if lates else None, how.length, branch, how.flow

    def _lates(self, lates: Any, distance: int | None, length: int) -> Lates:
        result: list[tuple[int, int, Any]] = []
        for kind, offset, addend, base in lates:
            value: Any = 0
            if kind in (TAKEN, STUB):
                value = distance or 0
            elif kind in (ADDRESS64, ADDRESS32):
                value = addend + {"pc": 0, "npc": length, "imm": distance or 0}[base]
            elif kind in (FIXED, CONSTANT):
                value = base, addend + (4 if kind == FIXED else 0)
            result.append((kind, offset, value))
        return tuple(result)
