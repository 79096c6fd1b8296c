"""Parallel NOR flash with the Intel command set."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from ratite.errors import HostError, ImageError, UsageError
from ratite.hw.model import STR, UINT8, UINT16, UINT32, UINT64, BlockBackend, Device, Link, Property
from ratite.memory import AddressSpace, RamBlock, Region

READY, ERASE_ERROR, PROGRAM_ERROR, LOCKED = 0x80, 0x20, 0x10, 0x02    # status register
BUFFER_SHIFT = 11    # program buffer of one chip: 2 KiB


class Reading(Enum):
    """What reads give."""

    ARRAY = "array"
    STATUS = "status"
    ID = "id"
    QUERY = "query"


class Step(Enum):
    """What the next write means."""

    COMMAND = "command"
    PROGRAM = "program"
    ERASE_CONFIRM = "erase-confirm"
    LOCK = "lock"
    COUNT = "count"
    BUFFER = "buffer"
    CONFIRM = "confirm"


class Pflash(Device, name="cfi.pflash01"):
    """Intel StrataFlash chips side by side on one bus (P30 family data sheet 306666; JEDEC JESD68.01 CFI, JEP137).

    `width` bytes of bus are filled by chips of `device-width` bytes each, which get the same commands and answer in
    their own lanes. Reads of the array go straight to memory. Programming can only clear bits; erasing a sector sets
    them. Blocks are unlocked after power-on. With `drive` the content comes from a file and every change is
    written through; else it is zeros. Not modelled: programming time (always ready), suspension, protection
    registers, read configuration, big-endian buses.
    """

    drive: Property[BlockBackend | None] = Property(Link("drive"), None, "block device with the content")
    num_blocks = Property(UINT32, 128, "number of sectors")
    sector_length = Property(UINT64, 256 << 10, "bytes of a sector, over all chips")
    width = Property(UINT8, 4, "bytes of the bus")
    device_width = Property(UINT8, 2, "bytes of one chip")
    id0 = Property(UINT16, 0x89, "manufacturer")
    id1 = Property(UINT16, 0x18, "device")
    label = Property(STR, "pflash", "name of the memory").named("name")
    state = ("reading", "step", "status", "remaining", "buffer", "buffer_start", "buffer_overrun", "locks")

    def setup(self) -> None:
        self._check_geometry()
        self.id = self.label
        self.size = self.num_blocks * self.sector_length
        self.chips = self.width // self.device_width
        self.content = RamBlock(self.label, self.size)
        self.memories = (self.content,)
        self._region: Region | None = None
        self._query = self._query_table()
        self._power_on()

    def map_into(self, memory: AddressSpace, base: int) -> None:
        self._region = memory.add_romd(base, self.content, self, self.label)

    def realized(self) -> None:
        if self.drive is None:
            return
        if self.drive.size != self.size:
            raise ImageError(f"{self.label}: the image has {self.drive.size} bytes, but the flash has {self.size}")
        try:
            self.drive.preadv([self.content.view], 0)
        except OSError as error:
            raise ImageError(f"{self.label}: the image cannot be read: {error.strerror}") from None

    def reset(self) -> None:
        super().reset()
        self._power_on()
        self._show_array()

    def loaded(self) -> None:
        self._show_array()

    def _power_on(self) -> None:
        self.reading, self.step = Reading.ARRAY, Step.COMMAND
        self.status = READY
        self.remaining = self.buffer_start = 0    # of the program buffer: bytes to come, offset of its first byte
        self.buffer = bytearray()
        self.buffer_overrun = False
        self.locks: list[int] = []

    def _check_geometry(self) -> None:
        widths = (1, 2, 4, 8)
        if self.width not in widths or self.device_width not in widths or self.width % self.device_width:
            raise UsageError(f"{self.name}: property 'width': {self.width} is no multiple of 'device-width', 1 to 8")
        size = self.sector_length
        if size & size - 1 or not 0x100 * self.width <= size <= 1 << 28 or not 0 < self.num_blocks <= 1 << 16:
            raise UsageError(f"{self.name}: {self.num_blocks} sectors of {size:#x} bytes are not possible: "
                             "'sector-length' must be a power of two")

    # --- reads, while the array does not show itself

    def mmio_read(self, offset: int, size: int) -> int:
        bus = offset & -self.width
        if size > self.width:
            half = size // 2
            return self.mmio_read(offset, half) | self.mmio_read(offset + half, half) << 8 * half
        if self.reading is Reading.ARRAY:
            return int.from_bytes(self.content.view[offset:offset + size], "little")
        word = self._in_every_lane(self._answer(bus))
        return word >> 8 * (offset - bus) & (1 << 8 * size) - 1

    def _answer(self, offset: int) -> int:
        """What one chip says at this bus word."""
        word = offset // self.width
        if self.reading is Reading.STATUS:
            return self.status
        if self.reading is Reading.QUERY:
            return self._query.get(word, 0)
        block_word = word % (self.sector_length // self.width)
        if block_word == 2:
            return int(self._sector(offset) in self.locks)
        return (self.id0, self.id1)[block_word] if block_word < 2 else 0

    def _in_every_lane(self, answer: int) -> int:
        return sum(answer << 8 * self.device_width * chip for chip in range(self.chips))

    # --- writes

    def mmio_write(self, offset: int, size: int, value: int) -> None:
        if size > self.width:
            half = size // 2
            self.mmio_write(offset, half, value & (1 << 8 * half) - 1)
            self.mmio_write(offset + half, half, value >> 8 * half)
            return
        self._steps[self.step](self, offset, size, value)

    def _command(self, offset: int, size: int, value: int) -> None:
        code = value & 0xFF
        if code in (0xFF, 0xF0, 0x00):
            self._show(Reading.ARRAY)
        elif code in self._readings:
            self._show(self._readings[code])
        elif code == 0x50:
            self.status = READY
        elif code in self._sequences:
            self.step = self._sequences[code]
            self._show(Reading.STATUS)
        else:
            self.guest_error(f"{code:#x} is no command")
            self._show(Reading.ARRAY)

    def _program_word(self, offset: int, size: int, value: int) -> None:
        self.step = Step.COMMAND
        if self._writable(offset, PROGRAM_ERROR):
            self._clear_bits(offset, value.to_bytes(size, "little"))
            self._write_through(offset, size)

    def _confirm_erase(self, offset: int, size: int, value: int) -> None:
        self.step = Step.COMMAND
        if value & 0xFF != 0xD0:
            self.status |= ERASE_ERROR | PROGRAM_ERROR    # a wrong sequence
        elif self._writable(offset, ERASE_ERROR):
            start = self._sector(offset) * self.sector_length
            self.content.view[start:start + self.sector_length] = b"\xFF" * self.sector_length
            self._write_through(start, self.sector_length)

    def _lock(self, offset: int, size: int, value: int) -> None:
        self.step = Step.COMMAND
        code, sector = value & 0xFF, self._sector(offset)
        if code in (0x01, 0x2F):
            self.locks = sorted({*self.locks, sector})
        elif code == 0xD0:
            self.locks = [locked for locked in self.locks if locked != sector]
        elif code not in (0x03, 0x04):    # read configuration and its like change nothing here
            self.status |= ERASE_ERROR | PROGRAM_ERROR

    def _count(self, offset: int, size: int, value: int) -> None:
        """How many words, less one, follow for each chip."""
        count = value & (1 << 8 * min(self.device_width, 2)) - 1
        if count >= (1 << BUFFER_SHIFT) // self.device_width:
            self.status |= PROGRAM_ERROR | ERASE_ERROR
            self.step = Step.COMMAND
            return
        self.remaining, self.buffer, self.buffer_overrun = (count + 1) * self.width, bytearray(), False
        self.step = Step.BUFFER

    def _fill_buffer(self, offset: int, size: int, value: int) -> None:
        if not self.buffer:
            self.buffer_start = offset
        place = offset - self.buffer_start
        if place >= 0 and place + size <= self.chips << BUFFER_SHIFT:
            self.buffer += b"\xFF" * (place + size - len(self.buffer))
            self.buffer[place:place + size] = value.to_bytes(size, "little")
        else:
            self.buffer_overrun = True
        self.remaining -= size
        if self.remaining <= 0:
            self.step = Step.CONFIRM

    def _confirm_buffer(self, offset: int, size: int, value: int) -> None:
        self.step = Step.COMMAND
        start, end = self.buffer_start, self.buffer_start + len(self.buffer)
        if value & 0xFF != 0xD0 or self.buffer_overrun or end > self.size:
            self.status |= PROGRAM_ERROR | ERASE_ERROR
        elif all(self._writable(at, PROGRAM_ERROR) for at in (start, end - 1)):
            self._clear_bits(start, self.buffer)
            self._write_through(start, len(self.buffer))

    _steps: dict[Step, Callable[[Pflash, int, int, int], None]] = {
        Step.COMMAND: _command, Step.PROGRAM: _program_word, Step.ERASE_CONFIRM: _confirm_erase, Step.LOCK: _lock,
        Step.COUNT: _count, Step.BUFFER: _fill_buffer, Step.CONFIRM: _confirm_buffer,
    }
    _readings = {0x70: Reading.STATUS, 0x90: Reading.ID, 0x98: Reading.QUERY}
    _sequences = {0x10: Step.PROGRAM, 0x40: Step.PROGRAM, 0x20: Step.ERASE_CONFIRM, 0x60: Step.LOCK, 0xE8: Step.COUNT}

    # --- content

    def _sector(self, offset: int) -> int:
        return offset // self.sector_length

    def _writable(self, offset: int, error: int) -> bool:
        if self._sector(offset) in self.locks:
            self.status |= error | LOCKED
            return False
        if self.drive is not None and self.drive.readonly:
            self.status |= error
            return False
        return True

    def _clear_bits(self, offset: int, data: bytes | bytearray) -> None:
        old = self.content.view[offset:offset + len(data)]
        old[:] = bytes(a & b for a, b in zip(old, data, strict=True))

    def _write_through(self, offset: int, size: int) -> None:
        if self._region is not None:
            self.memory.note_write(self._region.base + offset, size)
        if self.drive is None:
            return
        try:
            self.drive.pwritev([self.content.view[offset:offset + size]], offset)
        except (OSError, ImageError, HostError) as error:
            self.guest_error(f"the image cannot be written: {error}")
            self.status |= PROGRAM_ERROR

    def _show(self, reading: Reading) -> None:
        self.reading = reading
        self._show_array()

    def _show_array(self) -> None:
        if self._region is not None:
            self.memory.set_romd(self._region, self.reading is Reading.ARRAY)

    # --- common flash interface

    def _query_table(self) -> dict[int, int]:
        """The query answers of one chip, by bus word (JESD68.01; primary table: Intel, version 1.1)."""
        chip_sector = self.sector_length // self.chips
        size_shift = (self.num_blocks * chip_sector - 1).bit_length()
        interface = {1: 0, 2: 1, 4: 3, 8: 3}[self.device_width]
        table = {
            0x10: b"QRY" + _little(1, 2) + _little(0x31, 2) + _little(0, 4),    # Intel commands, table at 0x31
            0x1B: bytes((0x45, 0x55, 0, 0)),                                # supply 4.5 to 5.5 V, no extra voltage
            0x1F: bytes((7, 7, 10, 0, 4, 4, 4, 0)),                         # times as powers of two, and their limits
            0x27: bytes((size_shift,)) + _little(interface, 2) + _little(BUFFER_SHIFT, 2),
            0x2C: bytes((1,)) + _little(self.num_blocks - 1, 2) + _little(chip_sector >> 8, 2),
            0x31: b"PRI11" + _little(0x20, 4) + bytes((0,)) + _little(1, 2) + bytes((0x50, 0)),    # instant locking
        }
        return {start + place: byte for start, text in table.items() for place, byte in enumerate(text)}


def _little(value: int, width: int) -> bytes:
    return value.to_bytes(width, "little")
