"""A bench for one device: memory, a clock that the test moves, recorded lines, and accesses as a guest makes them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from ratite.hw.model import Device, VirtualClock
from ratite.memory import AddressSpace, RamBlock
from ratite.testing.chardev import FakeChardev

D = TypeVar("D", bound=Device)


class DeviceBench(Generic[D]):
    """Holds a device at address `at`, with `ram_size` bytes of RAM at `ram_base` for its DMA.

    It is the device's `Platform`, too: `shutdowns` and `resets` record what the device asks for. `restart` replaces the
    device by a new one that takes over its saved state; with `restoring` that happens before every step, so that a test
    that passes shows that the saved state is complete.
    """

    def __init__(
        self, make: Callable[[], D], *, restoring: bool = False, at: int = 0x1000_0000, ram_base: int = 0x8000_0000,
        ram_size: int = 1 << 20,
    ) -> None:
        self.memory = AddressSpace()
        self.clock = VirtualClock()
        self.lock = threading.RLock()
        self.shutdowns: list[int] = []
        self.resets = 0
        self.changes: list[tuple[str, bool]] = []
        """Every change of an output: (line name, new level), oldest first."""
        self.ram = RamBlock("bench.ram", ram_size)
        self.memory.add_ram(ram_base, self.ram)
        self.at, self.restoring, self._make = at, restoring, make
        self.device = self._put(make())

    # --- the device's platform

    def request_shutdown(self, status: int = 0) -> None:
        self.shutdowns.append(status)

    def request_reset(self) -> None:
        self.resets += 1

    # --- accesses

    def read(self, offset: int, size: int = 4) -> int:
        """Read a register as a guest does."""
        self._step()
        return self.memory.read(self.at + offset, size)

    def write(self, offset: int, value: int, size: int = 4) -> None:
        """Write a register as a guest does."""
        self._step()
        self.memory.write(self.at + offset, size, value)

    def level(self, name: str = "irq") -> bool:
        """The level of an output: `irq`, or `irqs[3]` of a row."""
        return next(line.level for line in self.device.lines() if line.name == name)

    def advance(self, ns: int) -> None:
        """Let virtual time pass."""
        self._step()
        self.clock.advance(ns)

    def restart(self) -> None:
        """Go on with a new device that has loaded the state of the present one."""
        state, old = self.device.save(), self.device
        self.clock = VirtualClock(self.clock.now(), self.clock.wall())    # leaves the old device's timers behind
        for region in [region for region in self.memory.regions() if region.ram is not self.ram]:
            self.memory.remove(region)
        chardev = getattr(old, "chardev", None)
        if isinstance(chardev, FakeChardev):
            chardev.paused = True
        self.device = self._put(self._make())
        for new_memory, old_memory in zip(self.device.memories, old.memories, strict=True):
            new_memory.view[:] = old_memory.view
            old_memory.close()
        changes = len(self.changes)
        self.device.load(state)
        del self.changes[changes:]
        if isinstance(chardev, FakeChardev):
            chardev.paused = False
            chardev.accept_input()

    def close(self) -> None:
        """Give the RAM back."""
        self.ram.close()

    def _step(self) -> None:
        if self.restoring:
            self.restart()

    def _put(self, device: D) -> D:
        for line in device.lines():
            line.connect(self._recorder(line.name))
        device.map_into(self.memory, self.at)
        device.realize(self)
        return device

    def _recorder(self, name: str) -> Callable[[bool], None]:
        return lambda level: self.changes.append((name, level))
