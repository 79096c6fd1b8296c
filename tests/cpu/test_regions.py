"""Hot loops compiled as a whole do what the reference evaluator does, and every way out of them leaves the right state."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from ratite.codegen.library import key_of
from ratite.cpu.hotness import Hotness
from ratite.cpu.loops import LARGEST
from ratite.cpu.region_compilers import Answer, OwnProcess, OwnThread
from ratite.cpu.regions import Regions
from tests.isa.riscv import harts

DATA = harts.RAM + 0x10_0000
COUNTER, BASE = 28, 12
#: Registers that loops use: pinned ones and others.
REGISTERS = (10, 11, 13, 14, 15, 5, 6, 7, 29, 30)


def r_type(opcode: int, funct3: int, funct7: int, rd: int, rs1: int, rs2: int) -> int:
    return funct7 << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode


def i_type(opcode: int, funct3: int, rd: int, rs1: int, imm: int) -> int:
    return (imm & 0xFFF) << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode


def store(funct3: int, rs2: int, rs1: int, imm: int) -> int:
    return (imm >> 5 & 0x7F) << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | (imm & 31) << 7 | 0x23


def branch(funct3: int, rs1: int, rs2: int, offset: int) -> int:
    high = (offset >> 12 & 1) << 31 | (offset >> 5 & 0x3F) << 25
    return high | rs2 << 20 | rs1 << 15 | funct3 << 12 | (offset >> 1 & 15) << 8 | (offset >> 11 & 1) << 7 | 0x63


class Loops:
    """Makes random loops."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def register(self) -> int:
        return self.random.choice((*REGISTERS, 0))

    def instruction(self, left: int) -> int:
        """One instruction; a branch goes at most `left` instructions ahead."""
        kind = self.random.randrange(10)
        rd, rs1, rs2 = self.register(), self.register(), self.register()
        if kind < 4:
            funct3 = self.random.randrange(8)
            high = self.random.choice((0, 1, 0x20 if funct3 in (0, 5) else 0))
            opcode = 0x33 if funct3 not in (0, 5) else self.random.choice((0x33, 0x3B))
            return r_type(opcode, funct3, high, rd, rs1, rs2)
        if kind < 6:
            return i_type(0x13, self.random.choice((0, 2, 3, 4, 6, 7)), rd, rs1, self.random.randrange(-2048, 2048))
        if kind < 7:
            return i_type(0x03, self.random.choice((0, 1, 2, 3, 4, 5, 6)), rd, BASE, self.random.randrange(0, 256))
        if kind < 8:
            return store(self.random.randrange(4), rs2, BASE, self.random.randrange(0, 256))
        if kind < 9 and left > 1:
            return branch(self.random.choice((0, 1, 4, 5, 6, 7)), rs1, rs2, 4 * self.random.randrange(1, left + 1))
        return self.random.choice((0x17, 0x37)) | rd << 7 | self.random.getrandbits(20) << 12

    def program(self, turns: int) -> list[int]:
        length = self.random.randrange(4, 40)
        body = [self.instruction(length - n) for n in range(length)]
        body.append(i_type(0x13, 0, COUNTER, COUNTER, -1))
        return [i_type(0x13, 0, COUNTER, 0, turns), *body, branch(1, COUNTER, 0, -4 * len(body))]


@pytest.fixture(scope="module")
def benches() -> Iterator[tuple[harts.Bench, harts.Bench]]:
    native, reference = harts.Bench(native=True), harts.Bench()
    native.engine.regions = Regions(native.engine)
    yield native, reference


def put(bench: harts.Bench, words: list[int]) -> None:
    """The program into memory."""
    code = b"".join(w.to_bytes(4, "little") for w in words)
    end = harts.CODE + len(code)
    code += harts.jump(harts.STOP - end).to_bytes(4, "little")
    bench.memory.dma_write(harts.CODE, code)


def finish(bench: harts.Bench) -> tuple[list[int], bytes, int]:
    """Run to the end; the state there."""
    if bench.native:
        while bench.cpu.run().kind != "stop":
            pass
    else:
        while bench.state.pc not in bench.cpu.stops:
            bench.cpu.step()
    return [bench.x[n] for n in range(1, 32)], bytes(bench.memory.dma_read(DATA, 512)), int(bench.state.pc)


def compile_loop(bench: harts.Bench, at: int = harts.CODE + 4) -> bool:
    key = bench.cpu.page_key(at)
    assert key is not None and bench.engine.regions is not None
    return bench.engine.regions.compile_now(key, at & 0xFFF)


def set_state(bench: harts.Bench, seed: int) -> None:
    """Registers and data, the same for the same seed; the program stays, and its translation with it."""
    bench.reset()
    bench.state.fs = 3
    numbers = random.Random(seed)
    bench.memory.dma_write(DATA, numbers.randbytes(512))
    for r in REGISTERS:
        bench.x[r] = numbers.choice((0, 1, 2**63, 2**64 - 1, numbers.getrandbits(64)))
    bench.x[BASE] = DATA
    bench.state.next_pc = harts.CODE


@pytest.mark.parametrize("seed", range(40))
def test_random_loops(benches: tuple[harts.Bench, harts.Bench], seed: int) -> None:
    native, reference = benches
    words = Loops(seed).program(turns=30)
    for bench in benches:
        put(bench, words)
    set_state(native, seed)
    finish(native)  # translates it
    assert compile_loop(native)
    for trial in range(3):
        for bench in benches:
            set_state(bench, 1000 * trial + seed)
        assert finish(native) == finish(reference)


def test_a_long_loop_without_a_shorter_way_round(benches: tuple[harts.Bench, harts.Bench]) -> None:
    """What a compiler has unrolled is one region as well, though longer than other regions may be; the reference agrees."""
    native, reference = benches
    body = [r_type(0x33, n % 8, 0, REGISTERS[n % 10], REGISTERS[n * 7 % 10], REGISTERS[n * 3 % 10]) for n in range(2 * LARGEST)]
    body.append(i_type(0x13, 0, COUNTER, COUNTER, -1))
    for bench in benches:
        put(bench, [i_type(0x13, 0, COUNTER, 0, 5), *body, branch(1, COUNTER, 0, -4 * len(body))])
        set_state(bench, 1)
    finish(native)
    assert compile_loop(native)
    for bench in benches:
        set_state(bench, 2)
    assert finish(native) == finish(reference)


#: Adds up a table: t0 the sum, t1 the pointer, t3 the counter.
SUM = (
    i_type(0x13, 0, COUNTER, 0, 500),
    i_type(0x03, 3, 6, 7, 0),
    r_type(0x33, 0, 0, 5, 5, 6),
    i_type(0x13, 0, 7, 7, 8),
    i_type(0x13, 0, COUNTER, COUNTER, -1),
    branch(1, COUNTER, 0, -16),
)


#: Counts in three registers.
ENDLESS = (i_type(0x13, 0, 5, 5, 1), i_type(0x13, 0, 6, 6, 1), i_type(0x13, 0, 7, 7, 1), branch(0, 0, 0, -12))


def summing(bench: harts.Bench, start: int) -> None:
    set_state(bench, 0)
    bench.x[5], bench.x[7] = 0, start


def test_a_fault_in_a_region_is_precise(benches: tuple[harts.Bench, harts.Bench]) -> None:
    """The table ends with memory."""
    native, reference = benches
    for bench in benches:
        put(bench, list(SUM))
        summing(bench, DATA)
    assert finish(native) == finish(reference)
    assert compile_loop(native)
    end = harts.RAM + harts.RAM_SIZE
    for bench in benches:
        summing(bench, end - 100 * 8)
    assert finish(native) == finish(reference)
    assert native.state.mcause == 5
    assert native.state.mepc == harts.CODE + 4
    assert native.x[COUNTER] == 400


def test_a_jump_back_leads_into_the_region(benches: tuple[harts.Bench, harts.Bench]) -> None:
    """So whatever left it comes back with the next turn of the loop."""
    native, _ = benches
    put(native, list(SUM))
    summing(native, DATA)
    finish(native)
    assert compile_loop(native)
    assert native.engine.regions is not None
    placed = next(p for p in native.engine.regions.placed() if harts.CODE + 4 in p.inside)
    assert len(placed.sites) == 1
    page, site = placed.sites[0]
    before = page.detours[site]
    assert site + 4 + int.from_bytes(before, "little", signed=True) == page.entries[4]
    assert native.engine.memory.read(site, 4) != before
    native.engine.invalidate_page(page.key[0])
    assert native.engine.memory.read(site, 4) == before or native.engine.pages.get(page.key) is not page


def test_changed_code_ends_a_region(benches: tuple[harts.Bench, harts.Bench]) -> None:
    native, _ = benches
    put(native, list(SUM))
    summing(native, DATA)
    before = finish(native)[0][4]
    assert compile_loop(native)
    native.memory.dma_write(harts.CODE + 8, r_type(0x33, 0, 0x20, 5, 5, 6).to_bytes(4, "little"))  # sub
    summing(native, DATA)
    assert finish(native)[0][4] == -before % 2**64


def test_changed_code_gets_its_chance() -> None:
    """A place that has been looked at is looked at again when other code has come there, as where a page of memory goes to another
    program."""
    bench = harts.Bench(native=True, region="always")
    assert bench.engine.regions is not None
    bench.run(*[harts.ECALL] * 40)
    before = bench.engine.regions.compiled
    bench.reset()
    bench.run(i_type(0x13, 0, 5, 0, 7))
    assert bench.x[5] == 7
    assert bench.engine.regions.compiled > before


def test_pages_that_come_and_go_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guest has pages of new programs for ever; what is remembered of those that are gone is little."""
    monkeypatch.setattr("ratite.cpu.regions._MOST_VAIN", 8)
    bench = harts.Bench(native=True, region="always")
    regions = bench.engine.regions
    assert regions is not None
    for page in range(32):
        bench.run(i_type(0x13, 0, 5, 0, page), at=harts.CODE + 4096 * page)
        bench.run(i_type(0x13, 0, 5, 0, 7), at=harts.CODE + 4096 * page)
        assert bench.x[5] == 7
    bench.engine.invalidate_page(bench.cpu.call("ram_host", harts.CODE))
    assert len(regions._vain) == 8
    assert not [key for key in regions._found._pages if key not in bench.engine.pages]


def i_jump(rd: int, rs1: int) -> int:
    return i_type(0x67, 0, rd, rs1, 0)


def call(offset: int) -> int:
    return harts.jump(offset) | 1 << 7


#: A loop that calls two functions of other pages and jumps through a table of two cases; t0 the sum, t3 the counter, a2 the data.
FUNCTIONS = (harts.CODE + 0x1000, harts.CODE + 0x2000)
CASES = harts.CODE + 0x34
CALLING = (
    i_type(0x13, 0, COUNTER, 0, 400),
    i_type(0x13, 7, 6, COUNTER, 1),  # 04: the loop; t1 = counter & 1
    call(FUNCTIONS[0] - harts.CODE - 0x08),
    call(FUNCTIONS[1] - harts.CODE - 0x0C),
    i_type(0x13, 1, 6, 6, 3),  # 10: t1 <<= 3
    0x17 | 7 << 7,  # 14: t2 = here
    r_type(0x33, 0, 0, 7, 7, 6),
    i_jump(0, 7) | 0x20 << 20,  # 1c: to CASES or eight bytes behind it
    *(0x13,) * 5,
    i_type(0x13, 0, 5, 5, 3),  # 34
    harts.jump(8),
    i_type(0x13, 0, 5, 5, 7),  # 3c
    i_type(0x13, 0, COUNTER, COUNTER, -1),  # 40
    branch(1, COUNTER, 0, -0x40),
)
#: Adds a word of the data and keeps the sum there; adds the return address.
FUNCTION_TEXTS = (
    (i_type(0x03, 3, 29, BASE, 8), r_type(0x33, 0, 0, 5, 5, 29), store(3, 5, BASE, 8), i_jump(0, 1)),
    (r_type(0x33, 0, 0, 5, 5, 1), r_type(0x33, 4, 0, 30, 30, 5), i_jump(0, 1)),
)


def put_calling(bench: harts.Bench, texts: Iterable[tuple[int, ...]] = FUNCTION_TEXTS) -> None:
    """The loop that calls functions into memory, with these functions."""
    put(bench, list(CALLING))
    for at, words in zip(FUNCTIONS, texts, strict=True):
        bench.memory.dma_write(at, b"".join(w.to_bytes(4, "little") for w in words))


def test_calls_returns_and_tables_stay_in_the_region(benches: tuple[harts.Bench, harts.Bench]) -> None:
    """All of the loop is compiled, with what it calls; leaving it costs an exit that would be seen here."""
    native, reference = benches
    for bench in benches:
        put_calling(bench)
        set_state(bench, 1)
    assert finish(native) == finish(reference)
    assert compile_loop(native)
    regions = native.engine.regions
    assert regions is not None
    inside = next(placed for placed in regions.placed() if harts.CODE + 4 in placed.inside).inside
    assert {*FUNCTIONS, CASES, CASES + 8, harts.CODE + 0x10} <= inside
    for bench in benches:
        set_state(bench, 2)
    assert finish(native) == finish(reference)
    native.memory.dma_write(FUNCTIONS[1] + 4, r_type(0x33, 0, 0, 30, 30, 5).to_bytes(4, "little"))
    reference.memory.dma_write(FUNCTIONS[1] + 4, r_type(0x33, 0, 0, 30, 30, 5).to_bytes(4, "little"))
    assert not any(harts.CODE + 4 in placed.inside for placed in regions.placed())
    for bench in benches:
        set_state(bench, 3)
    assert finish(native) == finish(reference)


def test_a_region_is_left_when_somebody_wants_the_processor(benches: tuple[harts.Bench, harts.Bench]) -> None:
    native, _ = benches
    put(native, list(ENDLESS))
    for compiled in (False, True):
        set_state(native, 0)
        native.x[5] = native.x[6] = native.x[7] = 0
        while not native.x[5]:  # 0: it was still being compiled
            timer = threading.Timer(0.05, native.cpu.kick)
            timer.start()
            assert native.cpu.run().kind == "interrupt"
            timer.join()
        assert native.x[5] == native.x[6] == native.x[7] > 0
        assert native.state.pc == harts.CODE
        if not compiled:
            assert compile_loop(native, harts.CODE)


def test_a_kept_page_has_no_jumps_into_regions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATITE_CACHE", str(tmp_path))
    results = []
    for again in (False, True):
        native = harts.Bench(native=True)
        native.engine.regions = Regions(native.engine)
        put(native, list(SUM))
        summing(native, DATA)
        results.append(finish(native))
        if again:
            assert native.engine.translator.instructions == 0
        else:
            assert compile_loop(native)
        native.close()
    assert results[0] == results[1]


def note_when_called(patch: pytest.MonkeyPatch, owner: object, name: str, ask: Callable[[], bool]) -> list[bool]:
    """What is asked has this answer at each call of a method from now on."""
    answers, really = [], getattr(owner, name)

    def called(*args: object) -> object:
        answers.append(ask())
        return really(*args)

    patch.setattr(owner, name, called)
    return answers


def test_a_page_of_another_run_need_not_find_its_stencils(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Translations are read from disk when an engine starts, and stencils a little earlier: these may be of different runs. They are compiled then,
    and no process forks meanwhile, whose child would never get LLVM's lock."""
    monkeypatch.setenv("RATITE_CACHE", str(tmp_path))
    for again in (False, True):
        native = harts.Bench(native=True)
        regions = native.engine.regions = Regions(native.engine)
        put(native, list(SUM))
        summing(native, DATA)
        finish(native)
        if again:
            assert native.engine.translator.instructions == 0
            held = note_when_called(monkeypatch, native.engine, "compile", regions._compiling.locked)
            assert compile_loop(native)
            assert held and all(held)
        native.close()
        for path in tmp_path.glob("*.stencils"):
            path.unlink()


def test_hot_loops_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A vCPU is asked where it is while it runs an endless loop, which another process compiles."""
    monkeypatch.setattr("ratite.cpu.regions._WORTH", 0)
    native = harts.Bench(native=True)
    native.engine.regions = regions = Regions(native.engine)
    put(native, list(ENDLESS))
    set_state(native, 0)
    regions.start()
    for _ in range(10_000):
        timer = threading.Timer(0.01, native.cpu.kick)
        timer.start()
        assert native.cpu.run().kind == "interrupt"
        timer.join()
        if regions.compiled:
            break
    regions.close()
    assert regions.compiled == 1


def restore_loop(bench: harts.Bench, at: int = harts.CODE + 4) -> bool:
    """Take the region from disk that is entered at an address, as execution found there would."""
    regions, key = bench.engine.regions, bench.cpu.page_key(at)
    assert regions is not None
    assert key is not None
    regions._look_up((key, at & 0xFFF))
    regions._install()
    return bool(regions.restored)


def calling_bench() -> tuple[harts.Bench, Regions]:
    """A new hart that has translated the program with calls, and its regions."""
    native = harts.Bench(native=True)
    native.engine.regions = regions = Regions(native.engine)
    put_calling(native)
    set_state(native, 1)
    finish(native)
    return native, regions


@pytest.mark.parametrize("entry", [harts.CODE + 4, harts.CODE + 8, FUNCTIONS[0]])
def test_the_next_run_finds_a_region_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: int) -> None:
    """Wherever it can be entered; it does what it did, and nothing is compiled. Not so where a page of it has other bytes."""
    monkeypatch.setenv("RATITE_CACHE", str(tmp_path))
    results = []
    for again in (False, True):
        native, regions = calling_bench()
        if again:
            found = restore_loop(native, entry)
            assert found is (entry in (harts.CODE + 4, FUNCTIONS[0]))  # the loop has no entry at + 8
            assert regions.compiled == 0
        else:
            assert compile_loop(native)
            assert {harts.CODE + 4, FUNCTIONS[0]} <= {page.base + offset for p in regions.placed() for page, offset, _ in p.entries}
        set_state(native, 2)
        results.append(finish(native))
        native.close()
    assert results[0] == results[1]
    native = harts.Bench(native=True)
    native.engine.regions = Regions(native.engine)
    put_calling(native, reversed(FUNCTION_TEXTS))
    set_state(native, 1)
    finish(native)
    assert not restore_loop(native)
    native.close()


def test_a_region_that_is_left_too_soon_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And does not come again, neither in this run nor from disk in the next."""
    monkeypatch.setenv("RATITE_CACHE", str(tmp_path))
    monkeypatch.setattr("ratite.cpu.regions._WATCHED", 0.0)
    monkeypatch.setattr("ratite.cpu.regions._MOST_ENTRIES", 0.0)
    for again in (False, True):
        native = harts.Bench(native=True)
        native.engine.regions = regions = Regions(native.engine)
        put(native, list(SUM))
        summing(native, DATA)
        before = finish(native)
        if again:
            assert not restore_loop(native)
            native.close()
            return
        assert compile_loop(native)
        regions._judge()
        assert not regions._useless  # not entered so far
        for entered in (True, False):
            summing(native, DATA)
            assert finish(native) == before
            regions._judge()
            assert bool(regions._useless) is entered
            regions._install()
        assert regions.placed() == []
        (page,) = (page for page in native.engine.pages.values() if page.base == harts.CODE & -0x1000)
        assert not page.regions
        assert not page.detours
        native.close()


def test_closing_ends_what_is_being_compiled() -> None:
    native = harts.Bench(native=True)
    native.engine.regions = regions = Regions(native.engine)
    put(native, list(SUM))
    summing(native, DATA)
    finish(native)
    regions._compilers = compilers = OwnProcess(native.engine.arch, key_of(native.engine.arch))
    key = native.cpu.page_key(harts.CODE + 4)
    assert key is not None
    regions._build((key, 4), 0)
    process = compilers.companion.process
    assert process is not None
    native.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_nothing_is_found_after_all_code_is_forgotten() -> None:
    """Also where a region went through several pages: taking it away enters no page again that is forgotten next."""
    native = harts.Bench(native=True)
    native.engine.regions = regions = Regions(native.engine)
    put_calling(native)
    set_state(native, 1)
    finish(native)
    assert compile_loop(native)
    native.engine.invalidate(0, 1 << 64)
    assert not native.engine.pages
    assert regions.placed() == []
    assert not any(native.engine.entry_table.view)
    native.close()


class Steady:
    """Compiles at once, on the calling thread, as the process of a machine does beside it; and says that it has taken no time."""

    def __init__(self, bench: harts.Bench) -> None:
        self._own = OwnThread(bench.engine.arch)
        self.busy, self.lost = 0, False
        self.order, self.close = self._own.order, self._own.close

    def answers(self) -> list[Answer]:
        return [answer._replace(seconds=0.0) for answer in self._own.answers()]


def found_for(seconds: float, bench: harts.Bench, at: int = harts.CODE + 4) -> Regions:
    """Have execution found at an address every 20 ms of processor time for some seconds, as the thread that asks would, and what comes of that."""
    regions, key = bench.engine.regions, bench.cpu.page_key(at)
    assert regions is not None
    assert key is not None
    regions._compilers = Steady(bench)
    regions._begin = -100.0  # of the processor time of the process, of which looking at loops may take a share
    for _ in range(round(seconds / 0.02)):
        regions._credit = 0.02
        regions.sample(key, at & 0xFFF, bool(regions.compiled or regions.restored))
        regions._attend()
    return regions


def one_run(seconds: float, before: Callable[[harts.Bench], None] = lambda bench: None, at: int = harts.CODE + 4) -> tuple[int, int]:
    """A run of a program with a loop that takes some seconds; how many regions were compiled and came from disk."""
    bench = harts.Bench(native=True)
    bench.engine.regions = Regions(bench.engine)
    put(bench, list(SUM))
    summing(bench, DATA)
    expected = finish(bench)
    before(bench)
    regions = found_for(seconds, bench, at)
    regions._install()
    summing(bench, DATA)
    assert finish(bench) == expected
    bench.close()
    return regions.compiled, regions.restored


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RATITE_CACHE", str(tmp_path))
    return tmp_path


def test_what_a_program_does_in_each_run_is_compiled(own_cache: Path) -> None:
    """A loop that takes 0.3 s is not worth it in the first run; the second compiles it, and the third finds it on disk."""
    assert one_run(0.3) == (0, 0)
    assert list(own_cache.glob("*.heat"))
    assert one_run(0.3) == (1, 0)
    assert one_run(0.3) == (0, 1)


def test_a_loop_that_goes_on_is_compiled_in_its_first_run(own_cache: Path) -> None:
    assert one_run(0.8) == (1, 0)


def test_what_is_hot_is_not_remembered_without_the_cache_folder(own_cache: Path) -> None:
    def forget(bench: harts.Bench) -> None:
        assert bench.engine.regions is not None
        bench.engine.regions._hotness = Hotness(None)

    for _ in range(3):
        assert one_run(0.3, forget) == (0, 0)
    assert not list(own_cache.glob("*.heat"))


def test_other_code_in_the_same_place_was_not_hot(own_cache: Path) -> None:
    """Pages are known by their bytes."""
    assert one_run(0.3) == (0, 0)

    def change(bench: harts.Bench) -> None:
        bench.memory.dma_write(harts.CODE + 0x800, b"other")
        bench.engine.invalidate_page(next(iter(bench.engine.by_host)))
        summing(bench, DATA)
        finish(bench)

    assert one_run(0.3, change) == (0, 0)


def test_hot_pages_are_remembered_when_they_go(own_cache: Path) -> None:
    """As those of a program that ends while its machine goes on."""

    def twice(bench: harts.Bench) -> None:
        found_for(0.3, bench)
        bench.engine.invalidate_page(next(iter(bench.engine.by_host)))
        summing(bench, DATA)
        finish(bench)

    assert one_run(0.3, twice) == (1, 0)


def test_what_came_to_nothing_is_not_tried_in_every_run(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan that a run has not lived to see the code of is made again when the loop has been hot for twice as long."""
    orders: list[int] = []

    class Slow(Steady):
        def __init__(self, bench: harts.Bench) -> None:
            super().__init__(bench)
            self.order = lambda plan: orders.append(len(plan.words)) or len(orders)  # type: ignore[func-returns-value]

    monkeypatch.setitem(globals(), "Steady", Slow)
    counts = []
    for _ in range(9):
        one_run(0.3)
        counts.append(len(orders))
    assert counts == [0, 1, 2, 2, 3, 3, 3, 3, 4]


def test_a_region_is_placed_once_wherever_it_is_found(own_cache: Path) -> None:
    """Two of its entries may be seen before it is placed."""
    for again in (False, True):
        native, regions = calling_bench()
        if again:
            for at in (harts.CODE + 4, FUNCTIONS[0]):
                key = native.cpu.page_key(at)
                assert key is not None
                regions._look_up((key, at & 0xFFF))
            regions._install()
            assert regions.restored == 1
        else:
            assert compile_loop(native)
        native.close()


def test_answers_that_are_nothing_new_are_asked_for_less_often(own_cache: Path) -> None:
    bench = harts.Bench(native=True)
    bench.engine.regions = regions = Regions(bench.engine)
    put(bench, list(SUM))
    summing(bench, DATA)
    finish(bench)
    intervals = []
    for n in range(20):
        regions.sample((0x1000 * n, 0x1000 * n, 0), 4, False)  # somewhere else each time
        intervals.append(regions._interval)
    assert intervals == sorted(intervals)
    assert intervals[-1] >= 3 * intervals[0] > 0
    found_for(0.1, bench)
    assert regions._interval < intervals[0]  # the same place again
    bench.close()
