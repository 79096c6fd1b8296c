"""Forms compiled on a thread of their own: processors take interrupts meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from ratite.cpu.compiling import Compiler
from tests.isa.riscv.harts import CODE, MACHINE_HANDLER, NOP, STOP, Bench, jump

MUL = 0x02B50533  # mul a0, a0, a1
MTI = 7


class Slow:
    """A library that lacks `mul` and needs as long for it as the test wants. meanwhile: called when it has been asked."""

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        library = bench.engine.library
        bench.engine.compiler = Compiler(library)  # the thread, without a process
        self._find, self._compile = library.find, library.compile
        self.may_end, self.asked = threading.Event(), 0
        self.failure: Exception | None = None
        self.meanwhile = lambda: None
        monkeypatch.setattr(library, "find", self.find)
        monkeypatch.setattr(library, "compile", self.compile)

    def find(self, form: Any, regs: tuple[int, ...], imms: tuple[str, ...]) -> Any:
        return None if form.name == "mul" and not self.may_end.is_set() else self._find(form, regs, imms)

    def compile(self, jobs: Sequence[Any]) -> None:
        if not any(job.key.form.name == "mul" for job in jobs):
            return self._compile(jobs)
        self.asked += 1
        self.meanwhile()
        assert self.may_end.wait(60)
        if self.failure is not None:
            raise self.failure
        return self._compile(jobs)


@pytest.fixture
def bench() -> Any:
    made = Bench(native=True)
    yield made
    made.engine.close()


def begin(bench: Bench) -> None:
    bench.engine.store._index.clear()  # an earlier run may have left the very page
    for n, word in enumerate((NOP, MUL, jump(STOP - CODE - 8))):
        bench.memory.write(CODE + 4 * n, 4, word)
    bench.x[10], bench.x[11] = 6, 7
    bench.state.mie = 1 << MTI
    bench.state.mstatus = bench.state.mstatus | 8
    bench.state.pc = CODE


def interrupt(bench: Bench) -> None:
    bench.state.irq_lines = 1 << MTI
    bench.state.attention = 1
    bench.cpu.rouse()


def test_an_interrupt_is_taken_while_code_waits_for_llvm(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The handler runs before the code has been compiled; the code, asked for once, runs after that."""
    slow = Slow(bench, monkeypatch)
    begin(bench)
    slow.meanwhile = lambda: interrupt(bench)
    assert bench.cpu.run().kind == "stop"
    assert (bench.state.pc, bench.state.mepc, bench.x[10]) == (MACHINE_HANDLER, CODE, 6)
    assert not slow.may_end.is_set()
    bench.state.irq_lines, bench.state.pc = 0, CODE
    slow.may_end.set()
    assert bench.cpu.run().kind == "stop"
    assert (bench.state.pc, bench.x[10]) == (STOP, 42)
    assert slow.asked == 1


def test_a_failure_reaches_the_processor(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong while a form is compiled ends the run that needs it, as when it was compiled there."""
    slow = Slow(bench, monkeypatch)
    begin(bench)
    slow.failure = ZeroDivisionError("of the test")
    slow.may_end.set()
    monkeypatch.setattr(bench.engine.library, "find", lambda form, regs, imms: None if form.name == "mul" else slow._find(form, regs, imms))
    with pytest.raises(ZeroDivisionError):
        bench.cpu.run()


def test_timers_have_the_lock_while_code_is_translated(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer that is due while instructions are seen for the first time gets the lock, and its interrupt comes before the code."""
    begin(bench)
    lock, fired = bench.engine.lock, threading.Event()

    def timer() -> None:
        with lock:
            interrupt(bench)
            fired.set()

    def until_it_has_fired(seconds: float) -> None:
        thread = threading.Thread(target=timer)
        thread.start()
        thread.join(60)

    monkeypatch.setattr("ratite.cpu.vcpu.time.sleep", until_it_has_fired)
    bench.engine.urgent = lambda: not fired.is_set()
    assert bench.cpu.run().kind == "stop"
    assert fired.is_set()
    assert (bench.state.pc, bench.state.mepc, bench.x[10]) == (MACHINE_HANDLER, CODE, 6)
    bench.state.irq_lines, bench.state.pc = 0, CODE
    assert bench.cpu.run().kind == "stop"
    assert (bench.state.pc, bench.x[10]) == (STOP, 42)


def test_code_is_translated_though_timers_always_wait(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a host so busy that a timer waits for the lock at every look, each attempt gets farther: what is not known is ordered, once."""
    slow = Slow(bench, monkeypatch)
    begin(bench)
    slow.meanwhile = slow.may_end.set
    moments: list[float] = []
    monkeypatch.setattr("ratite.cpu.vcpu.time.sleep", moments.append)

    def always() -> bool:
        assert len(moments) < 1000, "no end in sight"
        return True

    bench.engine.urgent = always
    assert bench.cpu.run().kind == "stop"
    assert (bench.state.pc, bench.x[10], slow.asked) == (STOP, 42, 1)


def test_a_page_that_changes_while_the_lock_is_given_away(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new code is executed."""
    begin(bench)
    changes = [MUL & ~(1 << 25)]  # add a0, a0, a1

    def change(seconds: float) -> None:
        bench.memory.write(CODE + 4, 4, changes.pop())
        bench.engine.invalidate_page(bench.cpu.call("ram_host", CODE))

    monkeypatch.setattr("ratite.cpu.vcpu.time.sleep", change)
    bench.engine.urgent = lambda: bool(changes)
    assert bench.cpu.run().kind == "stop"
    assert not changes
    assert (bench.state.pc, bench.x[10]) == (STOP, 13)
