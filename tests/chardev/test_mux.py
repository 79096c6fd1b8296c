"""The escape character and the sharing of one stream."""

from __future__ import annotations

import pytest

from ratite.chardev.base import ChardevEvent
from ratite.chardev.manager import Chardevs
from ratite.chardev.mux import Mux
from ratite.chardev.ringbuf import RingbufChardev

from .conftest import Bench, FrontEnd


@pytest.fixture
def mux(bench: Bench) -> Mux:
    return Mux(bench, RingbufChardev(bench, "back"))


def back(mux: Mux) -> RingbufChardev:
    assert isinstance(mux.backend, RingbufChardev)
    return mux.backend


def test_plain_input_and_escaped_escape(mux: Mux) -> None:
    """Text passes; C-a C-a is one C-a."""
    front = FrontEnd(mux.port("serial0"))
    back(mux).feed(b"ls\r\x01\x01x\x01")
    back(mux).feed(b"\x01")
    assert front.data == b"ls\r\x01x\x01"


def test_quit(bench: Bench, mux: Mux) -> None:
    """C-a x asks the machine to end, and also does so while the guest reads nothing."""
    FrontEnd(mux.port("serial0"), room=0)
    back(mux).feed(b"typed ahead\x01x")
    assert bench.quits == 1


def test_help_lists_every_key(mux: Mux) -> None:
    """C-a h shows what there is, for a raw terminal."""
    FrontEnd(mux.port("serial0"))
    back(mux).feed(b"\x01h")
    text = back(mux).read()
    assert all(f"C-a {key} ".encode() in text for key in mux.keys)
    assert b"\n" not in text.replace(b"\r\n", b"")


def test_break(mux: Mux) -> None:
    """C-a b is a break for the front end that has the keyboard."""
    front = FrontEnd(mux.port("serial0"))
    back(mux).feed(b"\x01b")
    assert front.events == [ChardevEvent.OPENED, ChardevEvent.BREAK]


def test_no_monitor_yet(mux: Mux) -> None:
    """C-a c with a single front end says that there is none to switch to."""
    front = FrontEnd(mux.port("serial0"))
    back(mux).feed(b"\x01cx")
    assert b"no monitor" in back(mux).read()
    assert front.data == b"x"


def test_focus_moves_between_ports(mux: Mux) -> None:
    """C-a c goes round; both may write at any time; input typed for a port that had no room is kept for it."""
    one, two = FrontEnd(mux.port("serial0"), room=1), FrontEnd(mux.port("monitor"))
    back(mux).feed(b"ab\x01cinfo\x01cc")
    assert one.data == b"a"
    assert two.data == b"info"
    one.accept(10)
    assert one.data == b"abc"
    one.device.write(b"1")
    two.device.write(b"2")
    assert back(mux).read() == b"12"


def test_unknown_key_is_swallowed(mux: Mux) -> None:
    """C-a followed by something else does nothing."""
    front = FrontEnd(mux.port("serial0"))
    back(mux).feed(b"\x01qz")
    assert front.data == b"z"


def test_input_for_a_deaf_front_end_is_bounded(mux: Mux) -> None:
    """A front end that never reads holds back the stream, not the host's memory."""
    port = mux.port("serial0")
    FrontEnd(port, room=0)
    back(mux).feed(bytes(1 << 20))
    assert len(port.pending) <= 64 << 10
    port._can_receive = lambda: 1 << 20
    got = bytearray()
    port._receive = got.extend
    port.accept_input()
    assert len(got) == 1 << 20


def test_from_the_command_line(bench: Bench) -> None:
    """mux=on lets several front ends take the same id."""
    chardevs = Chardevs(bench)
    chardevs.add("ringbuf,id=c0,mux=on")
    first = chardevs.serial("chardev:c0", "serial0")
    second = chardevs.monitor_port("c0")
    assert first is not None
    one, two = FrontEnd(first), FrontEnd(second)
    device = chardevs.devices["c0"]
    assert isinstance(device, RingbufChardev)
    device.feed(b"a\x01cb")
    assert one.data == b"a"
    assert two.data == b"b"
