"""Time as devices see it: nanoseconds since the machine started, timers, and the time of day.

Devices ask their machine's clock and nothing else, so that tests (and record and replay) can own time.
"""

from __future__ import annotations

import heapq
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from ratite.errors import HostError

SECOND = 1_000_000_000
"""Nanoseconds."""

#: Later than any deadline.
_NEVER = float("inf")
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
        self._alarm: _Alarm | None = None
        self._asleep_until: float = 0    # what the alarm is set to; 0 while the thread is awake and will look by itself
        self._closed = False
        self.waits = False
        """Whether timers are due that wait for the machine's lock."""

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
        if deadline < self._asleep_until:
            with self._guard:
                if deadline < self._asleep_until:
                    self._sleep_until(deadline)
        elif self._thread is None:
            self._start_thread()

    def _sleep_until(self, deadline: float) -> None:
        if self._alarm is not None:
            self._asleep_until = deadline
            self._alarm.set(None if deadline == _NEVER else int(deadline) + self._start)

    def _start_thread(self) -> None:
        with self._guard:
            if self._thread is None and not self._closed:
                self._alarm = _Alarm()
                self._thread = threading.Thread(target=self._serve, args=(self._alarm,), name="ratite-clock", daemon=True)
                self._thread.start()

    def _ring(self) -> None:
        """Have the thread look again."""
        with self._guard:
            if self._alarm is not None:
                self._asleep_until = 0
                self._alarm.set(0)

    def _serve(self, alarm: _Alarm) -> None:
        while not self._closed:
            if self._nothing_due():
                alarm.wait()
                self._asleep_until = 0
            else:
                self._run_due()
        with self._guard:
            self._alarm = None
            alarm.close()

    def _nothing_due(self) -> bool:
        """Whether no timer is due. Then the alarm is set to the next one."""
        with self._guard:
            earliest = None if self._paused_at is not None else self._earliest()
            if self._closed or (earliest is not None and earliest <= self.now()):
                return False
            self._sleep_until(_NEVER if earliest is None else earliest)
            return True

    def _run_due(self) -> None:
        self.waits = True
        with self.lock:
            self.waits = False
            while not self._closed and self._paused_at is None and (timer := self._pop_due(self.now())) is not None:
                _fire_safely(self, timer)


def _fire_safely(clock: Clock, timer: Timer) -> None:
    """Fire, in spite of a bug in one device: the others still need their timers."""
    try:
        clock._fire(timer)
    except Exception:
        sys.excepthook(*sys.exc_info())


class _Alarm:
    """A timer of the host which a thread can wait for and others set (timerfd_create(2)). Setting it wakes nobody, which a condition that is
    waited for with a timeout would do; and it is not up to 50 us late. Python has it from 3.13 on.
    """

    def __init__(self) -> None:
        import ctypes
        import struct

        clock_monotonic, close_on_exec = 1, os.O_CLOEXEC
        libc = ctypes.PyDLL(None)    # keeps the interpreter's lock: it takes no longer than giving that away
        self._file: int = libc.timerfd_create(clock_monotonic, close_on_exec)
        if self._file < 0:
            raise HostError("the host gives no timer (timerfd_create)")
        self._set = libc.timerfd_settime
        self._pack = struct.Struct("@4l").pack

    def set(self, when: int | None) -> None:
        """Go off at a time of the monotonic clock, in nanoseconds; None: never."""
        absolute = 1
        seconds, rest = (0, 0) if when is None else divmod(max(when, 1), SECOND)
        self._set(self._file, absolute, self._pack(0, 0, seconds, rest), None)

    def wait(self) -> None:
        """Until it goes off."""
        os.read(self._file, 8)

    def close(self) -> None:
        """Give the timer back."""
        os.close(self._file)
