"""Guest memory: RAM blocks, and the address space that joins them with devices."""

from ratite.memory.master import BusMaster
from ratite.memory.ram import RamBlock
from ratite.memory.space import AddressSpace, BusError, IoDevice, Region

__all__ = ["AddressSpace", "BusError", "BusMaster", "IoDevice", "RamBlock", "Region"]
