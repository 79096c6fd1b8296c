"""The same as `virtio_driver`, through a PCI function (Virtual I/O Device 1.2, chapter 4.1).

`VirtioPciDriver` finds the parts of the interface by the function's capabilities, as a kernel does. Tests and queues
name registers by their virtio-mmio offsets; tables say where those are here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ratite.hw.model import Timer
from ratite.hw.pci.host import PciHost
from ratite.hw.virtio.device import VirtioDevice
from ratite.hw.virtio.pci import VirtioPci
from ratite.testing.pci import ECAM, RAM, Function, PciBench
from ratite.testing.virtio_driver import GuestMemory, VirtioBench, VirtioDriver

D = TypeVar("D", bound=VirtioDevice)

_VENDOR_CAPABILITY = 0x09
_COMMON, _NOTIFY, _ISR, _CONFIG = 1, 2, 3, 4

# By virtio-mmio offset: the part, the offset in it, the size.
_MODERN = {
    0x14: (_COMMON, 0x00, 4), 0x10: (_COMMON, 0x04, 4), 0x24: (_COMMON, 0x08, 4), 0x20: (_COMMON, 0x0C, 4),
    0x70: (_COMMON, 0x14, 1), 0xFC: (_COMMON, 0x15, 1), 0x30: (_COMMON, 0x16, 2), 0x38: (_COMMON, 0x18, 2),
    0x44: (_COMMON, 0x1C, 2), 0x80: (_COMMON, 0x20, 4), 0x84: (_COMMON, 0x24, 4), 0x90: (_COMMON, 0x28, 4),
    0x94: (_COMMON, 0x2C, 4), 0xA0: (_COMMON, 0x30, 4), 0xA4: (_COMMON, 0x34, 4), 0xC0: (_COMMON, 0x3A, 2),
    0x60: (_ISR, 0, 1),
}  # fmt: skip
_LEGACY = {
    0x10: (0x00, 4), 0x20: (0x04, 4), 0x40: (0x08, 4), 0x34: (0x0C, 2), 0x30: (0x0E, 2), 0x50: (0x10, 2),
    0x70: (0x12, 1), 0x60: (0x13, 1),
}  # fmt: skip
_MAGIC, _VERSION, _DEVICE_ID, _MOST, _NOTIFICATION, _ACKNOWLEDGE, _SPACE = 0x00, 0x04, 0x08, 0x34, 0x50, 0x64, 0x100
_ABSENT = {0x14, 0x24, 0x28, 0x38, 0x3C, _ACKNOWLEDGE}    # what the legacy interface on PCI needs no register for


class AnyVirtioPci(VirtioPci, name="test-virtio-pci", class_code=0xFF_0000, abstract=True):
    """A function around a device that the test has made."""

    def __init__(self, device: VirtioDevice, **properties: object) -> None:
        self._made = device
        super().__init__(**properties)

    def make_backend(self) -> VirtioDevice:
        return self._made


class VirtioPciBench(VirtioBench[D]):
    """A platform with a PCI bus, and on it a function with a device in it."""

    at = 0
    ram_base = RAM

    def __init__(self, make: Callable[[], D], *, legacy: bool = False, ram_size: int = 4 << 20) -> None:
        self.pci = PciBench(ram_size=ram_size)
        self.memory, self.clock, self.lock, self.ram = self.pci.memory, self.pci.clock, self.pci.lock, self.pci.ram
        self._make, self._legacy = make, legacy
        self._put()

    @property
    def host(self) -> PciHost:
        """The host bridge."""
        return self.pci.host

    def driver(self) -> VirtioDriver:
        """A driver for the function."""
        guest = self.pci.function(self.function)
        guest.enable()
        return VirtioPciDriver(self.memory, guest, self.ram_base, self.ram.size, legacy=self._legacy)

    def restart(self) -> None:
        """Go on with a new function that has loaded the state of the present one."""
        saved = self.function.save()
        for timer in (value for value in vars(self.device).values() if isinstance(value, Timer)):
            timer.cancel()
        self.pci.take_out(self.function)
        rises = list(self.pci.rises)
        self._put()
        self.function.load(saved)
        self.pci.rises = rises

    def _put(self) -> None:
        self.device = self._make()
        modern = {"disable_legacy": "on"} if not self._legacy else {}
        self.function = AnyVirtioPci(self.device, addr=1 << 3, **modern)
        self.function.id = self.device.id
        self.pci.put(self.function)

    @property
    def interrupt_level(self) -> bool:
        return any(self.pci.levels)

    @property
    def interrupts(self) -> int:
        """How often the function's interrupt pin has risen."""
        return sum(self.pci.rises)

    @interrupts.setter
    def interrupts(self, value: int) -> None:
        self.pci.rises = [value, 0, 0, 0]


class VirtioPciDriver(VirtioDriver):
    """The driver's side of a function."""

    def __init__(self, memory: GuestMemory, guest: Function, ram_base: int, ram_size: int, *, legacy: bool) -> None:
        super().__init__(memory, ECAM, ram_base, ram_size)
        self.guest, self._is_legacy = guest, legacy
        self.parts: dict[int, tuple[int, int]] = {}
        """By kind: the base address register and the offset in it."""
        for number, at in guest.capabilities():
            if number == _VENDOR_CAPABILITY:
                self.parts.setdefault(guest.get(at + 3, 1), (guest.get(at + 4, 1), guest.get(at + 8)))

    @property
    def legacy(self) -> bool:
        return self._is_legacy

    def part(self, kind: int) -> int:
        """CPU address of a part of the modern interface."""
        bar, offset = self.parts[kind]
        return self.guest.places[bar] + offset

    def read(self, offset: int, size: int = 4) -> int:
        if offset in (_MAGIC, _DEVICE_ID):
            return 0x74726976
        if offset == _VERSION:
            return 1 if self._is_legacy else 2
        if offset == 0x10 and self._is_legacy and self._word:
            return 0
        if offset == _MOST and not self._is_legacy:
            return 1024 if self.read(0x38) else 0
        address, width = self._find(offset, size)
        return self.memory.read(address, width)

    _word = 0    # the legacy interface has one word of features

    def write(self, offset: int, value: int, size: int = 4) -> None:
        if offset == _ACKNOWLEDGE or (self._is_legacy and offset in _ABSENT):
            self._word = value if offset == 0x14 else self._word
            return
        if offset == _NOTIFICATION and not self._is_legacy:
            self.memory.write(self.part(_NOTIFY) + 4 * value, 2, value)
            return
        address, width = self._find(offset, size)
        self.memory.write(address, width, value & (1 << 8 * width) - 1)

    def _find(self, offset: int, size: int) -> tuple[int, int]:
        if offset >= _SPACE:
            base = self.guest.places[0] + 0x14 if self._is_legacy else self.part(_CONFIG)
            return base + offset - _SPACE, size
        if self._is_legacy:
            place, width = _LEGACY[offset]
            return self.guest.places[0] + place, width
        kind, place, width = _MODERN[offset]
        return self.part(kind) + place, width
