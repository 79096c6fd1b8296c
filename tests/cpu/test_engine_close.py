"""The end of an engine: threads, code memory and files."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from ratite import Machine, guests
from ratite.errors import HostError
from tests.isa.riscv.harts import Bench

MONITOR = ("-m", "64", "-bios", "none", "-kernel", str(guests.monitor("riscv64")))
PROMPT = "ratite> "


def own_threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("ratite")}


def code_mappings() -> set[str]:
    """The mappings of shared memory without a name, one of which is executable for each engine."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return {line.split()[0] for line in lines if line.split()[1] == "r-xs" and "/dev/zero" in line}


def writable_and_executable(pid: int) -> set[int]:
    """Sizes of the mappings of a process that can be both."""
    lines = [line.split()[:2] for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    return {int(place.split("-")[1], 16) - int(place.split("-")[0], 16) for place, kind in lines if "wx" in kind}


def test_a_closed_machine_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread and no code memory is left, whatever was compiled in between; what is new is on disk; and a second end is none."""
    monkeypatch.setenv("RATITE_CACHE", str(tmp_path))
    threads, mappings = own_threads(), code_mappings()
    with Machine("virt", *MONITOR, "-smp", "2", "-accel", "tcg,region=on") as machine:
        machine.console.wait_for(PROMPT)
        emulation = machine._emulation
        assert emulation is not None
        engine = emulation.engine
        assert engine is not None
        assert own_threads() > threads
        assert len(code_mappings() - mappings) == 1
        assert writable_and_executable(os.getpid()) <= {4096}  # a page of ctypes'
    assert own_threads() == threads
    assert code_mappings() <= mappings
    assert engine.closed
    assert Path(engine.library.path).exists()
    assert Path(engine.store.path).exists()
    engine.close()
    assert engine.vcpus[0].state.pc  # what it was can be seen
    with pytest.raises(HostError, match="closed"):
        engine.vcpus[0].call("wakeup")
    with pytest.raises(HostError, match="closed"):
        engine.vcpus[0].run()


def test_threads_that_go_on_change_nothing_while_it_is_saved() -> None:
    """A process ends while other threads of it translate: what is being written is not theirs to change meanwhile."""
    bench = Bench(native=True)
    lock = bench.engine.lock
    held: list[bool] = []
    with pytest.MonkeyPatch.context() as patch:
        for part in (bench.engine.library, bench.engine.store):
            patch.setattr(part, "close", lambda: held.append(lock._is_owned()))  # type: ignore[attr-defined]
        bench.engine.save()
    assert held == [True, True]
    bench.engine.close()
