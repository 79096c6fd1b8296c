"""A loop that the tests step themselves, a front end that records, and a context that remembers what was announced."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from ratite.chardev.base import Chardev, ChardevContext, ChardevEvent
from ratite.chardev.loop import IoLoop


class FrontEnd:
    """Takes input as far as `room` goes."""

    def __init__(self, device: Chardev, room: int = 1 << 20) -> None:
        self.device, self.room = device, room
        self.data = bytearray()
        self.events: list[ChardevEvent] = []
        self.rooms = 0
        device.attach(self.receive, lambda: self.room, on_event=self.events.append, on_room=self.on_room)

    def receive(self, data: bytes) -> None:
        assert len(data) <= self.room, "more than there was room for"
        self.data += data
        self.room -= len(data)

    def on_room(self) -> None:
        self.rooms += 1

    def accept(self, room: int) -> None:
        self.room = room
        self.device.accept_input()


class Bench(ChardevContext):
    """The context of the tests."""

    def __init__(self) -> None:
        self.announced: list[str] = []
        self.quits = 0
        super().__init__(IoLoop(threading.RLock()), self._quit, self.announced.append)

    def _quit(self) -> None:
        self.quits += 1

    def until(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        """Step the loop until `condition` holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not happen"
            self.loop.step(0.05)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.loop.close()
