"""Which code belongs to a hot loop: what can be reached from a place and leads back to it, through other pages and called functions too."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from ratite.bits import mask
from ratite.codegen.choosing import ENDS, RETURNS
from ratite.codegen.joining import HEAD_SIZE, patched_place
from ratite.codegen.regions import Piece, Plan, piece_of
from ratite.cpu.codepage import PAGE, CodePage
from ratite.cpu.compiling import Missing
from ratite.cpu.memo import Entry

if TYPE_CHECKING:
    from ratite.codegen.stencil import Job
    from ratite.cpu.engine import Engine

#: Most instructions of a region, the same where the shortest way round the loop is longer (unrolled loops), and fewest that are worth it.
LARGEST, LONGEST, SMALLEST = 300, 1000, 3
#: Most instructions that are looked at for it, most pages that it lies in, and how deep calls are followed.
_FARTHEST, _PAGES, _DEEPEST = 1000, 8, 3
#: After how many instructions others get the engine's lock for a moment.
_BREATH = 16
#: How far from a computed jump the targets of its table are looked for, and how many there may be: to find one of many (an interpreter's) takes
#: longer in a region than through the jump cache.
_TABLE, _CASES = 1024, 12
#: Bytes that a call may have.
_CALL_LENGTHS = (2, 4)
#: Most instructions of a region where whatever is executed becomes one.
_FORCED = 60
#: Most places at which a region can be entered.
_ENTRIES = 48


class Part(NamedTuple):
    """An instruction: its page, what the translator knows of it, its word, and the host address of its stencil."""

    page: CodePage
    entry: Entry
    word: int
    stencil: int


class Chosen(NamedTuple):
    """A loop that is to be a region: its head, the page of each instruction by guest address, the pages that it lies in, where it is entered (the
    head first), what whoever compiles it is told, and its jumps back to instructions of the same page: page, host address of the displacement, guest
    address of the jump and of its target."""

    head: int
    inside: dict[int, CodePage]
    pages: list[CodePage]
    plan: Plan
    back: list[tuple[CodePage, int, int, int]]


class Links:
    """Tells returns from jumps through tables: they go through a register in which calls keep return addresses."""

    #: From how many calls one learns that.
    _CALLS = 32

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._registers: set[tuple[str, int]] = set()
        self._learnt = 0

    @property
    def enough(self) -> bool:
        """Whether it has seen enough calls."""
        return self._learnt >= self._CALLS

    def learn(self, call: Part) -> None:
        """See where a call keeps the address to return to."""
        if not self.enough:
            self._learnt += 1
            piece = self._piece(call)
            self._registers |= {piece.number(v.attr) for v in piece.block.code if v.op == "reg.set" and v.args[0].op == "npc"}

    def _piece(self, part: Part) -> Piece:
        return piece_of(self._engine.arch, part.page.key[2], 0, part.word, part.entry[2])

    def returns(self, jump: Part) -> bool:
        """Whether a computed jump probably ends a function."""
        piece = self._piece(jump)
        through = {piece.number(v.attr) for v in piece.block.code if v.op == "reg.get"}
        return bool(through & self._registers)


class Explorer:
    """Follows translated code from a place, across pages and into functions. The engine's lock is held. missing: what has to be compiled before more
    can be told."""

    def __init__(self, engine: Engine, page: CodePage, links: Links) -> None:
        self._engine, self._context, self._links = engine, page.key[2], links
        self._mask = mask(engine.arch.word)
        self.pages: dict[int, CodePage | None] = {page.base: page}
        self.parts: dict[int, Part] = {}
        self.ways: dict[int, list[int]] = {}
        self.jumps: dict[int, list[int]] = {}
        self.missing: list[Job] = []

    def explore(self, head: int, forced: bool) -> None:
        """Find the instructions that can be reached, nearest first, and where each leads; fewer where regions are forced.

        A call leads to its function and, through code that may or may not be in the region, to where it returns. The end of a function leads to
        where those calls return by which it was found.
        """
        waiting: deque[tuple[int, int, int | None]] = deque([(head, 0, None)])
        returns: dict[int | None, list[int]] = {None: []}
        most = _FORCED if forced else _FARTHEST
        while waiting and len(self.parts) < most:
            at, depth, function = waiting.popleft()
            if at in self.parts or (part := self.part(at)) is None:
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
                elif depth < _DEEPEST and self.part(to) is not None:
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

    def _table(self, at: int, part: Part) -> list[int] | None:
        """Where a computed jump may go if it is one through a table: to places near it that have been jumped to. None if it returns."""
        page = part.page
        near = [page.base + offset for offset in page.published if abs(page.base + offset - at) <= _TABLE]
        behind_calls = {to for to in near if self._behind_call(page, to)}
        if not self._links.enough:
            self._learn_in(page)
        if self._links.returns(part):
            return None
        near = [to for to in near if to not in behind_calls]
        return sorted(near) if len(near) <= _CASES else []

    def _behind_call(self, page: CodePage, at: int) -> bool:
        """Whether a call before an address of a page returns to it."""
        for length in _CALL_LENGTHS:
            part = self.part(at - length) if at - length >= page.base else None
            if part is not None and part.entry[2] == length and part.entry[4] == RETURNS:
                if part.entry[3] is not None:
                    self._links.learn(part)
                return True
        return False

    def _learn_in(self, page: CodePage) -> None:
        """See where calls keep the address to return to: those of a page that have returned."""
        for n, offset in enumerate(sorted(page.published)):
            if n % _BREATH == 0:
                self._engine.let_others()
            if self._behind_call(page, page.base + offset) and self._links.enough:
                return

    def part(self, at: int) -> Part | None:
        """What the translator knows of the instruction at an address; None where it has not been translated or reaches into the next page."""
        page = self.page(at & -PAGE)
        stencil = None if page is None else page.entries.get(at & (PAGE - 1))
        if page is None or stencil is None:
            return None
        engine, i = self._engine, (at & (PAGE - 1)) >> 1
        memo, word = engine.translator.memos[self._context], page.data[i]
        try:
            if engine.arch.long[word] == 1:
                return Part(page, memo.entry(word, 2), word, stencil)
            if i + 1 >= page.limit:
                return None
            word |= page.data[i + 1] << 16
            return Part(page, memo.entry(word, 4), word, stencil)
        except Missing as m:  # its page was translated by another run, whose stencils were not on disk yet
            self.missing.append(m.job)
            return None

    def back(self, at: int) -> list[tuple[CodePage, int, int, int]]:
        """The jump of an instruction back to one of its own page, if it is one that can be patched, as in `Chosen`."""
        part = self.parts.get(at) or self.part(at)
        if part is None or part.entry[3] is None or part.entry[3] > 0 or (at + part.entry[3]) & -PAGE != part.page.base:
            return []
        place = patched_place(self._engine.joiner.records.read(part.entry[5], HEAD_SIZE))
        return [] if place is None else [(part.page, part.stencil + place, at, at + part.entry[3])]

    def page(self, base: int) -> CodePage | None:
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
    """The places from which `head` can be reached, nearest first and at most LARGEST, or LONGEST where so few lead nowhere, beginning with itself;
    none if it is in no loop."""
    sources: dict[int, list[int]] = {}
    for at, targets in ways.items():
        for to in targets:
            sources.setdefault(to, []).append(at)
    for most in (LARGEST, LONGEST):
        found = set(_reached(head, sources, most))
        inside = _reached(head, {at: [to for to in targets if to in found] for at, targets in ways.items() if at in found}, most)
        if any(head in ways[at] for at in inside):
            return inside
        if len(found) < most:
            break
    return []


def _entries(head: int, parts: dict[int, Part]) -> list[int]:
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


def choose(explorer: Explorer, head: int, forced: bool) -> Chosen | None:
    """The loop at an address that an explorer has looked at; forced: whatever is executed from there on, loop or not. The engine's lock is held."""
    parts = explorer.parts
    loop = list(parts) if forced else [at for at in _loop(head, explorer.ways) if at in parts]
    fewest = 1 if forced else SMALLEST
    if len(loop) < fewest:
        return None
    chosen = {at: parts[at] for at in loop}
    pages = list({id(part.page): part.page for part in chosen.values()}.values())
    plan = Plan(
        words=tuple((at, part.word, part.entry[2]) for at, part in chosen.items()),
        entries=tuple(_entries(head, chosen)),
        jumps={at: tuple(to for to in targets if to in chosen) for at, targets in explorer.jumps.items() if at in chosen},
        known=frozenset() if forced else _known(explorer, chosen, pages),
        pages=tuple(page.base for page in pages),
        context=pages[0].key[2],
        fewest=fewest,
    )
    return Chosen(head, {at: part.page for at, part in chosen.items()}, pages, plan, [jump for at in loop for jump in explorer.back(at)])


def _known(explorer: Explorer, chosen: dict[int, Part], pages: list[CodePage]) -> frozenset[int]:
    """Where a loop leads and there are stencils, in its own pages."""
    outside = {to for at in chosen for to in explorer.ways[at] if to not in chosen}
    return frozenset(to for to in outside if any(to & -PAGE == page.base and to & (PAGE - 1) in page.entries for page in pages))
