"""From instruction words to finished machine code, remembered by word.

One `Memo` serves one translation context (a privilege mode). An entry is what the translator joins:

    (code, lates, length, branch, flow, record)

code: without the values of immediates. lates: places to fill when the code is placed, as (kind, offset, value), with kinds of
`ratite.codegen.joining`: for addresses the value is what to add to the instruction's address, for other relocations `symbol << 32` plus the lower
half of what to add to its address, for MISS `symbol << 48`; where a place counts from the target of the instruction, its distance is to be added.
Symbols are numbers (`Engine.symbol_index`). branch: distance of a direct jump's target, or None. flow: GOES_ON, FORKS (execution may leave here),
ENDS (what follows is not reached from here) or RETURNS (it is reached when a callee or a trap handler returns). record: host address of the code
and lates with everything filled in, for native code.

A word is first decoded. The instruction with its static operands has a recipe; the recipe with the numbers of the registers and the classes of the
immediates gives a draft, in which all is done but for the values of the immediates. There are many more words than drafts.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ratite.codegen import host_x86_64 as host
from ratite.codegen.choosing import BRANCHES, ENDS, FLOW_AT, FORKS, GOES_ON, RETURNS, UNITS_AT
from ratite.codegen.forms import Form, FormInfo, Key, form_of, imm_class, of_either_sign, register_classes
from ratite.codegen.joining import AWAY, CODE_AT, MISS, TO, late_value_at, record, relocation
from ratite.codegen.kinds import ADDRESS32, ADDRESS64, CONSTANT, FIXED, MISS_HANDLERS, MISS_LOAD, MISS_STORE, STUB, TAKEN, ZERO
from ratite.codegen.placing import RELOCATE_ABSOLUTE, RELOCATE_PAGE32, RELOCATE_PAGE64, RELOCATE_SYMBOL
from ratite.codegen.tables import JUMP_BASE, JUMP_SIZE
from ratite.cpu.compiling import Missing
from ratite.cpu.words import KnownWords

if TYPE_CHECKING:
    from ratite.cpu.engine import Engine
    from ratite.cpu.joiner import Records
    from ratite.ir import Block
    from ratite.isa.dsl import Insn

Lates = tuple[tuple[int, int, int], ...]
Entry = tuple[bytes, Lates, int, int | None, int, int]
#: What becomes of late places of stencils.
_KINDS = {
    TAKEN: TO,
    STUB: AWAY,
    MISS_LOAD: MISS,
    MISS_STORE: MISS,
    ADDRESS64: relocation(RELOCATE_PAGE64, True),
    ADDRESS32: relocation(RELOCATE_PAGE32, True),
    FIXED: relocation(RELOCATE_SYMBOL, False),
    CONSTANT: relocation(RELOCATE_ABSOLUTE, False),
}

_PACK = {1: struct.Struct("b").pack_into, 4: struct.Struct("<i").pack_into, 8: struct.Struct("<q").pack_into}


class _Draft:
    """Entries but for the values of immediates. holes: (immediate, offset, size, what to add). lates: as in an entry; distant: which of them count
    from the target of the instruction, whose distance is immediate `target` (-1: there is none). branches: it is a direct jump to there. key: that
    of its stencil."""

    __slots__ = ("_branches", "_code", "_distant", "_flow", "_holes", "_lates", "_length", "_only", "_record", "_registers", "_target", "key")

    def __init__(
        self, key: Key, code: bytes, holes: Iterable[tuple[int, int, int, int]], lates: Lates, distant: Iterable[int], target: int, branches: bool,
        length: int, flow: int,
    ) -> None:  # fmt: skip
        self.key, self._registers = key, len(key.regs)
        self._code, self._lates, self._target, self._branches, self._length, self._flow = code, lates, target, branches, length, flow
        self._record = record(code, lates)
        self._holes = [(n, CODE_AT + offset, size, addend) for n, offset, size, addend in holes]
        self._distant = [(late_value_at(len(code), n), lates[n][2]) for n in distant] if target >= 0 else []
        self._only: Entry | None = None

    def entry(self, values: Sequence[int], records: Records) -> Entry:
        """The entry with these immediates."""
        if self._only is not None:
            return self._only
        data = bytearray(self._record)
        for n, offset, size, addend in self._holes:
            _fill(data, offset, size, values[n] + addend)
        distance = values[self._target] if self._target >= 0 else 0
        for at, value in self._distant:
            _PACK[8](data, at, value + distance)
        entry = self._code, self._lates, self._length, distance if self._branches else None, self._flow, records.put(data)
        if not self._holes and self._target < 0:
            self._only = entry
        return entry


    def described(self, general: Any, jump_cache: int) -> bytes:
        """For native code: a `ratite.codegen.choosing.Draft`. general: what `Library.general` gives for it."""
        code, holes, fields, others = general
        text = bytearray(code)
        for operand, offset, size, addend in holes:
            if operand < 0:
                _fill(text, offset, size, jump_cache + addend)
        data = record(bytes(text), self._lates)
        info = self._flow << FLOW_AT | self._length // 2 << UNITS_AT | (BRANCHES if self._branches else 0)
        target = self._target + self._registers if self._target >= 0 else -1
        left = [hole for hole in holes if hole[0] >= 0]
        parts = [struct.pack("<7q", len(data), info, target, others, len(left), len(self._distant), len(fields))]
        parts += [struct.pack("<4q", operand, CODE_AT + offset, size, addend) for operand, offset, size, addend in left]
        parts += [struct.pack("<2q", at, value) for at, value in self._distant]
        for which, high, bit, inverted, low, shift in fields:
            parts.append(struct.pack("<BBHBBHB7x", which, bit < 0, CODE_AT + high, max(bit, 0), inverted, CODE_AT + low, shift))
        return b"".join(parts) + data


class _Recipe:
    """How entries of a form are built: how to find the numbers of its registers, their classes and offsets by number; how to find its immediates,
    and their kinds; what has been drafted by numbers and classes of immediates."""

    def __init__(self, form: Form, info: FormInfo, insn: Insn, classes: list[list[int]], offsets: list[list[int]]) -> None:
        self.form, self.info, self.insn = form, info, insn
        _, self.regs, self.imms = insn.getters
        self.files = [r.file for r in insn.text.fmt.regs]
        self.classes, self.offsets = classes, offsets
        self.drafts: dict[tuple[int | str, ...], _Draft] = {}
        self.block: Block | None = None


def _fill(data: bytearray, offset: int, size: int, value: int) -> None:
    """Write a number into a hole."""
    if size == 8 or value >> 31:  # a full-width operand: its bits, whatever their sign
        half = 1 << (8 * size - 1)
        value = (value + half) % (2 * half) - half
    _PACK[size](data, offset, value)


class Memo:
    """Entries of one context. words: those that have been made, for native code."""

    def __init__(self, engine: Engine, context: int) -> None:
        self.engine, self.context = engine, context
        layout = engine.arch.layout
        self.classes = register_classes(layout)
        self.offsets = {name: [layout.slots[name].at(n) for n in range(len(classes))] for name, classes in self.classes.items()}
        self.words = KnownWords(engine, engine.joiner.records, self._files())
        self.jump_cache = JUMP_BASE + context * JUMP_SIZE
        self._goto: Entry | None = None
        self._near: Entry | None = None
        self._recipes: dict[tuple[Insn, tuple[int, ...]], _Recipe] = {}
        self._handlers = {kind: engine.symbol_index(name) << 48 for kind, name in MISS_HANDLERS.items() if not engine.arch.user}

    def make(self, word: int, length: int) -> Entry:
        """The entry for an instruction seen for the first time; raises Missing when it has to be compiled before."""
        insn = self.engine.arch.decoder.decode(word, length) or self.engine.arch.illegal
        entry = self._build(insn, word, length)
        if self.words.find(word) is None:
            self.words.put(word, entry[5], entry[4], length // 2, entry[3])
        return entry

    def entry(self, word: int, length: int) -> Entry:
        """The entry for an instruction, without its code and lates where it has been seen before; raises Missing as `make` does."""
        known = self.words.find(word)
        if known is None:
            return self.make(word, length)
        record, flow, branch = known
        return b"", (), length, branch, flow, record

    def goto(self) -> Entry:
        """Code that goes on at a guest address through the jump cache."""
        if self._goto is None:
            self._goto = self._own("GOTO")
        return self._goto

    def near(self) -> Entry:
        """Code that goes on at a guest address which has code in this page."""
        if self._near is None:
            code, lates = host.jump(0, 5), ((TO, 1, 0),)
            self._near = code, lates, 0, None, ENDS, self.engine.joiner.records.put(record(code, lates))
        return self._near

    def guard(self, page: int, expected: int) -> Entry:
        """Code that checks the second page of an instruction across two pages."""
        return self._own("GUARD", imms=(page, expected & 0xFFFFFFFF, expected >> 32))

    def interpreted(self, length: int) -> Entry:
        """Code that leaves the instruction to the reference evaluator."""
        code, lates, _, _, _, place = self._own("INTERPRETED", length)
        return code, lates, length, None, FORKS, place

    def count(self, instructions: int, run: int) -> Entry:
        """Code that charges the budget for a run of instructions, or leaves when it is too small."""
        return self._own("COUNT", imms=(instructions, run))

    def _own(self, name: str, length: int = 0, imms: tuple[int, ...] | None = None) -> Entry:
        """A piece of the engine's own."""
        from ratite.codegen import pseudo

        return self._build(getattr(pseudo, name), 0, length, imms)

    def _recipe(self, insn: Insn, statics: tuple[int, ...]) -> _Recipe:
        """How to build entries of a form; made once."""
        form = form_of(insn, statics, self.context)
        library = self.engine.library
        info = library.forms.get(form)
        if info is None:
            from ratite.codegen.stencil import analyse, block_of

            info = analyse(block_of(insn, self.engine.arch, form), insn)
            library.add_form(form, info)
        files = [r.file for r in insn.text.fmt.regs]
        recipe = _Recipe(form, FormInfo(*info), insn, [self.classes[f] for f in files], [self.offsets[f] for f in files])
        self._recipes[insn, statics] = recipe
        return recipe

    def _build(self, insn: Insn, word: int, length: int, imms: tuple[int, ...] | None = None) -> Entry:
        static_of = insn.getters[0]
        statics = tuple([int(g(word)) for g in static_of]) if static_of else ()
        recipe = self._recipes.get((insn, statics)) or self._recipe(insn, statics)
        values = [g(word) for g in recipe.imms] if imms is None else imms
        key: list[int | str] = [g(word) for g in recipe.regs]
        for kind, value in zip(recipe.info.imms, values, strict=True):
            key.append(imm_class(kind, value))
        key.append(length)
        draft = recipe.drafts.get(tuple(key))
        if draft is None:
            if recipe.info.interpreted:
                return self.interpreted(length)
            draft = recipe.drafts[tuple(key)] = self._draft(recipe, key[: len(recipe.regs)], tuple(key[len(recipe.regs) : -1]), length)
        if insn.length and insn is not self.engine.arch.illegal:  # no piece of the engine's own, nor what has no pattern
            self.words.learn(insn, word, recipe.files, recipe.info.imms, lambda: self._describe(draft))
        return draft.entry(values, self.engine.joiner.records)

    def _draft(self, recipe: _Recipe, numbers: Sequence[Any], kinds: tuple[Any, ...], length: int) -> _Draft:
        """What entries with these registers and classes of immediates have in common; raises Missing."""
        form, info = recipe.form, recipe.info
        regs = tuple([of[n] for of, n in zip(recipe.classes, numbers, strict=True)])
        kinds = tuple([of_either_sign(kind, cls, regs) for kind, cls in zip(info.imms, kinds, strict=True)])
        stencil = self.engine.library.find(form, regs, kinds)
        if stencil is None:
            from ratite.codegen.stencil import Job, block_of

            if recipe.block is None:
                recipe.block = block_of(recipe.insn, self.engine.arch, form)
            raise Missing(Job(self.engine.library.missing(form, regs, kinds), recipe.insn, recipe.block))
        code, holes, lates, _, _ = stencil
        data, left = bytearray(code), []
        for operand, offset, size, addend in holes:
            if operand >= len(regs):
                left.append((operand - len(regs), offset, size, addend))
            else:
                known = recipe.offsets[operand][numbers[operand]] if operand >= 0 else self.jump_cache
                _fill(data, offset, size, known + addend)
        comes_back = (info.resumes if info.links < 0 else regs[info.links] != ZERO) and recipe.insn is not self.engine.arch.illegal
        target = next((n for n, k in enumerate(info.imms) if k in ("branch", "pcrel")), -1)
        return _Draft(
            Key(form, regs, kinds),
            code=bytes(data),
            holes=left,
            lates=tuple([(_KINDS[kind], offset, self._late(kind, addend, base, length)) for kind, offset, addend, base in lates]),
            distant=[n for n, late in enumerate(lates) if late[0] in (TAKEN, STUB) or late[3] == "imm"],
            target=target,
            branches="branch" in info.imms,
            length=length,
            flow=(RETURNS if comes_back else ENDS) if info.ends else FORKS if info.forks else GOES_ON,
        )

    def _describe(self, draft: _Draft) -> bytes | None:
        """A draft for native code, which serves for other registers too; None where there is none."""
        general = self.engine.library.general(draft.key)
        return None if general is None else draft.described(general, self.jump_cache)

    def _files(self) -> dict[str, bytes]:
        """The register files as in a `ratite.codegen.choosing.Group`."""
        tables = {}
        for name, classes in self.classes.items():
            numbers = [host.PIN_REGISTERS[cls] if cls >= 0 else 0 for cls in classes]
            tables[name] = b"".join(struct.pack("<hHi", *row) for row in zip(classes, numbers, self.offsets[name], strict=True))
        return tables

    def _late(self, kind: int, addend: int, base: Any, length: int) -> int:
        """The value of a late place, but for the distance of a target."""
        if kind in (FIXED, CONSTANT):
            return self.engine.symbol_index(base) << 32 | addend + (4 if kind == FIXED else 0) & 0xFFFFFFFF
        if kind in (ADDRESS64, ADDRESS32):
            return int(addend) + (length if base == "npc" else 0)
        return self._handlers.get(kind, 0)
