"""What is counted is what happened, and every row says what it means."""

from __future__ import annotations

from ratite.cpu import statistics
from ratite.cpu.statistics import ENGINE, EXITS, VCPU
from ratite.isa.arch import Exit
from tests.isa.riscv import harts


def test_rows_are_declared_once() -> None:
    """Names are unique; kinds and units are those of query-stats; every reason for an exit has a row."""
    names = [row.name for rows in (ENGINE, VCPU) for row in rows]
    assert len(names) == len(set(names))
    assert {row.kind for rows in (ENGINE, VCPU) for row in rows} == {"cumulative", "instant", "peak"}
    assert {row.unit for rows in (ENGINE, VCPU) for row in rows} == {"", "bytes", "seconds"}
    assert len(EXITS) == len(Exit.names())
    assert all(row.meaning for rows in (ENGINE, VCPU) for row in rows)


def test_counts_of_a_run() -> None:
    """A program of three instructions: one unit, known instructions, an exit to translate it; changed code is an invalidation."""
    bench = harts.Bench(native=True)
    words = (0x00000013, 0x00000013, harts.jump(harts.STOP - harts.CODE - 8))
    bench.memory.dma_write(harts.CODE, b"".join(word.to_bytes(4, "little") for word in words))
    bench.state.next_pc = harts.CODE
    before = statistics.read(bench.engine)
    while bench.cpu.run().kind != "stop":
        pass
    after = statistics.read(bench.engine)
    placed = after.engine["units"] - before.engine["units"]
    assert placed == after.engine["pages-restored"] + (1 if after.engine["instructions"] else 0)
    assert after.exits()["translate"] >= 1
    assert after.vcpus[0]["jump-misses"] >= 1
    assert after.vcpus[0]["tlb-fills"] >= 1
    assert after.engine["translation-time"] > before.engine["translation-time"]
    bench.memory.dma_write(harts.CODE, words[2].to_bytes(4, "little"))
    last = statistics.read(bench.engine)
    assert last.engine["invalidations"] == after.engine["invalidations"] + 1
    assert last.vcpus[0]["tlb-flushes"] > after.vcpus[0]["tlb-flushes"]
    assert "exits-translate" in statistics.listing(last)
    bench.close()
