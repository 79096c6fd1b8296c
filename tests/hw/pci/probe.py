"""A function for tests, with a register in each kind of base address register and all capabilities."""

from __future__ import annotations

from typing import Any

from ratite.hw.model import Register, RegisterBlock
from ratite.hw.pci.bar import Bar, Space
from ratite.hw.pci.device import PciDevice
from ratite.hw.pci.express import Express, PortType
from ratite.hw.pci.header import Identity
from ratite.hw.pci.msi import Msi
from ratite.hw.pci.msix import MessageBar, Msix
from ratite.hw.pci.power import PowerManagement

VENDOR, DEVICE = 0x1234, 0x5678


class Ports(RegisterBlock, size=16):
    """What is in I/O space."""

    def __init__(self) -> None:
        self._build_map()

    class port(Register, offset=0):
        pass


class Probe(PciDevice, name="test-pci-function", abstract=True, size=0x1000):
    """Bar 0: 4 KiB of memory; bar 1: 16 ports; bar 2: 64-bit memory; bar 4: messages."""

    identity = Identity(VENDOR, DEVICE, 0xFF_0000, 3, 0xABCD, 0xEF01)

    class scratch(Register, offset=0x10):
        pass

    class line(Register, offset=0x20):
        def on_write(self, dev: Probe) -> None:
            dev.set_interrupt(bool(self.value & 1))

    class message(Register, offset=0x24):
        def on_write(self, dev: Probe) -> None:
            if dev.messages is not None:
                dev.messages.notify(self.value)

    def realized(self) -> None:
        self.ports = Ports()
        self.add_bar(Bar(0, 0x1000, self))
        self.add_bar(Bar(1, 16, self.ports, Space.IO))
        self.add_bar(Bar(2, 0x4000, self, wide=True, prefetchable=True))
        self.power = self.config.add_capability(PowerManagement(self))
        self.msi = self.config.add_capability(Msi(self, 4))
        self.msix = self.config.add_capability(Msix(self, 40, bar=4))
        table = MessageBar(self.msix)
        self.add_bar(Bar(4, table.size, table))
        if self.on_express_link:
            self.express = self.config.add_capability(Express(self, PortType.ENDPOINT))

    def save(self) -> dict[str, Any]:
        return super().save()
