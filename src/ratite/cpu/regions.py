"""Finding hot code, having it compiled as a whole, and letting execution go through it.

A thread asks, at short intervals, every running vCPU where it is. The answer is the target of a backward or computed jump, because there machine
code looks whether it is wanted; so the places found are heads of loops and functions, and code need not count anything. One that is found often
is compiled with what can be reached from it in its page; then the jumps back to it are made to lead into the region.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ratite import log
from ratite.codegen.elfobj import Object
from ratite.codegen.regions import Piece, Region, compile_region, is_opaque
from ratite.codegen.stencil import TAKEN, block_of
from ratite.cpu.codepage import PAGE, CodePage, PageKey, RegionUnit
from ratite.cpu.memo import ENDS, RETURNS, Entry, Missing

if TYPE_CHECKING:
    from ratite.cpu.engine import Engine

#: Seconds between two questions.
INTERVAL = 0.001
#: How often a place has to be found.
HOT = 4
#: Most instructions of a region, and fewest that are worth it.
LARGEST, SMALLEST = 300, 3
#: Most instructions that are looked at for it.
_FARTHEST = 1000


@dataclass
class _Chosen:
    """The instructions of a region: (offset, entry, word, address of the stencil), the head first."""

    page: CodePage
    head: int
    parts: list[tuple[int, Entry, int, int]]


def _loop(head: int, ways: dict[int, list[int]]) -> list[int]:
    """The offsets from which `head` can be reached, nearest first and at most LARGEST, beginning with itself; none if it is in no loop."""
    sources: dict[int, list[int]] = {}
    for at, targets in ways.items():
        for to in targets:
            sources.setdefault(to, []).append(at)
    found, waiting = [head], list(sources.get(head, ()))
    if not waiting:
        return []
    seen = {head}
    while waiting and len(found) < LARGEST:
        at = waiting.pop(0)
        if at not in seen:
            seen.add(at)
            found.append(at)
            waiting += sources.get(at, ())
    return found


@dataclass
class _Ready:
    chosen: _Chosen
    code: bytes
    seconds: float


class Regions:
    """The regions of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._found: Counter[tuple[PageKey, int]] = Counter()
        self._tried: set[tuple[PageKey, int]] = set()
        self._asked: list[tuple[PageKey, int]] = []
        self._ready: list[_Ready] = []
        self._closing = threading.Event()
        self._worker: threading.Thread | None = None
        self.compiled = self.instructions = self.bytes = 0
        self.seconds = 0.0

    def start(self) -> None:
        """Begin to look for hot code."""
        if self._worker is None:
            self._worker = threading.Thread(target=self._work, name="ratite-regions", daemon=True)
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # signals are for the other threads
            try:
                self._worker.start()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def close(self) -> None:
        """Compile no more."""
        self._closing.set()
        if self._worker is not None:
            self._worker.join()

    # --- on the thread of a vCPU ------------------------------------------------------------------------------------------------------
    def sample(self, key: PageKey, offset: int) -> None:
        """Execution has been found at an offset of a page."""
        place = key, offset
        if self._ready:
            self._install()
        if place in self._tried:
            return
        self._found[place] += 1
        if self._found[place] >= HOT:
            self._tried.add(place)
            self._asked.append(place)

    def _install(self) -> None:
        engine = self._engine
        with engine.lock:
            while self._ready:
                ready = self._ready.pop()
                page = ready.chosen.page
                if engine.pages.get(page.key) is not page:
                    continue  # it has changed meanwhile
                try:
                    compiled = Object(ready.code)
                    address = engine.memory.load(compiled, {})["region"]
                except (MemoryError, KeyError):
                    continue
                engine.translator.register(RegionUnit(page, ready.chosen.head, address, compiled.functions["region"].size))
                self._enter(ready, address)

    def _enter(self, ready: _Ready, address: int) -> None:
        """Let execution go through a region: from now on its head is there."""
        engine, chosen = self._engine, ready.chosen
        page, head = chosen.page, chosen.head
        page.regions[head] = address
        for at, entry, _, stencil in chosen.parts:
            if entry[3] is not None and at + entry[3] == head:
                for kind, offset, _ in entry[1] or ():
                    if kind == TAKEN:
                        page.detours[stencil + offset] = engine.memory.read(stencil + offset, 4)
                        engine.link(stencil + offset, address)
        engine.publish(page, head)
        for vcpu in engine.vcpus:
            vcpu.flush()
        self.compiled += 1
        self.instructions += len(chosen.parts)
        self.bytes += len(ready.code)
        self.seconds += ready.seconds
        if log.enabled("region"):
            text = f"region at {page.base + head:#x}: {len(chosen.parts)} instructions, {len(ready.code)} bytes, {1000 * ready.seconds:.0f} ms"
            log.write("region", text + "\n")

    def compile_now(self, key: PageKey, offset: int) -> bool:
        """Make a region at an offset of a page at once; whether there is a loop. For tests, with no thread of its own running."""
        self._tried.add((key, offset))
        self._build((key, offset))
        made = bool(self._ready)
        self._install()
        return made

    # --- on the thread of its own ---------------------------------------------------------------------------------------------------------
    def _work(self) -> None:
        while not self._closing.wait(INTERVAL):
            for vcpu in list(self._engine.vcpus):
                if vcpu.native and not vcpu.sampled:
                    vcpu.sampled = True
                    vcpu.kick()
            while self._asked and not self._closing.is_set():
                self._build(self._asked.pop(0))

    def _build(self, place: tuple[PageKey, int]) -> None:
        begin = time.monotonic()
        chosen = self._choose(*place)
        if chosen is None:
            return
        pieces = [self._piece(chosen, part) for part in chosen.parts]
        if sum(not is_opaque(p.block) for p in pieces) < SMALLEST:
            return
        base = chosen.page.base
        known = {base + at: address for at, address in list(chosen.page.entries.items())}
        region = Region(self._engine.arch, pieces, known, self._engine.symbols["dispatch"])
        code = compile_region(region)
        self._ready.append(_Ready(chosen, code, time.monotonic() - begin))

    def _choose(self, key: PageKey, head: int) -> _Chosen | None:
        """The loop at `head`: what can be reached from there in its page, has been translated, and leads back."""
        engine = self._engine
        with engine.lock:
            page = engine.pages.get(key)
            if page is None or head not in page.entries:
                return None
            parts: dict[int, tuple[int, Entry, int, int]] = {}
            ways: dict[int, list[int]] = {}
            waiting = [head]
            while waiting and len(parts) < _FARTHEST:
                at = waiting.pop(0)
                if at in parts or at not in page.entries:
                    continue
                found = self._entry(page, at)
                if found is None:
                    continue
                entry, word = found
                parts[at] = at, entry, word, page.entries[at]
                ways[at] = []
                if entry[4] not in (ENDS, RETURNS):
                    ways[at].append(at + entry[2])
                if entry[3] is not None and 0 <= at + entry[3] < PAGE:
                    ways[at].append(at + entry[3])
                waiting += ways[at]
        loop = _loop(head, ways)
        return _Chosen(page, head, [parts[at] for at in loop]) if len(loop) >= SMALLEST else None

    def _entry(self, page: CodePage, at: int) -> tuple[Entry, int] | None:
        """What the translator knows of the instruction at an offset, and its word; None where it reaches into the next page."""
        engine = self._engine
        memo = engine.translator.memos[page.key[2]]
        first = page.data[at >> 1]
        try:
            if engine.arch.long[first] == 1:
                return memo.short.get(first) or memo.make(first, 2), first
            if (at >> 1) + 1 >= page.limit:
                return None
            word = first | page.data[(at >> 1) + 1] << 16
            return memo.long.get(word) or memo.make(word, 4), word
        except Missing:
            return None

    def _piece(self, chosen: _Chosen, part: tuple[int, Entry, int, int]) -> Piece:
        at, entry, word, stencil = part
        arch = self._engine.arch
        insn = arch.decoder.decode(word, entry[2]) or arch.illegal
        static_of, reg_of, imm_of = insn.getters
        memo = self._engine.translator.memos[chosen.page.key[2]]
        block = block_of(insn, arch, memo.form_of(insn, tuple(int(g(word)) for g in static_of)))
        registers = {r.name: int(g(word)) for r, g in zip(insn.text.fmt.regs, reg_of, strict=True)}
        immediates = {m.name: int(g(word)) for m, g in zip(insn.text.fmt.imms, imm_of, strict=True)}
        return Piece(chosen.page.base + at, entry[2], insn, block, registers, immediates, stencil)
