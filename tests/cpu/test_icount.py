"""Counting instructions (`-icount`): runs repeat exactly, whatever happens inside the emulator, and the counts are QEMU's.

The program's output depends on when its timer interrupts come, at which instructions, and on every clock that it reads.
"""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ratite import Machine, machine_runner
from ratite.cpu.engine import Engine
from ratite.hw.model import CountedClock

COMPILER = "riscv64-linux-gnu-gcc"
SOURCE = Path(__file__).with_name("programs") / "ticks.c"
BARE = (
    "-mcmodel=medany", "-nostdlib", "-ffreestanding", "-fno-pie", "-no-pie", "-Wl,-N", "-Wl,--no-relax", "-Wl,--build-id=none",
    "-Wl,--no-warn-rwx-segments", "-Wl,-Ttext=0x80000000", "-Wl,-Tdata=0x80008000", "-Wl,-Tbss=0x80010000",
)  # fmt: skip
BOARD = ("-m", "16", "-bios", "none")

pytestmark = pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"no {COMPILER}")


def build(folder: Path, harts: int, rounds: int) -> str:
    program = str(folder / f"ticks-{harts}-{rounds}")
    numbers = (f"-DHARTS={harts}", f"-DROUNDS={rounds}")
    subprocess.run([COMPILER, "-O2", "-march=rv64gc_zicsr", "-static", *numbers, "-o", program, str(SOURCE), *BARE], check=True)
    return program


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    return build(tmp_path_factory.mktemp("ticks"), 1, 1500)


def outcome(program: str, *options: str) -> tuple[str, int | None]:
    """Everything that a run prints, and how many instructions it was."""
    with Machine("virt", *BOARD, "-kernel", program, *options) as machine:
        assert machine.wait(60) == 0
        return machine.console.read(), machine.instructions


def numbers(text: str, name: str) -> list[int]:
    """What was printed under a name."""
    return [int(line.split()[1], 16) for line in text.splitlines() if line.startswith(f"{name} ")]


def test_runs_repeat(program: str) -> None:
    """Twice the same output and count; another shift gives other ones, and the interrupts did come."""
    first = outcome(program, "-icount", "1,sleep=off")
    assert first == outcome(program, "-icount", "shift=1,sleep=off")
    assert first != outcome(program, "-icount", "2,sleep=off")
    assert numbers(first[0], "ticks")[-1] > 30
    assert numbers(first[0], "exceptions")[0] > 5


def test_machine_code_counts_as_the_evaluator_does(program: str) -> None:
    """The reference evaluator, which knows no runs, gives the same output and count."""
    assert outcome(program, "-icount", "1,sleep=off") == outcome(program, "-icount", "1,sleep=off", "-singlestep")


def test_the_engine_does_not_show(program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a stencil library that is empty, nor code memory that is emptied again and again, nor a log, changes anything."""
    expected = outcome(program, "-icount", "1,sleep=off")
    flushes = []

    class Small(Engine):
        def __init__(self, *args: Any, **keywords: Any) -> None:
            super().__init__(*args, **keywords)
            self.memory.size = self.memory.floor + (32 << 10)

        def flush_code(self) -> None:
            flushes.append(self.memory.used)
            super().flush_code()

    monkeypatch.setattr(machine_runner, "Engine", Small)
    assert outcome(program, "-icount", "1,sleep=off") == expected
    assert flushes
    monkeypatch.setattr(machine_runner, "Engine", Engine)
    monkeypatch.setenv("RATITE_CACHE", str(tmp_path / "cache"))
    assert outcome(program, "-icount", "1,sleep=off") == expected
    assert outcome(program, "-icount", "1,sleep=off", "-d", "int,mmu", "-D", str(tmp_path / "log")) == expected


def test_harts_take_turns_by_instructions(tmp_path: Path) -> None:
    """Three harts that compete for a lock get it in the same order every time, also in the evaluator, and lose no update."""
    program = build(tmp_path, 3, 50)
    options = ("-smp", "3", "-icount", "1,sleep=off")
    first = outcome(program, *options)
    assert first == outcome(program, *options)
    assert len(numbers(first[0], "order")) == 1


def test_shift_is_the_time_of_an_instruction(program: str) -> None:
    """Between two points the ticks of 100 ns are as many as the instructions say."""
    for shift in (0, 2, 4):
        text = outcome(program, "-icount", f"{shift},sleep=off")[0]
        ticks, executed = numbers(text, "time")[:2], numbers(text, "instret")[2:4]
        between = 60  # instructions from one clock to the other, at most
        assert abs((ticks[1] - ticks[0]) * 100 - (executed[1] - executed[0] << shift)) <= (between << shift) + 100


@pytest.mark.skipif(shutil.which("qemu-system-riscv64") is None, reason="no QEMU")
@pytest.mark.parametrize("shift", [0, 1])
def test_counts_are_those_of_qemu(program: str, shift: int) -> None:
    """QEMU, whose instret counts nanoseconds in this mode, executes as many instructions for the same work."""
    ours = numbers(outcome(program, "-icount", f"{shift},sleep=off")[0], "instret")[:2]
    quiet = ("-display", "none", "-serial", "stdio", "-monitor", "none")
    command = ["qemu-system-riscv64", "-M", "virt", *BOARD, *quiet, "-icount", f"shift={shift},sleep=off", "-kernel", program]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        text = "".join(line for line, _ in zip(process.stdout, range(3), strict=False))
        process.kill()
    assert [n >> shift for n in numbers(text, "instret")] == ours


WAITING = (
    "csrsi mstatus, 8; li t0, 0x80; csrw mie, t0; la t0, 1f; csrw mtvec, t0; li a0, 0x200bff8; li a1, 0x2004000; ld t0, (a0); ld t1, 2f;"
    "add t0, t0, t1; sd t0, (a1); wfi; .balign 4; 1: li a0, 0x100000; li a1, 0x5555; sw a1, (a0); j .; .balign 8; 2: .dword "
)


@pytest.mark.parametrize(("sleep", "seconds"), [("on", 0.3), ("off", 100_000)])
def test_waiting(tmp_path: Path, sleep: str, seconds: float) -> None:
    """With sleep=on a wait takes the host as long as the guest, with sleep=off no time; the count, six instructions of the board's among
    them, is the same."""
    program = str(tmp_path / "waiting")
    source = f".globl _start; _start: {WAITING}{int(seconds * 10_000_000)}\n"
    command = [COMPILER, "-march=rv64gc_zicsr", "-static", "-o", program, "-xassembler", "-", *BARE]
    subprocess.run(command, input=source, text=True, check=True)
    with Machine("virt", *BOARD, "-kernel", program, "-icount", f"0,sleep={sleep}") as machine:
        before = time.monotonic()
        assert machine.wait(60) == 0
        assert sleep == "off" or time.monotonic() - before >= seconds
        assert machine.instructions == 25


def test_a_written_counter_reads_back(tmp_path: Path) -> None:
    """An instruction that writes minstret does not count after that, and one that reads it gets what was before it (ISA manual, volume II,
    3.1.10; the published test instret_overflow). The exit status is what was read."""
    program = str(tmp_path / "written")
    text = "li a0, 100; csrw minstret, a0; csrr a0, minstret; csrr a1, minstret; csrr a2, mcycle; nop; csrr a3, mcycle"
    sum_up = "sub a3, a3, a2; add a0, a0, a1; add a0, a0, a3; slli a0, a0, 16; li a1, 0x3333; or a0, a0, a1; li a1, 0x100000; sw a0, (a1); j ."
    source = f".globl _start; _start: {text}; {sum_up}\n"
    command = [COMPILER, "-march=rv64gc_zicsr", "-static", "-o", program, "-xassembler", "-", *BARE]
    subprocess.run(command, input=source, text=True, check=True)
    for options in ((), ("-singlestep",)):
        with Machine("virt", *BOARD, "-kernel", program, "-icount", "0", *options) as machine:
            assert machine.wait(60) == 100 + 101 + 2


def test_adaptive_time_follows_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """An adaptive clock takes more time for an instruction when the host is slow, less when it is fast, and never leaps."""
    host, count = [0], [0]
    monkeypatch.setattr("ratite.hw.model.clock.time.monotonic_ns", lambda: host[0])
    clock = CountedClock(threading.RLock(), lambda: count[0], 3, adaptive=True)
    for rate, shift in ((1 << 6, 6), (1 << 1, 1)):  # nanoseconds of the host for an instruction
        for _ in range(400):
            pause = clock.adapt()
            assert pause is not None
            before = clock.now()
            count[0] += pause >> clock.shift
            assert clock.now() - before <= pause
            host[0] += (pause >> clock.shift) * rate
        assert abs(clock.shift - shift) <= 2
        assert abs(clock.now() - host[0]) < host[0] / 4
