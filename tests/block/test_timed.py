"""Disks where time goes by instructions: work is done when the machine's clock says so, on its thread, in order."""

from __future__ import annotations

import threading

from ratite.block.worker import DURATION, Jobs, WorkerPool
from ratite.hw.model import VirtualClock


def test_work_is_done_when_it_is_due() -> None:
    """Nothing happens before its time, then in the order of the requests; an error becomes its number; draining does what is left at once."""
    clock, seen = VirtualClock(), list[object]()
    jobs = Jobs(WorkerPool(threading.RLock(), clock))

    def fail() -> None:
        raise OSError(28, "full")

    threads = threading.active_count()
    jobs.submit(lambda: seen.append("first"), seen.append)
    clock.advance(10)
    jobs.submit(fail, seen.append)
    clock.advance(DURATION - 11)
    assert seen == []
    clock.advance(1)
    assert seen == ["first", 0]
    clock.advance(10)
    assert seen == ["first", 0, 28]
    jobs.submit(lambda: seen.append("last"), seen.append)
    jobs.drain()
    clock.advance(DURATION)
    assert seen[3:] == ["last", 0]
    assert threading.active_count() == threads
