"""Samples are where execution is: real timers over guests whose hot place, callers and state are known. Nothing is timed: a guest runs until
there are samples enough.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ratite.cpu.sampling import Found, Sampler
from ratite.errors import HostError
from tests.cpu.test_regions import branch, i_type, put
from tests.isa.riscv import harts

ENOUGH = 5
STACK = harts.RAM + 0x20_0800
#: An endless loop that loads from the stack, below x9: the translation cache has its page, as that of a guest that works.
USES_STACK = [i_type(0x03, 3, 5, 9, -16), i_type(0x13, 0, 6, 6, 1), branch(0, 0, 0, -8)]


def sampled(bench: harts.Bench, prepare: Callable[[], None], wanted: Callable[[Found], bool]) -> Sampler:
    """Run an endless guest until enough samples are `wanted`. The sampler's own reader takes notice; it ends the run."""
    results: list[Sampler] = []
    sampler = Sampler(bench.engine, 1000, 0, results.append)
    take = sampler._take

    def take_and_kick(row: object) -> None:
        take(row)  # type: ignore[arg-type]
        bench.cpu.kick()

    sampler._take = take_and_kick  # type: ignore[method-assign,assignment]
    bench.engine.sampler = sampler
    prepare()
    while sum(n for found, n in sampler.found.items() if wanted(found)) < ENOUGH:
        assert bench.cpu.run().kind == "interrupt"
    bench.engine.sampler = None
    sampler.close()
    count = len(results)    # it may have handed over before
    assert results[-1] is sampler
    sampler.close()
    assert len(results) == count
    return sampler


def test_a_loop_and_its_callers() -> None:
    """Two frames by hand: the samples have the loop's addresses, the return address register, and both return addresses."""
    bench = harts.Bench(native=True)

    def prepare() -> None:
        put(bench, USES_STACK)
        bench.reset()
        bench.state.next_pc = harts.CODE
        bench.x[1] = 0x1234
        bench.x[8] = bench.x[9] = STACK
        for at, value in ((STACK - 8, 0x8000_1000), (STACK - 16, STACK + 64), (STACK + 56, 0x8000_2000), (STACK + 48, 0)):
            bench.memory.dma_write(at, value.to_bytes(8, "little"))

    sampler = sampled(bench, prepare, lambda found: found.state == "native")
    hot = [found for found in sampler.found if found.state == "native"]
    assert all(harts.CODE <= found.stack[0] < harts.CODE + 12 for found in hot)
    assert {found.stack[1:] for found in hot} == {(0x1234, 0x8000_1000, 0x8000_2000)}
    assert 0 < sampler.times.cpu <= sampler.times.clock + 10**9
    assert sampler.times.lost == 0


def test_one_at_a_time() -> None:
    """The signal has one handler, so a second engine is refused while the first is sampled; afterwards it is not."""
    one, other = harts.Bench(native=True), harts.Bench(native=True)
    first = Sampler(one.engine, 100, 0, lambda sampler: None)
    with pytest.raises(HostError, match="at a time"):
        Sampler(other.engine, 100, 0, lambda sampler: None)
    first.close()
    Sampler(other.engine, 100, 0, lambda sampler: None).close()


def test_frame_pointers_that_lead_nowhere() -> None:
    """A frame pointer is whatever the guest has in the register: unaligned, outside memory, in a circle."""
    for wild in (1, 0xFFFF_FFFF_FFFF_FFF8, STACK + 4, STACK):
        bench = harts.Bench(native=True)

        def prepare(bench: harts.Bench = bench, wild: int = wild) -> None:
            put(bench, USES_STACK)
            bench.reset()
            bench.state.next_pc = harts.CODE
            bench.x[8], bench.x[9] = wild, STACK
            bench.memory.dma_write(STACK - 16, STACK.to_bytes(8, "little"))

        sampler = sampled(bench, prepare, lambda found: found.state == "native")
        assert all(len(found.stack) <= 3 for found in sampler.found)


def test_the_reference_evaluator_is_seen() -> None:
    """A guest that stores to its own code's page all the time leaves native code at each store; the samples say so, and where."""
    bench = harts.Bench(native=True)
    store = 0x00552023  # sw x5, 0(x10)

    def prepare() -> None:
        put(bench, [store, harts.jump(-4)])
        bench.reset()
        bench.state.next_pc = harts.CODE
        bench.x[10] = harts.CODE + 4
        bench.x[5] = harts.jump(-4)

    sampler = sampled(bench, prepare, lambda found: found.state in ("code changes", "translation"))
    assert any(found.state != "native" and found.stack and found.stack[0] in (harts.CODE, harts.CODE + 4) for found in sampler.found)
