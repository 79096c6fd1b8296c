"""Host bridges: where a CPU's accesses enter PCI, and where interrupts leave it.

A board connects the four interrupt lines, maps configuration space and the address windows, and has nothing to do for
interrupt messages: they are writes to the machine's memory, wherever the board has put a device that understands them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ratite.hw.model import Device, Outputs
from ratite.hw.pci.bar import Space
from ratite.hw.pci.bus import PINS, PciBus
from ratite.hw.pci.decode import Decoder
from ratite.memory import AddressSpace, BusError

if TYPE_CHECKING:
    from ratite.hw.pci.device import PciDevice


class ConfigWindow:
    """Enhanced configuration access (PCI Express Base 3.0, chapter 7.2.2): 4096 bytes of addresses for each function."""

    def __init__(self, host: PciHost) -> None:
        self._host = host

    def mmio_read(self, offset: int, size: int) -> int:
        """A CPU reads; ones where there is no function."""
        function = self._function(offset)
        if function is None:
            return (1 << 8 * size) - 1
        if size == 8:
            return self.mmio_read(offset, 4) | self.mmio_read(offset + 4, 4) << 32
        return function.config.read(offset & 0xFFF, size)

    def mmio_write(self, offset: int, size: int, value: int) -> None:
        """A CPU writes."""
        function = self._function(offset)
        if function is None:
            return
        if size == 8:
            self.mmio_write(offset, 4, value & 0xFFFF_FFFF)
            self.mmio_write(offset + 4, 4, value >> 32)
        else:
            function.config.write(offset & 0xFFF, size, value)

    def _function(self, offset: int) -> PciDevice | None:
        return self._host.root.find(self._host.first_bus + (offset >> 20), offset >> 12 & 0xFF)


class PciHost(Device, abstract=True):
    """Base of host bridges. Not modelled: access of functions to each other's memory, messages included."""

    irqs = Outputs("interrupts INTA# to INTD# of the root bus", PINS)
    first_bus = 0
    """The number of the root bus."""
    root_name = "pci"

    def setup(self) -> None:
        self.root = PciBus(self.root_name, host=lambda: self, express=self.express)
        self.buses.append(self.root)
        self.config_window = ConfigWindow(self)
        self.decoders = {
            space: Decoder(f"PCI {space.value} space", partial(self.root.claims, space)) for space in Space
        }
        self._asserted: list[set[Any]] = [set() for _ in range(PINS)]
        self._windows: set[int] = set()

    @property
    def express(self) -> bool:
        """Whether functions may have extended configuration space."""
        return False

    def window(self, memory: AddressSpace, at: int, size: int, space: Space, base: int, name: str) -> None:
        """Let CPU addresses from `at` on lead to PCI addresses from `base` on."""
        target = self.decoders[space].window(base)
        self._windows.add(id(target))
        memory.add_io(at, size, target, name)

    # --- for buses and functions

    def decoding_changed(self) -> None:
        """A function may answer elsewhere now."""
        for decoder in self.decoders.values():
            decoder.changed()

    def interrupt(self, source: Any, pin: int, level: bool) -> None:
        """A function drives an interrupt of the root bus; several share one, which is high while any drives it."""
        asserted = self._asserted[pin]
        if level:
            asserted.add(source)
        else:
            asserted.discard(source)
        self.irqs[pin].set(bool(asserted))

    def deliver(self, source: PciDevice, address: int, data: int) -> None:
        """Write an interrupt message to memory. A message to a PCI function is lost: it could go round for ever."""
        region = source.memory.find(address)
        if region is None or id(region.device) in self._windows or region.device is self.config_window:
            source.guest_error(f"an interrupt message to {address:#x}, where nothing takes it")
            return
        try:
            source.memory.write(address, 4, data)
        except BusError as error:
            source.guest_error(str(error))
