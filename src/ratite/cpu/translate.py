"""Translation of guest pages: look up every instruction word, join the code, fill the few places that depend on where it lies.

A page is translated from an entry onward, following direct jumps inside the page. Registers are held alike at every instruction, so every
instruction is an entry, and branches inside the page are linked directly. What leaves the page goes through the jump cache.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

from ratite import log
from ratite.bits import align_up
from ratite.codegen import host_x86_64 as host
from ratite.codegen.stencil import ADDRESS32, ADDRESS64, FIXED, MISS_LOAD, MISS_STORE, STUB, TAKEN
from ratite.cpu.memo import ENDS, GOES_ON, RETURNS, Entry, Memo, Missing
from ratite.errors import HostError

if TYPE_CHECKING:
    from ratite.cpu.engine import Engine

PAGE = 4096
_pack32 = struct.Struct("<i").pack_into
_pack64 = struct.Struct("<Q").pack_into


class CodePage:
    """The translation of one page: guest offset -> host address of the code.

    base: guest-virtual address of the page. key: (host address of the page, guest-virtual address, context). data: its bytes as 16-bit units.
    pending: branches to offsets that are not translated yet, to be linked directly when they are: host addresses of their displacements.
    """

    __slots__ = ("base", "data", "entries", "key", "limit", "pending")

    def __init__(self, key: tuple[int, int, int], data: memoryview) -> None:
        self.key, self.base = key, key[1]
        self.data = data.cast("H")
        self.limit = len(self.data)
        self.entries: dict[int, int] = {}
        self.pending: dict[int, list[int]] = {}


class Unit:
    """A piece of machine code placed at once: which instruction starts where."""

    __slots__ = ("end", "offsets", "page", "pcs", "start")

    def __init__(self, start: int, end: int, page: CodePage, offsets: array[int], pcs: array[int]) -> None:
        self.start, self.end, self.page, self.offsets, self.pcs = start, end, page, offsets, pcs


#: What an element of a plan is; only instructions are entries, and only others than those are noted.
_INSTRUCTION, _BEHIND_GUARD, _GOTO = range(3)


class _Plan:
    """What to place: entries in order, the guest offsets which they stand for, and which of them are not entries of the page."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.offsets: list[int] = []
        self.others: dict[int, int] = {}
        self.missing: list[Missing] = []

    def add(self, entry: Entry, at: int, kind: int) -> None:
        """Append an element."""
        if kind != _INSTRUCTION:
            self.others[len(self.entries)] = kind
        self.entries.append(entry)
        self.offsets.append(at)


class Translator:
    """Translates for one engine. Not thread-safe: the engine's lock is held."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.memos = [Memo(engine, n) for n in range(engine.arch.contexts)]
        self.units: list[Unit] = []
        self._starts: list[int] = []
        self.instructions = 0
        self.compiled = 0
        self._mask = (1 << engine.arch.word) - 1

    def clear(self) -> None:
        """Forget all units: the code memory is being emptied."""
        self.units.clear()
        self._starts.clear()

    def locate(self, address: int) -> tuple[CodePage, int] | None:
        """The page and the guest address of the instruction whose code holds host `address`."""
        n = bisect_right(self._starts, address) - 1
        if n < 0 or address >= self.units[n].end:
            return None
        u = self.units[n]
        i = bisect_right(u.offsets, address - u.start) - 1
        return u.page, u.page.base + u.pcs[i]

    # --- choosing the instructions ------------------------------------------------------------------------------------------------
    def translate(self, page: CodePage, offset: int) -> int:
        """Translate from `offset` of the page onward; the host address of its code."""
        memo = self.memos[page.key[2]]
        while True:
            plan = _Plan()
            try:
                memo.goto()  # branches out of the page will need it
            except Missing as m:
                plan.missing.append(m)
            self._choose(page, offset, memo, plan)
            if not plan.missing:
                break
            self._compile(plan.missing)
        return self._place(page, offset, memo, plan)

    def _compile(self, missing: list[Missing]) -> None:
        jobs = {m.job.key: m.job for m in missing}
        self.compiled += len(jobs)
        self.engine.library.compile(list(jobs.values()))

    def _choose(self, page: CodePage, offset: int, memo: Memo, plan: _Plan) -> None:
        """Follow the code from `offset` and the loops in it. Branches forward out of the straight line wait until they are taken."""
        have, seen, targets = page.entries, set[int](), [offset]
        short, long, data, limit = memo.short, memo.long, page.data, page.limit
        add_entry, add_offset = plan.entries.append, plan.offsets.append
        while targets:
            at = targets.pop()
            if at in seen or at in have:
                continue
            while True:
                i = at >> 1
                if i >= limit or at in seen or at in have:
                    self._go_on(at, memo, plan)
                    break
                unit = data[i]
                entry = short.get(unit) or (long.get(unit | data[i + 1] << 16) if i + 1 < limit else None)
                if entry is None:
                    entry = self._first_sight(memo, data, i, limit, plan)
                seen.add(at)
                if entry is None:
                    self._straddle(page, at, memo, plan)
                    break
                add_entry(entry)
                add_offset(at)
                branch = entry[3]
                if branch is not None and branch < 0 and 0 <= at + branch < PAGE:
                    targets.append(at + branch)
                if entry[4] == ENDS:
                    break
                at += entry[2]

    def _first_sight(self, memo: Memo, data: memoryview, i: int, limit: int, plan: _Plan) -> Entry | None:
        """The entry of an instruction word that has not been seen before; None when it reaches into the next page."""
        unit = data[i]
        size = self.engine.arch.long[unit]
        try:
            if size == 1:
                entry = memo.short[unit] = memo.make(unit, 2)
                return entry
            if i + 1 >= limit:
                return None
            word = unit | data[i + 1] << 16
            entry = memo.long[word] = memo.make(word, 4)
            return entry
        except Missing as m:
            plan.missing.append(m)
            return b"", None, 2 * size, None, GOES_ON

    def _go_on(self, at: int, memo: Memo, plan: _Plan) -> None:
        """A jump to code that exists or lies in another page."""
        if not plan.missing:
            plan.add(memo.goto(), at, _GOTO)

    def _straddle(self, page: CodePage, at: int, memo: Memo, plan: _Plan) -> None:
        """An instruction whose second half lies in the next page: checked at run time that it still does."""
        unit = page.data[at >> 1]
        found = self.engine.next_page(page)
        try:
            if found is None:  # the reference evaluator finds out what is wrong, each time
                plan.add(memo.interpreted(2 * self.engine.arch.long[unit]), at, _INSTRUCTION)
                return
            second, expected = found
            word = unit | second << 16
            entry = memo.long.get(word) or memo.make(word, 4)
            memo.long[word] = entry
            if expected:
                plan.add(memo.guard(page.base + PAGE, expected), at, _INSTRUCTION)
                plan.add(entry, at, _BEHIND_GUARD)
            else:
                plan.add(entry, at, _INSTRUCTION)
            plan.add(memo.goto(), at + entry[2], _GOTO)
        except Missing as m:
            plan.missing.append(m)

    # --- placing the code ---------------------------------------------------------------------------------------------------------
    def _place(self, page: CodePage, offset: int, memo: Memo, plan: _Plan) -> int:
        """Join the entries, resolve what depends on addresses, and put the code into memory."""
        entries, offsets, others = plan.entries, plan.offsets, plan.others
        code = bytearray(b"".join([e[0] for e in entries]))
        starts = list(accumulate([len(e[0]) for e in entries], initial=0))
        memory = self.engine.memory
        base = memory.base + align_up(memory.used, 16)
        local = {at: start for at, start, n in zip(offsets, starts, range(len(offsets)), strict=False) if n not in others}
        cold = _Cold(self, page, memo, align_up(starts[-1], 8), base)
        for n, e in enumerate(entries):
            if e[1] is not None:
                if others.get(n) == _GOTO:
                    to = self._known(offsets[n], page, local, base)
                    if to is not None:
                        code[starts[n] : starts[n] + 5] = host.jump(base + starts[n], base + to)
                        continue
                self._resolve(code, e[1], starts[n], offsets[n], page, local, base, cold)
        code += bytes(cold.start - starts[-1])
        code += b"".join(cold.parts)
        try:
            memory.put(code)
        except MemoryError:
            if memory.used == memory.floor:
                raise HostError(f"{memory.size >> 10} KiB of code memory are too few for one page of guest code") from None
            self.engine.flush_code()
            return self.engine.retranslate(page, offset)
        for at, start in local.items():
            page.entries[at] = base + start
        if page.pending:
            self._link(page, local, base)
        for at, e in zip(offsets, entries, strict=True):
            if e[4] == RETURNS and at + e[2] in local:  # a return will come here, through the table
                self.engine.publish(page.base + at + e[2], page.key, base + local[at + e[2]])
        self._register(page, base, starts, plan)
        self.instructions += len(local)
        if log.enabled("in_asm") or log.enabled("out_asm") or log.enabled("op"):
            real = [n for n in range(len(offsets)) if others.get(n) != _GOTO]
            self.engine.log_unit(page, [offsets[n] for n in real], [starts[n] for n in real], base, bytes(code[: starts[-1]]))
        return page.entries[offset]

    def _link(self, page: CodePage, local: dict[int, int], base: int) -> None:
        """Let earlier branches to what has just been placed go there directly."""
        for at in page.pending.keys() & local.keys():
            for site in page.pending.pop(at):
                self.engine.memory.patch(site, (base + local[at] - site - 4).to_bytes(4, "little", signed=True))

    def _known(self, at: int, page: CodePage, local: dict[int, int], base: int) -> int | None:
        """Where the code of guest offset `at` is, from `base`; None when it is not translated or in another page."""
        known = local.get(at)
        if known is None:
            there = page.entries.get(at)
            return None if there is None else there - base
        return known

    def _resolve(
        self, code: bytearray, lates: tuple[tuple[int, int, int], ...], start: int, at: int,
        page: CodePage, local: dict[int, int], base: int, cold: _Cold,
    ) -> None:  # fmt: skip
        for kind, offset, value in lates:
            place = start + offset
            if kind in (MISS_LOAD, MISS_STORE):
                _pack32(code, place, cold.miss(kind, page.base + at, base + start) - place - 4)
            elif kind == TAKEN:
                to = self._known(at + value, page, local, base)
                if to is None and 0 <= at + value < PAGE:
                    page.pending.setdefault(at + value, []).append(base + place)
                _pack32(code, place, (cold.goto(at + value) if to is None else to) - place - 4)
            elif kind == STUB:
                _pack32(code, place, cold.goto(at + value) - place - 4)
            elif kind == ADDRESS64:
                _pack64(code, place, (page.base + at + value) & self._mask)
            elif kind == ADDRESS32:
                _pack32(code, place, _signed32(page.base + at + value))
            elif kind == FIXED:
                _pack32(code, place, value - (base + place + 4))
            else:
                _pack32(code, place, value)

    def _register(self, page: CodePage, base: int, starts: list[int], plan: _Plan) -> None:
        real = [n for n in range(len(plan.offsets)) if plan.others.get(n) != _GOTO]
        pcs, places = array("H", [plan.offsets[n] for n in real]), array("I", [starts[n] for n in real])
        self.units.append(Unit(base, base + starts[-1], page, places, pcs))
        self._starts.append(base)


def _signed32(value: int) -> int:
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


class _Cold:
    """What lies behind the straight line of a unit: stubs of memory accesses and of jumps out of it."""

    def __init__(self, translator: Translator, page: CodePage, memo: Memo, start: int, base: int) -> None:
        self.translator, self.page, self.memo = translator, page, memo
        self.start, self.base = start, base
        self.end = start
        self.parts: list[bytes | bytearray] = []
        self._gotos: dict[int, int] = {}
        engine = translator.engine
        self._handlers = {MISS_LOAD: engine.symbols.get("miss_load", 0), MISS_STORE: engine.symbols.get("miss_store", 0)}

    def _add(self, part: bytes | bytearray) -> int:
        at = self.end
        self.parts.append(part)
        self.end = at + len(part)
        return at

    def miss(self, kind: int, pc: int, retry: int) -> int:
        """A stub for an access of the instruction at `pc`, whose code begins at host address `retry`."""
        return self._add(host.miss_stub(self.base + self.end, self._handlers[kind], pc, retry))

    def goto(self, target: int) -> int:
        """A stub that goes on at `target`, an offset from the page's base."""
        known = self._gotos.get(target)
        if known is None:
            code, lates, _, _, _ = self.memo.goto()
            data = bytearray(code)
            at = self.end
            mask = self.translator._mask
            for kind, offset, value in lates:
                if kind == ADDRESS64:
                    _pack64(data, offset, (self.page.base + target + value) & mask)
                elif kind == ADDRESS32:
                    _pack32(data, offset, _signed32(self.page.base + target + value))
                else:
                    _pack32(data, offset, value - (self.base + at + offset + 4))
            known = self._gotos[target] = self._add(data)
        return known
