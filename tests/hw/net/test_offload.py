"""Checksums and segmentation against packets that scapy-like arithmetic makes by the definition."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratite.hw.net.offload import Layout, insert_checksum, ones_sum, segments, tagged

ETHERNET, IP, TCP = 14, 20, 20
HEADER = ETHERNET + IP + TCP


def by_definition(data: bytes) -> int:
    """RFC 1071: add 16-bit words, end-around carry."""
    total = 0
    for at in range(0, len(data), 2):
        total += int.from_bytes(data[at:at + 2].ljust(2, b"\0"), "big")
        total = (total & 0xFFFF) + (total >> 16)
    return total


@given(st.binary(max_size=200))
def test_sums(data: bytes) -> None:
    """The same as by adding word for word; ones' complement has two zeroes."""
    assert ones_sum(data) % 0xFFFF == by_definition(data) % 0xFFFF


def test_a_known_header() -> None:
    """The IPv4 header that textbooks use: checksum b861."""
    header = bytearray.fromhex("45000073000040004011 0000 c0a80001c0a800c7")
    insert_checksum(header, 0, 10)
    assert header[10:12].hex() == "b861"


def test_places_outside_change_nothing() -> None:
    """Whatever a guest says about a packet."""
    for start, at, end in ((90, 2, 0), (0, 19, 0), (0, 20, 0), (255, 255, 65535)):
        packet = bytearray(range(20))
        insert_checksum(packet, start, at, end)
        assert packet == bytes(range(20))


def test_tags() -> None:
    """Four bytes behind the addresses."""
    assert tagged(bytes(12) + b"\x08\x00x", 0x8100, 0x2005) == bytes(12) + b"\x81\x00\x20\x05\x08\x00x"


def packet_of(size: int, *, flags: int = 0x19) -> tuple[bytearray, Layout]:
    """A TCP packet with that much data as a driver passes it on: pseudo header without length, no IP checksum."""
    source, target = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 0, 700, 0, 64, 6, 0, source, target)
    pseudo = by_definition(source + target + struct.pack(">BBH", 0, 6, 0))
    tcp = struct.pack(">HHIIBBHHH", 80, 90, 1000, 0, 0x50, flags, 512, pseudo, 0)
    data = bytes(n * 7 & 0xFF for n in range(size))
    layout = Layout(ETHERNET, ETHERNET + 10, ETHERNET + 19, ETHERNET + IP, ETHERNET + IP + 16, 0, HEADER, 100, 1, 1)
    return bytearray(bytes(12) + b"\x08\x00" + ip + tcp + data), layout


def test_segmentation() -> None:
    """Each segment is a whole packet: lengths, identifications, sequence numbers, flags, both checksums."""
    packet, layout = packet_of(250)
    parts = list(segments(packet, layout))
    assert [len(part) - HEADER for part in parts] == [100, 100, 50]
    for number, part in enumerate(parts):
        insert_checksum(part, layout.ip_start, layout.ip_checksum, layout.ip_end)
        insert_checksum(part, layout.start, layout.checksum)
        ip, tcp = part[ETHERNET:ETHERNET + IP], part[ETHERNET + IP:]
        assert struct.unpack_from(">HH", ip, 2) == (len(part) - ETHERNET, 700 + number)
        assert by_definition(bytes(ip)) == 0xFFFF
        assert struct.unpack_from(">I", tcp, 4)[0] == 1000 + 100 * number
        assert tcp[13] == (0x19 if number == 2 else 0x10)    # FIN and PSH in the last alone
        pseudo = bytes(ip[12:20]) + struct.pack(">BBH", 0, 6, len(tcp))
        assert by_definition(pseudo + bytes(tcp)) == 0xFFFF
    assert b"".join(part[HEADER:] for part in parts) == packet[HEADER:]


@settings(max_examples=200)
@given(st.binary(max_size=120), st.lists(st.integers(0, 65535), min_size=8, max_size=8), st.booleans(), st.booleans())
def test_any_layout(data: bytes, numbers: list[int], tcp: bool, ipv4: bool) -> None:
    """A guest describes its packets as it likes: nothing raises, and there are no more segments than bytes."""
    layout = Layout(*(number & 0xFF for number in numbers[:7]), numbers[7], int(tcp), int(ipv4))
    parts = list(segments(data, layout))
    assert 1 <= len(parts) <= max(len(data), 1)
    for part in parts:
        insert_checksum(part, numbers[0] & 0xFF, numbers[1] & 0xFF, numbers[2])


@pytest.mark.parametrize("size", [0, 1, 100])
def test_small_packets_stay_whole(size: int) -> None:
    """One segment, with its lengths filled in when there is data."""
    packet, layout = packet_of(size)
    assert len(list(segments(packet, layout))) == 1
