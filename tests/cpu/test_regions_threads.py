"""The thread that looks for hot code, while processors find execution at places and pages come and go: nothing that it goes through changes
under its hands."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from ratite.cpu.regions import Regions
from tests.isa.riscv import harts

PAGES, OFFSETS = 16, range(0, 4096, 16)


@pytest.fixture
def hasty() -> Iterator[None]:
    """Python's threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def made(always_look: bool, monkeypatch: pytest.MonkeyPatch) -> tuple[harts.Bench, Regions]:
    """An engine whose regions look at every loop that is asked for, or at none yet, and find no region in it."""
    bench = harts.Bench(native=True)
    bench.engine.regions = regions = Regions(bench.engine)
    monkeypatch.setattr(regions, "_choose", lambda key, offset: None)
    monkeypatch.setattr(regions, "_may_look", lambda place: always_look)
    regions._credit = 1.0
    return bench, regions


def place(n: int) -> tuple[tuple[int, int, int], int]:
    page = 0x1000 * (1 + n % PAGES)
    return (page, page, 0), OFFSETS[n // PAGES % len(OFFSETS)]


def together(*works: Callable[[], None]) -> None:
    """Run all at once; raise what one of them raises."""
    failures = list[BaseException]()

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


@pytest.mark.parametrize("always_look", [False, True])
def test_processors_ask_while_answers_are_read(monkeypatch: pytest.MonkeyPatch, hasty: None, always_look: bool) -> None:
    bench, regions = made(always_look, monkeypatch)

    def processor(first: int) -> None:
        for n in range(first, first + 2 * PAGES * len(OFFSETS)):
            regions.sample(*place(n), False)

    def changes() -> None:
        for n in range(1000):
            with bench.engine.lock:
                regions.withdraw(place(n)[0])
                if n % 5 == 4:
                    regions.clear()

    done = threading.Event()

    def looking() -> None:
        while not done.is_set():
            regions._attend()

    def processors() -> None:
        try:
            together(lambda: processor(0), lambda: processor(7), changes)
        finally:
            done.set()

    together(looking, processors)
    bench.close()
