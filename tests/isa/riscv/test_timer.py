"""Alarms that ring in native code: a program that sets thousands of timers, in QEMU and here, and sleep that others end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratite.cpu.scheduler import Parallel, Processor
from ratite.isa.arch import Exit
from ratite.isa.riscv.interrupts import MSI, STI
from ratite.isa.riscv.timer import STCE
from tests.isa.riscv.harts import CODE, MACHINE_HANDLER, NOP, STOP, WFI, Bench, csrr, csrrw, jump
from tests.isa.riscv.programs import Program, missing, qemu, ratite, status

STRESS = Program("timer_stress", 64, bare=True)
#: Seconds in which everything happens, on a busy host too.
PATIENCE = 60


@pytest.fixture(scope="module")
def stress(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program."""
    if reason := missing():
        pytest.skip(reason)
    return STRESS.build(tmp_path_factory.mktemp("stress"))


def test_many_timers_in_qemu(stress: Path) -> None:
    """QEMU shows that the program is right."""
    if reason := missing("qemu-system-riscv64"):
        pytest.skip(reason)
    assert status(qemu(STRESS), stress) == 0


@pytest.mark.parametrize("options", [[], ["-smp", "2"], ["-accel", "tcg,thread=single", "-smp", "2"], ["-icount", "shift=3"]], ids=" ".join)
def test_many_timers_here(stress: Path, options: list[str]) -> None:
    """No interrupt is lost, none is early: asleep, busy or looking; however processors run and whoever keeps the time."""
    command = ratite(STRESS)
    assert status([*command[:-1], *options, command[-1]], stress) == 0


# --- sleep ------------------------------------------------------------------------------------------------------------


class Hart(Processor):
    """A processor that waits as its vCPU does."""

    def must_wake(self) -> bool:
        return self.vcpu.wakeup()


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A hart with an alarm, whose comparator is in use."""
    made = Bench(native=True)
    made.engine.start_alarms()
    made.state.menvcfg = STCE
    yield made
    made.engine.close()


def put(bench: Bench, *words: int) -> None:
    """A program that ends at STOP."""
    for n, word in enumerate((*words, jump(STOP - CODE - 4 * len(words)))):
        bench.memory.write(CODE + 4 * n, 4, word)
    bench.state.next_pc = CODE


def asleep(bench: Bench) -> bool:
    """Wait until the vCPU sleeps."""
    gone = threading.Event()
    for _ in range(PATIENCE * 1000):
        if bench.cpu.asleep:
            return True
        gone.wait(0.001)
    return False


class Running:
    """The vCPU's run, on a thread."""

    def __init__(self, bench: Bench) -> None:
        self.kind = ""
        self._bench = bench
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self.kind = self._bench.cpu.run().kind

    def end(self) -> str:
        """Of what kind the event was that ended it."""
        self._thread.join(PATIENCE)
        return self.kind


def test_the_alarm_wakes_a_hart_that_waits(bench: Bench) -> None:
    """From wfi to the handler without Python: nothing of that is an exit."""
    bench.state.mie, bench.state.mstatus = 1 << STI, bench.state.mstatus | 8
    bench.state.clock_offset = 0
    bench.x[11] = bench.get("time") + 200_000    # 20 ms
    put(bench, csrrw("stimecmp", 0, 11), WFI, NOP)
    running = Running(bench)
    assert running.end() == "stop"
    assert (bench.state.pc, bench.state.mcause) == (MACHINE_HANDLER, 1 << 63 | STI)
    assert bench.state.mepc in (CODE + 4, CODE + 8)    # on a busy host it may be due before the wait
    assert bench.cpu.exits[Exit.HALT] == bench.cpu.exits[Exit.ALARM] == bench.cpu.exits[Exit.INTERRUPT] == 0
    assert bench.get("time") >= bench.x[11]


def test_others_wake_a_hart_that_waits(bench: Bench) -> None:
    """An interrupt that is not enabled does not; one that is does."""
    put(bench, WFI, csrr("mip"))
    bench.state.mie = 1 << MSI
    running = Running(bench)
    assert asleep(bench)
    bench.state.irq_lines = 1 << STI
    bench.state.attention = 1
    bench.cpu.rouse()
    assert asleep(bench)
    bench.state.irq_lines = 1 << STI | 1 << MSI
    bench.state.attention = 1
    bench.cpu.rouse()
    assert running.end() == "stop"
    assert bench.x[10] == 1 << STI | 1 << MSI


def test_a_kick_ends_the_sleep(bench: Bench) -> None:
    """The run comes back, still waiting; dozing on then ends with the interrupt."""
    put(bench, WFI, NOP)
    bench.state.mie = 1 << MSI
    running = Running(bench)
    assert asleep(bench)
    bench.cpu.kick()
    assert running.end() == "halt"
    assert bench.state.pc == CODE + 4
    bench.cpu.calm()
    bench.state.irq_lines, bench.state.attention = 1 << MSI, 1
    assert bench.cpu.doze()


def test_an_exclusive_section_needs_not_wake_anybody(bench: Bench) -> None:
    """A hart that sleeps is held: what wakes it meanwhile lets it go on when the section has ended."""
    put(bench, WFI, NOP)
    bench.state.mie = 1 << MSI
    scheduler = Parallel([processor := Hart(bench.cpu, bench.engine.lock)])
    ended = threading.Event()
    events: list[str] = []
    run = bench.cpu.run

    def noted() -> object:
        event = run()
        events.append(event.kind)
        if event.kind == "stop":
            ended.set()
            scheduler.interrupt()
            processor.stopped = True
            event.kind = "interrupt"
        return event

    bench.cpu.run = noted    # type: ignore[method-assign, assignment]
    thread = threading.Thread(target=scheduler.run_until, args=(ended.is_set,))
    thread.start()
    assert asleep(bench)
    with bench.engine.exclusive:
        assert bench.cpu.asleep
        bench.state.irq_lines, bench.state.attention = 1 << MSI, 1
        bench.cpu.rouse()
        assert not ended.wait(0.02)
    assert ended.wait(PATIENCE)
    thread.join(PATIENCE)
    scheduler.close()
    assert events[-1] == "stop"
