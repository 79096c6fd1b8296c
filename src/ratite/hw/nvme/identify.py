"""The structures that Identify and Get Log Page give (NVM Express 1.4, chapters 5.14.1 and 5.15.2)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from uuid import UUID

PAGE = 4096
VERSION = 0x0001_0400
MODEL, FIRMWARE = "Ratite NVMe Ctrl", "1.0"
QUEUE_ENTRY_SIZES = 0x66, 0x44    # 64 and 16 bytes, least and most
_IO_CONTROLLER = 1
_COMPARE, _DISCARD, _WRITE_ZEROES, _VERIFY = 1 << 0, 1 << 2, 1 << 3, 1 << 7
_WRITE_CACHE = 0b111    # there is one, and a flush may be for all namespaces
_LOG_EFFECTS, _LOG_LONG = 1 << 1, 1 << 2
_WARM, _HOT, _NOW = 0x157, 0x175, 0x143    # temperatures in kelvin
_UUID = 3
_SUPPORTED, _CHANGES_CONTENT = 1 << 0, 1 << 1


class About(NamedTuple):
    """What is told of a controller and its one namespace."""

    vendor: int
    serial: str
    largest_transfer: int
    """A power of two, in pages of 4 KiB."""
    event_requests: int
    blocks: int
    block_bits: int

    @property
    def uuid(self) -> UUID:
        """Names the namespace; the serial number decides it."""
        from uuid import NAMESPACE_OID, uuid5

        return uuid5(NAMESPACE_OID, f"ratite-nvme:{self.serial}")


def _put(page: bytearray, at: int, form: str, *values: int) -> None:
    struct.pack_into("<" + form, page, at, *values)


def _text(page: bytearray, at: int, size: int, text: str, fill: bytes = b" ") -> None:
    page[at:at + size] = text.encode("ascii", "replace")[:size].ljust(size, fill)


def controller(about: About) -> bytes:
    """Figure 251."""
    page = bytearray(PAGE)
    _put(page, 0, "HH", about.vendor, 0x1AF4)
    _text(page, 4, 20, about.serial)
    _text(page, 24, 40, MODEL)
    _text(page, 64, 8, FIRMWARE)
    _put(page, 72, "BBBB", 6, 0x00, 0x54, 0x52)
    _put(page, 77, "BHI", about.largest_transfer, 0, VERSION)
    _put(page, 111, "B", _IO_CONTROLLER)
    _put(page, 258, "BBBBBB", 3, about.event_requests - 1, 0b11, _LOG_EFFECTS | _LOG_LONG, 0, 0)
    _put(page, 266, "HH", _WARM, _HOT)
    _put(page, 512, "BBHI", *QUEUE_ENTRY_SIZES, 0, 1)
    _put(page, 520, "HHBB", _COMPARE | _DISCARD | _WRITE_ZEROES | _VERIFY, 0, 0, _WRITE_CACHE)
    _text(page, 768, 256, f"nqn.2014-08.org.nvmexpress:uuid:{about.uuid}", b"\0")
    _put(page, 2048, "HHII", 0x9C4, 0, 0x10, 0x4)    # the only power state: 25 W
    return bytes(page)


def namespace(about: About) -> bytes:
    """Figure 249: one format, without metadata; what was given back reads as zeroes."""
    page = bytearray(PAGE)
    _put(page, 0, "QQQ", about.blocks, about.blocks, about.blocks)
    _put(page, 33, "B", 0b1001)
    _put(page, 128, "HBB", 0, about.block_bits, 0)
    return bytes(page)


def active_namespaces(after: int) -> bytes:
    """The list of namespaces with numbers above `after`."""
    return (1 if after == 0 else 0).to_bytes(4, "little").ljust(PAGE, b"\0")


def descriptors(about: About) -> bytes:
    """Names of the namespace (figure 253): a UUID."""
    return (bytes([_UUID, 16, 0, 0]) + about.uuid.bytes).ljust(PAGE, b"\0")


def health(units_read: int, units_written: int, reads: int, writes: int) -> bytes:
    """SMART and health (figure 194); units are thousands of 512 bytes, rounded up."""
    page = bytearray(512)
    _put(page, 0, "BHBBB", 0, _NOW, 100, 10, 0)
    for at, value in ((32, units_read), (48, units_written), (64, reads), (80, writes)):
        page[at:at + 16] = value.to_bytes(16, "little")
    return bytes(page)


def firmware_slots() -> bytes:
    """Slot 1 is in use (figure 195)."""
    page = bytearray(512)
    page[0] = 1
    _text(page, 8, 8, FIRMWARE)
    return bytes(page)


def effects(admin: frozenset[int], io: frozenset[int], changing: frozenset[int]) -> bytes:
    """Which commands there are, and which change content (figure 198)."""
    page = bytearray(PAGE)
    for opcode in admin:
        _put(page, 4 * opcode, "I", _SUPPORTED)
    for opcode in io:
        _put(page, 1024 + 4 * opcode, "I", _SUPPORTED | (_CHANGES_CONTENT if opcode in changing else 0))
    return bytes(page)
