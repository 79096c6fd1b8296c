"""What processors in machines have in common, whatever their instruction set: clock, reset, saved state."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Any

from ratite.cpu.engine import Engine
from ratite.cpu.icount import make_vcpu
from ratite.cpu.scheduler import Processor
from ratite.hw.model import Clock


class MachineProcessor(Processor):
    """A processor of a machine. An instruction set says what power-on is, and adds its interrupt inputs."""

    def __init__(self, engine: Engine, number: int, clock: Clock, lock: AbstractContextManager[Any]) -> None:
        super().__init__(make_vcpu(engine), lock)
        self.number, self.clock = number, clock
        self.state = self.vcpu.state

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
        return bool(self.vcpu.call("wakeup"))
