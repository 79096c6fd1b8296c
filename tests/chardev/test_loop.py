"""The I/O loop: descriptors, deadlines, calls from other threads, sources."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from ratite.chardev.loop import IoLoop

from .conftest import Bench


def test_reader_is_called_while_there_is_data(bench: Bench) -> None:
    """A reader is called for each wait that finds data, and not after it was removed."""
    source, sink = os.pipe()
    got: list[bytes] = []
    bench.loop.add_reader(source, lambda: got.append(os.read(source, 2)))
    os.write(sink, b"abcd")
    bench.until(lambda: len(got) == 2)
    bench.loop.remove_reader(source)
    os.write(sink, b"ef")
    bench.loop.step(0)
    assert got == [b"ab", b"cd"]
    os.close(source)
    os.close(sink)


def test_a_regular_file_is_always_ready(bench: Bench, tmp_path: Path) -> None:
    """epoll refuses regular files; the loop serves them all the same."""
    path = tmp_path / "input"
    path.write_bytes(b"abc")
    fd = os.open(path, os.O_RDONLY)
    got = bytearray()

    def read() -> None:
        if data := os.read(fd, 1):
            got.extend(data)
        else:
            bench.loop.forget(fd)

    bench.loop.add_reader(fd, read)
    bench.until(lambda: got == b"abc" and not bench.loop._watches)
    os.close(fd)


def test_calls_and_timers_in_order(bench: Bench) -> None:
    """Deadlines fire in their order, a cancelled one never; a call from elsewhere wakes the loop."""
    order: list[str] = []
    bench.loop.call_later(0.02, lambda: order.append("second"))
    bench.loop.call_later(0.01, lambda: order.append("first"))
    bench.loop.call_later(0.0, lambda: order.append("cancelled")).cancel()
    bench.loop.call_soon(lambda: order.append("at once"))
    bench.until(lambda: len(order) == 3)
    assert order == ["at once", "first", "second"]


def test_callbacks_hold_the_lock() -> None:
    """What the loop's thread calls runs holding the machine's lock: it waits while another thread has it."""
    lock = threading.RLock()
    loop = IoLoop(lock)
    loop.start()
    called = threading.Event()
    with lock:
        loop.call_soon(called.set)
        assert not called.wait(0.02)
    assert called.wait(10)
    loop.close()


def test_a_failing_callback_ends_only_itself(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """A bug in one back end is shown and its descriptor dropped; the others go on."""
    source, sink = os.pipe()
    bench.loop.add_reader(source, lambda: 1 // 0)    # type: ignore[arg-type]
    os.write(sink, b"x")
    bench.until(lambda: "ZeroDivisionError" in capsys.readouterr().err)
    done: list[int] = []
    bench.loop.call_soon(lambda: done.append(1))
    bench.until(lambda: bool(done))
    os.close(source)
    os.close(sink)


def test_reused_descriptor_does_not_get_old_events(bench: Bench) -> None:
    """An event of a closed descriptor is not given to a newcomer with the same number in the same round."""
    first, first_sink = os.pipe()
    second, second_sink = os.pipe()
    calls: list[str] = []
    spare = os.pipe()

    def replace(mine: int, other: int) -> None:
        bench.loop.forget(mine)
        bench.loop.forget(other)
        os.dup2(spare[0], other)
        bench.loop.add_reader(other, lambda: calls.append("newcomer"))

    bench.loop.add_reader(first, lambda: replace(first, second))
    bench.loop.add_reader(second, lambda: replace(second, first))
    os.write(first_sink, b"x")
    os.write(second_sink, b"x")
    bench.loop.step(0)
    bench.loop.step(0)
    assert calls == []
    for fd in (first, first_sink, second, second_sink, *spare):
        os.close(fd)


def test_sources_are_asked_and_told(bench: Bench) -> None:
    """A source limits the wait and hears of its end."""

    class Ticker:
        told = 0

        def before_wait(self) -> float | None:
            return 0.0

        def after_wait(self) -> None:
            self.told += 1

    ticker = Ticker()
    bench.loop.add_source(ticker)
    bench.loop.step(10)
    bench.loop.step(10)
    assert ticker.told == 2
    bench.loop.remove_source(ticker)
    bench.loop.step(0)
    assert ticker.told == 2


def test_stop_joins_the_thread() -> None:
    """`stop` returns when the thread has ended, and a loop can be closed twice."""
    loop = IoLoop(threading.RLock())
    loop.start()
    loop.start()
    started = time.monotonic()
    loop.close()
    loop.close()
    assert time.monotonic() - started < 5
