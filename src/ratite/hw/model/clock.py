"""Time as devices see it: nanoseconds since the machine started, timers, and the time of day.

Devices ask their machine's clock and nothing else, so that tests (and record and replay) can own time.
"""

from __future__ import annotations

import heapq
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

SECOND = 1_000_000_000
"""Nanoseconds."""

#: An instruction takes at most 2 to the power of this nanoseconds.
MAX_SHIFT = 10
#: How often an adaptive clock compares itself with the host's, and the smallest distance that it cares for: nanoseconds.
ADAPT_EVERY, ADAPT_FROM = 10_000_000, 20_000_000


class Timer:
    """Calls back once when the clock reaches a deadline; may be armed again at any time, also by its own callback."""

    __slots__ = ("_callback", "_clock", "_ticket", "deadline")

    def __init__(self, clock: Clock, callback: Callable[[], None]) -> None:
        self._clock, self._callback = clock, callback
        self._ticket = 0
        self.deadline: int | None = None
        """Clock time in nanoseconds when it will fire; None while it is not armed."""

    @property
    def pending(self) -> bool:
        """Whether it is armed."""
        return self.deadline is not None

    def at(self, deadline: int) -> None:
        """Fire at this clock time instead of any earlier choice; a time gone by means at once."""
        self._clock._arm(self, deadline)

    def after(self, delay: int) -> None:
        """Fire in `delay` nanoseconds."""
        self._clock._arm(self, self._clock.now() + delay)

    def cancel(self) -> None:
        """Do not fire. When the caller holds the machine's lock, the callback will certainly not run any more."""
        self.deadline = None


class Clock:
    """What all clocks share: the queue of timers."""

    def __init__(self) -> None:
        self._queue: list[tuple[int, int, Timer]] = []
        self._tickets = 0
        self._guard = threading.Lock()

    def now(self) -> int:
        """Nanoseconds of the machine's running time."""
        raise NotImplementedError

    def wall(self) -> int:
        """Time of day: nanoseconds since 1970-01-01 UTC."""
        raise NotImplementedError

    def timer(self, callback: Callable[[], None]) -> Timer:
        """A timer that is not armed yet. Its callback runs holding the machine's lock."""
        return Timer(self, callback)

    def next_deadline(self) -> int | None:
        """When the earliest armed timer fires."""
        with self._guard:
            return self._earliest()

    def close(self) -> None:
        """No timer fires any more."""

    def save(self) -> dict[str, Any]:
        """The time, for saved state; the timers belong to the devices."""
        return {"now": self.now()}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a saved time."""
        raise NotImplementedError

    def _arm(self, timer: Timer, deadline: int) -> None:
        with self._guard:
            self._tickets += 1
            timer.deadline, timer._ticket = deadline, self._tickets
            heapq.heappush(self._queue, (deadline, self._tickets, timer))
            if len(self._queue) > 64 and self._tickets & 63 == 0:
                self._drop_stale()

    def _earliest(self) -> int | None:
        queue = self._queue
        while queue and not _armed(queue[0]):
            heapq.heappop(queue)
        return queue[0][0] if queue else None

    def _drop_stale(self) -> None:
        """A timer that is set again and again leaves its old entries behind."""
        self._queue = [entry for entry in self._queue if _armed(entry)]
        heapq.heapify(self._queue)

    def _pop_due(self, now: int) -> Timer | None:
        with self._guard:
            earliest = self._earliest()
            if earliest is None or earliest > now:
                return None
            return heapq.heappop(self._queue)[2]

    def _fire(self, timer: Timer) -> None:
        timer.deadline = None
        timer._callback()


def _armed(entry: tuple[int, int, Timer]) -> bool:
    return entry[2].deadline is not None and entry[2]._ticket == entry[1]


class VirtualClock(Clock):
    """Time that stands still until `advance` moves it: for tests, and for deterministic runs."""

    def __init__(self, now: int = 0, wall: int = 1_000_000_000 * SECOND) -> None:
        super().__init__()
        self._now = now
        self._wall_offset = wall - now

    def now(self) -> int:
        return self._now

    def wall(self) -> int:
        return self._now + self._wall_offset

    def advance(self, ns: int) -> None:
        """Let `ns` nanoseconds pass; every timer fires at its own deadline, in order."""
        self.advance_to(self._now + ns)

    def advance_to(self, now: int) -> None:
        """Let time pass until `now`."""
        while (timer := self._pop_due(now)) is not None:
            self._now = max(self._now, timer.deadline or 0)
            self._fire(timer)
        self._now = max(self._now, now)

    def load(self, state: dict[str, Any]) -> None:
        self._now = int(state["now"])


class CountedClock(Clock):
    """Time that goes by executed instructions: `base` + instructions << `shift` nanoseconds. Whoever counts them calls `run_due` when a
    timer is due, and `skip` when time passes without any; timers fire on that thread, holding the machine's lock.

    count: how many instructions have been executed. adaptive: `adapt` changes `shift` so that time follows the host's. on_arm is called with
    the deadline of every timer that is set, from any thread.
    """

    def __init__(self, lock: Any, count: Callable[[], int], shift: int, wall: int = 0, adaptive: bool = False) -> None:
        super().__init__()
        self.lock, self.shift, self.base = lock, shift, 0
        self.on_arm: Callable[[int], None] = lambda deadline: None
        self._count, self._wall = count, wall
        self._adaptive, self._started = adaptive, time.monotonic_ns()
        self._looked, self._drift = self._started, 0

    def now(self) -> int:
        return self.base + (self._count() << self.shift)

    def wall(self) -> int:
        return self._wall + self.now()

    def load(self, state: dict[str, Any]) -> None:
        self.base = int(state["now"]) - (self._count() << self.shift)

    def skip(self, ns: int) -> None:
        """Let time pass without instructions."""
        self.base += ns

    def run_due(self) -> None:
        """Call the timers that are due."""
        with self.lock:
            while (timer := self._pop_due(self.now())) is not None:
                _fire_safely(self, timer)

    def adapt(self) -> int | None:
        """Go slower when time is ahead of the host's and more so than before, faster when it is behind. After how many nanoseconds to call this
        again; None where time does not follow the host's."""
        if not self._adaptive:
            return None
        host = time.monotonic_ns()
        if host - self._looked >= ADAPT_EVERY:
            before, self._drift = self._drift, self.now() - (host - self._started)
            self._looked = host
            if self._drift > max(before, ADAPT_FROM) and self.shift > 0:
                self._change_shift(self.shift - 1)
            elif self._drift < min(before, -ADAPT_FROM) and self.shift < MAX_SHIFT:
                self._change_shift(self.shift + 1)
        return ADAPT_EVERY

    def _change_shift(self, shift: int) -> None:
        now, self.shift = self.now(), shift
        self.base = now - (self._count() << shift)

    def _arm(self, timer: Timer, deadline: int) -> None:
        super()._arm(timer, deadline)
        self.on_arm(deadline)


class RealClock(Clock):
    """Time that runs with the host's monotonic clock; one thread serves the timers, holding the machine's lock.

    `wall` is the time of day that the machine starts with; None follows the host's. While paused, time stands still.
    """

    def __init__(self, lock: threading.RLock, wall: int | None = None) -> None:
        super().__init__()
        self.lock: Any = lock
        self._start = time.monotonic_ns()
        self._paused_at: int | None = None
        self._wall_offset = 0 if wall is None else wall - time.time_ns()
        self._thread: threading.Thread | None = None
        self._sleeping_until: float = 0
        self._bell = threading.Lock()    # held; a release wakes the thread
        self._bell.acquire()
        self._closed = False

    def now(self) -> int:
        return (time.monotonic_ns() if self._paused_at is None else self._paused_at) - self._start

    def wall(self) -> int:
        return time.time_ns() + self._wall_offset

    def pause(self) -> None:
        """Stop time."""
        if self._paused_at is None:
            self._paused_at = time.monotonic_ns()

    def resume(self) -> None:
        """Let time go on."""
        if self._paused_at is not None:
            self._start += time.monotonic_ns() - self._paused_at
            self._paused_at = None
            self._ring()

    def load(self, state: dict[str, Any]) -> None:
        reference = time.monotonic_ns() if self._paused_at is None else self._paused_at
        self._start = reference - int(state["now"])
        self._ring()

    def close(self) -> None:
        self._closed = True
        self._ring()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _arm(self, timer: Timer, deadline: int) -> None:
        super()._arm(timer, deadline)
        if deadline < self._sleeping_until:
            self._ring()
        elif self._thread is None:
            self._start_thread()

    def _start_thread(self) -> None:
        with self._guard:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._serve, name="ratite-clock", daemon=True)
                self._thread.start()

    def _ring(self) -> None:
        self._sleeping_until = 0
        with self._guard:
            if self._bell.locked():
                self._bell.release()

    def _serve(self) -> None:
        _finer_sleep()
        while not self._closed:
            delay = self._delay()
            if delay > 0:
                self._bell.acquire(timeout=min(delay, 1000.0))
            elif delay < 0:
                self._bell.acquire()
            else:
                self._run_due()

    def _delay(self) -> float:
        """Seconds to sleep; 0 when a timer is due, negative to sleep until the bell rings."""
        with self._guard:
            earliest = None if self._paused_at is not None else self._earliest()
            self._sleeping_until = float("inf") if earliest is None else earliest
        if earliest is None:
            return -1
        return max(earliest - self.now(), 0) / SECOND

    def _run_due(self) -> None:
        with self.lock:
            while not self._closed and self._paused_at is None and (timer := self._pop_due(self.now())) is not None:
                _fire_safely(self, timer)


def _fire_safely(clock: Clock, timer: Timer) -> None:
    """Fire, in spite of a bug in one device: the others still need their timers."""
    try:
        clock._fire(timer)
    except Exception:
        sys.excepthook(*sys.exc_info())


def _finer_sleep() -> None:
    """Ask the kernel to wake this thread on time instead of up to 50 us late; a kernel that refuses does no harm."""
    from ctypes import CDLL

    set_timer_slack = 29    # PR_SET_TIMERSLACK, prctl(2)
    CDLL(None).prctl(set_timer_slack, 1, 0, 0, 0)
