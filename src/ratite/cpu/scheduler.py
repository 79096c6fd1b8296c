"""Running the processors of a machine: all on one thread, one after the other, or each on a thread of its own.

Native code holds no interpreter lock, so processors on threads of their own run in parallel. Their atomic instructions are the host's; what
must not happen while another executes is done in exclusive sections (`ratite.cpu.exclusive`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from ratite.cpu.vcpu import Event, Vcpu

#: How long a processor runs before the next one gets its turn, when processors share a thread: nanoseconds.
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
            if event.kind in ("interrupt", "expired"):
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
        """Something happened that a waiting processor may wait for. The lock is held."""
        if self.waiting:
            self.waiting = False
            self._ring()
        self.vcpu.rouse()

    def rest(self) -> None:
        """Wait, on its own thread, where alarms ring in native code: until it has to go on, or until it is asked to come back."""
        if self.vcpu.doze():
            with self.lock:
                self.wake()

    def set_stopped(self, stopped: bool) -> None:
        """Execute nothing at all, or go on. The lock is held."""
        self.stopped = stopped
        if stopped:
            self.waiting = False
        self.vcpu.kick()
        self._ring()

    def _ring(self) -> None:
        if self.scheduler is not None:
            self.scheduler.ring(self)

    def at_rest(self, work: Callable[[], None]) -> None:
        """Have `work` done while this processor executes nothing."""
        with self.vcpu.engine.exclusive:
            work()
            self.wake()  # it may have been given what it waits for; to wake for nothing is harmless


class Scheduler:
    """Runs processors. `run_until` does so on the calling thread, or has other threads do it meanwhile."""

    def __init__(self, processors: Sequence[Processor]) -> None:
        self.processors = list(processors)
        for p in self.processors:
            p.scheduler = self
        self._bell = threading.Event()

    def ring(self, processor: Processor) -> None:
        """Whether this processor is stopped or waits may have changed; from any thread."""
        raise NotImplementedError

    def interrupt(self) -> None:
        """Have `run_until` look at its condition; from any thread."""
        raise NotImplementedError

    def run_until(self, asked: Callable[[], bool]) -> None:
        """Run the processors until `asked()`, which is looked at after each `interrupt`. None of them runs any more when this returns."""
        raise NotImplementedError

    def close(self) -> None:
        """Give threads back. No `run_until` is under way."""


class Turns(Scheduler):
    """All processors on the thread that calls `run_until`, in turns. `arm` arms a timer that calls back after some nanoseconds."""

    def __init__(self, processors: Sequence[Processor], arm: Callable[[Callable[[], None], int], None]) -> None:
        super().__init__(processors)
        self._arm = arm
        self._current: Processor | None = None
        self._sliced = False

    def ring(self, processor: Processor) -> None:
        if not self._bell.is_set():
            self._bell.set()
        if self._current is not None and len(self.processors) > 1:
            self._begin_slice()

    def interrupt(self) -> None:
        for p in self.processors:
            p.vcpu.kick()
        self._bell.set()

    def run_until(self, asked: Callable[[], bool]) -> None:
        while True:
            self._bell.clear()
            resting = self._resting()
            if asked():
                return
            ready = [p for p in self.processors if not p.stopped and not p.waiting]
            if not ready and resting is not None:
                resting.rest()
            elif not ready:
                self._bell.wait()
            for p in ready:
                if asked():
                    break
                self._take_turn(p, len(ready) > 1)

    def _resting(self) -> Processor | None:
        """The only processor, if it waits and can do that in native code. It has forgotten that it was asked to come back."""
        only = self.processors[0]
        if only.stopped or not only.waiting or not only.vcpu.sleeps_natively:
            return None
        only.vcpu.calm()
        return only

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


class _Seat:
    """The thread of one processor. idle: it is between turns, and begins no other before it has looked whether it may."""

    def __init__(self, processor: Processor) -> None:
        self.processor = processor
        self.bell = threading.Event()
        self.idle = threading.Event()
        self.thread: threading.Thread | None = None


class Parallel(Scheduler):
    """Every processor on a thread of its own. The thread that calls `run_until` only waits."""

    def __init__(self, processors: Sequence[Processor]) -> None:
        super().__init__(processors)
        self._seats = {p: _Seat(p) for p in self.processors}
        self._running = self._closed = False
        self._failure: BaseException | None = None

    def ring(self, processor: Processor) -> None:
        self._seats[processor].bell.set()

    def interrupt(self) -> None:
        self._bell.set()

    def run_until(self, asked: Callable[[], bool]) -> None:
        self._resume()
        try:
            while True:
                self._bell.clear()
                if self._failure is not None or asked():
                    break
                self._bell.wait()
        finally:
            self._pause()
        if self._failure is not None:
            raise self._failure

    def _resume(self) -> None:
        self._running = True
        for number, seat in enumerate(self._seats.values()):
            if seat.thread is None:
                seat.thread = threading.Thread(target=self._serve, args=(seat,), name=f"ratite-vcpu{number}", daemon=True)
                seat.thread.start()
            seat.bell.set()

    def _pause(self) -> None:
        self._running = False
        for seat in self._seats.values():
            seat.processor.vcpu.kick()
            seat.bell.set()
        for seat in self._seats.values():
            seat.idle.wait()

    def _serve(self, seat: _Seat) -> None:
        p = seat.processor
        while not self._closed:
            seat.bell.clear()
            seat.idle.clear()  # before looking at _running, which _pause sets before it looks at idle
            if p.waiting:
                p.vcpu.calm()
            if self._running and not p.stopped and (not p.waiting or p.vcpu.sleeps_natively):
                self._take_turn(p)
                continue
            if not self._running:
                seat.idle.set()
            seat.bell.wait()

    def _take_turn(self, p: Processor) -> None:
        try:
            if p.waiting:
                p.rest()
            else:
                p.turn()
        except BaseException as error:
            self._failure = error
            p.stopped = True
            self.interrupt()

    def close(self) -> None:
        self._closed = True
        for seat in self._seats.values():
            seat.bell.set()
            if seat.thread is not None:
                seat.thread.join()
