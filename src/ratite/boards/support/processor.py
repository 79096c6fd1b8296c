"""What processors in machines have in common, whatever their instruction set: clock, reset, saved state."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Any

from ratite.cpu.engine import Engine
from ratite.cpu.icount import make_vcpu
from ratite.cpu.scheduler import Processor
from ratite.hw.model import Clock

#: A moment that is as late as this never comes: 146 years, in nanoseconds.
NEVER = 1 << 62


class MachineProcessor(Processor):
    """A processor of a machine. An instruction set says what power-on is, and adds its interrupt inputs."""

    def __init__(self, engine: Engine, number: int, clock: Clock, lock: AbstractContextManager[Any]) -> None:
        super().__init__(make_vcpu(engine), lock)
        self.number, self.clock = number, clock
        self.state = self.vcpu.state
        self._python_alarm = clock.timer(self._rang)
        self.vcpu.keep_time = self._keep_time

    def power_on(self) -> None:
        """Bring the state into that after reset."""
        raise NotImplementedError

    def reset(self) -> None:
        """Power on."""
        self.power_on()
        self.stopped = self.waiting = False
        self.follow_clock()

    def follow_clock(self) -> None:
        """Have native code count the machine's nanoseconds."""
        self.state.clock_offset = self.clock.now() - time.monotonic_ns()
        self._python_alarm.cancel()
        self.vcpu.follow_timer()

    def follow_timer(self) -> None:
        """The state of its timer has been changed, by other means than its instructions, while it executes nothing."""
        self.vcpu.follow_timer()

    def _keep_time(self, when: int) -> None:
        if when < NEVER:
            self._python_alarm.at(when)
        else:
            self._python_alarm.cancel()

    def _rang(self) -> None:
        with self.lock:
            self.vcpu.ring()
            self.wake()

    def save(self) -> dict[str, Any]:
        """The whole state."""
        return self.state.save() | {"stopped": self.stopped, "waiting": self.waiting}

    def load(self, state: dict[str, Any]) -> None:
        """Take over a saved state."""
        rest = dict(state)
        self.stopped, self.waiting = bool(rest.pop("stopped")), bool(rest.pop("waiting"))
        self.state.load(rest)
        self.vcpu.settle()
        self.follow_clock()

    def must_wake(self) -> bool:
        return self.vcpu.wakeup()
