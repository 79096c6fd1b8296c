"""Compiling forms of instructions on a thread of its own, so that a processor that needs one takes interrupts meanwhile.

LLVM needs 5 to 30 ms for what a piece of new code lacks, and one call of it waits for another's end (llvmlite), which may be that of a region. A
processor that waited for it holding the engine's lock would keep everybody's timers waiting too.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable

from ratite.cpu.threads import quiet_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ratite.codegen.library import Library
    from ratite.codegen.stencil import Job
    from ratite.cpu.vcpu import Vcpu


class Missing(Exception):
    """A form that has not been compiled."""

    def __init__(self, job: Job) -> None:
        self.job = job


class Order:
    """Forms to be compiled together. done: they are there, or `failure` says why not. waiting: who is told then, perhaps in vain."""

    def __init__(self, jobs: list[Job]) -> None:
        self.jobs = jobs
        self.done = threading.Event()
        self.waiting: dict[Vcpu, None] = {}
        self.failure: BaseException | None = None


class Awaited(Exception):
    """Code can be translated once orders have been carried out; none: after others have had the engine's lock."""

    def __init__(self, orders: list[Order]) -> None:
        super().__init__()
        self.orders = orders


class Compiler:
    """The thread and what it has been asked for. Its thread begins with the first order."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._waiting: deque[Order] = deque()
        self._open: dict[object, Order] = {}
        self._bell, self._closing = threading.Event(), False
        self._thread: threading.Thread | None = None

    def order(self, jobs: Iterable[Job]) -> list[Order]:
        """Have forms compiled; the orders of which they are part, some of which others may have given. The engine's lock is held."""
        fresh = [job for job in jobs if job.key not in self._open]
        orders = {id(order): order for job in jobs if (order := self._open.get(job.key)) is not None}
        if fresh:
            order = Order(fresh)
            orders[id(order)] = order
            self._open |= {job.key: order for job in fresh}
            self._waiting.append(order)
            self._start()
            self._bell.set()
        return list(orders.values())

    def _start(self) -> None:
        if self._thread is None:
            self._thread = quiet_thread(self._work, "ratite-compiler")

    def _work(self) -> None:
        while not self._closing:
            self._bell.wait()
            self._bell.clear()
            while self._waiting and not self._closing:
                self._carry_out(self._waiting.popleft())

    def _carry_out(self, order: Order) -> None:
        try:
            self._library.compile(order.jobs)
        except BaseException as error:  # the processor that waits raises it
            order.failure = error
        for job in order.jobs:
            del self._open[job.key]
        order.done.set()
        for vcpu in list(order.waiting):
            vcpu.has_been_compiled()

    def close(self) -> None:
        """End the thread. What has not been compiled then is not."""
        self._closing = True
        self._bell.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
