"""Sleeping by processor time: it ends when some has been used, and not before; and when somebody says so."""

from __future__ import annotations

import threading
import time

import pytest

from ratite.cpu import cputimer
from ratite.cpu.cputimer import ProcessSleep, wake
from ratite.cpu.threads import quiet_thread


def test_it_ends_when_processor_time_has_been_used() -> None:
    slept: list[float] = []
    ready, done = threading.Event(), threading.Event()

    def work() -> None:
        sleep = ProcessSleep()
        ready.set()
        begin = time.process_time()
        sleep.sleep(0.05)
        slept.append(time.process_time() - begin)
        sleep.close()
        done.set()

    thread = quiet_thread(work, "sleeper")
    ready.wait()
    while not done.is_set():
        sum(range(1000))
    thread.join()
    assert slept[0] >= 0.045


def test_nobody_wakes_up_while_nothing_is_executed() -> None:
    """The sleep is a thousand seconds of processor time; only the bell ends it, also if that rings before it begins."""
    turns: list[int] = []
    go = threading.Event()

    def work() -> None:
        sleep = ProcessSleep()
        for n in range(2):
            go.wait()
            sleep.sleep(1000.0)
            turns.append(n)
            go.clear()
        sleep.close()

    thread = quiet_thread(work, "sleeper")
    for _ in range(2):
        before = len(turns)
        wake(thread)
        assert len(turns) == before
        go.set()
        while len(turns) == before:
            time.sleep(0.001)
    thread.join()
    wake(thread)  # whose end is no error
    assert turns == [0, 1]


def test_it_ends_by_the_clock() -> None:
    thread = quiet_thread(lambda: ProcessSleep().sleep(1000.0, longest=0.001), "sleeper")
    thread.join()


def test_without_such_timers_time_goes_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(11, "no more timers")

    monkeypatch.setattr(cputimer, "CpuTimer", refuse)

    def work() -> None:
        sleep = ProcessSleep()
        sleep.sleep(0.001)
        sleep.close()

    quiet_thread(work, "sleeper").join()
