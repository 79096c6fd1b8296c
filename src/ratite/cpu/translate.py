"""Translation of guest pages: look up every instruction word, join the code, fill the few places that depend on where it lies.

A page is translated from an entry onward, following direct jumps inside the page. Registers are held alike at every instruction, so every
instruction is an entry, and branches inside the page are linked directly. What leaves the page goes through the jump cache.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from ratite import log
from ratite.cpu.codepage import PAGE, CodePage, Unit
from ratite.cpu.compiling import Awaited
from ratite.cpu.memo import ENDS, GOES_ON, RETURNS, Entry, Memo, Missing
from ratite.cpu.placing import BEHIND_GUARD, COUNT, GOTO, INSIDE, INSTRUCTION, Image, Plan
from ratite.cpu.runs import Runs, count_runs
from ratite.errors import HostError

if TYPE_CHECKING:
    from ratite.cpu.engine import Engine


class Translator:
    """Translates for one engine. Not thread-safe: the engine's lock is held."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.memos = [Memo(engine, n) for n in range(engine.arch.contexts)]
        self.units: list[Unit] = []
        self._starts: list[int] = []
        self.placed = 0  # units, those of earlier runs included
        self.runs = Runs()
        self.instructions = 0
        self.compiled = 0

    def clear(self) -> None:
        """Forget all units: the code memory is being emptied."""
        self.units.clear()
        self._starts.clear()
        self.runs.clear()

    def unit_of(self, address: int) -> Unit | None:
        """The unit whose code holds host `address`."""
        n = bisect_right(self._starts, address) - 1
        return self.units[n] if n >= 0 and address - self.units[n].start < self.units[n].size else None

    def locate(self, address: int) -> int | None:
        """Guest address of the instruction whose code holds host `address`."""
        unit = self.unit_of(address)
        return None if unit is None else unit.locate(address)

    def register(self, unit: Unit) -> None:
        """Take note of a unit that has been placed."""
        self.placed += 1
        self.units.append(unit)
        self._starts.append(unit.start)
        unit.page.units.append(unit)
        if self.engine.perf_map is not None:
            self.engine.perf_map.add(unit)

    # --- choosing the instructions ------------------------------------------------------------------------------------------------
    def translate(self, page: CodePage, offset: int) -> int:
        """Translate from `offset` of the page onward; the host address of its code."""
        memo = self.memos[page.key[2]]
        while True:
            plan, missing = Plan(), list[Missing]()
            try:
                memo.goto()  # branches out of the page will need it
            except Missing as m:
                missing.append(m)
            self._choose(page, offset, memo, plan, missing)
            if self.engine.counting and not missing:
                plan = self._count(plan, memo, missing)
            if not missing:
                break
            self._compile(missing)
        return self._place(page, offset, memo, plan)

    def _compile(self, missing: list[Missing]) -> None:
        """Have forms compiled. Raises Awaited when another thread does it."""
        jobs = {m.job.key: m.job for m in missing}
        self.compiled += len(jobs)
        if self.engine.compiler is not None:
            raise Awaited(self.engine.compiler.order(jobs.values()))
        self.engine.library.compile(list(jobs.values()))

    def _count(self, plan: Plan, memo: Memo, missing: list[Missing]) -> Plan:
        """Have the code count its instructions."""
        try:
            return count_runs(plan, memo, self.runs)
        except Missing as m:
            missing.append(m)
            return plan

    def _choose(self, page: CodePage, offset: int, memo: Memo, plan: Plan, missing: list[Missing]) -> None:
        """Follow the code from `offset` and the loops in it. Branches forward out of the straight line wait until they are taken."""
        have, seen, targets = page.entries.table, set[int](), [offset]
        short, long, data, limit = memo.short, memo.long, page.data, page.limit
        add_entry, add_offset = plan.entries.append, plan.offsets.append
        while targets:
            at = targets.pop()
            if at in seen or have[at >> 1]:
                continue
            while True:
                i = at >> 1
                if i >= limit or at in seen or have[i]:
                    self._go_on(at, memo, plan, missing)
                    break
                unit = data[i]
                entry = short.get(unit) or (long.get(unit | data[i + 1] << 16) if i + 1 < limit else None)
                if entry is None:
                    self.engine.give_way(page)
                    entry = self._first_sight(memo, data, i, limit, missing)
                seen.add(at)
                if entry is None:
                    self._straddle(page, at, memo, plan, missing)
                    break
                add_entry(entry)
                add_offset(at)
                branch = entry[3]
                if branch is not None and branch < 0 and 0 <= at + branch < PAGE:
                    targets.append(at + branch)
                if entry[4] == ENDS:
                    break
                at += entry[2]

    def _first_sight(self, memo: Memo, data: memoryview, i: int, limit: int, missing: list[Missing]) -> Entry | None:
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
            missing.append(m)
            return b"", (), 2 * size, None, GOES_ON, 0

    def _go_on(self, at: int, memo: Memo, plan: Plan, missing: list[Missing]) -> None:
        """A jump to code that exists or lies in another page."""
        if not missing:
            plan.add(memo.goto() if at >= PAGE else memo.near(), at, GOTO)

    def _straddle(self, page: CodePage, at: int, memo: Memo, plan: Plan, missing: list[Missing]) -> None:
        """An instruction whose second half lies in the next page: checked at run time that it still does."""
        unit = page.data[at >> 1]
        found = self.engine.next_page(page)
        try:
            if found is None:  # the reference evaluator finds out what is wrong, each time
                plan.portable = False
                plan.add(memo.interpreted(2 * self.engine.arch.long[unit]), at, INSTRUCTION)
                return
            second, expected = found
            word = unit | second << 16
            entry = memo.long.get(word) or memo.make(word, 4)
            memo.long[word] = entry
            plan.second = second
            if expected:
                plan.portable = False
                plan.add(memo.guard(page.base + PAGE, expected), at, INSTRUCTION)
                plan.add(entry, at, BEHIND_GUARD)
            else:
                plan.add(entry, at, INSTRUCTION)
            plan.add(memo.goto(), at + entry[2], GOTO)
        except Missing as m:
            missing.append(m)

    # --- placing the code ---------------------------------------------------------------------------------------------------------
    def _place(self, page: CodePage, offset: int, memo: Memo, plan: Plan) -> int:
        """Put the chosen code into memory and enter it in its page."""
        engine = self.engine
        image = Image(engine, page, memo, plan)
        try:
            base = engine.memory.put(image.code)
        except MemoryError:
            if engine.memory.used == engine.memory.floor:
                raise HostError(f"{engine.memory.size >> 10} KiB of code memory are too few for one page of guest code") from None
            engine.flush_code()
            return engine.retranslate(page, offset)
        unit = image.unit(base)
        engine.relocate(base, unit.relocations, page.base)
        for place, target in image.links:
            engine.link(base + place, page.entries[target])
        for place, target in image.pending:
            page.pending.setdefault(target, []).append(base + place)
        if engine.counting or BEHIND_GUARD in plan.others.values():
            self._enter(page, plan, image, base)
        else:
            engine.enter_places(page, unit)
        if page.pending:
            self._link(page, {at for at in unit.pcs if at in page.entries})
        for at in [at + e[2] for at, e in zip(plan.offsets, plan.entries, strict=True) if e[4] == RETURNS]:
            if at in page.entries:  # a return will come here, through the table
                engine.publish(page, at)
        self.register(unit)
        self.instructions += len(unit.pcs)
        if log.enabled("in_asm") or log.enabled("out_asm") or log.enabled("op"):
            engine.log_unit(page, list(unit.pcs), list(unit.places), base, bytes(image.code[: unit.straight]))
        return page.entries[offset]

    def _enter(self, page: CodePage, plan: Plan, image: Image, base: int) -> None:
        """Make a unit known in its page that has more than instructions: the entry of two that belong together is the first."""
        for n, at in enumerate(plan.offsets):
            kind = plan.others.get(n, INSTRUCTION)
            if kind in (INSTRUCTION, COUNT):
                page.entries[at] = base + image.starts[n]
            elif kind == INSIDE:
                page.inside.add(at)

    def _link(self, page: CodePage, local: set[int]) -> None:
        """Let earlier branches to what has just been placed go there directly."""
        for at in page.pending.keys() & local:
            for site in page.pending.pop(at):
                self.engine.link(site, page.entries[at])
