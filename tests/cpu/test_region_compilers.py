"""The process that compiles regions may be killed, hang, or answer nonsense: the machine goes on without the region."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from ratite.codegen.library import key_of
from ratite.codegen.regions import Compiled, Plan
from ratite.cpu import region_compilers
from ratite.cpu.region_compilers import Answer, OwnProcess, OwnThread
from ratite.cpu.region_server import NICE
from ratite.isa.target import find_target

#: Adds one, over and over; the word of `addi a0, a0, 1` and that of a jump back to it.
PLAN = Plan(((0x8000_0000, 0x00150513, 4), (0x8000_0004, 0xFFDFF06F, 4)), (0x8000_0000,), {}, frozenset(), (0x8000_0000,), 0, 1)
TARGET = find_target("riscv64")
ARCH = TARGET.make_arch(TARGET.parse_cpu(""))


class Clock:
    """A time that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def wait(compilers: OwnProcess) -> list[Answer]:
    """The next answers."""
    for _ in range(1000):
        found = compilers.answers()
        if found:
            return found
        connection = compilers.companion.connection
        select.select([] if connection is None else [connection], [], [], 0.02)
    raise AssertionError("there was no answer")


@pytest.fixture
def compilers() -> Iterator[OwnProcess]:
    made = OwnProcess(ARCH, key_of(ARCH))
    yield made
    made.close()


def running(program: str) -> OwnProcess:
    """Compilers whose process runs something else."""
    return OwnProcess(ARCH, key_of(ARCH), program)


def gone(process: int) -> bool:
    """Whether there is no such process, not even one that nobody has waited for."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def test_its_code_is_that_of_the_own_thread(compilers: OwnProcess) -> None:
    here = OwnThread(ARCH)
    assert here.order(PLAN) == compilers.order(PLAN) == 1
    expected, (found,) = here.answers(), wait(compilers)
    assert isinstance(found.compiled, Compiled)
    assert found.compiled == expected[0].compiled
    assert found.seconds > 0


def test_it_stays_for_the_next_plan_and_has_a_low_rank(compilers: OwnProcess) -> None:
    for number in (1, 2):
        assert compilers.order(PLAN) == number
        assert wait(compilers)[0].number == number
        assert compilers.companion.process is not None
        assert os.getpriority(os.PRIO_PROCESS, compilers.companion.process) == min(os.getpriority(os.PRIO_PROCESS, 0) + NICE, 19)
    assert compilers.companion.starts == 1


def test_what_is_left_to_stencils_is_said(compilers: OwnProcess) -> None:
    compilers.order(PLAN._replace(fewest=3))
    assert wait(compilers)[0][1::2] == (None, "most of it is left to stencils")


def test_a_plan_that_makes_no_sense_ends_nothing(compilers: OwnProcess) -> None:
    compilers.order(PLAN._replace(entries=(0x1234,)))
    assert wait(compilers)[0].compiled is None
    compilers.order(PLAN)
    assert wait(compilers)[0].compiled is not None


def test_a_killed_process_is_started_once_more(compilers: OwnProcess) -> None:
    for lost in (False, True):
        compilers.order(PLAN)
        process = compilers.companion.process
        assert process is not None
        os.kill(process, signal.SIGKILL)
        assert wait(compilers) == [Answer(1 + lost, None, 0.0, "the compiling process has ended")]
        assert gone(process)
        assert compilers.lost is lost
        assert compilers.busy == 0


def test_one_that_hangs_is_killed() -> None:
    clock = Clock()
    compilers = OwnProcess(ARCH, key_of(ARCH), "import time; time.sleep(1000)", clock)
    compilers.order(PLAN)
    process = compilers.companion.process
    assert process is not None
    assert compilers.answers() == []
    clock.now = region_compilers._LIMIT + 1
    (answer,) = compilers.answers()
    assert answer.compiled is None
    assert "more than 60 seconds" in answer.why
    assert gone(process)
    compilers.close()


@pytest.mark.parametrize(
    "program",
    [
        "import os; os.write(0, bytes(64))",
        "import os; os.write(0, b'RTRG' + bytes(12) + b'x' * 50)",
        "import os; os.write(0, b'RTRG' + b'\\xff' * 12)",
        "from ratite.cpu.service import message; import os, marshal; os.write(0, message(marshal.dumps((77, (0.0, None, '')))))",
        "from ratite.cpu.service import message; import os; os.write(0, message(b'junk'))",
        "from ratite.cpu.service import message; import os, marshal; os.write(0, message(marshal.dumps((1, (0.0, (1, 2), '')))))",
        "from ratite.cpu.service import message; import os, marshal; os.write(0, message(marshal.dumps(5)))",
    ],
)
def test_garbage_is_not_believed(program: str) -> None:
    compilers = running("import sys; sys.path[:] = sys.argv[2:]; " + program + "; import time; time.sleep(1000)")
    compilers.order(PLAN)
    (answer,) = wait(compilers)
    assert answer.compiled is None
    assert answer.why.startswith("the compiling process")
    assert compilers.companion.process is None
    compilers.close()


def test_another_version_compiles_nothing() -> None:
    compilers = OwnProcess(ARCH, "another")
    compilers.order(PLAN)
    assert wait(compilers)[0].why == "the compiling process has ended"
    compilers.close()


def test_no_python_no_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    compilers = OwnProcess(ARCH, key_of(ARCH))
    for _ in range(2):
        compilers.order(PLAN)
        assert "cannot be reached" in compilers.answers()[0].why
    assert compilers.lost


def test_closing_waits_for_nothing_and_leaves_no_process(compilers: OwnProcess) -> None:
    compilers.order(PLAN)
    process = compilers.companion.process
    assert process is not None
    compilers.close()
    assert gone(process)
    assert compilers.answers() == []


def test_it_dies_with_its_parent() -> None:
    """Also when that is killed, and others have its end of the socket."""
    text = (
        "import os, sys, time; from tests.cpu.test_region_compilers import ARCH, PLAN, OwnProcess, key_of, wait\n"
        "c = OwnProcess(ARCH, key_of(ARCH)); c.order(PLAN); wait(c); print(c.companion.process, flush=True); os.kill(os.getpid(), 9)"
    )
    found = subprocess.run([sys.executable, "-c", text], stdout=subprocess.PIPE, timeout=60)
    process = int(found.stdout)
    for _ in range(500):
        if gone(process):
            return
        time.sleep(0.01)  # the end of another process's child cannot be waited for
    raise AssertionError("it lives on")
