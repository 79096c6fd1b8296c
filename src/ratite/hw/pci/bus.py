"""A PCI bus: its functions by device and function number, and the way of their interrupts to the host bridge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

from ratite.errors import UsageError
from ratite.hw.model import Bus, Device
from ratite.hw.model.properties import Kind
from ratite.hw.pci.bar import Claim, Space

if TYPE_CHECKING:
    from ratite.hw.pci.bridge import Bridge
    from ratite.hw.pci.device import PciDevice
    from ratite.hw.pci.host import PciHost

BUS = "PCI"
DEVICES, FUNCTIONS = 32, 8
PINS = 4


def _parse_address(text: str) -> int:
    device, _, function = text.partition(".")
    try:
        return _packed(int(device, 16), int(function or "0", 16))
    except ValueError:
        raise UsageError(text) from None


def _packed(device: int, function: int) -> int:
    if not (0 <= device < DEVICES and 0 <= function < FUNCTIONS):
        raise ValueError
    return device << 3 | function


ADDRESS: Kind[int] = Kind(
    "str", "a device and function number in hexadecimal, as 1f.7 or 1f", _parse_address,
    lambda value: type(value) is int and -1 <= value < DEVICES * FUNCTIONS,
    lambda value: "automatic" if value < 0 else f"{value >> 3:02x}.{value & 7}",
)
"""The kind of the property `addr`: device number * 8 + function number, -1 where the bus chooses."""


class PciBus(Bus):
    """A bus behind a host bridge (`bridge` None) or behind a PCI-to-PCI bridge.

    `express` tells that its functions may have extended configuration space; `single` that only device 0 is there, as
    on the link of a port.
    """

    def __init__(
        self, name: str, *, host: Callable[[], PciHost], bridge: Bridge | None = None, express: bool = False,
        single: bool = False,
    ) -> None:
        super().__init__(BUS, name, capacity=FUNCTIONS if single else DEVICES * FUNCTIONS)
        self._host, self.bridge, self.express, self.single = host, bridge, express, single
        self.functions: dict[int, PciDevice] = {}

    @property
    def host(self) -> PciHost:
        """The host bridge at the root of the tree."""
        return self._host()

    @property
    def is_root(self) -> bool:
        """Whether it is the host bridge's own bus."""
        return self.bridge is None

    # --- who is where

    @property
    def full(self) -> bool:
        """Whether no device number is free; further functions may still join a device."""
        return self._free_slot() is None

    def check(self, device: Device) -> None:
        if device.bus != self.kind:
            raise UsageError(f"device '{device.name}' does not fit on {self.name}: it needs a {device.bus} bus")
        self.choose(cast("PciDevice", device))

    def plug(self, device: Device) -> None:
        function = cast("PciDevice", device)
        function.slot = self.choose(function)
        self.functions[function.slot] = function
        self.devices.append(device)
        function.decoding_changed()

    def choose(self, device: PciDevice) -> int:
        """The device and function number that a device gets. Raises UsageError where it cannot."""
        slot = device.addr if device.addr >= 0 else self._free_slot()
        name = f"device '{device.id or device.name}'"
        if slot is None:
            raise UsageError(f"{self.name} has no room for {name}")
        if slot in self.functions:
            other = self.functions[slot]
            raise UsageError(f"{name}: addr {slot >> 3:02x}.{slot & 7} of {self.name} is taken by {other.label}")
        if self.single and slot >= FUNCTIONS:
            raise UsageError(f"{name}: only addr 00 is behind {self.name}, not {slot >> 3:02x}")
        first = self.functions.get(slot & ~7)
        if slot & 7 and first is not None and not first.multifunction:
            raise UsageError(f"{name}: {first.label} at addr {slot >> 3:02x}.0 is without multifunction=on")
        if not slot & 7 and not device.multifunction and any(other >> 3 == slot >> 3 for other in self.functions):
            raise UsageError(f"{name}: addr {slot >> 3:02x}.0 needs multifunction=on, there are further functions")
        return slot

    def _free_slot(self) -> int | None:
        taken = {slot >> 3 for slot in self.functions}
        return next((slot << 3 for slot in range(1 if self.single else DEVICES) if slot not in taken), None)

    # --- configuration, addresses, interrupts

    def number(self) -> int:
        """The number that the guest has given it."""
        return self.host.first_bus if self.bridge is None else self.bridge.header.secondary.value

    def find(self, bus: int, slot: int) -> PciDevice | None:
        """The function that a configuration access means, on this bus or behind its bridges."""
        if bus == self.number():
            return self.functions.get(slot)
        for function in self.functions.values():
            below = function.secondary
            if below is not None and function.routes(bus):
                return below.find(bus, slot)
        return None

    def claims(self, space: Space) -> Iterator[Claim]:
        """The addresses at which functions answer, on this bus and behind its bridges."""
        for function in self.functions.values():
            yield from function.claims(space)

    def interrupt(self, source: Any, slot: int, pin: int, level: bool) -> None:
        """A function drives its interrupt pin (0 for INTA#); every bridge rotates the pins by device number."""
        pin = (pin + (slot >> 3)) % PINS
        if self.bridge is None:
            self.host.interrupt(source, pin, level)
        elif self.bridge.parent is not None:
            self.bridge.parent.interrupt(source, self.bridge.slot, pin, level)
