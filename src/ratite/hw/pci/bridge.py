"""PCI-to-PCI bridges (PCI-to-PCI Bridge Architecture 1.2) and the root ports of PCI Express."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from ratite.errors import UsageError
from ratite.hw.model import RO, UINT8, UINT16, Property, Register, one_of
from ratite.hw.pci.bar import Bar, Claim, Space
from ratite.hw.pci.bus import PciBus
from ratite.hw.pci.config import Capability
from ratite.hw.pci.device import PciDevice
from ratite.hw.pci.express import Express, PortType
from ratite.hw.pci.gpex import REDHAT
from ratite.hw.pci.header import BridgeHeader, Identity
from ratite.hw.pci.host import PciHost
from ratite.hw.pci.msi import Msi
from ratite.hw.pci.msix import MessageBar, Msix
from ratite.hw.pci.power import PowerManagement

_BRIDGE_CLASS = 0x06_0400


class Bridge(PciDevice, abstract=True):
    """Base of bridges. Not modelled: hot plug, whether the bridge lets DMA and messages of those behind it pass (its
    own bus mastering): what counts is each function's own.
    """

    header: BridgeHeader
    header_type = BridgeHeader
    bus_name: ClassVar[str] = "pci"
    express_bus: ClassVar[bool] = False
    single: ClassVar[bool] = False

    def setup(self) -> None:
        self.secondary: PciBus = PciBus(
            self.bus_name, host=self._host, bridge=self, express=self.express_bus, single=self.single
        )
        self.buses.append(self.secondary)

    def _host(self) -> PciHost:
        assert self.parent is not None
        return self.parent.host

    def realized(self) -> None:
        if self.parent is None:
            raise UsageError(f"{self.name} needs a bus")
        self.secondary.depth = self.parent.depth + 1
        if self.id:
            self.secondary.name = self.id

    def routes(self, bus: int) -> bool:
        return self.header.secondary.value <= bus <= self.header.subordinate.value

    def claims(self, space: Space) -> Iterator[Claim]:
        yield from super().claims(space)
        if self.header.decodes(space) and self.awake:
            for claim in self.secondary.claims(space):
                yield from self.header.passes(claim, space)

    def reset_secondary(self) -> None:
        """The guest resets what is behind the bridge."""
        for function in self.secondary.functions.values():
            function.reset()

    def reset(self) -> None:
        super().reset()
        self.reset_secondary()


class PcieRootPort(Bridge, name="pcie-root-port", size=0x1000):
    """A port of the root complex with a slot for one device. Not modelled: hot plug; the slot says that it cannot."""

    identity = Identity(REDHAT, 0x000C, _BRIDGE_CLASS, subsystem_vendor=0, subsystem=0)
    bus_name = "pcie"
    express_bus = single = True

    port = Property(UINT8, 0, "number of the port")
    chassis = Property(UINT8, 0, "number of the chassis")
    slot_ = Property(UINT16, 0, "number of the slot in the chassis").named("slot")
    hotplug = Property(one_of("off"), "off", "off alone: slots cannot be filled at run time")

    @property
    def extended(self) -> bool:
        return True

    def realized(self) -> None:
        super().realized()
        self.config.add_capability(self.messages_(), 0x48)
        self.express = self.config.add_capability(
            Express(self, PortType.ROOT_PORT, port=self.port, slot=self.slot_ & 0x1FFF), 0x54
        )

    def messages_(self) -> Msix:
        """Its interrupt messages; nothing sends any yet."""
        self.msix = Msix(self, 1, bar=0, pending=0x800)
        table = MessageBar(self.msix)
        self.add_bar(Bar(0, table.size, table))
        return self.msix


class SlotNumbering(Capability, size=4):
    """The number of the chassis whose slots are on the secondary bus (3.2.6 of the bridge specification)."""

    number = 0x04

    class slots(Register, offset=2, width=1, mode="ro"):
        count, first_in_chassis = RO(4, 0), RO(5, reset=1)

    class chassis(Register, offset=3, width=1):
        pass

    def __init__(self, device: Any, chassis: int) -> None:
        super().__init__(device)
        self._chassis = chassis

    def fill(self) -> None:
        self.chassis.value = self._chassis


class PciBridge(Bridge, name="pci-bridge"):
    """A bridge to a conventional bus. Not modelled: its hot-plug controller."""

    conventional_bus = True
    identity = Identity(REDHAT, 0x0001, _BRIDGE_CLASS)
    bus_name = "pci"

    interrupt_pin = 0

    chassis_nr = Property(UINT8, 0, "number of the chassis").named("chassis_nr")
    shpc = Property(one_of("off"), "off", "off alone: there is no hot-plug controller")

    def realized(self) -> None:
        super().realized()
        self.config.add_capability(SlotNumbering(self, self.chassis_nr), 0x40)


class PciePciBridge(Bridge, name="pcie-pci-bridge"):
    """A bridge from PCI Express to a conventional bus. Not modelled: its hot-plug controller."""

    conventional_bus = True
    identity = Identity(REDHAT, 0x000E, _BRIDGE_CLASS)
    bus_name = "pci"

    msi_ = Property(one_of("auto", "on", "off"), "auto", "interrupt messages").named("msi")

    @property
    def extended(self) -> bool:
        return True

    def realized(self) -> None:
        super().realized()
        self.express = self.config.add_capability(Express(self, PortType.TO_CONVENTIONAL), 0x48)
        self.power = self.config.add_capability(PowerManagement(self), 0x84)
        if self.msi_ != "off":
            self.msi = self.config.add_capability(Msi(self), 0x8C)


