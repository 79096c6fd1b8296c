"""gpex-pcihost: a PCI Express host bridge without registers of its own, as generic device-tree and ACPI drivers expect.

Configuration space is memory (ECAM); two windows lead to memory space at the same addresses, one below and one above
4 GiB, and one to I/O space from address 0 on. Interrupt pins go to four lines.
"""

from __future__ import annotations

from ratite.errors import UsageError
from ratite.hw.model import UINT64, Property
from ratite.hw.pci.bar import Space
from ratite.hw.pci.device import PciDevice
from ratite.hw.pci.header import Identity
from ratite.hw.pci.host import PciHost
from ratite.memory import AddressSpace

REDHAT = 0x1B36
BUS_SHIFT = 20    # ECAM bytes of a bus


class GpexHost(PciHost, name="gpex-pcihost"):
    """The host bridge. Its place is that of configuration space; windows of size 0 are not there."""

    root_name = "pcie"

    ecam_size = Property(UINT64, 256 << BUS_SHIFT, "bytes of configuration space, 1 MiB for each bus")
    mmio_base = Property(UINT64, 0, "window to memory space below 4 GiB")
    mmio_size = Property(UINT64, 0, "its size")
    mmio_high_base = Property(UINT64, 0, "window to memory space above 4 GiB")
    mmio_high_size = Property(UINT64, 0, "its size")
    pio_base = Property(UINT64, 0, "window to I/O space")
    pio_size = Property(UINT64, 0, "its size")

    @property
    def express(self) -> bool:
        return True

    def map_into(self, memory: AddressSpace, base: int) -> None:
        memory.add_io(base, self.ecam_size, self.config_window, "pcie-ecam")
        for name, at, size in (
            ("pcie-mmio", self.mmio_base, self.mmio_size), ("pcie-mmio-high", self.mmio_high_base, self.mmio_high_size),
        ):
            if size:
                self.window(memory, at, size, Space.MEMORY, at, name)
        if self.pio_size:
            self.window(memory, self.pio_base, self.pio_size, Space.IO, 0, "gpex_ioport")


class GpexRoot(PciDevice, name="gpex-root"):
    """The host bridge as a function of its own root bus, device 0. It does nothing."""

    identity = Identity(REDHAT, 0x0008, 0x06_0000)
    interrupt_pin = 0

    def realized(self) -> None:
        if self.addr:
            raise UsageError(f"{self.name} is a part of the host bridge and cannot be added")
