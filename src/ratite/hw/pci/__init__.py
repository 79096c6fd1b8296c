"""PCI: configuration space, buses, bridges, host bridges, interrupt messages."""

from ratite.hw.pci import bridge, gpex

__all__ = ["bridge", "gpex"]
