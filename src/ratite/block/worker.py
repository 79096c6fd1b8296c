"""Threads that do blocking work for devices, so that the vCPU goes on meanwhile.

Where time goes by instructions, nobody goes on: work is done when it is due by the machine's clock, so that runs repeat exactly.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

from ratite.chardev.loop import Lock

Work = Callable[[], None]
Done = Callable[[int], None]    # called with 0 or the errno of the failure

_THREADS = 4
#: How long work takes by the machine's clock: nanoseconds.
DURATION = 100_000


class Timer(Protocol):
    """A timer of the machine."""

    def after(self, delay: int) -> None: ...

    def cancel(self) -> None: ...


class Clock(Protocol):
    """The machine's clock (`ratite.hw.model.clock`)."""

    def timer(self, callback: Callable[[], None]) -> Timer: ...


class WorkerPool:
    """A few threads, started when there is work for them, and shared by all drives of a machine. With a clock there are no threads: work is
    done when that says that it is finished."""

    def __init__(self, lock: Lock, clock: Clock | None = None) -> None:
        self.machine_lock, self.clock = lock, clock
        self._wanted = threading.Condition()
        self._queue: deque[tuple[Jobs, Work, Done]] = deque()
        self._threads = 0
        self._idle = 0
        self._closed = False

    def put(self, jobs: Jobs, work: Work, done: Done) -> None:
        with self._wanted:
            self._queue.append((jobs, work, done))
            if len(self._queue) > self._idle and self._threads < _THREADS:
                self._threads += 1
                threading.Thread(target=self._serve, name="ratite-block", daemon=True).start()
            self._wanted.notify()

    def take_back(self, jobs: Jobs) -> list[tuple[Work, Done]]:
        """Remove from the queue what no worker has begun."""
        with self._wanted:
            mine = [(work, done) for owner, work, done in self._queue if owner is jobs]
            self._queue = deque(item for item in self._queue if item[0] is not jobs)
            return mine

    def close(self) -> None:
        """Let the threads end when their queue is empty."""
        with self._wanted:
            self._closed = True
            self._wanted.notify_all()

    def _serve(self) -> None:
        while True:
            with self._wanted:
                self._idle += 1
                self._wanted.wait_for(lambda: self._queue or self._closed)
                self._idle -= 1
                if not self._queue:
                    return
                jobs, work, done = self._queue.popleft()
            jobs.run(work, done)
            with self.machine_lock:
                jobs.deliver()


class Jobs:
    """The requests of one drive that are under way.

    The work itself needs no lock. Results are delivered holding the machine's lock: by the worker, or by `drain`,
    whose caller has that lock already and so cannot wait for the worker to get it.
    """

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool
        self._finished = threading.Condition()
        self._running = 0
        self._results: deque[tuple[Done, int]] = deque()
        self._due: dict[Timer, Callable[[], None]] = {}

    def submit(self, work: Work, done: Done) -> None:
        """Have `work` done by a worker; an OSError it raises becomes the errno that `done` is called with."""
        if self._pool.clock is not None:
            self._plan(self._pool.clock, work, done)
            return
        with self._finished:
            self._running += 1
        self._pool.put(self, work, done)

    def _plan(self, clock: Clock, work: Work, done: Done) -> None:
        def finish() -> None:
            del self._due[timer]
            done(outcome(work))

        timer = clock.timer(finish)
        self._due[timer] = finish
        timer.after(DURATION)

    def run(self, work: Work, done: Done) -> None:
        """On a worker's thread."""
        number = outcome(work)
        with self._finished:
            self._results.append((done, number))
            self._running -= 1
            self._finished.notify_all()

    def deliver(self) -> None:
        """Call back for what is finished; the caller holds the machine's lock."""
        while self._results:
            done, number = self._results.popleft()
            done(number)

    def drain(self) -> None:
        """Wait until all work is finished and delivered; the caller holds the machine's lock.

        All workers may be waiting for that lock to deliver something, so what they have not begun is done here.
        """
        with self._pool.machine_lock:    # else a worker may be about to deliver what is in no list any more
            while self._running or self._results or self._due:    # what is delivered may begin more
                for timer, finish in list(self._due.items()):
                    timer.cancel()
                    finish()
                for work, done in self._pool.take_back(self):
                    self.run(work, done)
                with self._finished:
                    self._finished.wait_for(lambda: not self._running)
                self.deliver()


def outcome(work: Work) -> int:
    """Do the work here and now; 0 or an errno."""
    import errno

    try:
        work()
    except OSError as error:
        return error.errno or errno.EIO
    return 0
