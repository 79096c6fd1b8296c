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
from ratite.codegen.stencil import ADDRESS32, ADDRESS64, CONSTANT, FIXED, MISS_LOAD, MISS_STORE, STUB, TAKEN
from ratite.cpu.codepage import PAGE, CodePage, Unit

if TYPE_CHECKING:
    from ratite.cpu.engine import Engine
    from ratite.cpu.memo import Entry, Lates, Memo

_pack32 = struct.Struct("<i").pack_into

_MISSES, _MISS_SIZE = (MISS_LOAD, MISS_STORE), len(host.MISS_STUB)

#: What an element of a plan is; only instructions are entries, and only others than those are noted.
INSTRUCTION, BEHIND_GUARD, GOTO = range(3)


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
        codes = [e[0] for e in plan.entries]
        self.code = bytearray(b"".join(codes))
        self.starts = list(accumulate(map(len, codes), initial=0))
        others = plan.others
        if others:
            self.local = {at: start for n, (at, start) in enumerate(zip(plan.offsets, self.starts, strict=False)) if n not in others}
        else:
            self.local = dict(zip(plan.offsets, self.starts, strict=False))
        self.relocations: list[int] = []
        self.links: list[tuple[int, int]] = []
        self.pending: list[tuple[int, int]] = []
        self._cold: list[bytes | bytearray] = []
        self._end = align_up(self.starts[-1], 8)
        self._gotos: dict[int, int] = {}
        near = {n for n, kind in others.items() if kind == GOTO and (plan.offsets[n] in self.local or plan.offsets[n] in page.entries)}
        for n in near:
            start = self.starts[n]
            self.code[start : start + 5] = host.jump(0, 5)
            self._branch(start + 1, plan.offsets[n])
        for n, (e, start, at) in enumerate(zip(plan.entries, self.starts, plan.offsets, strict=False)):
            if e[1] is not None and n not in near:
                self._resolve(e[1], start, at)
        self.code += bytes(align_up(self.starts[-1], 8) - self.starts[-1])
        self.code += b"".join(self._cold)

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
        """Fill in the late places of the instruction at offset `at`, whose code begins at `start`."""
        for kind, offset, value in lates:
            place = start + offset
            if kind in _MISSES:
                stub = self._end
                self._cold.append(host.MISS_STUB)
                self._end = stub + _MISS_SIZE
                self.relocations += (stub, RELOCATE_MISS, value | at << 32 | start)
                _pack32(self.code, place, stub - place - 4)
            elif kind == TAKEN:
                self._branch(place, at + value)
            elif kind == STUB:
                _pack32(self.code, place, self._goto(at + value) - place - 4)
            else:
                self.relocations += _relocation(kind, place, at, value)

    def _add(self, part: bytes | bytearray) -> None:
        self._cold.append(part)
        self._end += len(part)

    def _goto(self, target: int) -> int:
        """A stub that goes on at `target`, an offset from the start of the page."""
        known = self._gotos.get(target)
        if known is None:
            known = self._gotos[target] = self._end
            code, relocations = goto_image(self.memo, known, target)
            self._add(code)
            self.relocations += relocations
        return known

    def unit(self, start: int) -> Unit:
        """The unit of this image at an address."""
        unit = Unit(self.page, start, len(self.code), self.starts[-1])
        plan = self.plan
        unit.pcs, unit.places = array("H", plan.offsets), array("I", self.starts[:-1])
        for n in sorted(plan.others, reverse=True):
            if plan.others[n] == GOTO:
                del unit.pcs[n], unit.places[n]
        unit.relocations = array("q", self.relocations)
        unit.links = self.links + self.pending
        unit.portable, unit.second = plan.portable, plan.second
        return unit


#: Late places that are a relocation of their own.
_RELOCATIONS = {ADDRESS64: RELOCATE_PAGE64, ADDRESS32: RELOCATE_PAGE32, FIXED: RELOCATE_SYMBOL, CONSTANT: RELOCATE_ABSOLUTE}


def _relocation(kind: int, place: int, at: int, value: int) -> tuple[int, int, int]:
    """What is late about an instruction at offset `at` of its page."""
    return place, _RELOCATIONS[kind], value if kind in (FIXED, CONSTANT) else at + value


def goto_image(memo: Memo, place: int, target: int) -> tuple[bytes, list[int]]:
    """A jump to guest offset `target` of a page through the jump cache, to lie at `place`, and its relocations."""
    code, lates, _, _, _ = memo.goto()
    relocations: list[int] = []
    for kind, offset, value in lates or ():
        relocations += _relocation(kind, place + offset, target, value)
    return code, relocations
