"""`-serial` and `-chardev`: what is understood and how the rest is refused."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest

import ratite.chardev
from ratite.chardev.base import Chardev
from ratite.chardev.manager import BACKENDS, Chardevs, read_spec
from ratite.chardev.null import NullChardev
from ratite.errors import UsageError
from ratite.settings import describe

from .conftest import Bench, FrontEnd


def test_every_back_end_is_registered_and_documented() -> None:
    """The table and the files agree; each back end says what it is and what its options mean."""
    found = {}
    for info in pkgutil.iter_modules(ratite.chardev.__path__, "ratite.chardev."):
        for _, member in inspect.getmembers(importlib.import_module(info.name), inspect.isclass):
            if issubclass(member, Chardev) and member.kind:
                found[member.kind] = member
    assert found == BACKENDS
    for backend in BACKENDS.values():
        assert backend.__doc__
        assert all(meaning for _, meaning in describe(backend.options))


@pytest.mark.parametrize(
    ("spec", "kind", "options"),
    [
        ("null", "null", {}),
        ("file:/tmp/a,b", "file", {"path": "/tmp/a,b"}),
        ("unix:/tmp/s,server,wait=off", "socket", {"path": "/tmp/s", "server": "on", "wait": "off"}),
        ("tcp::4444,server=on", "socket", {"host": "", "port": "4444", "server": "on"}),
        ("tcp:[::1]:23", "socket", {"host": "::1", "port": "23"}),
        ("tcp:localhost:23,nodelay", "socket", {"host": "localhost", "port": "23", "nodelay": "on"}),
        ("stdio,signal=off", "stdio", {"signal": "off"}),
    ],
)
def test_short_forms(spec: str, kind: str, options: dict[str, str]) -> None:
    """The specifications of -serial mean the same as the long options of -chardev."""
    found, pairs = read_spec(spec)
    assert (found, pairs.to_dict()) == (kind, options)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("stdoi", "did you mean 'stdio'"),
        ("vc", "'vc' is not known"),
        ("mon:foo", "'foo' is not known"),
        ("chardev:x", "character device 'x' is not known"),
        ("telnet:host:1", "'telnet' is not known"),
        ("", "'' is not known"),
    ],
)
def test_unknown_serial(bench: Bench, spec: str, message: str) -> None:
    """One line that says what was wrong."""
    with pytest.raises(UsageError, match=message):
        Chardevs(bench).serial(spec, "serial0")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("null", "an id is needed"),
        ("foo,id=a", "character device type 'foo' is not known: .*ringbuf"),
        ("null,id=a,path=x", "'path' is not known"),
        ("ringbuf,id=a,size=lots", "size: 'lots' is not a size"),
        ("socket,id=a", "needs either a path or a host and a port"),
        ("null,id=a,mux=maybe", "neither 'on' nor 'off'"),
    ],
)
def test_unknown_chardev(bench: Bench, option: str, message: str) -> None:
    """Wrong options name the device, the option and what would be right."""
    with pytest.raises(UsageError, match=message):
        Chardevs(bench).add(option)


def test_ids_are_unique_and_used_once(bench: Bench) -> None:
    """An id exists once, and only one front end gets a device that is not shared."""
    chardevs = Chardevs(bench)
    chardevs.add("null,id=a")
    with pytest.raises(UsageError, match="exists twice"):
        chardevs.add("null,id=a")
    device = chardevs.take("a")
    assert isinstance(device, NullChardev)
    FrontEnd(device)
    with pytest.raises(UsageError, match="already in use"):
        chardevs.take("a")
    assert chardevs.serial("none", "serial1") is None
