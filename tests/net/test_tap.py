"""Tap interfaces: over a socket pair that behaves like one, and a real one where the host allows it."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from ratite.errors import HostError, UsageError
from ratite.net.options import Netdevs

from .conftest import FakeCard, NetBench


def test_frames_over_an_inherited_descriptor(bench: NetBench) -> None:
    """fd= takes an open device; frames keep their borders, and wait in the host's queue while the card has no room."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    backend = Netdevs(bench).add(f"tap,id=t0,fd={os.dup(ours.fileno())}")
    card = FakeCard(backend, room=1)
    assert backend.send(b"from the guest")
    assert theirs.recv(100) == b"from the guest"
    theirs.send(b"one")
    theirs.send(b"two")
    bench.until(lambda: card.frames == [b"one"])
    bench.loop.step(0)
    card.room = 1
    backend.accept_input()
    bench.until(lambda: card.frames == [b"one", b"two"])
    backend.close()
    backend.close()
    for end in (ours, theirs):
        end.close()


def test_a_full_queue_holds_the_card_back(bench: NetBench) -> None:
    """When the host takes no more, `send` says so and `on_room` ends it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    backend = Netdevs(bench).add(f"tap,id=t0,fd={os.dup(ours.fileno())}")
    card = FakeCard(backend)
    frame = bytes(1514)
    while backend.send(frame):
        pass
    bench.loop.step(0)
    assert card.rooms == 0
    while card.rooms == 0:
        theirs.recv(2000)
        bench.loop.step(0)
    assert backend.send(frame)
    backend.close()
    ours.close()
    theirs.close()


def test_interface_that_goes_away(bench: NetBench) -> None:
    """A device that is gone takes and gives nothing, and does not keep the loop busy."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    backend = Netdevs(bench).add(f"tap,id=t0,fd={os.dup(ours.fileno())}")
    FakeCard(backend)
    theirs.close()
    bench.until(lambda: not bench.loop._watches)
    assert backend.send(b"lost")
    backend.close()
    ours.close()


def test_real_interface(bench: NetBench, tmp_path: Path) -> None:
    """Ping in the other direction: the host's kernel asks for an address on the interface, the card sees the frame."""
    log = tmp_path / "log"
    script = tmp_path / "up"
    script.write_text(f"#!/bin/sh\necho $0 $1 >> {log}\n")
    script.chmod(0o755)
    try:
        netdevs = Netdevs(bench)
        backend = netdevs.add(f"tap,id=t0,script={script},downscript={script}")
    except HostError as error:
        pytest.skip(f"no tap interface: {error}")
    name = backend.interface    # type: ignore[attr-defined]
    card = FakeCard(backend)
    if subprocess.run(["ip", "link", "set", name, "up"], capture_output=True).returncode:
        backend.close()
        pytest.skip("the interface cannot be brought up")
    bench.until(lambda: bool(card.frames))    # IPv6 neighbour discovery of the host's end
    assert card.frames[0][:2] == b"\x33\x33"
    backend.send(bytes(60))
    netdevs.close()
    assert log.read_text() == f"{script} {name}\n" * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("fd=99999", "file descriptor 99999: Bad file descriptor"),
        ("fd=3,ifname=x", "goes without ifname"),
        ("vhost=on", "vhost=on is not supported"),
        ("br=br0", "br: bridging is not supported"),
        ("ifname=" + "x" * 16, "longer than 15 bytes"),
        ("script=/nowhere", "network script /nowhere failed: No such file|cannot open|cannot set up"),
    ],
)
def test_refused(bench: NetBench, options: str, message: str) -> None:
    """One line each."""
    with pytest.raises((UsageError, HostError), match=message):
        Netdevs(bench).add(f"tap,id=t0,{options}")
