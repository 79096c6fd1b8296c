"""What network cards do with packets in place of the guest: internet checksums (RFC 1071), TCP segmentation, VLAN tags."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_FIN, _PUSH = 0x01, 0x08
_FLAGS = 13    # offset in a TCP header
_ADDRESSES = 12
_LEAST_SEGMENT = 32


def ones_sum(data: bytes | bytearray | memoryview) -> int:
    """The sum of all 16-bit words in ones' complement."""
    padded = bytes(data) + b"\0" if len(data) & 1 else data
    return int.from_bytes(padded, "big") % 0xFFFF


def insert_checksum(packet: bytearray, start: int, at: int, end: int = 0) -> None:
    """Put the checksum of the bytes from `start` to `end` (inclusive; 0: to the last) at `at`.

    What is there already is part of the sum, which is how drivers pass on a pseudo header. A place outside the packet
    changes nothing.
    """
    stop = end + 1 if end else len(packet)
    if start < len(packet) and at + 2 <= len(packet):
        packet[at:at + 2] = ((0xFFFF - ones_sum(packet[start:stop])) & 0xFFFF or 0xFFFF).to_bytes(2, "big")


def tagged(packet: bytes | bytearray, ethertype: int, tag: int) -> bytes:
    """The packet with a VLAN tag."""
    return bytes(packet[:_ADDRESSES]) + ethertype.to_bytes(2, "big") + tag.to_bytes(2, "big") + packet[_ADDRESSES:]


@dataclass
class Layout:
    """Where the headers of a packet are, as a driver describes them: offsets, with the end of the summed bytes."""

    ip_start: int = 0
    ip_checksum: int = 0
    ip_end: int = 0
    start: int = 0
    """Of the TCP or UDP header."""
    checksum: int = 0
    end: int = 0
    header: int = 0
    """Bytes of all headers."""
    segment: int = 0
    """Most bytes of data in a segment."""
    tcp: int = 0
    ipv4: int = 0


def segments(packet: bytes | bytearray, layout: Layout) -> Iterator[bytearray]:
    """Cut one large packet into such that fit; lengths, numbers and flags are set, checksums are not yet.

    A layout that makes no sense gives the packet itself, and segments are not tiny, so that there cannot be too many.
    """
    header, size = packet[:layout.header], layout.segment and max(layout.segment, _LEAST_SEGMENT)
    data = packet[layout.header:]
    last_field = max(layout.ip_start + 6, layout.start + (_FLAGS + 1 if layout.tcp else 6))
    if not size or not data or last_field > len(header):
        yield bytearray(packet)
        return
    for number, begin in enumerate(range(0, len(data), size)):
        part = bytearray(header) + data[begin:begin + size]
        _renumber(part, layout, number, begin, begin + size >= len(data))
        yield part


def _renumber(part: bytearray, layout: Layout, number: int, begin: int, last: bool) -> None:
    if layout.ipv4:
        _set(part, layout.ip_start + 2, 2, len(part) - layout.ip_start)
        _set(part, layout.ip_start + 4, 2, _get(part, layout.ip_start + 4, 2) + number)
    else:
        _set(part, layout.ip_start + 4, 2, len(part) - layout.ip_start - 40)
    length = len(part) - layout.start
    if layout.tcp:
        _set(part, layout.start + 4, 4, _get(part, layout.start + 4, 4) + begin)
        if not last:
            part[layout.start + _FLAGS] &= ~(_FIN | _PUSH)
    else:
        _set(part, layout.start + 4, 2, length)
    if layout.checksum + 2 <= len(part):    # the driver's pseudo header is without the length
        total = _get(part, layout.checksum, 2) + length
        _set(part, layout.checksum, 2, (total & 0xFFFF) + (total >> 16))


def _get(data: bytearray, at: int, size: int) -> int:
    return int.from_bytes(data[at:at + size], "big")


def _set(data: bytearray, at: int, size: int, value: int) -> None:
    if at + size <= len(data):
        data[at:at + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "big")
