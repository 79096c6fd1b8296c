"""Running the processors of a machine: one thread that gives each a turn, waits when all of them wait, and stops when asked to.

One processor runs at a time, so guest atomics and translation-cache shoot-downs need nothing more. Parallel processors come with the
region tier.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from ratite.cpu.vcpu import Event, Vcpu

#: How long a processor runs before the next one gets its turn, when there is another: nanoseconds.
SLICE = 2_000_000


class Processor:
    """A vCPU as the scheduler sees it. ISAs derive from it to answer events and to drive interrupt inputs.

    stopped: it executes nothing. waiting: it waits for an interrupt.
    """

    def __init__(self, vcpu: Vcpu, lock: AbstractContextManager[Any]) -> None:
        self.vcpu, self.lock = vcpu, lock
        vcpu.owner = self
        self.stopped = self.waiting = False
        self.scheduler: Scheduler | None = None
        self.single_step = False

    def turn(self) -> None:
        """Run until something happens that ends the turn."""
        while not self.stopped:
            event = self.vcpu.step() if self.single_step else self.vcpu.run()
            if event is None:
                if self.vcpu.state.host_attention:
                    self.vcpu.state.host_attention = 0
                    return
                continue
            if event.kind == "interrupt":
                return
            if event.kind == "halt":
                with self.lock:
                    self.waiting = not self.must_wake()
            else:
                self.answer(event)
            if self.waiting:
                return

    def must_wake(self) -> bool:
        """Whether a processor that waits has to go on."""
        raise NotImplementedError

    def answer(self, event: Event) -> None:
        """Deal with an event that the scheduler does not know."""
        raise AssertionError(f"event {event.kind}")

    def wake(self) -> None:
        """Something happened that a waiting processor may wait for."""
        self.waiting = False
        if self.scheduler is not None:
            self.scheduler.ring()

    def set_stopped(self, stopped: bool) -> None:
        """Execute nothing at all, or go on."""
        self.stopped = stopped
        if stopped:
            self.waiting = False
        if self.scheduler is not None:
            self.vcpu.kick()
            self.scheduler.ring()

    def at_rest(self, work: Callable[[], None], wait: bool) -> None:
        """Have `work` done while this processor executes nothing; with `wait`, return after that."""

        def work_and_wake() -> None:
            work()
            self.wake()  # it may have been given what it waits for; to wake for nothing is harmless

        if self.scheduler is None:
            work_and_wake()
        else:
            self.scheduler.at_rest(work_and_wake, wait)


class Scheduler:
    """Gives processors their turns. `slice_timer` arms a timer that calls back after SLICE."""

    def __init__(self, processors: Sequence[Processor], arm: Callable[[Callable[[], None], int], None]) -> None:
        self.processors = list(processors)
        for p in self.processors:
            p.scheduler = self
        self._arm = arm
        self._bell = threading.Event()
        self._work: deque[tuple[Callable[[], None], threading.Event | None]] = deque()
        self._thread: threading.Thread | None = None
        self._current: Processor | None = None
        self._sliced = False

    def ring(self) -> None:
        """Another processor may be ready: look at them again, at once or at the end of the slice."""
        if not self._bell.is_set():
            self._bell.set()
        if self._current is not None and len(self.processors) > 1:
            self._begin_slice()

    def interrupt(self) -> None:
        """End the current turn, and have `run_until` look at its condition; from any thread."""
        for p in self.processors:
            p.vcpu.kick()
        self._bell.set()

    def at_rest(self, work: Callable[[], None], wait: bool) -> None:
        """Do `work` while no processor executes: at once on the scheduler's own thread, else between turns."""
        if threading.current_thread() is self._thread or self._thread is None:
            work()
            return
        done = threading.Event() if wait else None
        self._work.append((work, done))
        self.interrupt()
        if done is not None:
            done.wait()

    def run_until(self, asked: Callable[[], bool]) -> None:
        """Give turns until `asked()`, which is looked at after each `interrupt`."""
        self._thread = threading.current_thread()
        try:
            while True:
                self._bell.clear()
                if asked():
                    return
                while self._work:
                    work, done = self._work.popleft()
                    work()
                    if done is not None:
                        done.set()
                ready = [p for p in self.processors if not p.stopped and not p.waiting]
                if not ready:
                    self._bell.wait()
                    continue
                for p in ready:
                    if self._work or asked():
                        break
                    self._take_turn(p, len(ready) > 1)
        finally:
            self._thread = None

    def _take_turn(self, p: Processor, shared: bool) -> None:
        self._current = p
        if shared:
            self._begin_slice()
        p.turn()
        self._current = None

    def _begin_slice(self) -> None:
        if not self._sliced:
            self._sliced = True
            self._arm(self._end_slice, SLICE)

    def _end_slice(self) -> None:
        self._sliced = False
        current = self._current
        if current is not None:
            current.vcpu.kick()
