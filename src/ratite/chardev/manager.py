"""All character devices of a machine: made from `-chardev` and `-serial`, found by id, closed together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ratite import keyval
from ratite.chardev.base import Chardev, ChardevContext
from ratite.chardev.file import FileChardev
from ratite.chardev.mux import Mux
from ratite.chardev.null import NullChardev
from ratite.chardev.pipe import PipeChardev
from ratite.chardev.pty import PtyChardev
from ratite.chardev.ringbuf import RingbufChardev
from ratite.chardev.socket import SocketChardev
from ratite.chardev.stdio import StdioChardev
from ratite.errors import UsageError, unknown
from ratite.keyval import Pairs
from ratite.settings import fill

BACKENDS: dict[str, type[Chardev]] = {
    backend.kind: backend
    for backend in (NullChardev, StdioChardev, FileChardev, PipeChardev, PtyChardev, SocketChardev, RingbufChardev)
}
_ALIASES = {"memory": "ringbuf"}


class Chardevs(Mapping[str, Chardev]):
    """Character devices by id. Looking one up takes it: a shared one gives out another port each time."""

    def __init__(self, context: ChardevContext) -> None:
        self.context = context
        self.devices: dict[str, Chardev] = {}    # the back ends, those shared by a mux included
        self.muxes: dict[str, Mux] = {}

    def __getitem__(self, label: str) -> Chardev:
        if label not in self.devices:
            raise KeyError(label)
        return self.take(label)

    def __contains__(self, label: object) -> bool:
        return label in self.devices

    def __iter__(self) -> Iterator[str]:
        return iter(self.devices)

    def __len__(self) -> int:
        return len(self.devices)

    def add(self, option: str) -> None:
        """`-chardev TYPE,id=ID,...`; with mux=on several front ends may use it. Raises UsageError or HostError."""
        pairs = keyval.parse(option, implied="backend")
        kind, label = pairs.get("backend"), pairs.get("id")
        if not label:
            raise UsageError(f"-chardev {option}: an id is needed: -chardev {kind or 'TYPE'},id=NAME,...")
        mux = "mux" in dict(pairs) and keyval.switch(pairs.get("mux"))
        self._create(kind, pairs.without("backend", "id", "mux"), label, mux)

    def serial(self, spec: str, label: str) -> Chardev | None:
        """`-serial SPEC`: the device, ready for a front end; None for `none`. Raises UsageError or HostError."""
        if spec == "none":
            return None
        if spec.startswith("chardev:"):
            return self.take(spec.removeprefix("chardev:"), label)
        mux = spec.startswith("mon:")
        kind, pairs = read_spec(spec.removeprefix("mon:"))
        if mux and kind == "stdio":
            pairs = Pairs([("signal", "off"), *pairs])
        self._create(kind, pairs, label, mux)
        return self.take(label, label)

    def take(self, label: str, port: str = "") -> Chardev:
        """The device with id `label`, or one more port of it where it is shared; `port` names that. Raises UsageError
        when it is in use.
        """
        if label in self.muxes:
            return self.muxes[label].port(port or label)
        device = self.devices.get(label)
        if device is None:
            raise unknown("character device", label, self.devices)
        if device.attached:
            raise UsageError(f"character device '{label}' is already in use; mux=on shares it")
        return device

    def monitor_port(self, label: str) -> Chardev:
        """A port for a monitor on the shared stream `label`: what C-a c switches to."""
        if label not in self.muxes:
            raise unknown("shared character device", label, self.muxes)
        return self.muxes[label].port("monitor")

    def close(self) -> None:
        """Flush and close everything, in the reverse order of making."""
        for device in reversed(list(self.devices.values())):
            device.close()
        self.devices.clear()
        self.muxes.clear()

    def _create(self, kind: str, pairs: Pairs, label: str, mux: bool) -> None:
        if label in self.devices:
            raise UsageError(f"character device '{label}' exists twice")
        backend = BACKENDS.get(_ALIASES.get(kind, kind))
        if backend is None:
            raise unknown("character device type", kind, BACKENDS)
        options = fill(backend.options, pairs, f"character device '{label}' ({kind})")
        device = make(backend, self.context, label, options)
        self.devices[label] = device
        if mux:
            self.muxes[label] = Mux(self.context, device)


def make(backend: type[Chardev], context: ChardevContext, label: str, options: Any) -> Chardev:
    """Construct a back end; those without options take none."""
    construct: Callable[..., Chardev] = backend
    return construct(context, label) if backend.options is Chardev.options else construct(context, label, options)


# --- the short forms of -serial


def read_spec(spec: str) -> tuple[str, Pairs]:
    """Translate `tcp:HOST:PORT,server` and its like into a type and its options."""
    kind, colon, rest = spec.partition(":")
    if not colon and kind in _PLAIN:
        return kind, Pairs()
    reader = _SPECS.get(kind) if colon else None
    if reader is None:
        first = spec.partition(",")[0]
        if first in BACKENDS:
            return first, keyval.parse(spec, implied="backend").without("backend")
        raise unknown("serial device", kind, [*_PLAIN, "none", "mon:stdio", "chardev", *_SPECS])
    return reader(rest)


def _read_file(rest: str) -> tuple[str, Pairs]:
    return "file", Pairs([("path", rest)])


def _read_pipe(rest: str) -> tuple[str, Pairs]:
    return "pipe", Pairs([("path", rest)])


def _read_unix(rest: str) -> tuple[str, Pairs]:
    return "socket", keyval.parse(rest, implied="path")


def _read_tcp(rest: str) -> tuple[str, Pairs]:
    address, _, options = rest.partition(",")
    host, colon, port = address.rpartition(":")
    if not colon or not port:
        expected = "tcp:[HOST]:PORT[,server=on|off][,wait=on|off][,nodelay=on|off]"
        raise UsageError(f"'tcp:{rest}' is not an address: expected {expected}")
    return "socket", Pairs([("host", host.strip("[]")), ("port", port), *keyval.parse(options)])


_PLAIN = ("null", "stdio", "pty", "ringbuf")
_SPECS: dict[str, Callable[[str], tuple[str, Pairs]]] = {
    "file": _read_file,
    "pipe": _read_pipe,
    "unix": _read_unix,
    "tcp": _read_tcp,
}
