"""One instruction, run as machine code and in the reference evaluator."""

from __future__ import annotations

from tests.isa.riscv import harts


class Pair:
    """Two harts in machine mode."""

    def __init__(self) -> None:
        self.native, self.reference = harts.Bench(native=True), harts.Bench()

    def same(self, word: int, registers: dict[int, int]) -> bool:
        """Run `word` with these registers in both; whether all registers and the address are alike afterwards."""
        results = []
        for bench in (self.native, self.reference):
            bench.reset()
            for n in range(1, 32):
                bench.x[n] = registers.get(n, 0)
            bench.run(word)
            results.append(([bench.x[n] for n in range(32)], bench.state.pc, bench.trapped))
        assert results[0] == results[1], f"{word:#010x}: {results}"
        return True
