"""One instruction, run as machine code and in the reference evaluator."""

from __future__ import annotations

from ratite.cpu.memo import Memo
from tests.isa.riscv import harts


class Pair:
    """Two harts in machine mode. `real`: have every form compiled at once rather than use stand-ins."""

    def __init__(self, real: bool) -> None:
        self.native, self.reference = harts.Bench(native=True), harts.Bench()
        self.real = real
        if real:  # a stand-in is only for forms whose pinned variant is missing: claim that none may stand in
            self.native.engine.library.want = _refuse  # type: ignore[method-assign]

    def same(self, word: int, registers: dict[int, int]) -> bool:
        """Run `word` with these registers in both; whether all registers and the address are alike afterwards."""
        results = []
        for bench in (self.native, self.reference):
            bench.reset()
            for n in range(1, 32):
                bench.x[n] = registers.get(n, 0)
            self.run(bench, word)
            results.append(([bench.x[n] for n in range(32)], bench.state.pc, bench.trapped))
        assert results[0] == results[1], f"{word:#010x}: {results}"
        return True

    def run(self, bench: harts.Bench, word: int) -> None:
        """Run one instruction; compiles what is missing."""
        while True:
            try:
                bench.run(word)
                return
            except _StandIn as refused:
                self._compile(refused.key)

    def _compile(self, key: object) -> None:
        library = self.native.engine.library
        library.wanted[key] = None
        library.compile_wanted(10**6)
        for n in range(len(self.native.engine.translator.memos)):
            self.native.engine.translator.memos[n] = Memo(self.native.engine, n)


class _StandIn(Exception):
    def __init__(self, key: object) -> None:
        self.key = key


def _refuse(key: object) -> None:
    raise _StandIn(key)
