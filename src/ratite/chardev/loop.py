"""The I/O thread: waits for file descriptors, deadlines and calls from other threads.

One thread serves all back ends. Whatever it calls runs holding `lock`, the machine's lock, so that a back end may go
straight into a device. A `Source` is the exception: a library that polls on its own terms (libslirp) is asked before
and told after every wait, without the lock.
"""

from __future__ import annotations

import heapq
import itertools
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

Callback = Callable[[], None]
Lock = AbstractContextManager[Any]    # threading.RLock, which has no public type

_READ = select.EPOLLIN | select.EPOLLRDHUP
_WRITE = select.EPOLLOUT
_BROKEN = select.EPOLLHUP | select.EPOLLERR


class Source(Protocol):
    """Something that decides anew before each wait what it waits for."""

    def before_wait(self) -> float | None:
        """Seconds after which to wake at the latest; None: no limit."""

    def after_wait(self) -> None:
        """The wait is over, for whatever reason."""


class Timer:
    """A call that is due at a monotonic time; `cancel` forgets it."""

    __slots__ = ("callback", "deadline")

    def __init__(self, deadline: float, callback: Callback) -> None:
        self.deadline = deadline
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        self.callback = None


class _Watch:
    """What is wanted of one file descriptor."""

    __slots__ = ("interest", "pollable", "reader", "since", "writer")

    def __init__(self) -> None:
        self.reader: Callback | None = None
        self.writer: Callback | None = None
        self.interest = 0
        self.pollable = True
        self.since = 0    # the round that made the watch: its events were meant for an earlier owner of the number


class IoLoop:
    """Waits with epoll and calls back holding `lock`. All methods may be called from any thread."""

    def __init__(self, lock: Lock) -> None:
        self.lock = lock
        self._epoll = select.epoll()
        self._wakeup = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wakeup, select.EPOLLIN)
        self._watches: dict[int, _Watch] = {}
        self._calls: deque[Callback] = deque()
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._sources: list[Source] = []
        self._round = 0
        self._stopping = False
        self._thread: threading.Thread | None = None

    # --- running

    def start(self) -> None:
        """Serve on a background thread from now on; a second call does nothing."""
        if self._thread is None:
            self._stopping = False
            self._thread = threading.Thread(target=self.run, name="ratite-io", daemon=True)
            self._thread.start()

    def run(self) -> None:
        """Serve on this thread until `stop`."""
        while not self._stopping:
            self.step()

    def stop(self) -> None:
        """End `run`; waits for the background thread if there is one. Not to be called while holding the lock, except
        by the loop itself.
        """
        self._stopping = True
        self.wake()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def close(self) -> None:
        """Stop and give the loop's own descriptors back."""
        self.stop()
        if not self._epoll.closed:
            self._epoll.close()
            os.close(self._wakeup)

    def wake(self) -> None:
        """Make a wait that is under way return."""
        if not self._epoll.closed:
            os.eventfd_write(self._wakeup, 1)

    def step(self, timeout: float | None = None) -> None:
        """Wait once, at most `timeout` seconds, and serve what came. Tests drive a loop that was not started with
        this.
        """
        for source in tuple(self._sources):
            timeout = _earlier(timeout, source.before_wait())
        events = self._epoll.poll(self._limit(timeout))
        self._round += 1
        for fd, mask in events:
            if fd == self._wakeup:
                self._drain_wakeup()
            else:
                self._dispatch(fd, mask)
        self._serve_unpollable()
        self._serve_timers()
        self._serve_calls()
        for source in tuple(self._sources):
            self._guarded(source.after_wait)

    # --- what is waited for

    def add_reader(self, fd: int, callback: Callback) -> None:
        """Call back whenever `fd` can be read or its peer has gone, until `remove_reader`."""
        with self.lock:
            watch = self._watch(fd)
            watch.reader = callback
            self._update(fd, watch)

    def remove_reader(self, fd: int) -> None:
        with self.lock:
            if (watch := self._watches.get(fd)) is not None:
                watch.reader = None
                self._update(fd, watch)

    def add_writer(self, fd: int, callback: Callback) -> None:
        """Call back whenever `fd` can be written, until `remove_writer`."""
        with self.lock:
            watch = self._watch(fd)
            watch.writer = callback
            self._update(fd, watch)

    def remove_writer(self, fd: int) -> None:
        with self.lock:
            if (watch := self._watches.get(fd)) is not None:
                watch.writer = None
                self._update(fd, watch)

    def forget(self, fd: int) -> None:
        """Stop watching `fd`; to be called before it is closed."""
        with self.lock:
            self.remove_reader(fd)
            self.remove_writer(fd)

    def call_soon(self, callback: Callback) -> None:
        """Have `callback` run on the loop's thread, holding the lock."""
        self._calls.append(callback)
        self.wake()

    def call_later(self, seconds: float, callback: Callback) -> Timer:
        """Have `callback` run on the loop's thread, holding the lock, `seconds` of host time from now."""
        timer = Timer(time.monotonic() + seconds, callback)
        with self.lock:
            heapq.heappush(self._timers, (timer.deadline, next(self._numbers), timer))
        self.wake()
        return timer

    def add_source(self, source: Source) -> None:
        with self.lock:
            self._sources.append(source)
        self.wake()

    def remove_source(self, source: Source) -> None:
        with self.lock:
            if source in self._sources:
                self._sources.remove(source)

    # --- inside

    def _watch(self, fd: int) -> _Watch:
        watch = self._watches.get(fd)
        if watch is None:
            watch = self._watches[fd] = _Watch()
            watch.since = self._round
        return watch

    def _update(self, fd: int, watch: _Watch) -> None:
        interest = (_READ if watch.reader else 0) | (_WRITE if watch.writer else 0)
        if interest == watch.interest:
            return
        old, watch.interest = watch.interest, interest
        if not interest:
            del self._watches[fd]    # a hang-up that nobody wants to hear of would else be reported for ever
        if not watch.pollable:
            return
        if not interest:
            self._epoll.unregister(fd)
        elif old:
            self._epoll.modify(fd, interest)
        else:
            try:
                self._epoll.register(fd, interest)
            except PermissionError:    # regular files and /dev/null cannot be waited for: they are always ready
                watch.pollable = False
                self.wake()

    def _limit(self, timeout: float | None) -> float | None:
        with self.lock:
            if self._calls or any(not watch.pollable for watch in self._watches.values()):
                return 0
            while self._timers and self._timers[0][2].callback is None:
                heapq.heappop(self._timers)
            if self._timers:
                timeout = _earlier(timeout, max(0.0, self._timers[0][0] - time.monotonic()))
            return timeout

    def _drain_wakeup(self) -> None:
        try:
            os.eventfd_read(self._wakeup)
        except BlockingIOError:
            pass

    def _dispatch(self, fd: int, mask: int) -> None:
        with self.lock:
            watch = self._watches.get(fd)
            if watch is None or watch.since == self._round:
                return
            if watch.writer is not None and mask & (_WRITE | _BROKEN):
                self._guarded(watch.writer, fd)
            if watch.reader is not None and mask & (_READ | _BROKEN):
                self._guarded(watch.reader, fd)

    def _serve_unpollable(self) -> None:
        with self.lock:
            for fd in [fd for fd, watch in self._watches.items() if not watch.pollable]:
                self._dispatch(fd, _READ | _WRITE)

    def _serve_timers(self) -> None:
        now = time.monotonic()
        while True:
            with self.lock:
                if not self._timers or self._timers[0][0] > now:
                    return
                timer = heapq.heappop(self._timers)[2]
                if timer.callback is not None:
                    self._guarded(timer.callback)

    def _serve_calls(self) -> None:
        for _ in range(len(self._calls)):
            with self.lock:
                self._guarded(self._calls.popleft())

    def _guarded(self, callback: Callback, fd: int | None = None) -> None:
        """A bug in one back end must not end the others: show it, and stop watching the descriptor, which would else
        fail for ever.
        """
        try:
            callback()
        except Exception:
            sys.excepthook(*sys.exc_info())
            if fd is not None:
                self.forget(fd)


def _earlier(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else min(one, other)
