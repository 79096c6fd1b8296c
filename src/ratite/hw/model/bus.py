"""Buses: where devices that have no address of their own are plugged in (virtio, PCI, I2C, SSI, ...)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ratite.errors import UsageError

if TYPE_CHECKING:
    from ratite.hw.model.device import Device


class Bus:
    """A place for `capacity` devices of one kind.

    `kind` is what a device class names as its `bus`; `plugged` is called with each device that joins. A device makes
    its buses in `setup`, under a common name such as `virtio-mmio-bus`; the machine appends a number (`.0`, `.1`, ...).
    """

    def __init__(
        self, kind: str, name: str, *, capacity: int = 1 << 16, plugged: Callable[[Device], None] | None = None,
    ) -> None:
        self.kind, self.name, self.capacity = kind, name, capacity
        self.devices: list[Device] = []
        self.depth = 0
        """How many devices that are plugged in themselves are between it and the board."""
        self._plugged = plugged

    @property
    def full(self) -> bool:
        """Whether no more devices fit."""
        return len(self.devices) >= self.capacity

    def check(self, device: Device) -> None:
        """Raise UsageError when the device is of another kind or the bus is full."""
        if device.bus != self.kind:
            raise UsageError(f"device '{device.name}' does not fit on {self.name}: it needs a {device.bus} bus")
        if self.full:
            raise UsageError(f"{self.name} has no room for device '{device.name}'")

    def plug(self, device: Device) -> None:
        """Add a device. Raises UsageError as `check` does."""
        self.check(device)
        self.devices.append(device)
        if self._plugged is not None:
            self._plugged(device)
