"""Translation of guest pages: look up every instruction word, join the code, fill the few places that depend on where it lies.

A page is translated from an entry onward, following direct jumps inside the page. Registers are held alike at every instruction, so every
instruction is an entry, and branches inside the page are linked directly. What leaves the page goes through the jump cache.
"""

from __future__ import annotations

from bisect import bisect_right

from ratite import log
from ratite.codegen.choosing import BEYOND, DONE, FULL
from ratite.codegen.joining import OFFSET
from ratite.cpu.codepage import PAGE, CodePage, Unit
from ratite.cpu.compiling import Awaited, Missing
from ratite.cpu.joiner import Records
from ratite.cpu.runs import Runs, count_runs
from ratite.cpu.walker import INSIDE, INSTRUCTION, NEITHER, Walker
from ratite.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ratite.cpu.engine import Engine
    from ratite.cpu.memo import Memo

#: Most memory for what is known of instruction words, in bytes; the tables in which they are found take up to twice as much.
MOST_RECORDS = 32 << 20


class _Memos(dict[int, "Memo"]):
    """The entries of each context, from when they are asked for first."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __missing__(self, context: int) -> Memo:
        from ratite.cpu.memo import Memo

        memo = self[context] = Memo(self._engine, context)
        return memo


class Translator:
    """Translates for one engine. Not thread-safe: the engine's lock is held."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.memos = _Memos(engine)
        self.walker = Walker(engine)
        self.units: list[Unit] = []
        self._starts: list[int] = []
        self.placed = 0  # units, those of earlier runs included
        self.runs = Runs()
        self.instructions = 0
        self.compiled = 0

    def clear(self) -> None:
        """Forget all units: the code memory is being emptied."""
        for unit in self.units:
            unit.page.units.clear()  # or they would keep each other
        self.units.clear()
        self._starts.clear()
        self.runs.clear()

    def forget(self, page: CodePage) -> None:
        """Forget the units of a page, whose code nobody executes any more."""
        for unit in page.units:
            n = bisect_right(self._starts, unit.start) - 1
            del self.units[n], self._starts[n]
        page.units.clear()  # or they would keep each other

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
        if self.engine.joiner.records.size > MOST_RECORDS:
            self._forget_words()
        if self.engine.has_many_constants:
            self._forget_words()
            self.engine.forget_constants()
            return self.engine.retranslate(page, offset)
        memo = self.memos[page.key[2]]
        while True:
            missing: list[Missing] = []
            self._choose(page, offset, memo, missing)
            if self.engine.counting and not missing:
                self._count(memo, missing)
            if not missing:
                break
            self._compile(page, offset, missing)
        return self._place(page, offset, memo)

    def _forget_words(self) -> None:
        """Forget what is known of instruction words, on which code that has been placed does not depend: a guest may make up as many as it likes."""
        self.memos.clear()
        self.engine.joiner.records = Records()

    def _compile(self, page: CodePage, offset: int, missing: list[Missing]) -> None:
        """Have forms compiled that a page needs. Raises Awaited when it is not this thread that does it."""
        jobs = {m.job.key: m.job for m in missing}
        self.compiled += len(jobs)
        if self.engine.compiler is not None:
            raise Awaited(self.engine.compiler.order(jobs.values(), (page.data.tobytes(), offset, page.key[2])))
        self.engine.library.compile(list(jobs.values()))

    def _count(self, memo: Memo, missing: list[Missing]) -> None:
        """Have the code count its instructions."""
        try:
            count_runs(self.walker, memo, self.runs)
        except Missing as m:
            missing.append(m)

    def _choose(self, page: CodePage, offset: int, memo: Memo, missing: list[Missing]) -> None:
        """Choose code for `offset` and what follows; what has to be compiled before is `missing`."""
        walker = self.walker
        try:
            walker.begin(page, offset, memo)  # branches out of the page will need code that goes on elsewhere
        except Missing as m:
            missing.append(m)
            return
        while (status := walker.go_on()) != DONE:
            if status == FULL:
                memo.words.make_room()
            elif status == BEYOND:
                self._straddle(page, memo, missing)
            else:
                self._first_sight(page, memo, missing)
                if self.engine.urgent() or self.engine.interrupted():
                    self._give_way(page, offset, missing)

    def _give_way(self, page: CodePage, offset: int, missing: list[Missing]) -> None:
        """Raise Awaited, because timers wait for the lock, or the processor has interrupts to take. What has been found out so far is kept, and what
        has to be compiled is under way: each attempt gets farther than the one before, even if timers wait at every one."""
        if missing:
            self._compile(page, offset, missing)
        raise Awaited([])

    def _first_sight(self, page: CodePage, memo: Memo, missing: list[Missing]) -> None:
        """Find out what to do for an instruction word that has not been seen before."""
        at = self.walker.at
        word, length = page.word(at, self.engine.arch.long)
        try:
            memo.make(word, length)
        except Missing as m:
            missing.append(m)
            self.walker.skip(at + length)

    def _straddle(self, page: CodePage, memo: Memo, missing: list[Missing]) -> None:
        """An instruction whose second half lies in the next page: checked at run time that it still does. In a machine it gets a unit of its own,
        because the others depend on no host address and are kept on disk."""
        walker, at = self.walker, self.walker.at
        walker.skip(-1)
        if walker.count and self.engine.user is None:
            walker.goto(memo.near(), at)
            return
        found = self.engine.next_page(page)
        unit = page.data[at >> 1]
        try:
            if found is None:  # the reference evaluator finds out what is wrong, each time
                walker.portable = False
                walker.add(memo.interpreted(2 * self.engine.arch.long[unit]), at, INSTRUCTION)
                return
            walker.second, expected = found
            entry = memo.entry(unit | walker.second << 16, 4)
            if expected:
                walker.portable = False
                walker.add(memo.guard(page.base + PAGE, expected), at, INSTRUCTION)
                walker.add(entry, at, NEITHER)
            else:
                walker.add(entry, at, INSTRUCTION)
            walker.goto(memo.goto(), at + entry[2])
        except Missing as m:
            missing.append(m)

    # --- placing the code ---------------------------------------------------------------------------------------------------------
    def _place(self, page: CodePage, offset: int, memo: Memo) -> int:
        """Put the chosen code into memory and enter it in its page."""
        engine, walker = self.engine, self.walker
        try:
            unit = engine.placer.place(page, walker, memo)
        except MemoryError:
            if engine.memory.used == engine.memory.floor:
                raise HostError(f"{engine.memory.size >> 10} KiB of code memory are too few for one page of guest code") from None
            engine.flush_code()
            return engine.retranslate(page, offset)
        unit.portable, unit.second = walker.portable, walker.second
        if engine.counting:
            page.inside.update(at & OFFSET for _, at, _, _ in walker.pieces() if at & NEITHER == INSIDE)
        if page.pending:
            self._link(page)
        for at in walker.returns():  # native code finds them now
            if at in page.entries:
                page.published.add(at)
                if at in page.regions:
                    engine.publish(page, at)
        self.register(unit)
        self.instructions += len(unit.pcs)
        if log.enabled("in_asm") or log.enabled("out_asm") or log.enabled("op"):
            engine.log_unit(page, list(unit.pcs), list(unit.places), unit.start, engine.memory.read(unit.start, unit.straight))
        return page.entries[offset]

    def _link(self, page: CodePage) -> None:
        """Let earlier branches to what has just been placed go there directly."""
        for at in [at for at in page.pending if at in page.entries]:
            for site in page.pending.pop(at):
                self.engine.link(site, page.entries[at])
