"""Network interfaces by rtnetlink (rtnetlink(7), netlink(7)); no program and no root rights are needed."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

from ratite.agent.errors import AgentError, system_error
from ratite.agent.system.base import Counters, Interface

RTM_NEWLINK, RTM_GETLINK, RTM_NEWADDR, RTM_GETADDR = 16, 18, 20, 22
_ERROR, _DONE = 2, 3
_REQUEST_DUMP = 0x1 | 0x300

_HEADER = struct.Struct("=IHHII")    # length, kind, flags, sequence, port
_LINK = struct.Struct("=BxHiII")     # family, type, index, flags, changed
_ADDRESS = struct.Struct("=BBBBI")   # family, prefix length, flags, scope, index
_ATTRIBUTE = struct.Struct("=HH")    # length, kind
_KIND_MASK = 0x3FFF

_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_STATS64 = 1, 3, 23
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_STATS = struct.Struct("=10Q")
_SECONDS = 10.0


def dump(kind: int) -> bytes:
    """Ask the kernel for all links or addresses; returns the messages of the answer. Raises AgentError."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as route:
            route.settimeout(_SECONDS)
            body = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
            route.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST_DUMP, 1, 0) + body)
            answer = bytearray()
            while True:
                part = route.recv(1 << 20)
                answer += part
                if any(found in (_DONE, _ERROR) for found, _ in _messages(part)):
                    return bytes(answer)
    except OSError as error:
        raise system_error("cannot ask the kernel for network interfaces", error) from None


def interfaces(links: bytes, addresses: bytes) -> list[Interface]:
    """The interfaces in the answers to RTM_GETLINK and RTM_GETADDR, in the kernel's order. Raises AgentError."""
    found: dict[int, Interface] = {}
    for kind, body in _messages(links):
        _check(kind, body)
        if kind == RTM_NEWLINK and len(body) >= _LINK.size:
            found[_LINK.unpack_from(body)[2]] = _interface(dict(_attributes(body[_LINK.size :])))
    for kind, body in _messages(addresses):
        _check(kind, body)
        if kind == RTM_NEWADDR and len(body) >= _ADDRESS.size:
            family, prefix, _, _, index = _ADDRESS.unpack_from(body)
            values = dict(_attributes(body[_ADDRESS.size :]))
            address = values.get(_IFA_LOCAL) or values.get(_IFA_ADDRESS)    # of a point-to-point link: ours, not the peer's
            if index in found and address and len(address) == {socket.AF_INET: 4, socket.AF_INET6: 16}.get(family):
                found[index].addresses.append((socket.inet_ntop(family, address), prefix))
    return list(found.values())


def _interface(values: dict[int, bytes]) -> Interface:
    name = values.get(_IFLA_IFNAME, b"").split(b"\0")[0].decode(errors="replace")
    interface = Interface(name, values.get(_IFLA_ADDRESS, b"").hex(":"))
    statistics = values.get(_IFLA_STATS64, b"")
    if len(statistics) >= _STATS.size:
        rx_packets, tx_packets, rx_bytes, tx_bytes, rx_errs, tx_errs, rx_dropped, tx_dropped, _, _ = _STATS.unpack_from(statistics)
        interface.counters = Counters(rx_bytes, rx_packets, rx_errs, rx_dropped, tx_bytes, tx_packets, tx_errs, tx_dropped)
    return interface


def _check(kind: int, body: bytes) -> None:
    if kind == _ERROR and len(body) >= 4 and (code := struct.unpack_from("=i", body)[0]):
        raise AgentError(f"cannot ask the kernel for network interfaces: error {-code}")


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, position)
        if length < _HEADER.size:
            return
        yield kind, data[position + _HEADER.size : position + length]
        position += (length + 3) & ~3


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, position)
        if length < _ATTRIBUTE.size:
            return
        yield kind & _KIND_MASK, data[position + _ATTRIBUTE.size : position + length]
        position += (length + 3) & ~3
