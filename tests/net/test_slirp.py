"""User networking: a guest made of Python talks to libslirp, and through it to sockets of this process."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

import pytest

from ratite.errors import HostError, UsageError
from ratite.net import libslirp
from ratite.net.options import Netdevs
from ratite.net.user_options import UserOptions, plan_ipv4, plan_ipv6, read_forward

from .conftest import NetBench
from .guest import ACK, FIN, PSH, Connection, Guest, checksum


def _available() -> bool:
    try:
        libslirp.load()
    except HostError:
        return False
    return True


needs_libslirp = pytest.mark.skipif(not _available(), reason="libslirp0 is not installed")


def guest_on(bench: NetBench, options: str = "", **addresses: str) -> Guest:
    netdevs = Netdevs(bench)
    return Guest(bench, netdevs.add(f"user,id=n0{options}"), **addresses)


@needs_libslirp
def test_dhcp_and_arp_and_ping(bench: NetBench) -> None:
    """The defaults are QEMU's: .15 for the guest, .2 for the gateway, .3 for the name server."""
    guest = guest_on(bench)
    address, options = guest.dhcp()
    assert address == "10.0.2.15"
    assert options[3] == socket.inet_aton("10.0.2.2")
    assert options[6] == socket.inet_aton("10.0.2.3")
    assert options[1] == socket.inet_aton("255.255.255.0")
    assert guest.arp()[:2] == b"\x52\x55"
    assert guest.ping("10.0.2.2")
    guest.backend.close()
    guest.backend.close()


@needs_libslirp
def test_chosen_addresses(bench: NetBench, tmp_path: Path) -> None:
    """Network, host, DHCP start, names and the boot file are what the options say."""
    options = ",net=192.168.7.0/24,host=192.168.7.1,dhcpstart=192.168.7.40,dns=192.168.7.2,hostname=ratite"
    options += f",domainname=example.org,dnssearch=a.example,dnssearch=b.example,tftp={tmp_path},bootfile=boot.img"
    guest = guest_on(bench, options, address="192.168.7.40", gateway="192.168.7.1")
    address, told = guest.dhcp()
    assert address == "192.168.7.40"
    assert (told[3], told[6]) == (socket.inet_aton("192.168.7.1"), socket.inet_aton("192.168.7.2"))
    assert told[12] == b"ratite"
    assert told[15] == b"example.org"
    assert b"example" in told[119]
    guest.backend.close()


@needs_libslirp
def test_ipv6_router(bench: NetBench) -> None:
    """A router solicitation (RFC 4861) is answered with the prefix of the options."""
    guest = guest_on(bench, ",ipv6-net=fd12:3456::/64,ipv4=off")
    ours, everyone = socket.inet_pton(socket.AF_INET6, "fe80::1"), socket.inet_pton(socket.AF_INET6, "ff02::2")
    message = bytes([133, 0, 0, 0, 0, 0, 0, 0, 1, 1]) + guest.mac
    pseudo = ours + everyone + struct.pack(">II", len(message), 58)
    message = message[:2] + struct.pack(">H", checksum(pseudo + message)) + message[4:]
    header = struct.pack(">IHBB", 6 << 28, len(message), 58, 255) + ours + everyone
    guest.send_frame(bytes.fromhex("333300000002"), 0x86DD, header + message)
    answer = guest.wait_frame(lambda frame: frame[12:14] == b"\x86\xdd" and frame[54] == 134)
    assert socket.inet_pton(socket.AF_INET6, "fd12:3456::") in answer[54:]
    guest.backend.close()


@needs_libslirp
def test_tcp_to_the_host(bench: NetBench) -> None:
    """A connection to the gateway reaches a server of the host; data flows both ways, more than a window of it."""
    guest = guest_on(bench)
    guest.arp()
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection = Connection.connect(guest, "10.0.2.2", server.getsockname()[1])
        server.settimeout(20)
        peer, _ = server.accept()
        connection.send(b"hello from the guest", ACK | PSH)
        peer.setblocking(False)
        got = bytearray()

        def arrived() -> bool:
            try:
                got.extend(peer.recv(100))
            except BlockingIOError:
                pass
            return got == b"hello from the guest"

        bench.until(arrived)
        data = bytes(range(256)) * 1024
        peer.settimeout(20)
        sent = peer.send(data)
        assert connection.receive(sent) == data[:sent]
        peer.close()
        assert connection.receive(1) == b""
    guest.backend.close()


@needs_libslirp
def test_udp_to_the_host(bench: NetBench) -> None:
    """Datagrams reach the host, and their answers the guest."""
    guest = guest_on(bench)
    guest.arp()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.setblocking(False)
        guest.send_udp(5000, "10.0.2.2", peer.getsockname()[1], b"question")
        question: list[tuple[bytes, tuple[str, int]]] = []

        def arrived() -> bool:
            try:
                question.append(peer.recvfrom(100))
            except BlockingIOError:
                pass
            return bool(question)

        bench.until(arrived)
        assert question[0][0] == b"question"
        peer.sendto(b"answer", question[0][1])
        assert guest.wait_udp(5000) == ("10.0.2.2", peer.getsockname()[1], b"answer")
    guest.backend.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@needs_libslirp
def test_forwarded_port(bench: NetBench) -> None:
    """A client of the host reaches a server in the guest through hostfwd."""
    port = free_port()
    guest = guest_on(bench, f",hostfwd=tcp:127.0.0.1:{port}-:80")
    guest.dhcp()
    guest.arp()
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        connection = Connection.accept(guest, 80)
        client.sendall(b"GET /")
        assert connection.receive(5) == b"GET /"
        connection.send(b"200 OK", ACK | PSH | FIN)
        client.setblocking(False)
        got = bytearray()

        def arrived() -> bool:
            try:
                got.extend(client.recv(100))
            except BlockingIOError:
                pass
            return got == b"200 OK"

        bench.until(arrived)
    guest.backend.close()


@needs_libslirp
def test_taken_port(bench: NetBench) -> None:
    """A port that another program has is an error that names the rule, and leaves nothing behind."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        rule = f"tcp:127.0.0.1:{server.getsockname()[1]}-:22"
        with pytest.raises(HostError, match=f"cannot forward '{rule}'"):
            Netdevs(bench).add(f"user,id=n0,hostfwd={rule}")
    bench.loop.step(0)


@needs_libslirp
def test_restricted_guest(bench: NetBench) -> None:
    """With restrict=on the guest's connections go nowhere, while DHCP still answers."""
    guest = guest_on(bench, ",restrict=on")
    assert guest.dhcp()[0] == "10.0.2.15"
    guest.arp()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        guest.send_tcp("10.0.2.2", 40000, server.getsockname()[1], 1000, 0, 2)
        for _ in range(3):
            bench.loop.step(0.01)
        with pytest.raises(BlockingIOError):
            server.accept()
    guest.backend.close()


@needs_libslirp
def test_too_many_frames_are_held_back(bench: NetBench) -> None:
    """A card that sends faster than the loop runs is told so, and later that there is room again."""
    guest = guest_on(bench)
    frame = (b"\xff" * 6 + guest.mac + b"\x12\x34").ljust(60, b"\0")
    while guest.backend.send(frame):
        pass
    assert guest.card.rooms == 0
    bench.until(lambda: guest.card.rooms == 1)
    assert guest.backend.send(frame)
    guest.backend.close()


@needs_libslirp
def test_frames_wait_for_a_card_without_room(bench: NetBench) -> None:
    """Frames for a guest that has no buffers are kept for it, in order, up to a bound."""
    guest = guest_on(bench)
    guest.card.room = 0
    guest._send_arp(b"\xff" * 6, 1, bytes(6), "10.0.2.2")
    guest._send_arp(b"\xff" * 6, 1, bytes(6), "10.0.2.3")
    bench.until(lambda: len(guest.backend._waiting) == 2)
    guest.card.room = 1
    guest.backend.accept_input()
    assert len(guest.card.frames) == 1
    guest.card.room = 5
    guest.backend.accept_input()
    assert [socket.inet_ntoa(frame[28:32]) for frame in guest.card.frames] == ["10.0.2.2", "10.0.2.3"]
    for _ in range(2000):
        guest.card.room = 0
        guest.backend._deliver(b"x")
    assert guest.backend.dropped == 1000
    guest.backend.close()


@needs_libslirp
def test_garbage_from_the_guest(bench: NetBench) -> None:
    """Frames of any length and content do no harm."""
    import random

    guest = guest_on(bench)
    generator = random.Random(3)
    for size in (0, 1, 13, 14, 15, 33, 34, 60, 1514, 9000, 65000):
        for kind in (b"\x08\x00", b"\x08\x06", b"\x86\xdd", b"\x12\x34"):
            frame = (b"\xff" * 6 + guest.mac + kind + generator.randbytes(size))[:size]
            guest.backend.send(frame)
    bench.loop.step(0)
    guest.arp()
    guest.backend.close()


@needs_libslirp
def test_served_by_a_thread(bench: NetBench) -> None:
    """The same with the loop on its own thread, and closing while it runs."""
    import threading

    netdevs = Netdevs(bench)
    backend = netdevs.add("user,id=n0")
    answered = threading.Event()
    backend.attach(lambda frame: answered.set(), lambda: True)
    bench.loop.start()
    frame = bytes.fromhex("ffffffffffff525400123456080600010800060400015254001234560a00020f0000000000000a000202")
    backend.send(frame.ljust(60, b"\0"))
    assert answered.wait(20)
    netdevs.close()


def test_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without libslirp the error names the package."""
    monkeypatch.setattr(libslirp, "_SONAME", "libnowhere.so.0")
    with pytest.raises(HostError, match="Debian package libslirp0"):
        libslirp.load()


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("tcp::2222-:22", (False, "0.0.0.0", 2222, "0.0.0.0", 22)),
        ("udp:127.0.0.1:53-10.0.2.20:5353", (True, "127.0.0.1", 53, "10.0.2.20", 5353)),
        ("::80-:80", (False, "0.0.0.0", 80, "0.0.0.0", 80)),
    ],
)
def test_forward_rules(rule: str, expected: tuple[bool, str, int, str, int]) -> None:
    """The forms of a hostfwd rule."""
    found = read_forward(rule)
    assert (found.udp, str(found.host), found.host_port, str(found.guest), found.guest_port) == expected


@pytest.mark.parametrize(
    "rule",
    [
        "foo", "tcp:22", "sctp::1-:2", "tcp:1-2", "tcp::x-:22", "tcp::99999-:22", "tcp:nohost:1-:22", "tcp::1-:0",
        "tcp::-:",
    ],
)
def test_wrong_forward_rules(rule: str) -> None:
    """Each wrong rule is quoted in one line."""
    with pytest.raises(UsageError, match=r"hostfwd: "):
        read_forward(rule)


def test_plans() -> None:
    """Addresses that are left out follow from the network."""
    plan = plan_ipv4(UserOptions(net="172.20.5.77/255.255.0.0"))
    assert [str(x) for x in (plan.network, plan.host, plan.dns, plan.dhcp_start)] == [
        "172.20.0.0/16", "172.20.0.2", "172.20.0.3", "172.20.0.15"
    ]
    assert str(plan_ipv6(UserOptions()).host) == "fec0::2"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("net=nowhere", "net: 'nowhere' is not a network"),
        ("net=10.0.0.0/30", "too small"),
        ("host=10.0.3.2", "host: 10.0.3.2 is not in the network 10.0.2.0/24"),
        ("dns=10.0.2.2", "needs one of its own"),
        ("dhcpstart=x", "dhcpstart: 'x' is not an address"),
        ("ipv6-net=fe80::/127", "leaves no room"),
        ("ipv4=off,ipv6=off", "leave nothing"),
        ("tftp=/nowhere", "'/nowhere' is not a folder"),
        ("guestfwd=tcp:10.0.2.5:1-cmd:x", "guestfwd: guest forwarding is not supported"),
        ("smb=/tmp", "the SMB server is not supported"),
        ("hostfwdd=x", "did you mean 'hostfwd'"),
    ],
)
@needs_libslirp
def test_refused_options(bench: NetBench, options: str, message: str) -> None:
    """Wrong settings are refused before anything is set up."""
    with pytest.raises(UsageError, match=message):
        Netdevs(bench).add(f"user,id=n0,{options}")
