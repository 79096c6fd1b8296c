"""Placing machine code: joining entries to a unit, and filling in what depends on where it lies.

A unit is first made as if it lay at address 0. What depends on its address, on its page's or on those of native helpers is in a table of
relocations, which native code applies; so a unit can be kept on disk and placed again. A relocation is three 64-bit numbers {place, kind, value}:

    SYMBOL      displacement (32 bits) to symbol `value >> 32`, plus the lower half of value
    ABSOLUTE    address (32 bits) of symbol `value >> 32`, plus the lower half of value
    PAGE64      guest address `value` bytes from the start of the page
    PAGE32      the same in 32 bits
    MISS        a whole stub of a memory access: symbol `value >> 48`, offset of its instruction in the page `value >> 32 & 0xffff`, place of its
                code in the lower half
"""

from __future__ import annotations

import struct
from array import array
from itertools import accumulate
from typing import TYPE_CHECKING

from ratite.bits import align_up
from ratite.codegen import host_x86_64 as host
from ratite.codegen.runtime import RELOCATE_ABSOLUTE, RELOCATE_MISS, RELOCATE_PAGE32, RELOCATE_PAGE64, RELOCATE_SYMBOL
from ratite.codegen.stencil import ADDRESS64, FIXED, MISS_LOAD, MISS_STORE, STUB, TAKEN
from ratite.cpu.codepage import PAGE, CodePage, Unit

if TYPE_CHECKING:
    from ratite.cpu.engine import Engine
    from ratite.cpu.memo import Entry, Lates, Memo

_pack32 = struct.Struct("<i").pack_into

_HANDLERS = {MISS_LOAD: "miss_load", MISS_STORE: "miss_store"}

#: What an element of a plan is; only others than instructions are noted. Entries are instructions and COUNTs, which count what follows
#: them: those are INSIDE.
INSTRUCTION, BEHIND_GUARD, GOTO, COUNT, INSIDE = range(5)
_ENTRIES = (INSTRUCTION, COUNT)


class Plan:
    """What to place: entries in order, the guest offsets which they stand for, and which of them are not entries of the page. portable, second:
    see `Unit`."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.offsets: list[int] = []
        self.others: dict[int, int] = {}
        self.portable = True
        self.second: int | None = None

    def add(self, entry: Entry, at: int, kind: int) -> None:
        """Append an element."""
        if kind != INSTRUCTION:
            self.others[len(self.entries)] = kind
        self.entries.append(entry)
        self.offsets.append(at)


class Image:
    """A unit being made. `code`: the straight line; behind it comes what is rarely run: stubs of accesses and of jumps out of the unit."""

    def __init__(self, engine: Engine, page: CodePage, memo: Memo, plan: Plan) -> None:
        self.engine, self.page, self.memo, self.plan = engine, page, memo, plan
        parts = [e[0] for e in plan.entries]
        first = _align_branches(plan.entries, parts)
        self.code = bytearray(first + b"".join(parts))
        self.starts = list(accumulate([len(part) for part in parts], initial=len(first)))
        others = plan.others
        self.local = {at: start for n, (at, start) in enumerate(zip(plan.offsets, self.starts, strict=False)) if others.get(n, 0) in _ENTRIES}
        self.inside = [plan.offsets[n] for n, kind in others.items() if kind == INSIDE]
        self.relocations: list[int] = []
        self.links: list[tuple[int, int]] = []
        self.pending: list[tuple[int, int]] = []
        self._cold: list[bytes | bytearray] = []
        self._end = align_up(self.starts[-1], 8)
        self._gotos: dict[int, int] = {}
        for n, e in enumerate(plan.entries):
            if e[1] is not None:
                self._element(n, e[1])
        self.code += bytes(align_up(self.starts[-1], 8) - self.starts[-1])
        self.code += b"".join(self._cold)

    def _element(self, n: int, lates: Lates) -> None:
        start, at = self.starts[n], self.plan.offsets[n]
        if self.plan.others.get(n) == GOTO and (at in self.local or at in self.page.entries):
            self.code[start : start + 5] = host.jump(0, 5)
            self._branch(start + 1, at)
            return
        self._resolve(lates, start, at)

    def _branch(self, place: int, target: int) -> None:
        """Let the displacement at `place` lead to guest offset `target`."""
        known = self.local.get(target)
        if known is None:
            if target in self.page.entries:
                self.links.append((place, target))
                return
            if 0 <= target < PAGE:
                self.pending.append((place, target))
            known = self._goto(target)
        _pack32(self.code, place, known - place - 4)

    def _resolve(self, lates: Lates, start: int, at: int) -> None:
        code, relocations = self.code, self.relocations
        for kind, offset, value in lates:
            place = start + offset
            if kind in (MISS_LOAD, MISS_STORE):
                stub = self._add(host.MISS_STUB)
                relocations += (stub, RELOCATE_MISS, self.engine.symbol_index(_HANDLERS[kind]) << 48 | at << 32 | start)
                _pack32(code, place, stub - place - 4)
            elif kind == TAKEN:
                self._branch(place, at + value)
            elif kind == STUB:
                _pack32(code, place, self._goto(at + value) - place - 4)
            else:
                relocations += _relocation(self.engine, kind, place, at, value)

    def _add(self, part: bytes | bytearray) -> int:
        at = self._end
        self._cold.append(part)
        self._end = at + len(part)
        return at

    def _goto(self, target: int) -> int:
        """A stub that goes on at `target`, an offset from the start of the page."""
        known = self._gotos.get(target)
        if known is None:
            known = self._gotos[target] = self._end
            code, relocations = goto_image(self.engine, self.memo, known, target)
            self._add(code)
            self.relocations += relocations
        return known

    def unit(self, start: int) -> Unit:
        """The unit of this image at an address."""
        unit = Unit(self.page, start, len(self.code), self.starts[-1])
        others = self.plan.others
        real = [n for n in range(len(self.plan.offsets)) if others.get(n) not in (GOTO, COUNT)] if others else range(len(self.plan.offsets))
        unit.pcs = array("H", [self.plan.offsets[n] for n in real])
        unit.places = array("I", [self.starts[n] for n in real])
        unit.relocations = array("q", self.relocations)
        unit.links = self.links + self.pending
        unit.portable, unit.second = self.plan.portable, self.plan.second
        return unit


def _align_branches(entries: list[Entry], parts: list[bytes]) -> bytes:
    """Put the displacement of every branch inside eight aligned bytes, so that patching it is one step for processors which execute it:
    lengthen the code before it in `parts`. Returns what the very first needs before it."""
    first, moved = b"", 0
    starts: list[int] | None = None
    for n, e in enumerate(entries):
        if e[3] is None:
            continue
        if starts is None:
            starts = list(accumulate([len(part) for part in parts], initial=0))
        for kind, offset, _ in e[1] or ():
            beyond = (starts[n] + moved + offset & 7) - 4
            if kind == TAKEN and beyond > 0:
                filler = host.NOPS[4 - beyond]
                moved += len(filler)
                if n:
                    parts[n - 1] += filler
                else:
                    first = filler
    return first


def _relocation(engine: Engine, kind: int, place: int, at: int, value: int | tuple[str | bytes, int]) -> tuple[int, int, int]:
    """What is late about an instruction at offset `at` of its page."""
    if isinstance(value, int):
        return place, RELOCATE_PAGE64 if kind == ADDRESS64 else RELOCATE_PAGE32, at + value
    symbol, addend = value
    return place, RELOCATE_SYMBOL if kind == FIXED else RELOCATE_ABSOLUTE, engine.symbol_index(symbol) << 32 | addend & 0xFFFFFFFF


def goto_image(engine: Engine, memo: Memo, place: int, target: int) -> tuple[bytes, list[int]]:
    """A jump to guest offset `target` of a page through the jump cache, to lie at `place`, and its relocations."""
    code, lates, _, _, _ = memo.goto()
    relocations: list[int] = []
    for kind, offset, value in lates or ():
        relocations += _relocation(engine, kind, place + offset, target, value)
    return code, relocations
