"""Clocks and timers."""

from __future__ import annotations

import os
import threading

import pytest

from ratite.hw.model import SECOND, RealClock, Timer, VirtualClock


def test_virtual_timers_fire_in_order_at_their_own_time() -> None:
    """Also those that a callback arms on the way."""
    clock, seen = VirtualClock(), list[tuple[str, int]]()
    late = clock.timer(lambda: seen.append(("late", clock.now())))

    def first() -> None:
        seen.append(("first", clock.now()))
        late.at(250)

    clock.timer(first).at(100)
    clock.timer(lambda: seen.append(("second", clock.now()))).after(200)
    clock.advance(300)
    assert seen == [("first", 100), ("second", 200), ("late", 250)] and clock.now() == 300


def test_rearming_and_cancelling() -> None:
    """Only the last choice counts."""
    clock, count = VirtualClock(), [0]

    def fire() -> None:
        count[0] += 1

    timer = clock.timer(fire)
    timer.at(10)
    timer.at(50)
    clock.advance(20)
    assert count == [0] and timer.pending and timer.deadline == 50 and clock.next_deadline() == 50
    timer.cancel()
    clock.advance(100)
    assert count == [0] and not timer.pending and clock.next_deadline() is None
    timer.at(0)    # gone by
    clock.advance(0)
    assert count == [1]


def test_a_timer_that_is_set_often_leaves_nothing_behind() -> None:
    """A guest reprograms its timer all the time."""
    clock = VirtualClock()
    timer = clock.timer(lambda: None)
    for step in range(10_000):
        timer.at(step + 1_000_000)
    assert len(clock._queue) < 200


def test_wall_time_runs_with_virtual_time() -> None:
    """And may start anywhere."""
    clock = VirtualClock(wall=5 * SECOND)
    clock.advance(SECOND)
    assert clock.wall() == 6 * SECOND


@pytest.fixture
def real() -> RealClock:
    return RealClock(threading.RLock())


def test_real_timers_fire_in_order_holding_the_lock(real: RealClock) -> None:
    """On the clock's thread, not before their time."""
    done, seen = threading.Event(), list[tuple[int, bool]]()
    start = real.now()

    def note(last: bool) -> None:
        seen.append((real.now() - start, real.lock._is_owned()))
        if last:
            done.set()

    real.timer(lambda: note(True)).at(start + 2_000_000)
    real.timer(lambda: note(False)).at(start + 1_000_000)    # earlier than what the thread waits for
    assert done.wait(10)
    assert [owned for _, owned in seen] == [True, True]
    assert seen[0][0] >= 1_000_000 and seen[1][0] >= 2_000_000
    real.close()


def test_a_cancel_under_the_lock_is_certain(real: RealClock) -> None:
    """The callback cannot slip through while the machine's lock is held."""
    fired: list[int] = []
    after = threading.Event()
    with real.lock:
        timer = real.timer(lambda: fired.append(1))
        timer.at(real.now())
        timer.cancel()
        real.timer(after.set).at(real.now())
    assert after.wait(10) and fired == []
    real.close()


def test_pause_stops_time_and_timers(real: RealClock) -> None:
    """And resume goes on where it was."""
    fired = threading.Event()
    real.pause()
    now = real.now()
    real.timer(fired.set).at(now)
    assert real.now() == now and not fired.is_set()
    real.resume()
    assert fired.wait(10)
    real.close()


def test_saved_time_goes_on(real: RealClock) -> None:
    """Into another clock."""
    virtual = VirtualClock(now=1 << 60)
    real.load(virtual.save())
    assert real.now() >= 1 << 60
    real.close()


def test_an_error_in_one_callback_does_not_end_the_others(
    real: RealClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is reported; the thread lives."""
    reported, fired = list[object](), threading.Event()
    monkeypatch.setattr("sys.excepthook", lambda *about: reported.append(about[0]))

    def broken() -> None:
        raise ZeroDivisionError

    real.timer(broken).at(real.now())
    real.timer(fired.set).at(real.now() + 100_000)
    assert fired.wait(10) and reported == [ZeroDivisionError]
    real.close()


def test_the_end_of_a_clock() -> None:
    """Its thread and its file are given back, whether its timers have fired or wait; timers may be set afterwards, and never fire."""
    files = len(os.listdir("/proc/self/fd"))
    for armed in (0, 1, 10**12):
        clock = RealClock(threading.RLock())
        fired = threading.Event()
        if armed:
            clock.timer(fired.set).after(armed)
        clock.close()
        clock.timer(fired.set).after(0)
        assert not any(thread.name == "ratite-clock" and thread is clock._thread for thread in threading.enumerate())
    assert len(os.listdir("/proc/self/fd")) == files


def test_wall_base() -> None:
    """`-rtc base=`: the machine's own time of day."""
    clock = RealClock(threading.RLock(), wall=1_000 * SECOND)
    assert 0 <= clock.wall() - 1_000 * SECOND < 60 * SECOND
    assert isinstance(clock.timer(lambda: None), Timer)
    clock.close()
