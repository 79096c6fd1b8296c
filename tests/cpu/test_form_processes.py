"""The processes that compile forms may be killed, hang, or answer nonsense: then a thread of the machine's compiles."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ratite.codegen.forms import Form, Key
from ratite.codegen.library import Library, key_of, plain
from ratite.codegen.stencil import Job, block_of, compile_stencils, texts
from ratite.cpu.companion import Companion
from ratite.cpu.compiling import Compiler, Order, _read
from ratite.cpu.words import free_bits
from ratite.isa.target import find_target
from tests.isa.riscv.harts import CODE, STOP, Bench, jump

TARGET = find_target("riscv64")
ARCH = TARGET.make_arch(TARGET.parse_cpu(""))
TEXTS = texts(ARCH)
SLEEP = "import time; time.sleep(1000)"
#: Says something at once, then nothing.
SAYING = "import sys, os, marshal; sys.path[:] = sys.argv[2:]; from ratite.cpu.service import message; os.write(0, {}); " + SLEEP


def job(name: str, *regs: int) -> Job:
    key = Key(Form(name, (), -1), regs, ())
    return Job(key, TEXTS[name], block_of(TEXTS[name], ARCH, key.form))


ADD, SUB, MUL = job("add", 0, 1, 6), job("sub", 0, 1, 6), job("mul", 0, 1, 6)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """One that knows nothing."""
    return Library(ARCH, str(tmp_path))


Make = Callable[..., Compiler]


@pytest.fixture
def make(library: Library) -> Iterator[Make]:
    """Makes compilers whose first process is something else, if anything."""
    made = []

    def make(program: str = "", now: Callable[[], float] = time.monotonic) -> Compiler:
        compiler = Compiler(library, Companion(ARCH, key_of(ARCH), "ratite.cpu.form_server", 20, _read, program, now))
        made.append(compiler)
        return compiler

    yield make
    for compiler in made:
        compiler.close()


def wait(orders: list[Order]) -> None:
    """Until they have been carried out, without failure."""
    for order in orders:
        assert order.done.wait(60)
        assert order.failure is None


def ended(process: int | None) -> bool:
    assert process is not None
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def number(compiler: Compiler) -> int:
    """That of the process."""
    assert compiler.asked is not None
    assert compiler.asked.process is not None
    return compiler.asked.process


def expected(*jobs: Job) -> dict[Any, Any]:
    return {plain(key): plain(stencil) for key, stencil in compile_stencils(ARCH, jobs).items()}


def no_thread(monkeypatch: pytest.MonkeyPatch, library: Library) -> None:
    """From now on, who compiles in this process fails."""

    def refuse(jobs: Any) -> None:
        raise AssertionError("compiled here")

    monkeypatch.setattr(library, "compile", refuse)


def test_its_stencils_are_those_of_the_thread(make: Make, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    no_thread(monkeypatch, library)
    wait(make().order([ADD, MUL]))
    assert library.stencils == expected(ADD, MUL)
    assert library.compiled == 2
    assert library.compile_ns > 0


def test_nothing_begins_before_the_first_order(make: Make) -> None:
    compiler = make()
    assert compiler.asked is not None
    assert (compiler.asked.process, compiler.asked.starts) == (None, 0)
    wait(compiler.order([ADD]))
    assert compiler.asked.starts == 1


def test_what_another_machine_has_compiled_is_not_asked_for(make: Make, library: Library) -> None:
    other = Library(ARCH, os.path.dirname(library.path))
    other.compile([ADD])
    other.close()
    wait(make().order([ADD]))
    assert library.stencils == expected(ADD)
    assert library.compiled == 0


def test_a_killed_process_is_started_once_more(make: Make, library: Library) -> None:
    """What it was told is compiled by the thread, and so is everything after it has been killed twice."""
    compiler = make()
    for one, starts in ((ADD, 1), (SUB, 2), (MUL, 2)):
        wait(compiler.order([one]))
        assert compiler.asked is not None
        assert compiler.asked.starts == starts
        if compiler.asked.process is not None:
            os.kill(compiler.asked.process, signal.SIGSTOP)
            stopped = compiler.order([job("xor", starts, 1, 6)])
            os.kill(number(compiler), signal.SIGKILL)
            wait(stopped)
    assert compiler.asked is not None
    assert compiler.asked.lost
    assert set(expected(ADD, SUB, MUL)) <= set(library.stencils)


def test_one_that_hangs_is_killed(make: Make, library: Library) -> None:
    """After its time, which is the test's."""
    past: list[float] = []
    compiler = make(SLEEP, lambda: 1000.0 if past else 0.0)
    orders = compiler.order([ADD])
    while compiler.asked is None or not compiler.asked.busy:
        time.sleep(0)
    process = number(compiler)
    past.append(1)
    compiler._ring()
    wait(orders)
    assert ended(process)
    assert library.stencils == expected(ADD)


@pytest.mark.parametrize(
    "said",
    [
        "bytes(64)",
        "b'RTRG' + bytes(12) + b'x' * 50",
        "b'RTRG' + b'\\xff' * 12",
        "message(b'junk')",
        "message(marshal.dumps(5))",
        "message(marshal.dumps((1, None)))",
        "message(marshal.dumps((77, (0.0, {}, {}, ''))))",
        "message(marshal.dumps((1, (0.0, {5: 6}, {}, ''))))",
        "message(marshal.dumps((1, (0.0, {(('add', (), -1), (0, 1, 6), ()): (1, 2, 3, 4, 5)}, {}, ''))))",
        "message(marshal.dumps((0, (0.0, {}, {('add', 1, 2): 'many'}, ''))))",
        "message(marshal.dumps((1, (0.0, {}, {}, 'it had no time'))))",
    ],
)
def test_garbage_is_not_believed(make: Make, library: Library, said: str) -> None:
    wait(make(SAYING.format(said)).order([ADD]))
    assert library.stencils == expected(ADD)
    assert not library.free_bits


def test_what_is_wrong_with_a_form_is_raised(make: Make) -> None:
    """As if the thread had compiled it: here, that there are too few registers."""
    (order,) = make().order([job("add", 0)])
    assert order.done.wait(60)
    assert isinstance(order.failure, IndexError)


def test_no_python_no_process(make: Make, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nonexistent/python")
    compiler = make()
    for one in (ADD, SUB, MUL):
        wait(compiler.order([one]))
    assert library.stencils == expected(ADD, SUB, MUL)


def test_closing_waits_for_nothing_and_leaves_no_process(make: Make, library: Library) -> None:
    """While forms are being compiled, and while some are still waiting."""
    compiler = make(SLEEP)
    orders = compiler.order([ADD])
    while compiler.asked is None or not compiler.asked.busy:
        time.sleep(0)
    process = number(compiler)
    orders += compiler.order([MUL])
    compiler.close()
    assert ended(process)
    assert not any(order.done.is_set() for order in orders)
    assert not library.stencils


def test_free_bits_are_found_out_by_the_process(make: Make, library: Library) -> None:
    """If there is one, and once."""
    compiler, insn = make(), next(insn for insn in ARCH.decoder.insns if insn.name == "addi")
    assert not compiler.ask_free_bits(insn)
    wait(compiler.order([ADD]))
    assert compiler.ask_free_bits(insn)
    assert compiler.ask_free_bits(insn)
    wait(compiler.order([MUL]))
    while not library.free_bits:
        time.sleep(0.001)
    assert library.free_bits == {(insn.name, insn.mask, insn.value): free_bits(insn, ARCH.decoder.insns)}


def test_an_error_of_the_thread_reaches_who_waits(make: Make, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or processors would wait for ever."""

    def fail(stencils: Any, nanoseconds: int) -> None:
        raise ZeroDivisionError("of the test")

    monkeypatch.setattr(library, "add", fail)
    monkeypatch.setattr("threading.excepthook", lambda _: None)
    (order,) = make().order([ADD])
    assert order.done.wait(60)
    assert isinstance(order.failure, ZeroDivisionError)


def test_foresight_compiles_what_follows_in_the_page(library: Library) -> None:
    """And the same instruction with other operands; what has been asked for is not compiled again, nor what it was told is known."""
    known = job("sub", 0, 0, 1)
    library.compile([known])
    foresight = Companion(ARCH, key_of(ARCH), "ratite.cpu.foresight_server", 60, _read)
    code = b"".join(word.to_bytes(4, "little") for word in (0x02B50533, 0x40B50533, 0x02B57533))  # mul, sub, remu a0, a0, a1
    try:
        foresight.order(([plain(ADD.key)], (bytes(8) + code, 8, 0), list(library.stencils)))
        found: dict[Any, Any] = {}
        relative = plain(Key(Form("add", (), -1), (-2, -2, -2), ()))
        while relative not in found:
            for answer in foresight.answers():
                assert answer.content is not None, answer.why
                found |= answer.content[1]
    finally:
        foresight.close()
    assert {form[0] for form, _, _ in list(found)[:2]} == {"mul", "remu"}
    assert not {plain(ADD.key), plain(known.key)} & set(found)


@pytest.fixture
def cold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty cache folder, but for the native helpers."""
    bench = Bench()
    helpers = bench.engine.library.beside(".runtime")
    bench.engine.close()
    (tmp_path / os.path.basename(helpers)).write_bytes(Path(helpers).read_bytes())
    monkeypatch.setenv("RATITE_CACHE", str(tmp_path))


def run(bench: Bench) -> int:
    """mul a0, a0, a1 of six and seven."""
    for n, word in enumerate((0x02B50533, jump(STOP - CODE - 4))):
        bench.memory.write(CODE + 4 * n, 4, word)
    bench.x[10], bench.x[11] = 6, 7
    bench.state.pc = CODE
    assert bench.cpu.run().kind == "stop"
    return bench.x[10]


@pytest.mark.usefixtures("cold")
def test_two_machines_in_one_process() -> None:
    """Each has processes of its own, which end with it."""
    benches = [Bench(native=True) for _ in range(2)]
    assert [run(bench) for bench in benches] == [42, 42]
    compilers = [bench.engine.compiler for bench in benches]
    processes = [one.process for c in compilers if c is not None for one in (c.asked, c.foresight) if one is not None]
    assert len(set(processes)) == 4
    for bench in benches:
        bench.engine.close()
    assert all(map(ended, processes))


@pytest.mark.usefixtures("cold")
def test_a_machine_whose_processes_are_killed() -> None:
    """It executes what it would have executed."""
    bench = Bench(native=True)
    compiler = bench.engine.compiler
    assert compiler is not None
    while not (compiler.asked and compiler.asked.process and compiler.foresight and compiler.foresight.process):
        time.sleep(0)
    os.kill(compiler.asked.process, signal.SIGKILL)
    os.kill(compiler.foresight.process, signal.SIGKILL)
    assert run(bench) == 42
    bench.engine.close()


@pytest.mark.usefixtures("cold")
def test_a_machine_that_is_closed_before_its_processes_have_begun() -> None:
    bench = Bench(native=True)
    bench.engine.close()
    assert bench.engine.compiler is not None
    assert all(one is not None and one.process is None for one in (bench.engine.compiler.asked, bench.engine.compiler.foresight))


def test_a_machine_that_lacks_nothing_starts_none() -> None:
    for _ in range(2):
        bench = Bench(native=True)
        assert run(bench) == 42
        bench.engine.close()
    assert bench.engine.compiler is not None
    assert bench.engine.compiler.asked is not None
    assert bench.engine.compiler.asked.starts == 0
