"""A bench for PCI functions: a host bridge, RAM, a clock that the test moves, and a guest's view of configuration space.

`PciBench` is the platform; `put` plugs functions in. `Function` is the guest's driver side: it finds a function by its
configuration space alone, places its base address registers, and reaches them at the addresses where it put them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from ratite.bits import align_up
from ratite.hw.model import VirtualClock
from ratite.hw.pci.bus import PciBus
from ratite.hw.pci.device import PciDevice
from ratite.hw.pci.gpex import GpexHost, GpexRoot
from ratite.memory import AddressSpace, RamBlock

D = TypeVar("D", bound=PciDevice)

ECAM, PIO, MMIO, HIGH = 0x3000_0000, 0x300_0000, 0x4000_0000, 0x4_0000_0000
RAM, MESSAGES = 0x8000_0000, 0x2000_0000
COMMAND, BARS, CAPABILITIES = 0x04, 0x10, 0x34
IO, MEMORY, MASTER, INTERRUPT_OFF = 1, 2, 4, 0x400


class MessageSink:
    """Takes interrupt messages: records the data of each."""

    def __init__(self) -> None:
        self.messages: list[tuple[int, int]] = []
        """(offset, data), oldest first."""

    def mmio_read(self, offset: int, size: int) -> int:
        """There is nothing to read."""
        return 0

    def mmio_write(self, offset: int, size: int, value: int) -> None:
        """A message."""
        self.messages.append((offset, value))


class PciBench:
    """A machine with a generic host bridge, whose root bus is `bus`."""

    def __init__(self, *, ram_size: int = 4 << 20) -> None:
        self.memory = AddressSpace()
        self.clock = VirtualClock()
        self.lock = threading.RLock()
        self.ram = RamBlock("bench.ram", ram_size)
        self.memory.add_ram(RAM, self.ram)
        self.sink = MessageSink()
        self.memory.add_io(MESSAGES, 0x1000, self.sink, "messages")
        self.levels = [False] * 4
        """INTA# to INTD# of the root bus."""
        self.rises = [0] * 4
        """How often each of them has risen."""
        self.devices: list[PciDevice] = []
        self.host = GpexHost(
            ecam_size=16 << 20, mmio_base=MMIO, mmio_size=1 << 30, mmio_high_base=HIGH, mmio_high_size=16 << 30,
            pio_base=PIO, pio_size=1 << 16,
        )
        for pin, line in enumerate(self.host.irqs):
            line.connect(self._recorder(pin))
        self.host.map_into(self.memory, ECAM)
        self.host.realize(self)
        self.bus: PciBus = self.host.root
        self.put(GpexRoot(addr=0))

    def close(self) -> None:
        """Give the RAM back."""
        self.ram.close()

    def request_shutdown(self, status: int = 0) -> None:
        """No PCI function asks for this."""
        raise AssertionError("a PCI function asked for power-off")

    def request_reset(self) -> None:
        """Nor for this."""
        raise AssertionError("a PCI function asked for a reset")

    def put(self, device: D, on: PciBus | None = None) -> D:
        """Plug a function in, as a machine does."""
        bus = on or self.bus
        bus.check(device)
        device.parent_bus = bus
        device.realize(self)
        bus.plug(device)
        self.devices.append(device)
        return device

    def take_out(self, device: PciDevice) -> None:
        """The reverse, without a trace."""
        rises = list(self.rises)
        device.set_interrupt(False)
        assert device.parent is not None
        del device.parent.functions[device.slot]
        device.parent.devices.remove(device)
        self.devices.remove(device)
        self.host.decoding_changed()
        self.rises = rises

    def function(self, device: PciDevice) -> Function:
        """The guest's side of it; its bus has a number already."""
        assert device.parent is not None
        return Function(self, device.parent.number(), device.slot)

    def _recorder(self, pin: int) -> Callable[[bool], None]:
        def record(level: bool) -> None:
            self.levels[pin] = level
            self.rises[pin] += level

        return record


class Function:
    """A function as the guest sees it: bus number, and device * 8 + function number."""

    def __init__(self, bench: PciBench, bus: int, slot: int) -> None:
        self.bench, self.at = bench, ECAM + (bus << 20) + (slot << 12)
        self.places: dict[int, int] = {}
        """CPU addresses of the base address registers that `enable` has placed, by index."""

    # --- configuration space

    def get(self, offset: int, size: int = 4) -> int:
        """Read configuration space."""
        return self.bench.memory.read(self.at + offset, size)

    def set(self, offset: int, value: int, size: int = 4) -> None:
        """Write configuration space."""
        self.bench.memory.write(self.at + offset, size, value)

    def capabilities(self) -> Iterator[tuple[int, int]]:
        """(number, offset) of each capability."""
        offset = self.get(CAPABILITIES, 1)
        for _ in range(48):
            if not offset:
                return
            yield self.get(offset, 1), offset
            offset = self.get(offset + 1, 1)
        raise AssertionError("the capabilities form a loop")

    def capability(self, number: int) -> int:
        """The offset of the first capability with this number."""
        return next(offset for found, offset in self.capabilities() if found == number)

    def enable(self, bits: int = IO | MEMORY | MASTER) -> None:
        """Size and place all base address registers, each in the window of its kind, and switch the function on."""
        index = 0
        while index < 6:
            register = BARS + 4 * index
            kind = self.get(register) & 7
            self.set(register, 0xFFFF_FFFF)
            mask = self.get(register)
            wide = not kind & 1 and bool(kind & 4)
            if mask:
                size = -(mask & ~(3 if kind & 1 else 15)) & 0xFFFF_FFFF
                self._place(index, size, io=bool(kind & 1), wide=wide)
            index += 1 + wide
        self.set(COMMAND, bits, 2)

    def _place(self, index: int, size: int, *, io: bool, wide: bool) -> None:
        window, base = (PIO, 0) if io else (HIGH, HIGH) if wide else (MMIO, MMIO)
        number = (self.at - ECAM) >> 12
        start = align_up(base + (number << (6 if io else 18)) + (index << 15 if not io else 0x1000), size)
        self.set(BARS + 4 * index, start & 0xFFFF_FFFF)
        if wide:
            self.set(BARS + 4 * index + 4, start >> 32)
        self.places[index] = start - base + window

    # --- base address registers

    def read(self, bar: int, offset: int, size: int = 4) -> int:
        """Read through a base address register."""
        return self.bench.memory.read(self.places[bar] + offset, size)

    def write(self, bar: int, offset: int, value: int, size: int = 4) -> None:
        """Write through a base address register."""
        self.bench.memory.write(self.places[bar] + offset, size, value)

    def use_msix(self, vectors: int) -> None:
        """Give each vector a message of its own (data = number) and switch messages on."""
        offset = self.capability(0x11)
        table = self.get(offset + 4)
        for vector in range(vectors):
            at = (table & ~7) + 16 * vector
            for word, value in enumerate((MESSAGES + 4 * vector, 0, vector, 0)):
                self.write(table & 7, at + 4 * word, value)
        self.set(offset + 2, 0x8000, 2)
