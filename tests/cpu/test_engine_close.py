"""The end of an engine: threads, code memory and files."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ratite import Machine, guests
from ratite.errors import HostError

MONITOR = ("-m", "64", "-bios", "none", "-kernel", str(guests.monitor("riscv64")))
PROMPT = "ratite> "


def own_threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("ratite")}


def code_mappings() -> int:
    return Path("/proc/self/maps").read_text().count("ratite-code")


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
        assert code_mappings() == mappings + 2
    assert own_threads() == threads
    assert code_mappings() == mappings
    assert engine.closed
    assert engine.library.path.exists()
    assert engine.store.path.exists()
    engine.close()
    assert engine.vcpus[0].state.pc  # what it was can be seen
    with pytest.raises(HostError, match="closed"):
        engine.vcpus[0].call("wakeup")
    with pytest.raises(HostError, match="closed"):
        engine.vcpus[0].run()
