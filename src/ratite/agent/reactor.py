"""Waiting for many descriptors at once."""

from __future__ import annotations

import heapq
import os
import selectors
import signal
import time
from collections.abc import Callable
from typing import Any

Callback = Callable[[], None]
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Reactor:
    """Calls a function when its descriptor is ready, or a time has come; all on one thread."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Callback]] = []
        self._count = 0
        self._running = False

    def watch(self, descriptor: int, events: int, callback: Callable[[int], None]) -> None:
        """Call `callback(events)` whenever one of `events` (READ, WRITE) is possible; replaces an earlier watch."""
        if self._watches(descriptor):
            self._selector.modify(descriptor, events, callback)
        else:
            self._selector.register(descriptor, events, callback)

    def forget(self, descriptor: int) -> None:
        """No longer watch a descriptor; to be called before it is closed."""
        if self._watches(descriptor):
            self._selector.unregister(descriptor)

    def call_later(self, seconds: float, callback: Callback) -> None:
        """Call `callback` once."""
        self._count += 1
        heapq.heappush(self._timers, (time.monotonic() + seconds, self._count, callback))

    def run(self) -> None:
        """Work until `stop`."""
        self._running = True
        while self._running:
            self.step()

    def step(self, timeout: float | None = None) -> None:
        """Wait for one round of events, at most `timeout` seconds."""
        if self._timers:
            until = max(0.0, self._timers[0][0] - time.monotonic())
            timeout = until if timeout is None else min(timeout, until)
        for key, events in self._selector.select(timeout):
            if self._selector.get_map().get(key.fd) is key:    # a callback before may have forgotten it
                key.data(events)
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()

    def stop(self) -> None:
        """End `run`."""
        self._running = False

    def stop_on_signals(self) -> None:
        """Let SIGTERM, SIGINT and SIGHUP end `run`, also while it waits."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        self.watch(reader, READ, lambda events: self._drain(reader))

    def close(self) -> None:
        """Give the selector back."""
        self._selector.close()

    def _on_signal(self, number: int, frame: Any) -> None:
        self.stop()

    @staticmethod
    def _drain(reader: int) -> None:
        os.read(reader, 4096)

    def _watches(self, descriptor: int) -> bool:
        return descriptor in self._selector.get_map()
