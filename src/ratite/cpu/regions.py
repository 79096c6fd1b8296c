"""Finding hot code, having it compiled as a whole, and letting execution go through it.

A thread asks, at short intervals, every running vCPU where it is. The answer is the target of a backward or computed jump, because there machine
code looks whether it is wanted; so the places found are heads of loops and functions, and code need not count anything. One that is found often
is compiled with what can be reached from it and leads back to it, through other pages and called functions too; then the jumps back to it are
made to lead into the region.

A region is entered only while the pages of its code are mapped as they were when it was made: that of its head is where execution is, and it
looks for the others itself. It goes when one of its pages does. What it has in hand of the translation cache (pages that it found before) it
forgets with every way out; so whoever empties the caches of another vCPU has to make it leave, which `Vcpu.flush` does.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ratite import log
from ratite.bits import mask
from ratite.codegen import host_x86_64 as host
from ratite.codegen.choosing import ENDS, RETURNS
from ratite.codegen.elfobj import Object
from ratite.codegen.joining import HEAD_SIZE, patched_place
from ratite.codegen.regions import Piece, Region, Surroundings, compile_region, is_opaque
from ratite.codegen.stencil import block_of
from ratite.cpu.codepage import PAGE, CodePage, PageKey, RegionUnit
from ratite.cpu.memo import Entry, Missing
from ratite.cpu.threads import quiet_thread

if TYPE_CHECKING:
    from ratite.codegen.stencil import Job
    from ratite.cpu.engine import Engine

#: Seconds between two questions; to how many times that the interval grows while answers are nothing new, and after how many of those it grows.
INTERVAL, _LONGEST_INTERVAL, _PATIENCE = 0.005, 4, 16
#: For how many seconds of processor time execution has to be found at a place before its loop is looked at; twice as long for each time that code of
#: its page was compiled in vain.
HOT = 0.02
#: Most processor time that an answer stands for.
_MOST_CREDIT = 0.1
#: A loop is compiled when execution has been in it for this many times as long as compiling will take: it may go on as long, and at best be a
#: third faster.
_WORTH = 4
#: Seconds that compiling takes, at first and for each instruction, until that has been measured; and the first time, which loads LLVM.
_START_COST, _COST, _FIRST_COST = 0.01, 0.0007, 0.1
#: Most instructions of a region, and fewest that are worth it.
LARGEST, SMALLEST = 300, 3
#: Most instructions that are looked at for it, most pages that it lies in, and how deep calls are followed.
_FARTHEST, _PAGES, _DEEPEST = 1000, 8, 3
#: After how many instructions others get the engine's lock for a moment.
_BREATH = 16
#: How far from a computed jump the targets of its table are looked for, and how many there may be: to find one of many (an interpreter's) takes
#: longer in a region than through the jump cache.
_TABLE, _CASES = 1024, 12
#: Most instructions of a region where whatever is executed becomes one.
_FORCED = 60
#: Most places at which a region can be entered.
_ENTRIES = 48
#: The part of code memory that regions may fill.
_MEMORY_SHARE = 1 / 4
#: Compiling may take this part of the processor time of the process, and so many seconds before that counts.
_TIME_SHARE, _GRACE = 0.1, 0.3


class _Part(NamedTuple):
    """An instruction: its page, what the translator knows of it, its word, and the host address of its stencil."""

    page: CodePage
    entry: Entry
    word: int
    stencil: int


@dataclass
class _Chosen:
    """The instructions of a region by guest address, the head first; where it can be entered, the head first; where computed jumps go; the
    pages that it lies in."""

    head: int
    parts: dict[int, _Part]
    entries: list[int]
    jumps: dict[int, list[int]]
    pages: list[CodePage]
    known: dict[int, int]


@dataclass
class _Ready:
    chosen: _Chosen
    code: bytes
    seconds: float


@dataclass
class _Placed:
    """A region that execution goes through: on which pages it depends, which instructions it has, where it is entered (page, offset, host
    address) and by which jumps (page, host address of the displacement)."""

    keys: list[PageKey]
    inside: set[int]
    entries: list[tuple[CodePage, int, int]] = field(default_factory=list)
    sites: list[tuple[CodePage, int]] = field(default_factory=list)


class _Links:
    """Tells returns from jumps through tables: they go through a register in which calls keep return addresses."""

    #: From how many calls one learns that.
    _CALLS = 32

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._registers: set[tuple[str, int]] = set()
        self._learnt = 0

    def learn(self, call: _Part) -> None:
        """See where a call keeps the address to return to."""
        if self._learnt < self._CALLS:
            self._learnt += 1
            piece = _piece(self._engine, 0, call)
            self._registers |= {piece.number(v.attr) for v in piece.block.code if v.op == "reg.set" and v.args[0].op == "npc"}

    def returns(self, jump: _Part) -> bool:
        """Whether a computed jump probably ends a function."""
        piece = _piece(self._engine, 0, jump)
        through = {piece.number(v.attr) for v in piece.block.code if v.op == "reg.get"}
        return bool(through & self._registers)


class _Explorer:
    """Follows translated code from a place, across pages and into functions. The engine's lock is held. missing: what has to be compiled before more
    can be told."""

    def __init__(self, engine: Engine, page: CodePage, links: _Links) -> None:
        self._engine, self._context, self._links = engine, page.key[2], links
        self._mask = mask(engine.arch.word)
        self.pages: dict[int, CodePage | None] = {page.base: page}
        self.parts: dict[int, _Part] = {}
        self.ways: dict[int, list[int]] = {}
        self.jumps: dict[int, list[int]] = {}
        self._returns: dict[CodePage, set[int]] = {}
        self.missing: list[Job] = []

    def explore(self, head: int, most: int) -> None:
        """Find the instructions that can be reached, nearest first, and where each leads. A call leads to its function and, through code that may
        or may not be in the region, to where it returns. The end of a function leads to where those calls return by which it was found."""
        waiting: deque[tuple[int, int, int | None]] = deque([(head, 0, None)])
        returns: dict[int | None, list[int]] = {None: []}
        while waiting and len(self.parts) < most:
            at, depth, function = waiting.popleft()
            if at in self.parts or (part := self._part(at)) is None:
                continue
            self.parts[at] = part
            if len(self.parts) % _BREATH == 0:
                self._engine.let_others()
            _, _, length, branch, flow, _ = part.entry
            following = at + length & self._mask
            ways = self.ways[at] = [following] if flow != ENDS else []
            if branch is not None:
                to = at + branch & self._mask
                if flow != RETURNS:
                    ways.append(to)
                elif depth < _DEEPEST and self._part(to) is not None:
                    self._links.learn(part)
                    ways.insert(0, to)
                    returns.setdefault(to, []).append(following)
                    waiting += (to, depth + 1, to), (following, depth, function)
                    continue
            elif flow == ENDS:
                table = self._table(at, part)
                self.ways[at] = self.jumps[at] = returns[function] if table is None else table
                ways = table or []
            waiting += ((way, depth, function) for way in ways)

    def _table(self, at: int, part: _Part) -> list[int] | None:
        """Where a computed jump may go if it is one through a table: to places near it that have been jumped to. None if it returns."""
        behind_calls = self._behind_calls(part.page)
        if self._links.returns(part):
            return None
        published = [part.page.base + offset for offset in part.page.published]
        near = [to for to in published if abs(to - at) <= _TABLE and to not in behind_calls]
        return sorted(near) if len(near) <= _CASES else []

    def _behind_calls(self, page: CodePage) -> set[int]:
        """Where calls of a page return to."""
        if page not in self._returns:
            found = self._returns[page] = set()
            for n, (offset, _) in enumerate(page.entries.items()):
                if n % _BREATH == 0:
                    self._engine.let_others()
                part = self._part(page.base + offset)
                if part is not None and part.entry[4] == RETURNS:
                    found.add(page.base + offset + part.entry[2])
                    if part.entry[3] is not None:
                        self._links.learn(part)
        return self._returns[page]

    def _part(self, at: int) -> _Part | None:
        """What the translator knows of the instruction at an address; None where it has not been translated or reaches into the next page."""
        page = self._page(at & -PAGE)
        stencil = None if page is None else page.entries.get(at & (PAGE - 1))
        if page is None or stencil is None:
            return None
        engine, i = self._engine, (at & (PAGE - 1)) >> 1
        memo, word = engine.translator.memos[self._context], page.data[i]
        try:
            if engine.arch.long[word] == 1:
                return _Part(page, memo.entry(word, 2), word, stencil)
            if i + 1 >= page.limit:
                return None
            word |= page.data[i + 1] << 16
            return _Part(page, memo.entry(word, 4), word, stencil)
        except Missing as m:  # its page was translated by another run, whose stencils were not on disk yet
            self.missing.append(m.job)
            return None

    def _page(self, base: int) -> CodePage | None:
        """The translated page at a guest address."""
        if base not in self.pages:
            self.pages[base] = self._find(base) if len(self.pages) < _PAGES else None
        return self.pages[base]

    def _find(self, base: int) -> CodePage | None:
        """The page at an address as a vCPU has it mapped now, or else as one had; a region finds out when it is entered."""
        engine = self._engine
        if engine.user is not None:
            return engine.pages.get((base, base, self._context))
        for vcpu in engine.vcpus:
            host = vcpu.fetched_from(base, self._context)
            if host is not None:
                return engine.pages.get((host, base, self._context))
        return next((p for k, p in reversed(engine.pages.items()) if k[1] == base and k[2] == self._context), None)


def _reached(begin: int, ways: dict[int, list[int]], most: int) -> list[int]:
    """What can be reached from a place, nearest first, beginning with itself."""
    found, waiting = {begin: None}, deque([begin])
    while waiting:
        for to in ways.get(waiting.popleft(), ()):
            if to not in found and len(found) < most:
                found[to] = None
                waiting.append(to)
    return list(found)


def _loop(head: int, ways: dict[int, list[int]]) -> list[int]:
    """The places from which `head` can be reached, nearest first and at most LARGEST, beginning with itself; none if it is in no loop."""
    sources: dict[int, list[int]] = {}
    for at, targets in ways.items():
        for to in targets:
            sources.setdefault(to, []).append(at)
    found = set(_reached(head, sources, LARGEST))
    inside = {at: [to for to in targets if to in found] for at, targets in ways.items() if at in found}
    if not any(head in targets for targets in inside.values()):
        return []
    return _reached(head, inside, LARGEST)


def _entries(head: int, parts: dict[int, _Part]) -> list[int]:
    """Where a region is entered: its head, where loops begin, and where jumps through tables go."""
    found = {head: None}
    for at, part in parts.items():
        branch = part.entry[3]
        if branch is not None and branch <= 0 and at + branch in parts:
            found[at + branch] = None
    for at, part in parts.items():
        if at & (PAGE - 1) in part.page.published:
            found[at] = None
    return list(found)[:_ENTRIES]


class _Places:
    """A set of places, each an offset in a page."""

    def __init__(self) -> None:
        self._offsets: dict[PageKey, set[int]] = {}

    def __contains__(self, place: tuple[PageKey, int]) -> bool:
        return place[1] in self._offsets.get(place[0], ())

    def add(self, place: tuple[PageKey, int]) -> None:
        """Take a place in."""
        self._offsets.setdefault(place[0], set()).add(place[1])

    def discard(self, place: tuple[PageKey, int]) -> None:
        """Leave a place out."""
        self._offsets.get(place[0], set()).discard(place[1])

    def forget(self, key: PageKey) -> bool:
        """Leave out all of a page; whether there were any."""
        return bool(self._offsets.pop(key, None))

    def clear(self) -> None:
        """Leave out everything."""
        self._offsets.clear()


class _Times:
    """Seconds by place."""

    def __init__(self) -> None:
        self._pages: dict[PageKey, dict[int, float]] = {}

    def __getitem__(self, place: tuple[PageKey, int]) -> float:
        page = self._pages.get(place[0])
        return 0.0 if page is None else page.get(place[1], 0.0)

    def __setitem__(self, place: tuple[PageKey, int], seconds: float) -> None:
        self._pages.setdefault(place[0], {})[place[1]] = seconds

    def forget(self, key: PageKey) -> None:
        """Leave out all of a page."""
        self._pages.pop(key, None)

    def clear(self) -> None:
        """Leave out everything."""
        self._pages.clear()


class Regions:
    """The regions of one engine. always: compile whatever is executed and no region has yet, at once and loop or not; for tests."""

    def __init__(self, engine: Engine, always: bool = False) -> None:
        self._engine, self.always = engine, always
        self._found = _Times()
        self._credit = 0.0  # what the next answer stands for
        self._tried = _Places()
        self._asked: deque[tuple[PageKey, int]] = deque()
        self._ready: deque[_Ready] = deque()
        self._placed: dict[PageKey, list[_Placed]] = {}
        self._links = _Links(engine)
        self._vain: Counter[PageKey] = Counter()
        self._later = _Times()  # for how long places have to be found before they are looked at again
        self._closing, self._compiling = threading.Event(), threading.Lock()
        self._worker: threading.Thread | None = None
        self._begin, self._spent = time.process_time(), 0.0
        self._dull = 0
        self.compiled = self.instructions = self.bytes = 0
        self.seconds = 0.0

    def start(self) -> None:
        """Begin to look for hot code."""
        if self._worker is None:
            self._worker = quiet_thread(self._work, "ratite-regions")

    def close(self) -> None:
        """Compile no more. A process ends at once, whatever is being compiled."""
        self._closing.set()
        if self._worker is not None and self._engine.user is None:
            self._worker.join()
            self._worker = None

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Nothing is being compiled meanwhile."""
        with self._compiling:
            yield

    def forked(self) -> None:
        """In the child of a fork: the thread is the parent's."""
        self._asked.clear()
        self._begin, self._spent = time.process_time(), 0.0
        if self._worker is not None:
            self._worker = None
            self.start()

    # --- on the thread of a vCPU ------------------------------------------------------------------------------------------------------
    def sample(self, key: PageKey, offset: int, inside: bool) -> None:
        """Execution has been found at an offset of a page; `inside`: in a region."""
        place = key, offset
        if self._ready:
            self._install()
        if inside or place in self._tried:
            self._dull = min(self._dull + 1, _PATIENCE * _LONGEST_INTERVAL)
            return
        self._dull = max(self._dull - 4 * _PATIENCE, 0)
        self._found[place] += self._credit
        if self._found[place] >= self._threshold(key, offset):
            self._tried.add(place)
            self._asked.append(place)

    @property
    def _interval(self) -> int:
        """Time between two questions."""
        return 1 + self._dull // _PATIENCE

    def _threshold(self, key: PageKey, offset: int) -> float:
        page = self._engine.pages.get(key)
        if page is not None and offset in page.regions:
            return float("inf")
        return max(HOT * (1 << min(self._vain[key], 16)), self._later[key, offset])

    def _inside(self, key: PageKey, offset: int) -> bool:
        """Whether a region has the instruction at an offset of a page."""
        return any(key[1] + offset in placed.inside for placed in list(self._placed.get(key, ())))

    def _install(self) -> None:
        engine = self._engine
        with engine.exclusive:
            while self._ready:
                ready = self._ready.popleft()
                if any(engine.pages.get(page.key) is not page for page in ready.chosen.pages):
                    continue  # one has changed meanwhile
                try:
                    compiled = Object(ready.code)
                    address = engine.memory.load(compiled, {})["region"]
                    if engine.faults is not None:
                        engine.faults.add_region(address, compiled.functions["region"].size, compiled.section(host.LANDINGS))
                    stubs = engine.memory.put(bytes(host.ENTRY_SIZE * len(ready.chosen.entries)))
                except MemoryError:
                    self.bytes = engine.memory.size  # no more until the memory is emptied
                    continue
                head = ready.chosen.head
                unit = RegionUnit(ready.chosen.parts[head].page, head & (PAGE - 1), address, compiled.functions["region"].size)
                engine.translator.register(unit)
                for n in range(len(ready.chosen.entries)):
                    at = stubs + n * host.ENTRY_SIZE
                    engine.memory.patch(at, host.enter_region(n, at, address))
                self._enter(ready, stubs)

    def _enter(self, ready: _Ready, stubs: int) -> None:
        """Let execution go through a region: from now on the places where it can be entered are there, unless there is another region."""
        chosen = ready.chosen
        placed = _Placed([p.key for p in chosen.pages], set(chosen.parts))
        for n, at in enumerate(chosen.entries):
            page, offset = chosen.parts[at].page, at & (PAGE - 1)
            if offset not in page.regions:
                page.regions[offset] = stubs + n * host.ENTRY_SIZE
                placed.entries.append((page, offset, page.regions[offset]))
                self._lead(page, offset, page.entries[offset], page.regions[offset])
        for at, part in chosen.parts.items():
            self._detour(placed, at, part)
        for key in placed.keys:
            self._placed.setdefault(key, []).append(placed)
        self.compiled += 1
        self.instructions += len(chosen.parts)
        self.bytes += len(ready.code)
        self.seconds += ready.seconds
        if log.enabled("region"):
            text = f"region at {chosen.head:#x}: {len(chosen.parts)} instructions in {len(chosen.pages)} pages, {len(chosen.entries)} entries"
            log.write("region", f"{text}, {len(ready.code)} bytes, {1000 * ready.seconds:.0f} ms\n")

    def _lead(self, page: CodePage, offset: int, before: int, after: int) -> None:
        """Let jumps to a place that go through tables lead to another host address."""
        if offset in page.published:
            self._engine.publish(page, offset)
            for vcpu in self._engine.vcpus:
                vcpu.redirect(page.base + offset, page.key[2], before, after)

    def _detour(self, placed: _Placed, at: int, part: _Part) -> None:
        """Let the stencil of a jump back to an entry in its own page lead there."""
        page, branch = part.page, part.entry[3]
        if branch is None or branch > 0:
            return
        target = (at & (PAGE - 1)) + branch
        address = next((where for of, offset, where in placed.entries if of is page and offset == target), None)
        if address is None:
            return
        place = patched_place(self._engine.joiner.records.read(part.entry[5], HEAD_SIZE))
        if place is not None and (site := part.stencil + place) not in page.detours:
            placed.sites.append((page, site))
            page.detours[site] = self._engine.memory.read(site, 4)
            self._engine.link(site, address)

    def withdraw(self, key: PageKey) -> None:
        """A page is no longer valid: let execution go through stencils again where regions depend on it. The engine's lock is held, and the
        jump caches will be emptied."""
        tried, gone = self._tried.forget(key), self._placed.pop(key, ())
        self._found.forget(key)
        self._later.forget(key)
        if gone or tried:
            self._vain[key] += max(len(gone), tried)  # what comes there next may be worth it where this was not
        for placed in gone:
            for other in placed.keys:
                if other in self._placed:
                    self._placed[other].remove(placed)
            for page, site in placed.sites:
                if self._engine.pages.get(page.key) is page:
                    self._engine.memory.patch(site, page.detours.pop(site))
            for page, offset, _ in placed.entries:
                self._tried.discard((page.key, offset))
                self._found[page.key, offset] = 0.0
                if self._engine.pages.get(page.key) is page:
                    del page.regions[offset]
                    if offset in page.published:
                        self._engine.publish(page, offset)

    def clear(self) -> None:
        """All code is gone. The engine's lock is held."""
        self._placed.clear()
        self._tried.clear()
        self._found.clear()
        self._later.clear()
        self._ready.clear()
        self.bytes = 0
        if self._engine.faults is not None:
            self._engine.faults.forget_regions()

    def placed(self) -> list[_Placed]:
        """The regions that execution goes through."""
        return list({id(placed): placed for found in self._placed.values() for placed in found}.values())

    def compile_now(self, key: PageKey, offset: int) -> bool:
        """Make a region at an offset of a page at once; whether there is one. For tests, with no thread of its own running."""
        place = key, offset
        if self.always and (place in self._tried or self._inside(key, offset)):
            return False
        self._tried.add(place)
        self._build(place, worth=0)
        made = bool(self._ready)
        self._install()
        return made

    # --- on the thread of its own ---------------------------------------------------------------------------------------------------------
    def _work(self) -> None:
        before = time.process_time() - time.thread_time()
        while not self._closing.wait(INTERVAL * (1 if self._ready else self._interval)):
            now = time.process_time() - time.thread_time()
            asked = sum(vcpu.ask() for vcpu in list(self._engine.vcpus))
            self._credit, before = min((now - before) / max(asked, 1), _MOST_CREDIT), now
            while self._asked and not self._closing.is_set() and self._may_compile():
                place = self._asked.popleft()
                if self._found[place] < self._threshold(*place):  # a region has come to it since
                    self._tried.discard(place)
                else:
                    self._build(place)

    def _may_compile(self) -> bool:
        """Whether limits of time and memory allow another region now."""
        if self.bytes > self._engine.memory.size * _MEMORY_SHARE:
            self._asked.clear()
            return False
        return self._spent < _GRACE + _TIME_SHARE * (time.process_time() - self._begin)

    def _build(self, place: tuple[PageKey, int], worth: float = _WORTH) -> None:
        begin = time.thread_time()
        chosen = self._choose(*place)
        if chosen is not None and self._seconds_in(chosen) < worth * self._cost(chosen):
            self._later[place] = 2 * self._found[place]
            self._tried.discard(place)
        elif chosen is not None:
            with self._compiling:
                self._compile(chosen, place[0][2], begin)
        self._spent += time.thread_time() - begin

    def _seconds_in(self, chosen: _Chosen) -> float:
        """How long execution has been in a loop and not in a region, as far as that was seen."""
        return sum(self._found[part.page.key, at & (PAGE - 1)] for at, part in chosen.parts.items())

    def _cost(self, chosen: _Chosen) -> float:
        """How long compiling a loop will take."""
        if not self.compiled:
            return _FIRST_COST + _START_COST + _COST * len(chosen.parts)
        each = max(self.seconds - _FIRST_COST - _START_COST * self.compiled, 0) / self.instructions
        return _START_COST + max(each, _COST) * len(chosen.parts)

    def _compile(self, chosen: _Chosen, context: int, begin: float) -> None:
        engine = self._engine
        pieces = [_piece(engine, at, part) for at, part in chosen.parts.items()]
        user = engine.user is not None
        if sum(not is_opaque(p.block, user) for p in pieces) < (1 if self.always else SMALLEST):
            return
        pages = [(page.base, page.key[0]) for page in chosen.pages]
        around = Surroundings(
            chosen.known, chosen.entries, chosen.jumps, pages, context, engine.symbols["dispatch"], engine.symbols.get("fetch_is", 0)
        )
        code = compile_region(Region(engine.arch, pieces, around))
        self._ready.append(_Ready(chosen, code, time.thread_time() - begin))

    def _choose(self, key: PageKey, offset: int) -> _Chosen | None:
        """The loop at an offset of a page: what can be reached from there, has been translated, and leads back."""
        while True:
            with self._engine.lock:
                page = self._engine.pages.get(key)
                if page is None or offset not in page.entries:
                    return None
                explorer = _Explorer(self._engine, page, self._links)
                explorer.explore(page.base + offset, _FORCED if self.always else _FARTHEST)
                if not explorer.missing:
                    return self._loop_of(explorer, page.base + offset)
            self._engine.library.compile(list({job.key: job for job in explorer.missing}.values()))

    def _loop_of(self, explorer: _Explorer, head: int) -> _Chosen | None:
        """What of that which can be reached from `head` leads back."""
        parts = explorer.parts
        loop = list(parts) if self.always else [at for at in _loop(head, explorer.ways) if at in parts]
        if len(loop) < (1 if self.always else SMALLEST):
            return None
        pages = list({id(parts[at].page): parts[at].page for at in loop}.values())
        known = {} if self.always else {p.base + at: where for p in pages for at, where in p.entries.items()}
        chosen = {at: parts[at] for at in loop}
        jumps = {at: [to for to in targets if to in chosen] for at, targets in explorer.jumps.items() if at in chosen}
        return _Chosen(head, chosen, _entries(head, chosen), jumps, pages, known)


def _piece(engine: Engine, at: int, part: _Part) -> Piece:
    """An instruction with its text and operands."""
    page, entry, word, stencil = part
    arch = engine.arch
    insn = arch.decoder.decode(word, entry[2]) or arch.illegal
    static_of, reg_of, imm_of = insn.getters
    memo = engine.translator.memos[page.key[2]]
    block = block_of(insn, arch, memo.form_of(insn, tuple(int(g(word)) for g in static_of)))
    registers = {r.name: int(g(word)) for r, g in zip(insn.text.fmt.regs, reg_of, strict=True)}
    immediates = {m.name: int(g(word)) for m, g in zip(insn.text.fmt.imms, imm_of, strict=True)}
    return Piece(at, entry[2], insn, block, registers, immediates, stencil)
