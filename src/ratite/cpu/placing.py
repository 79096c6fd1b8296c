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
from typing import TYPE_CHECKING

from ratite.codegen.joining import AWAY, NOT_AN_ENTRY, RELATIVE
from ratite.cpu.codepage import PAGE, CodePage, Unit

if TYPE_CHECKING:
    from ratite.cpu.engine import Engine
    from ratite.cpu.memo import Entry, Memo

_pack32 = struct.Struct("<i").pack_into

#: What an element of a plan is; only others than instructions are noted. Entries are instructions and COUNTs, which count what follows
#: them: those are INSIDE.
INSTRUCTION, BEHIND_GUARD, GOTO, COUNT, INSIDE = range(5)


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
        self.page, self.memo, self.plan = page, memo, plan
        offsets = array("I", plan.offsets)
        for n, kind in plan.others.items():
            if kind != COUNT:
                offsets[n] |= NOT_AN_ENTRY
        line = engine.joiner.join(array("Q", [e[5] for e in plan.entries]), offsets)
        self.code, self.starts, self.relocations = line.code, line.starts, line.relocations
        self.links: list[tuple[int, int]] = []
        self.pending: list[tuple[int, int]] = []
        self._gotos: dict[int, int] = {}
        for kind, place, target in line.exits:
            known = self._goto(target) if kind == AWAY else self._branch(place, target)
            if known is not None:
                _pack32(self.code, place, known - place - 4)

    def _branch(self, place: int, target: int) -> int | None:
        """Where the displacement at `place` leads, which wants to go to guest offset `target`; None where that will be known when the unit has its
        place."""
        if target in self.page.entries:
            self.links.append((place, target))
            return None
        if 0 <= target < PAGE:
            self.pending.append((place, target))
        return self._goto(target)

    def _goto(self, target: int) -> int:
        """A stub that goes on at `target`, an offset from the start of the page."""
        known = self._gotos.get(target)
        if known is None:
            known = self._gotos[target] = len(self.code)
            code, relocations = goto_image(self.memo, known, target)
            self.code += code
            self.relocations.extend(relocations)
        return known

    def unit(self, start: int) -> Unit:
        """The unit of this image at an address."""
        unit = Unit(self.page, start, len(self.code), self.starts[-1])
        plan = self.plan
        unit.pcs, unit.places = array("H", plan.offsets), self.starts[:-1]
        for n in sorted(plan.others, reverse=True):
            if plan.others[n] in (GOTO, COUNT):
                del unit.pcs[n], unit.places[n]
        unit.relocations = self.relocations
        unit.links = self.links + self.pending
        unit.portable, unit.second = plan.portable, plan.second
        return unit


def goto_image(memo: Memo, place: int, target: int) -> tuple[bytes, list[int]]:
    """A jump to guest offset `target` of a page through the jump cache, to lie at `place`, and its relocations."""
    code, lates, *_ = memo.goto()
    relocations: list[int] = []
    for kind, offset, value in lates:
        relocations += (place + offset, kind & 15, value + target if kind & RELATIVE else value)
    return code, relocations
