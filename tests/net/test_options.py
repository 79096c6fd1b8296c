"""`-netdev`, `-nic`, `-net` and Ethernet addresses."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from ratite.errors import UsageError
from ratite.net.base import NetBackend
from ratite.net.mac import default_mac, format_mac, parse_mac
from ratite.net.options import BACKENDS, Card, Netdevs
from ratite.settings import describe

from .conftest import FakeCard, NetBench


@pytest.fixture
def fd() -> Iterator[int]:
    """Something that can stand for a tap device; the back end closes it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    yield os.dup(ours.fileno())
    ours.close()
    theirs.close()


def test_every_back_end_is_documented() -> None:
    """The table leads to classes that say what they are and what their options mean."""
    import importlib

    for kind, place in BACKENDS.items():
        module, _, name = place.partition(":")
        backend: type[NetBackend] = getattr(importlib.import_module(module), name)
        assert backend.kind == kind and backend.__doc__
        assert all(meaning for _, meaning in describe(backend.options))


def test_nic_makes_both_ends(bench: NetBench, fd: int) -> None:
    """-nic is a back end and a card for it."""
    netdevs = Netdevs(bench)
    netdevs.add_nic(f"tap,fd={fd},model=virtio-net-device,mac=52:54:00:00:00:07")
    assert netdevs.cards() == [Card("nic0", "virtio-net-device", "52:54:00:00:00:07")]
    FakeCard(netdevs.take("nic0"))
    with pytest.raises(UsageError, match="already in use"):
        netdevs.take("nic0")
    netdevs.close()


def test_none(bench: NetBench) -> None:
    """-nic none and -net none switch the board's own card off."""
    for option in ("add_nic", "add_net"):
        netdevs = Netdevs(bench)
        getattr(netdevs, option)("none")
        assert netdevs.disabled and not netdevs.cards()
        with pytest.raises(UsageError, match="takes no further options"):
            getattr(netdevs, option)("none,model=x")


def test_old_style_pair(bench: NetBench, fd: int) -> None:
    """-net nic and -net TYPE belong together."""
    netdevs = Netdevs(bench)
    netdevs.add_net("nic,model=virtio,macaddr=52:54:00:00:00:08")
    netdevs.add_net(f"tap,fd={fd}")
    assert netdevs.cards() == [Card("net0", "virtio", "52:54:00:00:00:08")]
    netdevs.add_net("nic")
    with pytest.raises(UsageError, match="use -nic"):
        netdevs.cards()
    netdevs.close()


def test_old_style_with_netdev(bench: NetBench, fd: int) -> None:
    """-net nic,netdev=ID names its back end."""
    netdevs = Netdevs(bench)
    netdevs.add(f"tap,id=t0,fd={fd}")
    netdevs.add_net("nic,netdev=t0")
    assert netdevs.cards() == [Card("t0")]
    netdevs.close()


@pytest.mark.parametrize(
    ("method", "option", "message"),
    [
        ("add", "user", "an id is needed"),
        ("add", "foo,id=a", "-netdev type 'foo' is not known: .*tap, user"),
        ("add", "tap,id=a,ifnam=x", "did you mean 'ifname'"),
        ("add_nic", "foo", "-nic type 'foo' is not known"),
        ("add_nic", "user,mac=1:2", "'1:2' is not an Ethernet address"),
        ("add_nic", "user,mac=01:00:00:00:00:00", "is a group address"),
        ("add_net", "nic,modle=x", "-net nic: option 'modle' is not known: did you mean 'model'"),
        ("add_net", "nic,addr=3", "there is no PCI"),
    ],
)
def test_refused(bench: NetBench, method: str, option: str, message: str) -> None:
    """One line each."""
    with pytest.raises(UsageError, match=message):
        getattr(Netdevs(bench), method)(option)


def test_addresses() -> None:
    """Text to bytes and back; defaults count up."""
    assert parse_mac("52:54:0:12:34:aB") == bytes.fromhex("5254001234ab")
    assert parse_mac("52-54-00-12-34-56") == default_mac(0)
    assert format_mac(default_mac(0xAA)) == "52:54:00:12:35:00"
