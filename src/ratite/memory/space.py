"""The guest's physical addresses: which RAM or device answers where.

Boards build an address space once; the translator asks it what lies behind an address (`find`), sends device accesses
through `read` and `write`, and listens for changes. Devices reach guest RAM through the `dma_...` functions.

Not modelled: overlapping regions with priorities, aliases, devices whose byte order differs from the machine's,
accesses that cross from one region into the next (a BusError), DMA from device to device.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Literal, Protocol

from ratite.errors import DefinitionError, MemoryAccessError
from ratite.memory.ram import RamBlock

ByteOrder = Literal["little", "big"]
ChangeListener = Callable[[], None]
WriteListener = Callable[[RamBlock, int, int], None]
WritePredicate = Callable[[RamBlock, int, int], bool]


class BusError(MemoryAccessError):
    """Nothing answers at this address, or not with this size; a CPU turns it into an access fault."""

    def __init__(self, address: int, size: int, *, write: bool) -> None:
        super().__init__(f"nothing takes a {'write' if write else 'read'} of {size} bytes at {address:#x}")
        self.address, self.size, self.write = address, size, write


class IoDevice(Protocol):
    """What answers in an I/O region. `offset` counts from the region's base, `size` is 1, 2, 4 or 8 bytes; values are
    unsigned and in the byte order of the address space.
    """

    def mmio_read(self, offset: int, size: int) -> int: ...

    def mmio_write(self, offset: int, size: int, value: int) -> None: ...


class Region:
    """A run of addresses with one owner: RAM, read-only RAM, a device, or a flash that reads as RAM (romd)."""

    __slots__ = (
        "base", "device", "direct_read", "direct_write", "end", "kind", "memory", "name", "ram", "ram_offset", "size",
    )

    def __init__(
        self, base: int, size: int, kind: Literal["ram", "rom", "i/o", "romd"], name: str,
        ram: RamBlock | None = None, ram_offset: int = 0, device: IoDevice | None = None,
    ) -> None:
        self.base, self.size, self.end = base, size, base + size
        self.kind, self.name = kind, name
        self.ram, self.ram_offset, self.device = ram, ram_offset, device
        self.memory = ram.view[ram_offset:ram_offset + size] if ram is not None else memoryview(b"")
        """The region's bytes of RAM; empty for a device."""
        self.direct_read = ram is not None
        """Whether reads may go straight to the host memory."""
        self.direct_write = kind == "ram"
        """Whether writes may."""

    def __repr__(self) -> str:
        return f"<Region {self.name} ({self.kind}) {self.base:#x}..{self.end - 1:#x}>"

    def host_address(self, address: int) -> int:
        """Host address of the byte at this guest address; only for regions with memory behind them."""
        assert self.ram is not None
        return self.ram.host + self.ram_offset + address - self.base


class AddressSpace:
    """Physical memory as one bus master sees it."""

    def __init__(self, name: str = "memory", byteorder: ByteOrder = "little") -> None:
        self.name = name
        self.byteorder: ByteOrder = byteorder
        self._regions: list[Region] = []
        self._bases: list[int] = []
        self._change_listeners: list[ChangeListener] = []
        self._write_listeners: list[tuple[WritePredicate, WriteListener]] = []

    # --- the map

    def add_ram(
        self, base: int, ram: RamBlock, *, readonly: bool = False, offset: int = 0, size: int | None = None,
        name: str = "",
    ) -> Region:
        """Show `size` bytes (default: all) of a block from `offset` on; with `readonly` guest writes are ignored."""
        size = ram.size - offset if size is None else size
        if offset < 0 or size <= 0 or offset + size > ram.size:
            raise DefinitionError(f"{size:#x} bytes from {offset:#x} on are not within RAM block {ram.name}")
        return self._insert(Region(base, size, "rom" if readonly else "ram", name or ram.name, ram, offset))

    def add_io(self, base: int, size: int, device: IoDevice, name: str) -> Region:
        """Let a device answer in this region."""
        return self._insert(Region(base, size, "i/o", name, device=device))

    def add_romd(self, base: int, ram: RamBlock, device: IoDevice, name: str) -> Region:
        """Let reads go to `ram` and writes to the device; `set_romd` sends the reads to the device too."""
        return self._insert(Region(base, ram.size, "romd", name, ram, 0, device))

    def set_romd(self, region: Region, direct: bool) -> None:
        """Choose whether a romd region's reads go to its RAM (True) or to its device."""
        if region.direct_read != direct:
            region.direct_read = direct
            self._changed()

    def remove(self, region: Region) -> None:
        """Take a region out of the map."""
        index = self._regions.index(region)
        del self._regions[index], self._bases[index]
        self._changed()

    def regions(self) -> list[Region]:
        """All regions, lowest address first."""
        return list(self._regions)

    def find(self, address: int) -> Region | None:
        """The region that holds this address."""
        index = bisect_right(self._bases, address) - 1
        if index < 0:
            return None
        region = self._regions[index]
        return region if address < region.end else None

    def mtree(self) -> str:
        """The map as text, in the layout of the monitor's `info mtree`."""
        lines = [f"address-space: {self.name}"]
        lines += [f"  {r.base:016x}-{r.end - 1:016x} (prio 0, {r.kind}): {r.name}" for r in self._regions]
        return "\n".join(lines) + "\n"

    # --- accesses of a CPU

    def read(self, address: int, size: int) -> int:
        """Read 1, 2, 4 or 8 bytes. Raises BusError where nothing answers."""
        index = bisect_right(self._bases, address) - 1
        if index >= 0:
            region = self._regions[index]
            if address + size <= region.end:
                start = address - region.base
                if region.direct_read:
                    return int.from_bytes(region.memory[start:start + size], self.byteorder)
                if region.device is not None:
                    return region.device.mmio_read(start, size)
        raise BusError(address, size, write=False)

    def write(self, address: int, size: int, value: int) -> None:
        """Write 1, 2, 4 or 8 bytes. Raises BusError where nothing answers; ROM ignores writes."""
        index = bisect_right(self._bases, address) - 1
        if index >= 0:
            region = self._regions[index]
            if address + size <= region.end:
                start = address - region.base
                if region.device is not None:
                    region.device.mmio_write(start, size, value)
                elif region.direct_write:
                    region.memory[start:start + size] = (value & (1 << 8 * size) - 1).to_bytes(size, self.byteorder)
                    self._tell_written(region, start, size)
                return
        raise BusError(address, size, write=True)

    # --- accesses of devices

    def dma_read(self, address: int, size: int) -> bytes:
        """Copy bytes out of RAM, across neighbouring regions too. Raises MemoryAccessError outside RAM."""
        region = self.find(address)
        if region is not None and region.direct_read and 0 <= size <= region.end - address:
            start = address - region.base
            return bytes(region.memory[start:start + size])
        return b"".join(part.memory[start:start + n] for part, start, n in self._pieces(address, size, write=False))

    def dma_write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Copy bytes into RAM; nothing is written when a part of the target is not RAM (MemoryAccessError)."""
        region, size = self.find(address), len(data)
        if region is not None and region.direct_write and size <= region.end - address:
            start = address - region.base
            region.memory[start:start + size] = data
            self._tell_written(region, start, size)
            return
        done = 0
        for part, start, n in list(self._pieces(address, size, write=True)):
            part.memory[start:start + n] = data[done:done + n]
            self._tell_written(part, start, n)
            done += n

    def dma_view(self, address: int, size: int, *, write: bool = True) -> memoryview:
        """RAM itself, without a copy. Raises MemoryAccessError unless all of it lies in one region of RAM.

        Who writes through the view calls `note_write` afterwards. With `write=False` ROM and flash will do, too.
        """
        region = self.find(address)
        if region is None or size < 0 or address + size > region.end or not _dma_target(region, write):
            raise _no_memory(address, size)
        start = address - region.base
        return region.memory[start:start + size]

    def note_write(self, address: int, size: int) -> None:
        """Tell listeners that these bytes of RAM have changed behind the CPU's back."""
        end = address + size if self._write_listeners else address
        while address < end and (region := self.find(address)) is not None:
            n = min(end, region.end) - address
            self._tell_written(region, address - region.base, n)
            address += n

    # --- listeners

    def on_change(self, listener: ChangeListener) -> None:
        """Call `listener` after each change of the map."""
        self._change_listeners.append(listener)

    def on_ram_write(self, listener: WriteListener, wanted: WritePredicate | None = None) -> None:
        """Call `listener(block, offset, size)` after a write to RAM that no CPU's own store made.

        `wanted` is asked first with the same arguments: the translator's answer is whether there is code of it.
        """
        self._write_listeners.append((wanted or _always, listener))

    # --- inside

    def _insert(self, region: Region) -> Region:
        if region.base < 0 or region.size <= 0 or region.end > 1 << 64:
            raise DefinitionError(f"{region.name}: {region.size:#x} bytes at {region.base:#x} fit in no address space")
        index = bisect_right(self._bases, region.base)
        for other in self._regions[max(index - 1, 0):index + 1]:
            if region.base < other.end and other.base < region.end:
                raise DefinitionError(f"{region.name} at {region.base:#x} overlaps {other.name} at {other.base:#x}")
        self._regions.insert(index, region)
        self._bases.insert(index, region.base)
        self._changed()
        return region

    def _changed(self) -> None:
        for listener in self._change_listeners:
            listener()

    def _pieces(self, address: int, size: int, *, write: bool) -> Iterator[tuple[Region, int, int]]:
        """Cut a run of addresses into (region, offset in it, length)."""
        end = address + size
        if size < 0:
            raise _no_memory(address, size)
        while address < end:
            region = self.find(address)
            if region is None or not _dma_target(region, write):
                raise _no_memory(address, end - address)
            n = min(end, region.end) - address
            yield region, address - region.base, n
            address += n

    def _tell_written(self, region: Region, start: int, size: int) -> None:
        if region.ram is None:
            return
        for wanted, listener in self._write_listeners:
            if wanted(region.ram, region.ram_offset + start, size):
                listener(region.ram, region.ram_offset + start, size)


def _dma_target(region: Region, write: bool) -> bool:
    return region.direct_write if write else region.direct_read


def _no_memory(address: int, size: int) -> MemoryAccessError:
    return MemoryAccessError(f"there is no memory behind {size} bytes at {address:#x}")


def _always(ram: RamBlock, offset: int, size: int) -> bool:
    return True
