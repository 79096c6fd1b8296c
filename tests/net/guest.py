"""A guest's network stack, just large enough: Ethernet, ARP, IPv4, ICMP echo, UDP, DHCP, one TCP connection at a time.

Formats are those of RFC 826, 791, 792, 768, 2131 and 793.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

from ratite.net.base import NetBackend

from .conftest import FakeCard, NetBench

BROADCAST = b"\xff" * 6
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def checksum(data: bytes) -> int:
    data += b"\0" * (len(data) & 1)
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@dataclass
class Ip:
    """A received IPv4 packet."""

    protocol: int
    source: str
    payload: bytes


@dataclass
class Segment:
    """A received TCP segment."""

    source: int
    target: int
    seq: int
    ack: int
    flags: int
    data: bytes


class Guest:
    """Speaks through a back end as the guest behind it."""

    mac = bytes.fromhex("525400123456")

    def __init__(
        self, bench: NetBench, backend: NetBackend, address: str = "10.0.2.15", gateway: str = "10.0.2.2",
    ) -> None:
        self.bench, self.backend, self.address, self.gateway = bench, backend, address, gateway
        self.card = FakeCard(backend)
        self.gateway_mac = BROADCAST

    # --- Ethernet

    def send_frame(self, target: bytes, kind: int, payload: bytes) -> None:
        assert self.backend.send((target + self.mac + struct.pack(">H", kind) + payload).ljust(60, b"\0"))

    def wait_frame(self, wanted: Callable[[bytes], bool]) -> bytes:
        """The next frame of this sort; others are dropped, except that questions for our address are answered."""
        found: list[bytes] = []

        def look() -> bool:
            while self.card.frames and not found:
                frame = self.card.frames.pop(0)
                self._answer_arp(frame)
                if wanted(frame):
                    found.append(frame)
            return bool(found)

        self.bench.until(look)
        return found[0]

    # --- ARP

    def arp(self) -> bytes:
        """Ask for the gateway's address."""
        self._send_arp(BROADCAST, 1, bytes(6), self.gateway)
        wanted = b"\0\2", socket.inet_aton(self.gateway)
        frame = self.wait_frame(lambda frame: frame[12:14] == b"\x08\x06" and (frame[20:22], frame[28:32]) == wanted)
        self.gateway_mac = frame[22:28]
        return self.gateway_mac

    def _answer_arp(self, frame: bytes) -> None:
        if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\1" and frame[38:42] == socket.inet_aton(self.address):
            self._send_arp(frame[22:28], 2, frame[22:28], socket.inet_ntoa(frame[28:32]))

    def _send_arp(self, target: bytes, operation: int, target_mac: bytes, target_ip: str) -> None:
        body = struct.pack(">HHBBH", 1, 0x800, 6, 4, operation) + self.mac + socket.inet_aton(self.address)
        self.send_frame(target, 0x806, body + target_mac + socket.inet_aton(target_ip))

    # --- IPv4

    def send_ip(self, protocol: int, target: str, payload: bytes, source: str = "") -> None:
        source = source or self.address
        header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0)
        header += socket.inet_aton(source) + socket.inet_aton(target)
        header = header[:10] + struct.pack(">H", checksum(header)) + header[12:]
        self.send_frame(self.gateway_mac, 0x800, header + payload)

    def wait_ip(self, wanted: Callable[[Ip], bool]) -> Ip:
        return read_ip(self.wait_frame(lambda frame: frame[12:14] == b"\x08\x00" and wanted(read_ip(frame))))

    def ping(self, target: str) -> bool:
        """Send an echo request and wait for its answer."""
        body = struct.pack(">HH", 7, 1) + b"ratite"
        self.send_ip(1, target, struct.pack(">BBH", 8, 0, checksum(b"\x08\0\0\0" + body)) + body)
        answer = self.wait_ip(lambda packet: packet.protocol == 1 and packet.source == target)
        return answer.payload[0] == 0 and answer.payload[4:] == body

    # --- UDP and DHCP

    def send_udp(self, source: int, target: str, port: int, data: bytes, source_address: str = "") -> None:
        self.send_ip(17, target, struct.pack(">HHHH", source, port, 8 + len(data), 0) + data, source_address)

    def wait_udp(self, port: int) -> tuple[str, int, bytes]:
        """Sender, its port, and the data of the next datagram for `port`."""
        packet = self.wait_ip(lambda packet: packet.protocol == 17 and packet.payload[2:4] == struct.pack(">H", port))
        return packet.source, int.from_bytes(packet.payload[:2], "big"), packet.payload[8:]

    def dhcp(self) -> tuple[str, dict[int, bytes]]:
        """Send DISCOVER; the offered address and the options of the offer."""
        body = struct.pack(">BBBBIHH", 1, 1, 6, 0, 0x1234, 0, 0x8000) + bytes(16) + self.mac + bytes(10 + 192)
        body += struct.pack(">I", 0x63825363) + bytes([53, 1, 1, 255])
        self.send_udp(68, "255.255.255.255", 67, body, "0.0.0.0")
        _, _, offer = self.wait_udp(68)
        options, rest = {}, offer[240:]
        while rest and rest[0] != 255:
            if rest[0]:
                options[rest[0]] = rest[2 : 2 + rest[1]]
            rest = rest[2 + rest[1] :] if rest[0] else rest[1:]
        return socket.inet_ntoa(offer[16:20]), options

    # --- TCP

    def send_tcp(
        self, target: str, source_port: int, port: int, seq: int, ack: int, flags: int, data: bytes = b"",
    ) -> None:
        segment = struct.pack(">HHII", source_port, port, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF)
        segment += struct.pack(">BBHHH", 5 << 4, flags, 65535, 0, 0) + data
        pseudo = socket.inet_aton(self.address) + socket.inet_aton(target) + struct.pack(">BBH", 0, 6, len(segment))
        segment = segment[:16] + struct.pack(">H", checksum(pseudo + segment)) + segment[18:]
        self.send_ip(6, target, segment)

    def wait_tcp(self, port: int, flags: int = 0) -> tuple[str, Segment]:
        """The next segment for our `port` with these flags."""
        def wanted(packet: Ip) -> bool:
            return packet.protocol == 6 and read_tcp(packet).target == port and read_tcp(packet).flags & flags == flags

        packet = self.wait_ip(wanted)
        return packet.source, read_tcp(packet)


class Connection:
    """The guest's end of a TCP connection that is open."""

    def __init__(self, guest: Guest, peer: str, port: int, peer_port: int, seq: int, ack: int) -> None:
        self.guest, self.peer, self.port, self.peer_port = guest, peer, port, peer_port
        self.seq, self.ack = seq, ack

    @classmethod
    def connect(cls, guest: Guest, peer: str, peer_port: int, port: int = 40000) -> Connection:
        guest.send_tcp(peer, port, peer_port, 1000, 0, SYN)
        _, answer = guest.wait_tcp(port, SYN | ACK)
        connection = cls(guest, peer, port, peer_port, 1001, answer.seq + 1)
        connection.send(b"")
        return connection

    @classmethod
    def accept(cls, guest: Guest, port: int) -> Connection:
        peer, opening = guest.wait_tcp(port, SYN)
        guest.send_tcp(peer, port, opening.source, 5000, opening.seq + 1, SYN | ACK)
        return cls(guest, peer, port, opening.source, 5001, opening.seq + 1)

    def send(self, data: bytes, flags: int = ACK) -> None:
        self.guest.send_tcp(self.peer, self.port, self.peer_port, self.seq, self.ack, flags, data)
        self.seq += len(data) + bool(flags & FIN)

    def receive(self, count: int) -> bytes:
        """Take `count` bytes, or fewer when the peer ends; each segment is acknowledged."""
        got = bytearray()
        while len(got) < count:
            _, segment = self.guest.wait_tcp(self.port)
            if segment.seq == self.ack & 0xFFFFFFFF and (segment.data or segment.flags & FIN):
                got += segment.data
                self.ack += len(segment.data) + bool(segment.flags & FIN)
                self.send(b"")
                if segment.flags & FIN:
                    break
        return bytes(got)


def read_ip(frame: bytes) -> Ip:
    packet = frame[14 : 14 + int.from_bytes(frame[16:18], "big")]
    assert checksum(packet[: (packet[0] & 15) * 4]) == 0
    return Ip(packet[9], socket.inet_ntoa(packet[12:16]), packet[(packet[0] & 15) * 4 :])


def read_tcp(packet: Ip) -> Segment:
    source, target, seq, ack, offset, flags = struct.unpack_from(">HHIIBB", packet.payload)
    return Segment(source, target, seq, ack, flags, packet.payload[(offset >> 4) * 4 :])
