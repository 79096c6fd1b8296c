"""Counting instructions: virtual time goes by them, and what happens is due at exact numbers of them (`-icount`).

All processors share a thread. One gets a budget, the number of instructions until the next timer is due or its turn is over; machine code
charges it run by run (`ratite.cpu.runs`). A run that does not fit is executed instruction by instruction in the reference evaluator, up to
the last that the budget allows. So how code was cut into runs makes no difference, nor does anything that leaves machine code in between,
and the same guest executes the same instructions in every run of the emulator, unless something comes in from outside.

What counts: every instruction that is executed, by machine code or in the evaluator; one that raises an exception, too, so that time goes
on for a guest that does nothing else. Taking an interrupt does not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from ratite.codegen.tables import TRACE_EXCEPTIONS
from ratite.cpu.codepage import PAGE
from ratite.cpu.engine import Engine
from ratite.cpu.scheduler import Processor, Scheduler
from ratite.cpu.vcpu import Event, Vcpu
from ratite.isa.arch import Exit

#: How many instructions a processor executes before the next one gets its turn.
SLICE = 20_000
#: Largest budget.
_ENDLESS = 1 << 40
#: A deadline that is later than this, in nanoseconds, never comes: 146 years.
_NEVER = 1 << 62
#: Longest sleep in seconds.
_SLEEP = 1000.0

_MASK = (1 << 64) - 1
#: Reasons for leaving in the middle of a run, with next_pc at the first instruction that has not been executed.
_INSIDE = frozenset((Exit.INTERPRET, Exit.TRAP, Exit.CODE_WRITE, Exit.STRADDLE, Exit.MISS, Exit.DEVICE, Exit.EXPIRED))


class Timeline(Protocol):
    """Time that goes by instructions (`ratite.hw.model.clock.CountedClock`): `base` + instructions << `shift`, in nanoseconds."""

    base: int
    shift: int
    on_arm: Callable[[int], None]

    def now(self) -> int: ...

    def next_deadline(self) -> int | None: ...

    def run_due(self) -> None:
        """Call the timers that are due."""

    def skip(self, ns: int) -> None:
        """Let time pass without instructions."""

    def adapt(self) -> int | None:
        """Bring time closer to the host's; after how many nanoseconds to call this again, None: never."""


class CountedVcpu(Vcpu):
    """A vCPU that executes as many instructions as it was given and then returns the event "expired"."""

    def _prepare(self) -> None:
        super()._prepare()
        self._budget, self._end, self._run = self._word("budget"), self._word("budget_end"), self._word("run")
        self.state.counting = 1
        self.state.traced = self.state.traced | TRACE_EXCEPTIONS

    @property
    def left(self) -> int:
        """How many instructions may still be executed. Exact while machine code does not run."""
        budget = self.words[self._budget]
        return budget - (1 << 64) if budget >> 63 else budget

    @property
    def total(self) -> int:
        """How many instructions the machine has executed."""
        return self.words[self._end] - self.left & _MASK

    def grant(self, instructions: int, total: int, clock: Timeline) -> None:
        """A new budget, when the machine has executed `total` instructions."""
        state = self.state
        own = self.total - state.count_others
        state.budget, state.budget_end, state.count_others = instructions, total + instructions & _MASK, total - own & _MASK
        state.count_shift, state.count_base = clock.shift, clock.base & _MASK

    def _charge(self) -> None:
        self.words[self._budget] = self.words[self._budget] - 1 & _MASK

    def _settle(self, reason: int) -> None:
        """Refund what machine code was charged for and has not executed."""
        words = self.words
        number = words[self._run]
        if number:
            words[self._run] = 0
            if reason in _INSIDE:
                run = self.engine.translator.runs[number]
                done = run.index(self.state.pc & (PAGE - 1))
                words[self._budget] = words[self._budget] + len(run) - done & _MASK

    def _handle(self, reason: int) -> Event | None:
        self._settle(reason)
        if reason == Exit.EXPIRED:
            return self._use_up()
        if reason == Exit.TRAP:
            self._charge()
        return super()._handle(reason)

    def _use_up(self) -> Event | None:
        """Execute what is left of the budget one by one, as far as nobody wants the processor to return."""
        while self.left > 0 and not self.state.host_attention:
            event = super().step()
            if event is not None:
                return event
        return None if self.left > 0 else self._expired()

    def _expired(self) -> Event:
        """The budget is used up. An interrupt that the last instruction let through comes before what is due now, as it does in native code."""
        if self.state.attention:
            self.poll()
        return Event("expired")

    def _device(self) -> Event | None:
        return self._interpret()  # which counts

    def step(self) -> Event | None:
        return super().step() if self.left > 0 else self._expired()

    def _evaluate(self) -> Event | None:
        self._charge()
        return super()._evaluate()

    def _fetch_failed(self, pc: int) -> Event | None:
        if self.left <= 0:
            return self._expired()
        self._charge()
        return super()._fetch_failed(pc)


class InstructionCount:
    """How many instructions a machine has executed, also while a processor is at it."""

    def __init__(self) -> None:
        self.done = 0
        self.running: CountedVcpu | None = None

    def __call__(self) -> int:
        running = self.running
        return self.done if running is None else running.total


class CountedTurns(Scheduler):
    """All processors on the thread that calls `run_until`, in turns of a fixed number of instructions.

    sleep: while all processors wait, the host waits as long for the next timer as they do; without, time jumps to it.
    """

    def __init__(self, processors: Sequence[Processor], clock: Timeline, count: InstructionCount, sleep: bool) -> None:
        super().__init__(processors)
        self._clock, self._count, self._sleep = clock, count, sleep
        self._at, self._left = 0, SLICE
        self._current: Processor | None = None
        self._due = 0
        clock.on_arm = self._armed

    def ring(self, processor: Processor) -> None:
        self._bell.set()
        if self._current is not None and len(self.processors) > 1:
            self._current.vcpu.kick()

    def interrupt(self) -> None:
        for p in self.processors:
            p.vcpu.kick()
        self._bell.set()

    def _armed(self, deadline: int) -> None:
        """A timer was set, perhaps to be due before the budget is used up; from any thread."""
        current = self._current
        if current is None:
            self._bell.set()
        elif deadline < self._due:
            current.vcpu.kick()

    def run_until(self, asked: Callable[[], bool]) -> None:
        while True:
            self._bell.clear()
            if asked():
                return
            self._clock.run_due()
            ready = [p for p in self.processors if not p.stopped and not p.waiting]
            if ready:
                self._take_turn(self._choose(ready), len(ready) > 1)
            else:
                self._idle()

    def _choose(self, ready: list[Processor]) -> Processor:
        """Whose turn it is: the same processor's, until it has had its share. One that is alone has it always before it."""
        count, alone = len(self.processors), len(ready) == 1
        if self.processors[self._at] not in ready or (self._left <= 0 and not alone):
            self._at = next(at for n in range(1, count + 1) if self.processors[at := (self._at + n) % count] in ready)
            self._left = SLICE
        elif alone:
            self._left = SLICE
        return self.processors[self._at]

    def _take_turn(self, p: Processor, shared: bool) -> None:
        vcpu, count = p.vcpu, self._count
        assert isinstance(vcpu, CountedVcpu)
        self._due = _NEVER
        self._current = p  # from here on, `_armed` has it return
        budget = self._until_due()
        if shared:
            budget = min(budget, self._left)
        vcpu.grant(budget, count.done, self._clock)
        count.running = vcpu
        p.turn()
        before, count.done = count.done, vcpu.total
        count.running = self._current = None
        if shared:
            self._left -= count.done - before

    def _until_due(self) -> int:
        """How many instructions may be executed before somebody must look at the clock."""
        clock = self._clock
        pause, deadline = clock.adapt(), clock.next_deadline()
        budget = _ENDLESS if pause is None else max(pause >> clock.shift, 1)
        if deadline is not None:
            self._due = deadline
            budget = min(budget, max(-(clock.now() - deadline >> clock.shift), 1))
        return budget

    def _idle(self) -> None:
        """Nobody executes anything until the next timer, or until something comes from outside."""
        clock = self._clock
        deadline = clock.next_deadline()
        if deadline is None or deadline >= _NEVER:
            self._bell.wait()
            return
        span = max(deadline - clock.now(), 0)
        if self._sleep and span:
            before = time.monotonic_ns()
            rung = self._bell.wait(min(span / 1e9, _SLEEP))
            slept = time.monotonic_ns() - before
            span = min(span, slept) if rung or span > _SLEEP * 1e9 else span
        clock.skip(span)


def make_vcpu(engine: Engine) -> Vcpu:
    """A vCPU of the kind that the engine is for."""
    return CountedVcpu(engine) if engine.counting else Vcpu(engine)
