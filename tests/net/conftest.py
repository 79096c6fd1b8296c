"""A loop that the tests step, and a card that records."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from ratite.chardev.loop import IoLoop
from ratite.net.base import NetBackend, NetContext


class NetBench(NetContext):
    """The context of the tests."""

    def __init__(self) -> None:
        self.announced: list[str] = []
        super().__init__(IoLoop(threading.RLock()), self.announced.append)

    def until(self, condition: Callable[[], object], seconds: float = 20.0) -> None:
        """Step the loop until `condition` holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not happen"
            self.loop.step(0.05)


class FakeCard:
    """Keeps what it receives, as many frames as `room` allows."""

    def __init__(self, backend: NetBackend, room: int = 1 << 30) -> None:
        self.backend, self.room = backend, room
        self.frames: list[bytes] = []
        self.rooms = 0
        backend.attach(self.receive, lambda: self.room > 0, on_room=self.on_room)

    def receive(self, frame: bytes) -> None:
        assert self.room > 0, "a frame without room for it"
        self.room -= 1
        self.frames.append(frame)

    def on_room(self) -> None:
        self.rooms += 1


@pytest.fixture
def bench() -> Iterator[NetBench]:
    bench = NetBench()
    yield bench
    bench.loop.close()
