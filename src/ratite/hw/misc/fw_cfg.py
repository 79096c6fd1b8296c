"""The firmware configuration device: how a machine hands tables, files and settings to its firmware."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from ratite.errors import DefinitionError, MemoryAccessError, UsageError
from ratite.hw.model import BOOL, UINT16, Device, Property, Register, Window

SIGNATURE = b"QEMU"
DMA_SIGNATURE = b"QEMU CFG"    # in the bytes of the DMA address register
TRADITIONAL, DMA = 1, 2    # features of the item `id`
FIRST_FILE = 0x20
NAME_LIMIT = 55
ERROR, READ, SKIP, SELECT, WRITE = (1 << bit for bit in range(5))    # control bits of a DMA request
REQUEST = struct.Struct(">IIQ")    # control, length, address
FILE_ENTRY = struct.Struct(">IHH56s")    # size, selector, reserved, name
ZEROS = bytes(1 << 16)


class Key(IntEnum):
    """Selectors with a fixed meaning."""

    SIGNATURE = 0x00
    ID = 0x01
    UUID = 0x02
    RAM_SIZE = 0x03
    NO_GRAPHIC = 0x04
    CPUS = 0x05
    KERNEL_ADDRESS = 0x07
    KERNEL_SIZE = 0x08
    INITRD_ADDRESS = 0x0A
    INITRD_SIZE = 0x0B
    BOOT_DEVICE = 0x0C
    MAX_CPUS = 0x0F
    KERNEL_DATA = 0x11
    INITRD_DATA = 0x12
    COMMAND_LINE_SIZE = 0x14
    COMMAND_LINE_DATA = 0x15
    FILE_DIRECTORY = 0x19


@dataclass
class Item:
    """One entry: its content, or a function that gives it when the guest first selects it."""

    content: bytes | Callable[[], bytes]
    writable: bool = False
    written: Callable[[bytes], None] | None = None

    def data(self) -> bytes:
        """The content."""
        if not isinstance(self.content, bytes):
            self.content = self.content()
        return self.content


class FwCfgMem(Device, name="fw_cfg_mem", size=0x18):
    """Firmware configuration (QEMU's published specification `fw_cfg`), memory-mapped.

    The data port gives the next bytes of the selected item, zeros after its end. Writes to the data port are ignored,
    as in all current versions; a DMA request can write to items that allow it.
    """

    dma_enabled = Property(BOOL, True, "offer the DMA interface").named("dma_enabled")
    file_slots = Property(UINT16, 0x20, "greatest number of files").named("x-file-slots")
    state = ("selected", "position", "request_high")

    class data(Window, offset=0, length=8):
        def read(self, dev: FwCfgMem, offset: int, size: int) -> int:
            return int.from_bytes(dev.take(size), "little")

    class selector(Register, offset=8, width=2, mode="wo"):
        def on_write(self, dev: FwCfgMem) -> None:
            dev.select(int.from_bytes(self.value.to_bytes(2, "little"), "big"))

    class dma_high(Register, offset=0x10):
        """Upper half of a request's address, big-endian."""

        def on_read(self, dev: FwCfgMem) -> None:
            self.value = dev.dma_signature & 0xFFFF_FFFF

        def on_write(self, dev: FwCfgMem) -> None:
            dev.request_high = _swap32(self.value)

    class dma_low(Register, offset=0x14):
        """Lower half; a write starts the request."""

        def on_read(self, dev: FwCfgMem) -> None:
            self.value = dev.dma_signature >> 32

        def on_write(self, dev: FwCfgMem) -> None:
            dev.start(dev.request_high << 32 | _swap32(self.value))

    def setup(self) -> None:
        self.items: dict[int, Item] = {}
        self.files: dict[str, int] = {}
        self.selected = self.position = self.request_high = 0
        self.dma_signature = int.from_bytes(DMA_SIGNATURE, "little") if self.dma_enabled else 0
        self.add(Key.SIGNATURE, SIGNATURE)
        self.add_number(Key.ID, TRADITIONAL | (DMA if self.dma_enabled else 0))
        self.add(Key.FILE_DIRECTORY, self._directory)

    def reset(self) -> None:
        super().reset()
        self.select(0)
        self.request_high = 0

    # --- the board's side

    def add(self, key: int, content: bytes | Callable[[], bytes]) -> None:
        """Set the item with this selector."""
        self.items[key] = Item(content)

    def add_number(self, key: int, value: int, width: int = 4) -> None:
        """Set an item to a little-endian number of `width` bytes."""
        self.add(key, value.to_bytes(width, "little"))

    def add_file(
        self, name: str, content: bytes | Callable[[], bytes], *, writable: bool = False,
        written: Callable[[bytes], None] | None = None,
    ) -> None:
        """Add a named file; `written` hears of the new content when a guest writes to a writable one.

        Raises UsageError for a name that does not fit or is taken, and when there is no slot left.
        """
        if not name or len(name.encode()) > NAME_LIMIT or name in self.files:
            raise UsageError(f"fw_cfg file '{name}': the name is taken, empty, or longer than {NAME_LIMIT} bytes")
        if len(self.files) >= self.file_slots:
            raise UsageError(f"fw_cfg file '{name}': all {self.file_slots} slots are in use")
        if FIRST_FILE + len(self.files) > 0x3FFF:
            raise DefinitionError("fw_cfg has no selectors left")
        self.files[name] = FIRST_FILE + len(self.files)
        self.items[self.files[name]] = Item(content, writable, written)

    def _directory(self) -> bytes:
        entries = [FILE_ENTRY.pack(len(self.items[key].data()), key, 0, name.encode())
                   for name, key in sorted(self.files.items())]
        return struct.pack(">I", len(entries)) + b"".join(entries)

    # --- the guest's side

    def select(self, key: int) -> None:
        """Choose an item, and start at its first byte."""
        self.selected, self.position = key, 0
        if key not in self.items:
            self.guest_error(f"there is no item {key:#x}")

    def take(self, size: int) -> bytes:
        """The next bytes of the item."""
        content = self._content()[self.position:self.position + size]
        self.position += size
        return content.ljust(size, b"\0")

    def _content(self) -> bytes:
        item = self.items.get(self.selected)
        return item.data() if item is not None else b""

    def start(self, address: int) -> None:
        """Carry out the DMA request that is at this address, and note its end there."""
        self.request_high = 0
        if not self.dma_enabled:
            return
        try:
            control, length, target = REQUEST.unpack(self.memory.dma_read(address, REQUEST.size))
            done = self._carry_out(control, length, target)
            self.memory.dma_write(address, struct.pack(">I", 0 if done else ERROR))
        except MemoryAccessError as error:
            self.guest_error(f"DMA request at {address:#x}: {error}")

    def _carry_out(self, control: int, length: int, address: int) -> bool:
        if control & SELECT:
            self.select(control >> 16)
        if control & READ:
            return self._read_into(address, length)
        if control & WRITE:
            return self._write_from(address, length)
        if control & SKIP:
            self.position += length
        return True

    def _read_into(self, address: int, length: int) -> bool:
        try:
            target = self.memory.dma_view(address, length)
        except MemoryAccessError:
            self.guest_error(f"DMA of {length} bytes to {address:#x}, where there is no RAM")
            return False
        content = memoryview(self._content())[self.position:self.position + length]
        target[:len(content)] = content
        for start in range(len(content), length, len(ZEROS)):
            rest = min(length - start, len(ZEROS))
            target[start:start + rest] = ZEROS[:rest]
        self.position += length
        self.memory.note_write(address, length)
        return True

    def _write_from(self, address: int, length: int) -> bool:
        item = self.items.get(self.selected)
        content = self._content()
        end = self.position + length
        if item is None or not item.writable or end > len(content):
            return False
        try:
            data = self.memory.dma_read(address, length)
        except MemoryAccessError:
            return False
        item.content = content[:self.position] + data + content[end:]
        self.position = end
        if item.written is not None:
            item.written(item.content)
        return True

    # --- saved state

    def save(self) -> dict[str, Any]:
        """Items that guests may write are state; the others are the board's."""
        written = {name: self.items[key].data() for name, key in self.files.items() if self.items[key].writable}
        return {**super().save(), "written": written}

    def restore(self, saved: dict[str, Any]) -> None:
        super().restore(saved)
        for name, content in saved["written"].items():
            self.items[self.files[name]].content = bytes(content)


def _swap32(value: int) -> int:
    return int.from_bytes(value.to_bytes(4, "little"), "big")
