"""ACPI machine language, as far as boards describe themselves with it (ACPI specification 6.5, chapters 6.4 and 20.2).

A term is bytes; the functions here put terms together. Names are paths such as `_CRS` or `\\_SB`, of segments of up to four
characters.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import reduce

from ratite.errors import DefinitionError

Term = bytes
Data = int | str | bytes | Sequence["Data"]
"""What a name can stand for: a number, text, a finished term, or a package of them."""

ZERO, ONE = b"\x00", b"\x01"
LOCAL0 = b"\x60"

SYSTEM_MEMORY = 0


# --- lengths, names, data -----------------------------------------------------------------------------------------------


def _length(size: int) -> bytes:
    """A package length that counts `size` bytes and itself."""
    if size + 1 < 1 << 6:
        return bytes([size + 1])
    for extra in (1, 2, 3):
        total = size + 1 + extra
        if total < 1 << 4 + 8 * extra:
            return bytes([extra << 6 | total & 0xF]) + (total >> 4).to_bytes(extra, "little")
    raise DefinitionError(f"{size} bytes are too many for an ACPI package")


def _enclosed(opcode: bytes, *parts: Term) -> Term:
    body = b"".join(parts)
    return opcode + _length(len(body)) + body


def path(name: str) -> bytes:
    """A name, absolute where it begins with a backslash."""
    root = b"\\" if name.startswith("\\") else b""
    segments = [segment.ljust(4, "_").encode("ascii") for segment in name.lstrip("\\").split(".") if segment]
    if any(len(segment) != 4 for segment in segments):
        raise DefinitionError(f"'{name}' is no ACPI name")
    prefix = {0: b"\x00", 1: b"", 2: b"\x2e"}.get(len(segments), b"\x2f" + bytes([len(segments)]))
    return root + prefix + b"".join(segments)


def data(value: Data) -> Term:
    """A constant."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return b"\x0d" + value.encode("ascii") + b"\0"
    if isinstance(value, int):
        return _number(value)
    return _enclosed(b"\x12", bytes([len(value)]), *map(data, value))


def _number(value: int) -> Term:
    if value < 2:
        return ONE if value else ZERO
    for opcode, size in ((0x0A, 1), (0x0B, 2), (0x0C, 4), (0x0E, 8)):
        if value < 1 << 8 * size:
            return bytes([opcode]) + value.to_bytes(size, "little")
    raise DefinitionError(f"{value:#x} is too great for ACPI")


def eisa_id(text: str) -> Term:
    """A compressed identity such as `PNP0A08`."""
    letters = reduce(lambda word, letter: word << 5 | ord(letter) - 0x40, text[:3], 0)
    return b"\x0c" + struct.pack(">I", letters << 16 | int(text[3:], 16))


def buffer(content: bytes) -> Term:
    """A buffer of bytes."""
    return _enclosed(b"\x11", data(len(content)), content)


# --- objects ------------------------------------------------------------------------------------------------------------


def name(path_: str, value: Data) -> Term:
    """Name(path, value)."""
    return b"\x08" + path(path_) + data(value)


def scope(path_: str, *terms: Term) -> Term:
    """Scope(path) {...}."""
    return _enclosed(b"\x10", path(path_), *terms)


def device(path_: str, *terms: Term) -> Term:
    """Device(path) {...}."""
    return _enclosed(b"\x5b\x82", path(path_), *terms)


def method(path_: str, arguments: int, *terms: Term) -> Term:
    """Method(path, arguments, Serialized) {...}."""
    return _enclosed(b"\x14", path(path_), bytes([arguments | 1 << 3]), *terms)


def region(path_: str, address: int, size: int) -> Term:
    """OperationRegion in memory."""
    return b"\x5b\x80" + path(path_) + bytes([SYSTEM_MEMORY]) + data(address) + data(size)


def field(region_: str, access_bytes: int, **bits: int) -> Term:
    """Field(region, access, NoLock, WriteAsZeros): names and their sizes in bits."""
    access = {1: 1, 2: 2, 4: 3, 8: 4}[access_bytes]
    units = b"".join(path(unit) + _field_length(size) for unit, size in bits.items())
    return _enclosed(b"\x5b\x81", path(region_), bytes([access | 2 << 5]), units)


def _field_length(bits: int) -> bytes:
    """A length in bits, which does not count itself."""
    return bytes([bits]) if bits < 64 else bytes([0x40 | bits & 0xF, bits >> 4])


# --- statements ---------------------------------------------------------------------------------------------------------


def store(source: Term, target: Term) -> Term:
    """Store(source, target)."""
    return b"\x70" + source + target


def and_(a: Term, b: Term) -> Term:
    """a & b."""
    return b"\x7b" + a + b + ZERO


def if_(condition: Term, *terms: Term) -> Term:
    """If (condition) {...}."""
    return _enclosed(b"\xa0", condition, *terms)


def notify(path_: str, value: int) -> Term:
    """Notify(path, value)."""
    return b"\x86" + path(path_) + data(value)


# --- resources ----------------------------------------------------------------------------------------------------------

_PRODUCED, _MIN_FIXED, _MAX_FIXED = 0, 1 << 2, 1 << 3


def resources(*descriptors: bytes) -> Term:
    """A resource template."""
    return buffer(b"".join(descriptors) + b"\x79\x00")


def memory32(base: int, size: int) -> bytes:
    """Memory32Fixed(ReadWrite, base, size)."""
    return struct.pack("<BHBII", 0x86, 9, 1, base, size)


def interrupt(number: int, *, edge: bool = False) -> bytes:
    """Interrupt(ResourceConsumer, level or edge, ActiveHigh, Exclusive) {number}."""
    return struct.pack("<BHBBI", 0x89, 6, 1 | edge << 1, 1, number)


def bus_numbers(first: int, last: int) -> bytes:
    """WordBusNumber that the device passes on."""
    return struct.pack("<BHBBB5H", 0x88, 13, 2, _PRODUCED | _MIN_FIXED | _MAX_FIXED, 0, 0, first, last, 0, last - first + 1)


def memory_window(base: int, size: int) -> bytes:
    """QWordMemory that the device passes on."""
    return _window(0, 1, base, size, 0)


def io_window(base: int, size: int, cpu: int) -> bytes:
    """QWordIO that the device passes on, found at address `cpu`."""
    return _window(1, 3, base, size, cpu)


def _window(kind: int, flags: int, base: int, size: int, translation: int) -> bytes:
    general = _PRODUCED | _MIN_FIXED | _MAX_FIXED
    return struct.pack("<BHBBB5Q", 0x8A, 43, kind, general, flags, 0, base, base + size - 1, translation, size)
