"""The file that Linux perf reads: helpers, translations by symbol or address, regions; begun anew with the code memory."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

from ratite.cpu.perfmap import PerfMap
from ratite.cpu.regions import Regions
from ratite.profiling.symbols import Symbol, Symbols
from tests.cpu.test_regions import SUM, compile_loop, finish, put, summing
from tests.isa.riscv import harts


def entries(folder: Path) -> list[tuple[int, int, str]]:
    """Start, size and name of every line."""
    lines = (folder / f"perf-{os.getpid()}.map").read_text().splitlines()
    return [(int(start, 16), int(size, 16), name) for start, size, name in (line.split(" ", 2) for line in lines)]


def test_names_of_placed_code(tmp_path: Path) -> None:
    """Every instruction's machine code has the name of its function; entries do not overlap; a region has a name of its own."""
    native = harts.Bench(native=True)
    symbols = Symbols([Symbol(harts.CODE, 12, "begin"), Symbol(harts.CODE + 12, 12, "rest")])
    native.engine.perf_map = PerfMap(native.engine, symbols.find, str(tmp_path))
    native.engine.regions = Regions(native.engine)
    put(native, list(SUM))
    summing(native, harts.RAM + 0x10_0000)
    finish(native)
    found = entries(tmp_path)
    names = {name for _, _, name in found}
    assert {"ratite enter", "ratite dispatch", "ratite mmu_fill", "begin", "rest"} <= names
    for unit in native.engine.translator.units:
        for offset, place in zip(unit.pcs, unit.places, strict=True):
            symbol = symbols.find(unit.page.base + offset)
            covering = [name for start, size, name in found if start <= unit.start + place < start + size]
            assert len(covering) == 1
            assert symbol is None or covering[0] == symbol.name
    ordered = sorted(found)
    assert all(a[0] + a[1] <= b[0] for a, b in pairwise(ordered))
    assert compile_loop(native)
    assert entries(tmp_path)[-1][2] == "begin [region]"
    native.close()


def test_code_without_symbols_and_memory_begun_anew(tmp_path: Path) -> None:
    """Straight lines are named by their address; after a flush only the helpers are left."""
    native = harts.Bench(native=True)
    native.engine.perf_map = PerfMap(native.engine, lambda pc: None, str(tmp_path))
    put(native, list(SUM))
    summing(native, harts.RAM + 0x10_0000)
    finish(native)
    assert f"guest {harts.CODE:#x}" in {name for _, _, name in entries(tmp_path)}
    native.engine.flush_code()
    assert all(name.startswith("ratite ") for _, _, name in entries(tmp_path))
    native.close()


def test_the_child_of_a_fork_has_its_own(tmp_path: Path) -> None:
    """What a child inherits is in a file of its number."""
    native = harts.Bench(native=True)
    native.engine.perf_map = PerfMap(native.engine, lambda pc: None, str(tmp_path))
    other = tmp_path / "perf-1.map"
    other.write_text("10 8 inherited\n")
    native.engine.perf_map.forked(str(other))
    assert entries(tmp_path) == [(16, 8, "inherited")]
