"""Split virtqueues (Virtual I/O Device 1.2, chapter 2.7): rings in guest memory through which buffers come and go.

The guest makes chains of descriptors available; the device takes them with `pop`, as memoryviews of guest RAM, and
gives them back with `push`. What the guest writes is not trusted: a ring or descriptor that breaks the rules ends in
`VirtioDevice.fail`, never in an exception, and no view reaches beyond guest RAM.

Guest CPUs run at the same time on other host threads. Indices are read and written whole (a cast memoryview moves an
item at once), an index is published after the entries that it covers, and `fence` stands wherever a write must be
seen before a read that follows it.

Not modelled: packed virtqueues, big-endian rings (legacy devices of big-endian guests).
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ratite.errors import MemoryAccessError

if TYPE_CHECKING:
    from ratite.hw.virtio.device import VirtioDevice
    from ratite.memory.space import Region

MAX_SIZE = 1024           # descriptors of a queue, and of a chain
_DESCRIPTOR = struct.Struct("<QIHH")
_NEXT, _WRITE, _INDIRECT = 1, 2, 4
_NO_INTERRUPT = 1         # avail.flags
_NO_NOTIFY = 1            # used.flags
_FLAGS, _INDEX = 0, 1     # the first words of both rings

_barrier = threading.Lock()


def fence() -> None:
    """Make earlier writes of this thread visible before its later reads: taking a lock is a full barrier."""
    with _barrier:
        pass


class QueueError(Exception):
    """The guest broke the rules of a queue; caught in this module."""


class Chain:
    """One request: the buffers that the device reads, and those that it writes."""

    __slots__ = ("head", "readable", "targets", "writable")

    def __init__(self, head: int) -> None:
        self.head = head
        self.readable: list[memoryview] = []
        self.writable: list[memoryview] = []
        self.targets: list[int] = []    # guest addresses of the writable buffers

    @property
    def room(self) -> int:
        """How many bytes the device may write."""
        return sum(map(len, self.writable))

    @property
    def sent(self) -> int:
        """How many bytes the guest sends; with overlapping buffers it may be more than there is memory."""
        return sum(map(len, self.readable))

    def data(self, most: int = 1 << 20) -> bytes:
        """What the guest sends, the first `most` bytes of it."""
        if self.sent <= most:
            return b"".join(self.readable)
        parts = []
        for view in self.readable:
            parts.append(view[:most])
            most -= len(parts[-1])
            if most <= 0:
                break
        return b"".join(parts)

    def fill(self, data: bytes | bytearray) -> int:
        """Write `data` to the writable buffers as far as it fits; returns how much did."""
        done = 0
        for view in self.writable:
            part = data[done : done + len(view)]
            view[: len(part)] = part
            done += len(part)
            if done == len(data):
                break
        return done


class Queue:
    """One virtqueue of `device`."""

    def __init__(self, device: VirtioDevice, index: int, default_size: int) -> None:
        self.device, self.index, self.default_size = device, index, default_size
        self.reset()

    # --- set-up by the transport

    size: int
    desc: int
    avail: int
    used: int
    ready: bool

    def reset(self) -> None:
        """Take the state after a device reset."""
        self.size = self.default_size
        self.desc = self.avail = self.used = 0
        self.stop()

    def stop(self) -> None:
        """Forget the rings; their addresses stay."""
        self.ready = False
        self.last_avail = self.used_index = self.signalled = 0
        self.signalled_valid = self._pushed = False
        self.notifications = True
        self._desc = self._avail = self._used = self._elements = memoryview(b"")
        self._ram: Region | None = None    # where the rings are, and most buffers

    def start(self) -> None:
        """Begin with the rings where the guest put them. Fails the device when they are not in RAM."""
        try:
            self._map()
        except (QueueError, MemoryAccessError) as error:
            self.device.fail(f"queue {self.index}: {error}")
        else:
            self.ready = True

    def _map(self) -> None:
        size, memory = self.size, self.device.memory
        if not 0 < size <= MAX_SIZE or size & (size - 1):
            raise QueueError(f"{size} is no size for a queue")
        if self.desc & 15 or self.avail & 1 or self.used & 3:
            raise QueueError("its rings are not aligned")
        self._desc = memory.dma_view(self.desc, 16 * size, write=False)
        self._avail = memory.dma_view(self.avail, 6 + 2 * size, write=False).cast("H")
        used = memory.dma_view(self.used, 6 + 8 * size)
        self._ram = memory.find(self.used)
        self._used = used.cast("H")
        self._elements = used[4 : 4 + 8 * size].cast("I")
        self._mask = size - 1
        self._used_event = 2 + size         # in avail: when the guest wants to hear of used buffers
        self._avail_event = 2 + 4 * size    # in used: when the device wants to hear of available buffers

    def place_legacy(self, address: int, alignment: int) -> None:
        """Put the rings one behind the other (2.7.2) and begin; address 0 takes the queue away."""
        if not address:
            self.reset()
            return
        self.stop()
        self.desc = address
        self.avail = address + 16 * self.size
        self.used = (self.avail + 6 + 2 * self.size + alignment - 1) & -alignment
        self.start()

    def memory_changed(self) -> None:
        """The memory map is another one: find the rings again."""
        if self.ready:
            try:
                self._map()
            except (QueueError, MemoryAccessError) as error:
                self.device.fail(f"queue {self.index}: {error}")

    # --- for the device

    def pop(self) -> Chain | None:
        """Take the next chain. None when there is none, or when the queue is not in a state to be used."""
        if not self.ready or self.device.broken:
            return None
        last = self.last_avail
        available = self._avail[_INDEX]
        if available == last:
            if not self._arm_notification():
                return None
            available = self._avail[_INDEX]
        try:
            if (available - last) & 0xFFFF > self.size:
                raise QueueError(f"available index {available} is more than a queue ahead of {last}")
            chain = self._walk(self._avail[2 + (last & self._mask)])
        except (QueueError, MemoryAccessError) as error:
            self.device.fail(f"queue {self.index}: {error}")
            return None
        self.last_avail = (last + 1) & 0xFFFF
        return chain

    def take(self) -> Iterator[Chain]:
        """Pop what is there, but no more than a queueful: a guest that refills it as fast as the device takes must not
        hold the machine's lock for ever. What is left comes a moment later.
        """
        for _ in range(self.size):
            if (chain := self.pop()) is None:
                return
            yield chain
        if not self.is_empty():
            self.device.continue_later()

    def is_empty(self) -> bool:
        """Whether there is nothing to pop."""
        return not self.ready or bool(self._avail[_INDEX] == self.last_avail)

    def next_room(self) -> int:
        """How many bytes the device may write to the next chain; 0 when there is none."""
        if (chain := self.pop()) is None:
            return 0
        self.unpop()
        return chain.room

    def unpop(self) -> None:
        """Put the chain that was popped last back; it comes again."""
        self.last_avail = (self.last_avail - 1) & 0xFFFF

    def push(self, chain: Chain, written: int) -> None:
        """Give a chain back, of which the device has written the first `written` bytes. `notify` tells the guest."""
        if not self.ready:
            return
        note = self.device.memory.note_write
        for address, view in zip(chain.targets, chain.writable, strict=True):
            note(address, len(view))
        self._pushed = True
        slot = self.used_index & self._mask
        self._elements[2 * slot] = chain.head
        self._elements[2 * slot + 1] = written
        self.used_index = (self.used_index + 1) & 0xFFFF
        self._used[_INDEX] = self.used_index

    def notify(self) -> None:
        """Interrupt the guest for what was pushed since the last time, if it wants that."""
        if self._pushed and self.ready:
            self._pushed = False
            self.device.memory.note_write(self.used, 4 + 8 * self.size)
            if self._wants_interrupt():
                self.device.interrupt(self)

    def disable_notification(self) -> None:
        """Tell the guest that it need not say when it adds buffers; a hint."""
        self.notifications = False
        if not self.ready:
            return
        if self.device.uses_event_idx:
            self._set_used(self._avail_event, (self.last_avail - 1) & 0xFFFF)    # as far ahead as there is
        else:
            self._set_used(_FLAGS, _NO_NOTIFY)

    def enable_notification(self) -> bool:
        """Ask to be told of buffers again; True when there are some already, of which nobody will tell."""
        self.notifications = True
        if not self.ready:
            return False
        if not self.device.uses_event_idx:
            self._set_used(_FLAGS, 0)
        return self._arm_notification()

    # --- inside

    def _set_used(self, word: int, value: int) -> None:
        self._used[word] = value
        self.device.memory.note_write(self.used + 2 * word, 2)

    def _arm_notification(self) -> bool:
        """Ask to be told of the next buffer; True when it is there already."""
        if self.notifications and self.device.uses_event_idx:
            self._set_used(self._avail_event, self.last_avail)
        fence()
        return bool(self._avail[_INDEX] != self.last_avail)

    def _wants_interrupt(self) -> bool:
        fence()
        if self.device.uses_event_idx:
            old, new = self.signalled, self.used_index
            first, self.signalled_valid = not self.signalled_valid, True
            self.signalled = new
            event = self._avail[self._used_event]
            return first or (new - event - 1) & 0xFFFF < (new - old) & 0xFFFF
        if self.device.uses_notify_on_empty and self._avail[_INDEX] == self.last_avail:
            return True
        return not self._avail[_FLAGS] & _NO_INTERRUPT

    def _walk(self, head: int) -> Chain:
        """Follow the descriptors from `head`."""
        chain = Chain(head)
        table, count = self._desc, self.size
        if head >= count:
            raise QueueError(f"descriptor {head} does not exist")
        address, length, flags, following = _DESCRIPTOR.unpack_from(table, 16 * head)
        if flags & _INDIRECT:
            table, count = self._indirect_table(address, length, flags)
            address, length, flags, following = _DESCRIPTOR.unpack_from(table, 0)
        for _ in range(count):
            if flags & _INDIRECT:
                raise QueueError("an indirect descriptor is not alone")
            if not length:
                raise QueueError("a buffer has no bytes")
            view = self._view(address, length, flags & _WRITE)
            if flags & _WRITE:
                chain.writable.append(view)
                chain.targets.append(address)
            elif chain.writable:
                raise QueueError("a buffer to read follows one to write")
            else:
                chain.readable.append(view)
            if not flags & _NEXT:
                return chain
            if following >= count:
                raise QueueError(f"descriptor {following} does not exist")
            address, length, flags, following = _DESCRIPTOR.unpack_from(table, 16 * following)
        raise QueueError("the descriptors form a loop")

    def _view(self, address: int, length: int, write: int) -> memoryview:
        """A buffer, which is mostly in the same RAM as the rings."""
        ram = self._ram
        if ram is not None and ram.base <= address and address + length <= ram.end:
            start = address - ram.base
            return ram.memory[start : start + length]
        return self.device.memory.dma_view(address, length, write=bool(write))

    def _indirect_table(self, address: int, length: int, flags: int) -> tuple[memoryview, int]:
        if flags & _NEXT or not self.device.uses_indirect:
            raise QueueError("an indirect descriptor where none is allowed")
        if not length or length & 15 or length > 16 * MAX_SIZE:
            raise QueueError(f"an indirect table of {length} bytes")
        return self._view(address, length, 0), length >> 4

    # --- saved state

    _SAVED = (
        "size", "desc", "avail", "used", "last_avail", "used_index", "signalled", "signalled_valid", "notifications",
    )

    def save(self) -> dict[str, Any]:
        """Addresses and indices."""
        return {"ready": self.ready, **{name: getattr(self, name) for name in self._SAVED}}

    def load(self, saved: dict[str, Any]) -> None:
        """Go on where the saved state was; memory must be there already."""
        self.reset()
        values = {name: saved[name] for name in self._SAVED}
        for name in ("size", "desc", "avail", "used"):
            setattr(self, name, int(values[name]))
        if saved["ready"]:
            self.start()
        for name in ("last_avail", "used_index", "signalled"):
            setattr(self, name, int(values[name]) & 0xFFFF)
        self.signalled_valid, self.notifications = bool(values["signalled_valid"]), bool(values["notifications"])
