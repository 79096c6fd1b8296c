"""A guest's virtio driver in Python: it knows the device through MMIO registers and RAM alone, as a kernel's does.

`VirtioBench` holds a device behind a `virtio-mmio` slot, `VirtioDriver` brings it up in either version of the interface
(Virtual I/O Device 1.2, chapters 3.1, 2.7 and 4.2), and `DriverQueue` passes buffers through a virtqueue.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from ratite.bits import align_up
from ratite.hw.model import Timer, VirtualClock
from ratite.hw.virtio.device import VirtioDevice
from ratite.hw.virtio.mmio import VirtioMmio
from ratite.memory import AddressSpace, RamBlock

D = TypeVar("D", bound=VirtioDevice)

ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, NEEDS_RESET = 1, 2, 4, 8, 64
INDIRECT_DESC, EVENT_IDX, VERSION_1 = 28, 29, 32
_NEXT, _WRITE, _INDIRECT = 1, 2, 4
_PAGE = 4096
_QUEUE_ADDRESSES = 0x80, 0x90, 0xA0


class VirtioBench(Generic[D]):
    """A platform with RAM, a clock that the test moves, and one slot with a device in it.

    `restart` replaces slot and device by new ones that take over the saved state.
    """

    at = 0x1000_1000
    ram_base = 0x8000_0000

    def __init__(self, make: Callable[[], D], *, legacy: bool = False, ram_size: int = 4 << 20) -> None:
        self.memory = AddressSpace()
        self.clock = VirtualClock()
        self.lock = threading.RLock()
        self.ram = RamBlock("bench.ram", ram_size)
        self.memory.add_ram(self.ram_base, self.ram)
        self.interrupts = 0
        """How often the interrupt line has risen."""
        self._make, self._legacy = make, legacy
        self._put()

    @property
    def interrupt_level(self) -> bool:
        """Whether the device asks for an interrupt now."""
        return self.slot.irq.level

    def close(self) -> None:
        """Give the RAM back."""
        self.ram.close()

    def request_shutdown(self, status: int = 0) -> None:
        """No virtio device asks for this."""
        raise AssertionError("a virtio device asked for power-off")

    def request_reset(self) -> None:
        """Nor for this."""
        raise AssertionError("a virtio device asked for a reset")

    def restart(self) -> None:
        """Go on with a new slot and device that have loaded the state of the present ones."""
        saved = self.slot.save(), self.device.save()
        for timer in (value for value in vars(self.device).values() if isinstance(value, Timer)):
            timer.cancel()
        for region in [region for region in self.memory.regions() if region.device is not None]:
            self.memory.remove(region)
        self._put()
        self.slot.load(saved[0])
        self.device.load(saved[1])

    def _put(self) -> None:
        self.slot = VirtioMmio(force_legacy=self._legacy)
        self.slot.irq.connect(self._count)
        self.slot.map_into(self.memory, self.at)
        self.slot.realize(self)
        self.device = self._make()
        self.device.realize(self)
        self.slot.buses[0].plug(self.device)

    def _count(self, level: bool) -> None:
        self.interrupts += level


@dataclass
class Used:
    """A buffer that the device has given back: what it wrote, and how much it says that was."""

    token: int
    length: int
    data: bytes


class GuestMemory(Protocol):
    """What a driver needs of a machine: accesses to devices, and RAM. An `AddressSpace` is one."""

    def read(self, address: int, size: int) -> int:
        """Read a device register."""

    def write(self, address: int, size: int, value: int) -> None:
        """Write a device register."""

    def dma_read(self, address: int, size: int) -> bytes:
        """Read RAM."""

    def dma_write(self, address: int, data: bytes) -> None:
        """Write RAM."""


class VirtioDriver:
    """The driver's side of one slot. Memory for queues and buffers is taken from `ram_base` upward."""

    def __init__(self, memory: GuestMemory, at: int, ram_base: int, ram_size: int) -> None:
        self.memory, self.at = memory, at
        self._free, self._end = ram_base, ram_base + ram_size
        self.features = 0

    @classmethod
    def on(cls, bench: VirtioBench[D]) -> VirtioDriver:
        """A driver for the slot of a bench."""
        return cls(bench.memory, bench.at, bench.ram_base, bench.ram.size)

    # --- registers

    def read(self, offset: int, size: int = 4) -> int:
        """Read a register of the slot."""
        return self.memory.read(self.at + offset, size)

    def write(self, offset: int, value: int, size: int = 4) -> None:
        """Write a register of the slot."""
        self.memory.write(self.at + offset, size, value)

    def config(self, offset: int, size: int) -> int:
        """Read a field of the configuration space, in pieces of at most 32 bits."""
        pieces = [self.read(0x100 + offset + i, min(size, 4)) << 8 * i for i in range(0, size, 4)]
        return sum(pieces)

    @property
    def status(self) -> int:
        """The device status."""
        return self.read(0x70)

    @property
    def legacy(self) -> bool:
        """Whether the slot shows version 1 of the interface."""
        return self.read(0x04) == 1

    def acknowledge(self) -> int:
        """Take the interrupt: the status bits that were set, which are clear then."""
        bits = self.read(0x60)
        self.write(0x64, bits)
        return bits

    # --- bringing the device up

    def offered(self) -> int:
        """The feature bits that the device offers."""
        words = []
        for word in range(2):
            self.write(0x14, word)
            words.append(self.read(0x10))
        return words[0] | words[1] << 32

    def start(self, features: int = (1 << 64) - 1, queues: Sequence[int] = (), size: int = 8) -> list[DriverQueue]:
        """Reset the device, take what it offers of `features`, set up these queues, and begin."""
        assert self.read(0x00) == 0x74726976 and self.read(0x08)
        if self.legacy:
            self.write(0x28, _PAGE)    # before the reset, as Linux does
        self.write(0x70, 0)
        self.write(0x70, ACKNOWLEDGE)
        self.write(0x70, ACKNOWLEDGE | DRIVER)
        self.negotiate(features)
        made = [DriverQueue(self, index, size) for index in queues]
        self.write(0x70, self.status | DRIVER_OK)
        assert not self.status & NEEDS_RESET
        return made

    def negotiate(self, features: int) -> None:
        """Choose features; with version 2, see that the device agrees."""
        self.features = features & self.offered()
        for word in range(1 if self.legacy else 2):
            self.write(0x24, word)
            self.write(0x20, self.features >> 32 * word & 0xFFFF_FFFF)
        if not self.legacy:
            self.write(0x70, self.status | FEATURES_OK)
            assert self.status & FEATURES_OK

    # --- memory

    def allocate(self, size: int, align: int = 16) -> int:
        """Address of fresh memory."""
        address = align_up(self._free, align)
        assert address + size <= self._end, "the bench has not enough RAM"
        self._free = address + size
        return address


class DriverQueue:
    """The driver's side of a virtqueue."""

    def __init__(self, driver: VirtioDriver, index: int, size: int) -> None:
        self.driver, self.memory, self.index, self.size = driver, driver.memory, index, size
        self.event_idx = bool(driver.features >> EVENT_IDX & 1)
        driver.write(0x30, index)
        assert driver.read(0x34) >= size, f"there is no queue {index} of this size"
        driver.write(0x38, size)
        self._place_legacy() if driver.legacy else self._place()
        self._descriptors = list(range(size))    # free ones
        self._chains: dict[int, tuple[list[int], list[tuple[int, int]]]] = {}
        self.added = self.announced = self.seen = 0

    def _place(self) -> None:
        self.desc, self.avail, self.used_ring = (
            self._rings(size, 16) for size in (16 * self.size, 6 + 2 * self.size, 6 + 8 * self.size)
        )
        for register, address in zip(_QUEUE_ADDRESSES, (self.desc, self.avail, self.used_ring), strict=True):
            self.driver.write(register, address & 0xFFFF_FFFF)
            self.driver.write(register + 4, address >> 32)
        self.driver.write(0x44, 1)
        assert self.driver.read(0x44) == 1

    def _place_legacy(self) -> None:
        rings = align_up(16 * self.size + 6 + 2 * self.size, _PAGE)
        self.desc = self._rings(rings + align_up(6 + 8 * self.size, _PAGE), _PAGE)
        self.avail, self.used_ring = self.desc + 16 * self.size, self.desc + rings
        self.driver.write(0x3C, _PAGE)
        self.driver.write(0x40, self.desc // _PAGE)
        assert self.driver.read(0x40) == self.desc // _PAGE

    # --- buffers

    def add(self, out: Sequence[bytes] = (), room: Sequence[int] = (), *, indirect: bool = False) -> int:
        """Offer buffers with the data of `out` and then empty ones of these sizes; returns a token."""
        parts = [(self._store(data), len(data), 0) for data in out]
        parts += [(self.driver.allocate(size), size, _WRITE) for size in room]
        writable = [(address, size) for address, size, flags in parts if flags]
        if indirect:
            table = self.driver.allocate(16 * len(parts))
            self._write_chain(table, list(range(len(parts))), parts)
            parts = [(table, 16 * len(parts), _INDIRECT)]
        indices = [self._descriptors.pop(0) for _ in parts]
        self._write_chain(self.desc, indices, parts)
        self._chains[indices[0]] = indices, writable
        self.publish(indices[0])
        return indices[0]

    def publish(self, head: int) -> None:
        """Put a descriptor into the available ring."""
        self.memory.dma_write(self.avail + 4 + 2 * (self.added % self.size), struct.pack("<H", head))
        self.added = (self.added + 1) & 0xFFFF
        self.memory.dma_write(self.avail + 2, struct.pack("<H", self.added))

    def kick(self, *, force: bool = False) -> bool:
        """Notify the device, unless it has said that it need not be; returns whether it was."""
        wanted = self._wants_kick() or force
        self.announced = self.added
        if wanted:
            self.driver.write(0x50, self.index)
        return wanted

    def used(self) -> list[Used]:
        """The buffers that have come back since the last call."""
        found = []
        while self.seen != self._word(self.used_ring + 2):
            entry = self.memory.dma_read(self.used_ring + 4 + 8 * (self.seen % self.size), 8)
            self.seen = (self.seen + 1) & 0xFFFF
            found.append(self._finish(*struct.unpack("<II", entry)))
        if self.event_idx:
            self.interrupt_after(1)
        return found

    def request(
        self, out: Sequence[bytes] = (), room: Sequence[int] = (), *, indirect: bool = False, tries: int = 0
    ) -> Used:
        """Offer buffers, notify, and take them back; see `wait` for `tries`."""
        token = self.add(out, room, indirect=indirect)
        self.kick()
        (answer,) = self.wait(1, tries)
        assert answer.token == token
        return answer

    def wait(self, count: int, tries: int) -> list[Used]:
        """Take back as many buffers; a device of another process may need some looks before they are there."""
        found = self.used()
        while len(found) < count and tries:
            found += self.used()
            tries -= 1
        return found

    def interrupt_after(self, count: int) -> None:
        """With EVENT_IDX: ask for an interrupt when `count` more buffers have come back."""
        self.memory.dma_write(self.avail + 4 + 2 * self.size, struct.pack("<H", self.seen + count - 1 & 0xFFFF))

    def interrupts(self, wanted: bool) -> None:
        """Without EVENT_IDX: ask for interrupts or for none."""
        self.memory.dma_write(self.avail, struct.pack("<H", not wanted))

    # --- inside

    def _rings(self, size: int, align: int) -> int:
        address = self.driver.allocate(size, align)
        self.memory.dma_write(address, bytes(size))
        return address

    def _wants_kick(self) -> bool:
        if self.event_idx:
            event = self._word(self.used_ring + 4 + 8 * self.size)
            return (self.added - event - 1) & 0xFFFF < (self.added - self.announced) & 0xFFFF
        return not self._word(self.used_ring) & 1

    def _store(self, data: bytes) -> int:
        address = self.driver.allocate(len(data))
        self.memory.dma_write(address, data)
        return address

    def _write_chain(self, table: int, indices: list[int], parts: list[tuple[int, int, int]]) -> None:
        for number, (index, (address, size, flags)) in enumerate(zip(indices, parts, strict=True)):
            last = number == len(parts) - 1
            following = 0 if last else indices[number + 1]
            self.write_descriptor(table, index, address, size, flags if last else flags | _NEXT, following)

    def write_descriptor(self, table: int, index: int, address: int, size: int, flags: int, following: int) -> None:
        """Write one descriptor as it is, right or wrong."""
        self.memory.dma_write(table + 16 * index, struct.pack("<QIHH", address, size, flags, following))

    def _finish(self, head: int, length: int) -> Used:
        indices, writable = self._chains.pop(head)
        self._descriptors += indices
        data = b"".join(self.memory.dma_read(address, size) for address, size in writable)
        return Used(head, length, data)

    def _word(self, address: int) -> int:
        return int.from_bytes(self.memory.dma_read(address, 2), "little")
