"""Compiling forms of instructions beside the processors of a machine, so that one that needs some takes interrupts meanwhile.

LLVM needs 5 to 30 ms for what a piece of new code lacks, and the text that it reads is built with Python's lock held. So a process beside the
machine's own does that (`ratite.cpu.form_server`), on another processor of the host, and goes on with what is likely to be needed next. Where that
process is lost, a thread compiles.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable

from ratite.codegen.library import plain
from ratite.cpu.threads import quiet_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ratite.codegen.library import Library
    from ratite.codegen.stencil import Job
    from ratite.cpu.companion import Answer, Companion
    from ratite.cpu.vcpu import Vcpu
    from ratite.isa.dsl import Insn

    #: A page, the offset in it from which it is being translated, and the context.
    Place = tuple[bytes, int, int]
    #: Nanoseconds, stencils, free bits, and why there are no stencils.
    Content = tuple[int, dict[Any, Any], dict[Any, Any], str]

#: Seconds that an order may take, others' use of the processors included; and that the process which stands back may take.
_LIMIT, _LONG = 20.0, 600.0
#: What the latter has not heard after so many orders it need not hear. It begins after so many forms have been missing: one or two always may be.
_BEHIND, _FEW = 8, 6


class Missing(Exception):
    """A form that has not been compiled."""

    def __init__(self, job: Job) -> None:
        self.job = job


class Order:
    """Forms to be compiled together. done: they are there, or `failure` says why not. waiting: who is told then, perhaps in vain. place: where they
    were missing."""

    def __init__(self, jobs: list[Job], place: Place | None = None) -> None:
        self.jobs, self.place = jobs, place
        self.done = threading.Event()
        self.waiting: dict[Vcpu, None] = {}
        self.failure: BaseException | None = None


class Awaited(Exception):
    """Code can be translated once orders have been carried out; none: after others have had the engine's lock."""

    def __init__(self, orders: list[Order]) -> None:
        super().__init__()
        self.orders = orders


class Compiler:
    """What has been asked for, and the thread that hands it on. It and the processes begin with the first order.

    asked: the process that compiles; None: the thread does. foresight: the process that does so ahead.
    """

    def __init__(self, library: Library, asked: Companion[Content] | None = None, foresight: Companion[Content] | None = None) -> None:
        self._library, self.asked, self.foresight = library, asked, foresight
        self._fresh: deque[Order] = deque()
        self._open: dict[object, Order] = {}
        self._sent: dict[int, Order] = {}
        self._questions: deque[tuple[str, int, int]] = deque()  # instructions whose free bits nobody knows
        self._in_question: set[tuple[str, int, int]] = set()  # the same until there is an answer
        self._missed = 0
        self._closing = False
        self._bell: Bell | None = None
        self._thread: threading.Thread | None = None

    # --- for processors -----------------------------------------------------------------------------------------------------------
    def begin(self) -> None:
        """Nothing has been compiled: let the processes begin meanwhile."""
        if self._thread is None:
            self._bell = Bell()
            self._thread = quiet_thread(self._work, "ratite-compiler")

    def order(self, jobs: Iterable[Job], place: Place | None = None) -> list[Order]:
        """Have forms compiled; the orders of which they are part, some of which others may have given. The engine's lock is held. place: where they
        are missing."""
        fresh = [job for job in jobs if job.key not in self._open]
        orders = {id(order): order for job in jobs if (order := self._open.get(job.key)) is not None}
        if fresh:
            order = Order(fresh, place)
            orders[id(order)] = order
            self._open |= {job.key: order for job in fresh}
            self._fresh.append(order)
            self._ring()
        return list(orders.values())

    def ask_free_bits(self, insn: Insn) -> bool:
        """Have the free bits of an instruction found out by the process, if there is one: they will be in the library. False: there is none."""
        if self.asked is None or self.asked.process is None:
            return False
        question = insn.name, insn.mask, insn.value
        if question not in self._in_question:
            self._in_question.add(question)
            self._questions.append(question)
            self._ring()
        return True

    def _ring(self) -> None:
        self.begin()
        assert self._bell is not None
        self._bell.ring()

    # --- the thread ---------------------------------------------------------------------------------------------------------------
    def _work(self) -> None:
        try:
            self._serve()
        except BaseException as error:  # or processors would wait for ever
            for order in list(self._open.values()):
                order.failure = error
                self._finish(order)
            raise

    def _serve(self) -> None:
        assert self._bell is not None
        processes = [process for process in (self.asked, self.foresight) if process is not None]
        if self.asked is not None:
            self.asked.start()
        if not self._library.stencils:
            self._foresee([], None)
        while not self._closing:
            self._hand_on()
            if not self._collect(processes):
                self._bell.wait(processes)
        for process in processes:
            process.close()

    def _hand_on(self) -> None:
        while self._fresh and not self._closing:
            self._carry_out(self._fresh.popleft())
        questions = [self._questions.popleft() for _ in range(len(self._questions))]
        if questions and self.asked is not None and not self.asked.lost:
            self.asked.order(([], questions))

    def _carry_out(self, order: Order) -> None:
        """Have what is still missing compiled."""
        if self.asked is None or self.asked.lost:
            self._compile(order)
            return
        missing = self._library.still_missing(order.jobs)
        if not missing:
            self._finish(order)
        else:
            forms = [plain(job.key) for job in missing]
            self._sent[self.asked.order((forms, ()))] = order
            self._missed += len(forms)
            if self._missed >= _FEW:
                self._foresee(forms, order.place)

    def _foresee(self, forms: list[Any], place: Place | None) -> None:
        """Tell who works ahead what is missing; and what is known, when it begins."""
        process = self.foresight
        if process is not None and not process.lost and process.busy < _BEHIND:
            process.order((forms, place, list(self._library.stencils) if process.process is None else None))

    def _collect(self, processes: Iterable[Companion[Content]]) -> bool:
        """Take what has been answered; whether there was anything."""
        found = False
        for process in processes:
            for answer in process.answers():
                found = True
                self._take(answer, self._sent.pop(answer.number, None) if process is self.asked else None)
        return found

    def _take(self, answer: Answer[Content], order: Order | None) -> None:
        """Take what has been compiled for an order, or for none."""
        if answer.content is None:
            self._in_question.clear()
        else:
            nanoseconds, stencils, free_bits, _ = answer.content
            self._library.add(stencils, nanoseconds)
            for insn, found in free_bits.items():
                self._library.add_free_bits(insn, found)
        if order is not None and self._library.still_missing(order.jobs):
            self._compile(order)  # which may raise what is wrong with it
        elif order is not None:
            self._finish(order)

    def _compile(self, order: Order) -> None:
        """Compile on this thread."""
        try:
            self._library.compile(order.jobs)
        except BaseException as error:  # the processor that waits raises it
            order.failure = error
        self._finish(order)

    def _finish(self, order: Order) -> None:
        for job in order.jobs:
            self._open.pop(job.key, None)
        order.done.set()
        for vcpu in list(order.waiting):
            vcpu.has_been_compiled()

    def close(self) -> None:
        """End the thread and the processes, whatever those are doing. What has not been compiled then is not."""
        self._closing = True
        if self._thread is not None:
            self._ring()
            self._thread.join()
            self._thread = None
        if self._bell is not None:
            self._bell.close()
            self._bell = None


def with_processes(library: Library) -> Compiler:
    """A compiler with processes of its own."""
    from ratite.codegen.library import key_of
    from ratite.cpu.companion import Companion

    key = key_of(library.arch)
    asked = Companion(library.arch, key, "ratite.cpu.form_server", _LIMIT, _read)
    foresight = Companion(library.arch, key, "ratite.cpu.foresight_server", _LONG, _read)
    return Compiler(library, asked, foresight)


def _read(content: Any) -> Content:
    """What the process has answered (see `ratite.cpu.form_server`), if it makes sense."""
    seconds, stencils, free_bits, why = content
    for (form, regs, imms), (code, holes, lates, _, others) in stencils.items():
        name, _, _ = form
        if not (isinstance(name, str) and isinstance(code, bytes) and all(isinstance(x, tuple) for x in (regs, imms, holes, lates, others))):
            raise ValueError("its answer makes no sense")
    for (_, _, _), (bits, weights) in free_bits.items():
        if not isinstance(bits, int) or not isinstance(weights, tuple):
            raise ValueError("its answer makes no sense")
    return int(1e9 * seconds), stencils, free_bits, why


class Bell:
    """Wakes a thread that also waits for processes."""

    def __init__(self) -> None:
        import os

        self._file = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def ring(self) -> None:
        """Wake the thread, or have it not fall asleep."""
        import os

        os.eventfd_write(self._file, 1)

    def wait(self, processes: Iterable[Companion[Any]]) -> None:
        """Wait for the bell, for something from one of the processes, or until one has taken too long."""
        import os
        import select

        poll, patience = select.poll(), None
        poll.register(self._file, select.POLLIN)
        for process in processes:
            if process.connection is not None:
                poll.register(process.connection, select.POLLIN)
            left = process.patience()
            if left is not None and (patience is None or left < patience):
                patience = left
        if any(file == self._file for file, _ in poll.poll(None if patience is None else 1000 * patience + 1)):
            os.eventfd_read(self._file)

    def close(self) -> None:
        """Give the file back."""
        import os

        os.close(self._file)
