"""Processors in parallel: no update of shared memory is lost, changes of code and of mappings reach everybody, and a failure ends the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from ratite.bits import mask
from ratite.cpu.scheduler import Parallel, Processor
from ratite.cpu.vcpu import Event
from tests.isa.riscv import harts
from tests.user.cross import cross_compiler

COMPILER = "riscv64-linux-gnu-gcc"
SOURCE = Path(__file__).with_name("programs") / "torture.c"
#: Data in pages of their own: stores beside code are slow, and not what is tested here.
BARE = (
    "-DBARE", "-mcmodel=medany", "-nostdlib", "-ffreestanding", "-fno-pie", "-no-pie", "-Wl,-N", "-Wl,--build-id=none",
    "-Wl,--no-warn-rwx-segments", "-Wl,-Ttext=0x80000000", "-Wl,-Tdata=0x80008000", "-Wl,-Tbss=0x80010000",
)  # fmt: skip
BOARD = ("-M", "virt", "-m", "16", "-bios", "none", "-display", "none", "-serial", "null", "-monitor", "none")

needs_compiler = pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"no {COMPILER}")


def build(folder: Path, workers: int, rounds: int, *options: str, compiler: Sequence[str] = (COMPILER, "-march=rv64gc")) -> str:
    program = str(folder / "torture")
    numbers = (f"-DWORKERS={workers}", f"-DROUNDS={rounds}")
    subprocess.run([*compiler, "-O2", "-static", *numbers, "-o", program, str(SOURCE), *options], check=True)
    return program


def status(entry: str, *words: str, isa: str = "riscv64") -> int:
    """Exit status of a program of Ratite's; that of the guest tells which check failed."""
    command = [sys.executable, "-c", f"from ratite.cli.{entry} import {isa}; raise SystemExit({isa}())", *words]
    return subprocess.run(command, check=False, timeout=300, stdin=subprocess.DEVNULL).returncode


@needs_compiler
@pytest.mark.parametrize(("workers", "rounds", "thread"), [(2, 3000, "multi"), (4, 128, "multi"), (8, 32, "multi"), (3, 64, "single")])
def test_torture_on_a_board(tmp_path: Path, workers: int, rounds: int, thread: str) -> None:
    """Counters, locks, a stack whose nodes come back (an emulator that takes sc for a compare-and-swap fails that), ordering, changed code
    and moved pages."""
    program = build(tmp_path, workers, rounds, *BARE)
    assert status("system", *BOARD, "-smp", str(workers), "-accel", f"tcg,thread={thread}", "-kernel", program) == 0


@pytest.mark.parametrize("isa", ["riscv64", "loongarch64"])
def test_torture_in_a_process(isa: str, tmp_path: Path) -> None:
    """The same with sixteen threads of a Linux program."""
    assert status("user", build(tmp_path, 16, 1000, "-pthread", compiler=cross_compiler(isa).command), isa=isa) == 0


class _Broken(Processor):
    def turn(self) -> None:
        raise RuntimeError("broken")

    def must_wake(self) -> bool:
        return False

    def answer(self, event: Event) -> None:
        raise AssertionError(event)


def test_failure_of_a_processor_ends_the_run() -> None:
    """What one processor's thread raises comes out of `run_until`, and all threads end."""
    bench = harts.Bench(native=True)
    scheduler = Parallel([_Broken(bench.cpu, bench.engine.lock)])
    with pytest.raises(RuntimeError, match="broken"):
        scheduler.run_until(lambda: False)
    scheduler.close()


def test_section_keeps_processors_out() -> None:
    """A processor in an endless loop leaves native code for an exclusive section, and goes on after it."""
    bench = harts.Bench(native=True)
    for n, word in enumerate((0x0015_0513, harts.jump(-4))):  # 1: addi a0, a0, 1; j 1b
        bench.memory.dma_write(harts.CODE + 4 * n, word.to_bytes(4, "little"))
    bench.reset()
    bench.state.next_pc = harts.CODE

    class Spinner(_Broken):
        turn = Processor.turn

    scheduler = Parallel([Spinner(bench.cpu, bench.engine.lock)])
    counts: list[int] = []

    def look() -> bool:
        with bench.engine.exclusive:
            while bench.cpu.native:  # for as long as it takes to find that it must not enter
                threading.Event().wait(0.001)
            before = bench.x[10]
            assert bench.x[10] == before
            counts.append(before)
        scheduler.interrupt()
        return len(counts) > 50 and counts[-1] > counts[0]

    scheduler.run_until(look)
    scheduler.close()


def test_a_fork_in_the_middle_of_a_conditional_store() -> None:
    """Another thread may be there; it is not in the child, and keeps nobody out."""
    bench = harts.Bench(native=True)
    counts = bench.engine.reservations.view.cast("I")
    counts[5] = 7
    with bench.engine.quiet():
        child = os.fork()
    if not child:
        os._exit(0 if not counts[5] & 1 and bench.state.reserve_addr == mask(64) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert counts[5] == 7
    bench.close()


def test_a_conditional_store_that_faults_keeps_nobody_out() -> None:
    """Its memory may be taken away by another thread between the look whether it is there and the store."""
    bench = harts.Bench(native=True)
    counts = bench.engine.reservations.view.cast("I")
    counts[5] = 7
    for _ in range(2):
        bench.cpu._end_conditional_store(5 << 4 | 8)
        assert counts[5] == 8
    bench.close()
