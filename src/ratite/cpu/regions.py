"""Finding hot code, having it compiled as a whole, and letting execution go through it.

A thread asks, at short intervals, every running vCPU where it is. The answer is the target of a backward or computed jump, because there machine
code looks whether it is wanted; so the places found are heads of loops and functions, and code need not count anything. One that is found often,
in this run and in earlier ones (`ratite.cpu.hotness`), is compiled with what can be reached from it and leads back to it, through other pages and
called functions too; then the jumps back to it are made to lead into the region.

The intervals are of the processor time of the process, so nobody wakes up while nothing is executed.

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
from typing import TYPE_CHECKING, NamedTuple

from ratite import log
from ratite.codegen import host_x86_64 as host
from ratite.codegen.library import key_of
from ratite.codegen.regions import ALIGNMENT, COUNTER, Compiled, address_of, delta_of, placed
from ratite.cpu.codepage import PAGE, CodePage, PageKey, RegionUnit
from ratite.cpu.cputimer import ProcessSleep, wake
from ratite.cpu.hostmem import HostBuffer
from ratite.cpu.hotness import Heat, Hotness
from ratite.cpu.loops import Chosen, Explorer, Links, choose
from ratite.cpu.regionstore import RegionStore, heat_name
from ratite.cpu.threads import quiet_thread

if TYPE_CHECKING:
    from ratite.cpu.engine import Engine
    from ratite.cpu.region_compilers import Answer, Compilers

#: Seconds of processor time between two questions: fewest, while execution is found where it has been before and nothing is compiled; most, and by
#: how much an interval is longer than the one before while it is found elsewhere each time, as in a boot, or in regions.
_SHORTEST, _LONGEST, _LONGER = 0.02, 0.1, 1.5
#: Seconds until somebody looks again while a region waits to be placed, and by the clock while one is being compiled elsewhere.
_SOON, _ANSWERS = 0.01, 0.1
#: For how many seconds of processor time execution has to be found at a place before its loop is looked at; twice as long for each time that code of
#: its page was compiled in vain.
HOT = 0.04
#: How many intervals an answer stands for at most.
_MOST_CREDIT = 1.5
#: A loop is compiled when execution has been in it for this many times as long as compiling will take: it may go on as long, and at best be a
#: third faster. What is executed in more than one run will be in others, too.
_WORTH, _WORTH_AGAIN = 4, 2
#: By how much longer execution has to be found at a place where no region came of it, until it is looked at again.
_A_BIT_LATER, _LATER, _MUCH_LATER = 1.2, 2, 8
#: Which part of that time is spent in the page where it was found, probably; which part of all time is so at least, or whatever is gained there does
#: not matter; and how many instructions a loop has.
_IN_PAGE, _MATTERS, _USUAL = 0.8, 1 / 32, 40
#: Seconds that compiling takes, at first and for each instruction, until that has been measured; and the first time, which loads LLVM.
_START_COST, _COST, _FIRST_COST = 0.01, 0.0007, 0.1
#: A region that is entered more often in a second of processor time than this costs more than it gains: to enter and to leave it takes as long as ten
#: instructions of the guest. For how long it is watched until that is decided.
_MOST_ENTRIES, _WATCHED = 5e6, 0.1
#: Regions whose entries are counted, each for itself.
_COUNTERS = 4096
#: Of how many pages it is known that code of theirs was compiled in vain; the guest has pages of new programs for ever.
_MOST_VAIN = 1 << 12
#: How many plans wait for those who compile.
_AHEAD = 2
#: The part of code memory that regions may fill.
_MEMORY_SHARE = 1 / 4
#: Compiling may take this part of the processor time of the process, and so many seconds before that counts where another process does it.
_TIME_SHARE, _GRACE = 0.1, 0.3
#: The part of that time that may be taken by looking at loops, most of which are not compiled in the end; how long one takes, about; and for which
#: part of the time, and of how much at least, execution has to be found in a page so that it is looked at anyway.
_LOOKING_SHARE, _LOOK, _DOMINATES, _EARLY = 0.005, 0.02, 1 / 6, 0.25


class _Ready(NamedTuple):
    """A region whose code is there. seconds: that compiling has taken; None: it was on disk."""

    chosen: Chosen
    compiled: Compiled
    seconds: float | None


class _Placed:
    """A region that execution goes through: on which pages it depends, which instructions it has, where it is entered (page, offset, host
    address) and by which jumps (page, host address of the displacement). head: where it was found. counter: where it is counted how often it is
    entered; seen: what that was."""

    def __init__(self, keys: list[PageKey], inside: set[int], head: tuple[PageKey, int], counter: int) -> None:
        self.keys, self.inside, self.head, self.counter = keys, inside, head, counter
        self.seen = 0
        self.entries: list[tuple[CodePage, int, int]] = []
        self.sites: list[tuple[CodePage, int]] = []


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

    def pages(self) -> list[PageKey]:
        """Pages with such places."""
        return list(self._pages)

    def of(self, key: PageKey) -> float:
        """The seconds of a page."""
        return sum(self._pages.get(key, {}).values())

    def forget(self, key: PageKey) -> dict[int, float]:
        """Leave out all of a page; what that was, by offset."""
        return self._pages.pop(key, {})

    def clear(self) -> None:
        """Leave out everything."""
        self._pages.clear()


class Regions:
    """The regions of one engine. always: compile whatever is executed and no region has yet, at once and loop or not; for tests."""

    def __init__(self, engine: Engine, always: bool = False) -> None:
        self._engine, self.always = engine, always
        self._found = _Times()  # for how long execution has been found at places, in earlier runs too
        self._new = _Times()  # what of that has not been noted yet for later ones
        self._hotness = _hotness(engine)
        self._names: dict[PageKey, bytes] = {}  # of pages whose past has been looked up
        self._again: set[PageKey] = set()  # pages that were hot in earlier runs
        self._looked = _Places()  # where a region on disk has been looked for
        self._credit = 0.0  # what the next answer stands for
        self._outside = 0.0  # seconds in which execution was in no region, as far as that was seen
        self._earlier = 0.0  # of those, in earlier runs
        self._tried = _Places()
        self._asked: deque[tuple[PageKey, int]] = deque()
        self._ready: deque[_Ready] = deque()
        self._placed: dict[PageKey, list[_Placed]] = {}
        self._links = Links(engine)
        self._store = RegionStore(engine)
        self._compilers: Compilers | None = None
        self._ordered: dict[int, Chosen] = {}  # by the number of the order
        self._useless: list[_Placed] = []
        self._counters = HostBuffer(8 * _COUNTERS)
        self._counts = self._counters.view.cast("Q")
        self._counter, self._judged = 0, time.process_time()
        self._seen: deque[tuple[PageKey, int]] = deque()  # found for the first time
        self._vain: Counter[PageKey] = Counter()
        self._later = _Times()  # for how long places have to be found before they are looked at again
        self._closing, self._compiling = threading.Event(), threading.Lock()
        self._worker: threading.Thread | None = None
        self._begin, self._spent, self._looking = time.process_time(), 0.0, 0.0
        self._interval = _SHORTEST
        self.compiled = self.restored = self.instructions = self.bytes = 0
        self.seconds = 0.0

    def start(self) -> None:
        """Begin to look for hot code."""
        if self._worker is None:
            self._worker = quiet_thread(self._work, "ratite-regions")

    def close(self) -> None:
        """Compile no more, and keep on disk what was hot. A process ends at once, whatever is being compiled."""
        self._closing.set()
        if self._engine.user is None:
            if self._worker is not None:
                wake(self._worker)
                self._worker.join()
                self._worker = None
            if self._compilers is not None:
                self._collect()  # what has come meanwhile
                self._compilers.close()
        with self._engine.lock:
            for key in self._new.pages():
                self._note(key)
        self._hotness.save()

    @property
    def compilers(self) -> Compilers:
        """Who compiles; that is loaded when it is needed."""
        if self._compilers is None:
            from ratite.cpu.region_compilers import OwnProcess, OwnThread

            arch = self._engine.arch
            beside = self._worker is not None and self._engine.user is None
            self._compilers = OwnProcess(arch, key_of(arch)) if beside else OwnThread(arch)
        return self._compilers

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Nothing is being compiled meanwhile."""
        with self._compiling:
            yield

    def forked(self) -> None:
        """In the child of a fork: the thread is the parent's."""
        self._asked.clear()
        self._seen.clear()
        self._ordered.clear()
        self._new.clear()
        self._hotness.forget()
        self._closing = threading.Event()  # the thread may have been inside it
        self._begin, self._spent, self._looking = time.process_time(), 0.0, 0.0
        if self._worker is not None:
            self._worker = None
            self.start()

    # --- on the thread of a vCPU ------------------------------------------------------------------------------------------------------
    def sample(self, key: PageKey, offset: int, inside: bool) -> None:
        """Execution has been found at an offset of a page; `inside`: in a region."""
        place = key, offset
        if self._ready or self._useless:
            self._install()
        if inside or place in self._tried:
            if not inside:  # a region may come to it too late for this run
                self._new[place] += self._credit
            self._interval = min(self._interval * _LONGER, _LONGEST)
            return
        self._interval = _SHORTEST if self._new[place] else min(self._interval * _LONGER, _LONGEST)
        if place not in self._looked:
            self._looked.add(place)
            self._seen.append(place)
        self._found[place] += self._credit
        self._new[place] += self._credit
        self._outside += self._credit
        self._consider(place)

    def _consider(self, place: tuple[PageKey, int]) -> None:
        """Have a loop looked at if execution has been found often enough at a place."""
        if self._found[place] >= self._threshold(*place) and place not in self._tried and self._may_be_worth(place[0]):
            self._tried.add(place)
            self._asked.append(place)

    def _may_be_worth(self, key: PageKey) -> bool:
        """Whether it makes sense to look at a loop of a page: that takes some hundredths of a second."""
        least = self._worth(key) * (self._first_cost + _COST * _USUAL)
        return self._found.of(key) >= max(_IN_PAGE * least, _MATTERS * self._outside)

    @property
    def _first_cost(self) -> float:
        """How long compiling anything will take."""
        return _START_COST if self.compiled else _FIRST_COST

    def _worth(self, key: PageKey) -> float:
        """How many times as long as compiling takes execution has to be found in a loop whose head is in a page."""
        return _WORTH_AGAIN if key in self._again else _WORTH

    def _threshold(self, key: PageKey, offset: int) -> float:
        page = self._engine.pages.get(key)
        if page is not None and offset in page.regions:
            return float("inf")
        return max(HOT * (1 << min(self._vain[key], 16)), self._later[key, offset])

    def _inside(self, key: PageKey, offset: int) -> bool:
        """Whether a region has the instruction at an offset of a page."""
        return any(key[1] + offset in known.inside for known in list(self._placed.get(key, ())))

    def _install(self) -> None:
        engine = self._engine
        with engine.exclusive:
            while self._ready:
                ready = self._ready.popleft()
                chosen, compiled = ready.chosen, ready.compiled
                symbols = self._symbols(ready)
                if symbols is None:
                    continue  # a page has changed meanwhile
                counter = self._new_counter()
                symbols[COUNTER] = self._counters.address + 8 * counter
                try:
                    base = engine.memory.take(len(compiled.code), ALIGNMENT)
                    if engine.faults is not None:
                        engine.faults.add_region(base + compiled.start, compiled.size, compiled.landings)
                    stubs = engine.memory.put(bytes(host.ENTRY_SIZE * len(chosen.plan.entries)))
                except MemoryError:
                    self.bytes = engine.memory.size  # no more until the memory is emptied
                    continue
                engine.memory.patch(base, placed(compiled, base, symbols))
                address = base + compiled.start
                engine.translator.register(RegionUnit(chosen.inside[chosen.head], chosen.head & (PAGE - 1), address, compiled.size))
                for n in range(len(chosen.plan.entries)):
                    at = stubs + n * host.ENTRY_SIZE
                    engine.memory.patch(at, host.enter_region(n, at, address))
                self._enter(ready, stubs, counter)
            while self._useless:
                self._take_out(self._useless.pop())

    def _new_counter(self) -> int:
        """A counter of entries that begins with nothing."""
        self._counter = (self._counter + 1) % _COUNTERS
        self._counts[self._counter] = 0
        return self._counter

    def _take_out(self, former: _Placed) -> None:
        """Let execution go through stencils where it goes through a region that is left too soon, and never try again."""
        for key in former.keys:
            if former not in self._placed.get(key, ()):
                return
            self._placed[key].remove(former)
        for page, site in former.sites:
            self._engine.memory.patch(site, page.detours.pop(site))
        for page, offset, where in former.entries:
            del page.regions[offset]
            self._lead(page, offset, where, page.entries[offset])
            self._tried.add((page.key, offset))
        self._store.reject(former.head, [(page.key, offset) for page, offset, _ in former.entries])
        if log.enabled("region"):
            log.write("region", f"region at {former.head[0][1] + former.head[1]:#x} was left too soon each time")

    def _symbols(self, ready: _Ready) -> dict[str, int] | None:
        """What the symbols of a region's code mean; None where they mean nothing any more. The engine's lock is held."""
        engine, pages = self._engine, ready.chosen.pages
        if any(engine.pages.get(page.key) is not page for page in pages):
            return None
        own = engine.symbols | {delta_of(page.base): page.key[0] - page.base for page in pages}
        found = {}
        by_base = {page.base: page for page in pages}
        for name in {symbol for _, _, symbol, _ in ready.compiled.fixups if symbol}:
            if name == COUNTER:
                continue
            if name in own:
                found[name] = own[name]
                continue
            at = address_of(name)
            page = by_base.get(at & -PAGE)
            stencil = None if page is None else page.entries.get(at & (PAGE - 1))
            if stencil is None:
                return None
            found[name] = stencil
        return found

    def _enter(self, ready: _Ready, stubs: int, counter: int) -> None:
        """Let execution go through a region: from now on the places where it can be entered are there, unless there is another region."""
        chosen = ready.chosen
        head = chosen.inside[chosen.head].key, chosen.head & (PAGE - 1)
        made = _Placed([p.key for p in chosen.pages], set(chosen.inside), head, counter)
        for n, at in enumerate(chosen.plan.entries):
            page, offset = chosen.inside[at], at & (PAGE - 1)
            if offset not in page.regions:
                page.regions[offset] = stubs + n * host.ENTRY_SIZE
                made.entries.append((page, offset, page.regions[offset]))
                self._lead(page, offset, page.entries[offset], page.regions[offset])
        for page, site, _, target in chosen.back:
            self._detour(made, page, site, target)
        for key in made.keys:
            self._placed.setdefault(key, []).append(made)
        self.compiled += ready.seconds is not None
        self.restored += ready.seconds is None
        self.instructions += len(chosen.inside)
        self.bytes += len(ready.compiled.code)
        self.seconds += ready.seconds or 0.0
        if log.enabled("region"):
            text = f"region at {chosen.head:#x}: {len(chosen.inside)} instructions in {len(chosen.pages)} pages, {len(chosen.plan.entries)} entries"
            came = "from disk" if ready.seconds is None else f"{1000 * ready.seconds:.0f} ms"
            log.write("region", f"{text}, {len(ready.compiled.code)} bytes, {came}")

    def _lead(self, page: CodePage, offset: int, before: int, after: int) -> None:
        """Let jumps to a place that go through tables lead to another host address."""
        if offset in page.published:
            self._engine.publish(page, offset)
            for vcpu in self._engine.vcpus:
                vcpu.redirect(page.base + offset, page.key[2], before, after)

    def _detour(self, made: _Placed, page: CodePage, site: int, target: int) -> None:
        """Let the stencil of a jump back to an entry in its own page lead there."""
        address = next((where for of, offset, where in made.entries if of is page and page.base + offset == target), None)
        if address is not None and site not in page.detours:
            made.sites.append((page, site))
            page.detours[site] = self._engine.memory.read(site, 4)
            self._engine.link(site, address)

    def withdraw(self, key: PageKey) -> None:
        """A page is no longer valid: let execution go through stencils again where regions depend on it. The engine's lock is held, and the
        jump caches will be emptied."""
        self._note(key)
        tried, gone = self._tried.forget(key), self._placed.pop(key, ())
        self._found.forget(key)
        self._later.forget(key)
        self._looked.forget(key)
        self._names.pop(key, None)
        self._again.discard(key)
        if gone or tried:
            self._vain[key] += max(len(gone), tried)  # what comes there next may be worth it where this was not
            if len(self._vain) > _MOST_VAIN:
                del self._vain[next(iter(self._vain))]
        for former in gone:
            for other in former.keys:
                if other in self._placed:
                    self._placed[other].remove(former)
            for page, site in former.sites:
                if self._engine.pages.get(page.key) is page:
                    self._engine.memory.patch(site, page.detours.pop(site))
            for page, offset, _ in former.entries:
                self._tried.discard((page.key, offset))
                self._looked.discard((page.key, offset))
                if self._engine.pages.get(page.key) is page:
                    self._found[page.key, offset] = 0.0
                    del page.regions[offset]
                    if offset in page.published:
                        self._engine.publish(page, offset)

    def clear(self) -> None:
        """All code is gone. The engine's lock is held."""
        for key in self._new.pages():
            self._note(key)
        self._placed.clear()
        self._tried.clear()
        self._found.clear()
        self._later.clear()
        self._looked.clear()
        self._names.clear()
        self._again.clear()
        self._ready.clear()
        self._seen.clear()
        self._useless.clear()
        self.bytes = 0
        if self._engine.faults is not None:
            self._engine.faults.forget_regions()

    def placed(self) -> list[_Placed]:
        """The regions that execution goes through."""
        return list({id(one): one for found in self._placed.values() for one in found}.values())

    def compile_now(self, key: PageKey, offset: int) -> bool:
        """Make a region at an offset of a page at once; whether there is one. For tests, with no thread of its own running."""
        place = key, offset
        if self.always and (place in self._tried or self._inside(key, offset)):
            return False
        self._tried.add(place)
        self._build(place, worth=0)
        self._collect()
        made = bool(self._ready)
        self._install()
        return made

    # --- on the thread of its own ---------------------------------------------------------------------------------------------------------
    def _work(self) -> None:
        sleep = ProcessSleep()
        before = time.process_time() - time.thread_time()
        while not self._closing.is_set():
            busy = self._compilers is not None and self._compilers.busy
            sleep.sleep(_SOON if self._ready else self._interval, _ANSWERS if busy else None)
            if self._closing.is_set():
                break
            now = time.process_time() - time.thread_time()
            asked = sum(vcpu.ask() for vcpu in list(self._engine.vcpus))
            self._credit, before = min((now - before) / max(asked, 1), _MOST_CREDIT * self._interval), now
            if not asked:  # executing Python, for devices or new code
                self._interval = min(self._interval * _LONGER, _LONGEST)
            self._attend()
        sleep.close()

    def _attend(self) -> None:
        """Do what the answers have left to be done."""
        while not self._closing.is_set():
            try:
                place = self._seen.popleft()
            except IndexError:  # none, or all code has been forgotten meanwhile
                break
            self._look_up(place)
        self._collect()
        self._judge()
        while self._asked and not self._closing.is_set() and self._may_compile():
            place = max(list(self._asked), key=self._found.__getitem__)  # processors ask meanwhile
            if not self._may_look(place):
                break
            self._asked.remove(place)
            if self._found[place] < self._threshold(*place):  # a region has come to it since
                self._tried.discard(place)
            else:
                self._build(place, self._worth(place[0]))

    def _judge(self) -> None:
        """Find out which regions are left too soon."""
        seconds = time.process_time() - self._judged
        if seconds < _WATCHED:
            return
        self._judged += seconds
        with self._engine.lock:
            for one in self.placed():
                count = self._counts[one.counter]
                if count - one.seen > _MOST_ENTRIES * seconds:
                    self._useless.append(one)
                one.seen = count

    def _may_compile(self) -> bool:
        """Whether limits of time and memory allow another region now."""
        if self.bytes > self._engine.memory.size * _MEMORY_SHARE:
            self._asked.clear()
            return False
        if self._compilers is not None and self._compilers.lost:
            self._asked.clear()
            return False
        if self._compilers is not None and self._compilers.busy >= _AHEAD:
            return False
        elapsed = time.process_time() - self._begin
        if self._engine.user is not None:  # LLVM works in the process itself, which may be a short one: what counts is its time in all runs
            return self._spent + self._first_cost <= _TIME_SHARE * (elapsed + self._earlier)
        return self._spent < _GRACE + _TIME_SHARE * elapsed

    def _may_look(self, place: tuple[PageKey, int]) -> bool:
        """Whether the time that it takes to look at a loop does not matter: in a long run, or because so much of this one is spent in its page."""
        elapsed = time.process_time() - self._begin
        return self._looking + _LOOK <= _LOOKING_SHARE * elapsed or self._new.of(place[0]) >= _DOMINATES * max(elapsed, _EARLY)

    def _build(self, place: tuple[PageKey, int], worth: float) -> None:
        begin = time.thread_time()
        chosen = self._choose(*place)
        self._looking += time.thread_time() - begin
        self._spent += time.thread_time() - begin
        if chosen is None:
            self._put_off([place], _MUCH_LATER)
        elif (seconds := self._seconds_in(chosen)) < (enough := worth * self._cost(chosen)):
            self._put_off(self._places_in(chosen), min(max(enough / max(seconds, HOT), _A_BIT_LATER), _MUCH_LATER))
            self._tried.discard(place)
        else:
            self._put_off(self._places_in(chosen), _LATER)  # for a run that ends before it is compiled, and the next ones
            with self._compiling:
                self._ordered[self.compilers.order(chosen.plan)] = chosen

    def _collect(self) -> None:
        """Take what has been compiled."""
        for answer in self._compilers.answers() if self._compilers is not None else ():
            self._spent += answer.seconds
            chosen = self._ordered.pop(answer.number, None)
            if chosen is not None:
                self._take(chosen, answer)

    def _take(self, chosen: Chosen, answer: Answer) -> None:
        """Take a region that has been compiled, or could not be."""
        if answer.compiled is None:
            self._put_off(self._places_in(chosen), _MUCH_LATER)
            if log.enabled("region"):
                log.write("region", f"no region at {chosen.head:#x}: {answer.why}")
            return
        with self._engine.lock:
            if all(self._engine.pages.get(page.key) is page for page in chosen.pages):
                self._store.keep(chosen, answer.compiled)
                self._ready.append(_Ready(chosen, answer.compiled, answer.seconds))

    def _look_up(self, place: tuple[PageKey, int]) -> None:
        """Find out what earlier runs know of a place: take the region that is on disk, or remember how long they have been there."""
        with self._engine.lock:
            page = self._engine.pages.get(place[0])
            if page is None or self._inside(*place) or any(page in ready.chosen.pages and self._has(ready, page, place[1]) for ready in self._ready):
                return
            if self._store.rejected(page, place[1]):
                self._tried.add(place)
                return
            found = self._store.find(Explorer(self._engine, page, self._links), page, place[1])
            ready = None if found is None else _Ready(*found, None)
            if ready is not None and self._symbols(ready) is not None:
                self._tried.add(place)
                self._ready.append(ready)
                self._interval = _SHORTEST
                return
            if self._store.knows(page, place[1]):  # some of it may not have been translated yet
                self._looked.discard(place)
            self._recall(page)
        self._consider(place)

    @staticmethod
    def _has(ready: _Ready, page: CodePage, offset: int) -> bool:
        return ready.chosen.inside.get(page.base + offset) is page

    def _recall(self, page: CodePage) -> None:
        """Count what earlier runs have found in a page."""
        if page.key in self._names:
            return
        name = self._names[page.key] = heat_name(page)
        for offset, heat in self._hotness.of(name).items():
            self._found[page.key, offset] += heat.seconds
            self._later[page.key, offset] = max(heat.needed, self._later[page.key, offset])
            self._outside += heat.seconds
            self._earlier += heat.seconds
            self._again.add(page.key)

    def _note(self, key: PageKey) -> None:
        """Have what has been found in a page remembered by its content. The engine's lock is held."""
        page = self._engine.pages.get(key)
        name = self._names.get(key) or (None if page is None else heat_name(page))
        found = self._new.forget(key)
        if name is not None:
            for offset, seconds in found.items():
                self._hotness.add(name, offset, Heat(seconds, self._later[key, offset]))

    def _put_off(self, places: list[tuple[PageKey, int]], times: float) -> None:
        """Look at a loop again when execution has been so many times as long at one of its places."""
        for place in places:
            if self._found[place]:
                self._later[place] = times * self._found[place]

    @staticmethod
    def _places_in(chosen: Chosen) -> list[tuple[PageKey, int]]:
        return [(page.key, at & (PAGE - 1)) for at, page in chosen.inside.items()]

    def _seconds_in(self, chosen: Chosen) -> float:
        """How long execution has been in a loop and not in a region, as far as that was seen."""
        return sum(self._found[place] for place in self._places_in(chosen))

    def _cost(self, chosen: Chosen) -> float:
        """How long compiling a loop will take."""
        if not self.compiled:
            return _FIRST_COST + _START_COST + _COST * len(chosen.inside)
        each = max(self.seconds - _FIRST_COST - _START_COST * self.compiled, 0) / self.instructions
        return _START_COST + max(each, _COST) * len(chosen.inside)

    def _choose(self, key: PageKey, offset: int) -> Chosen | None:
        """The loop at an offset of a page: what can be reached from there, has been translated, and leads back."""
        while True:
            with self._engine.lock:
                page = self._engine.pages.get(key)
                if page is None or offset not in page.entries:
                    return None
                explorer = Explorer(self._engine, page, self._links)
                explorer.explore(page.base + offset, self.always)
                if not explorer.missing:
                    return choose(explorer, page.base + offset, self.always)
            with self._compiling:  # or the child of a fork would find LLVM locked for ever
                self._engine.compile(list({job.key: job for job in explorer.missing}.values()))


def _hotness(engine: Engine) -> Hotness:
    """What is known of earlier runs of programs with an engine like this; nothing where it keeps nothing on disk."""
    if not engine.store.persistent:
        return Hotness(None)
    return Hotness(engine.library.beside(".heat"), engine.library.beside(".lock"))
