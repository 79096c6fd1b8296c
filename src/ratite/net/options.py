"""`-netdev`, `-nic` and `-net`: the back ends of a machine by id, and the network cards that were asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from ratite import keyval
from ratite.errors import UsageError, unknown
from ratite.keyval import Pairs
from ratite.net.base import NetBackend, NetContext
from ratite.net.mac import parse_mac
from ratite.settings import fill

BACKENDS = {"user": "ratite.net.slirp:UserBackend", "tap": "ratite.net.tap:TapBackend"}
"""Where each type's class is; they are loaded when they are used, as they need heavy modules."""

_ABSENT = {
    "user": {
        "guestfwd": "guest forwarding",
        "smb": "the SMB server",
        "smbserver": "the SMB server",
        "ipv6-prefix": "a separate prefix (use ipv6-net=)",
        "ipv6-prefixlen": "a separate length (use ipv6-net=)",
    },
    "tap": {
        "br": "bridging",
        "helper": "a helper program",
        "queues": "more than one queue",
        "fds": "more than one queue",
        "vhostfd": "vhost",
        "vhostforce": "vhost",
        "vnet_hdr": "offloading",
        "sndbuf": "a limit of the send buffer",
    },
}
"""Options of QEMU's that are refused by name."""

_CARD_KEYS = ("model", "mac", "macaddr", "addr", "vectors", "name")


@dataclass(frozen=True)
class Card:
    """A network card that `-nic` or `-net nic` asks for; the board chooses the model where none is named."""

    netdev: str
    model: str = ""
    mac: str = ""


@dataclass
class _LegacyHub:
    """`-net nic` and `-net user` meet without naming each other."""

    cards: list[Card] = field(default_factory=list)
    backends: list[str] = field(default_factory=list)


class Netdevs(Mapping[str, NetBackend]):
    """Network back ends by id, and the cards that come with them."""

    def __init__(self, context: NetContext) -> None:
        self.context = context
        self.backends: dict[str, NetBackend] = {}
        self.disabled = False    # -nic none or -net none: the board adds no card of its own
        self._cards: list[Card] = []
        self._hub = _LegacyHub()

    def __getitem__(self, name: str) -> NetBackend:
        return self.backends[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.backends)

    def __len__(self) -> int:
        return len(self.backends)

    def add(self, option: str) -> NetBackend:
        """`-netdev TYPE,id=ID,...`. Raises UsageError or HostError."""
        pairs = keyval.parse(option, implied="type")
        if not pairs.get("id"):
            raise UsageError(f"-netdev {option}: an id is needed: -netdev {pairs.get('type') or 'TYPE'},id=NAME,...")
        return self._create("-netdev", pairs.get("type"), pairs.get("id"), pairs.without("type", "id"))

    def add_nic(self, option: str) -> None:
        """`-nic none` or `-nic TYPE,model=...,mac=...,<options of the back end>`. Raises UsageError or HostError."""
        pairs = keyval.parse(option, implied="type")
        kind = pairs.get("type")
        if kind == "none":
            self._disable("-nic", pairs)
            return
        name = pairs.get("id") or self._free_name("nic")
        card = _read_card("-nic", pairs, name)
        self._create("-nic", kind, name, pairs.without("type", "id", *_CARD_KEYS))
        self._cards.append(card)

    def add_net(self, option: str) -> None:
        """`-net none`, `-net nic,...` or `-net TYPE,...`: one card and one back end, joined. Raises UsageError or
        HostError.
        """
        pairs = keyval.parse(option, implied="type")
        kind = pairs.get("type")
        if kind == "none":
            self._disable("-net", pairs)
        elif kind == "nic":
            pairs.without("type", "id", *_CARD_KEYS, "netdev").expect("-net nic: option", (*_CARD_KEYS, "netdev"))
            card = _read_card("-net nic", pairs, pairs.get("netdev"))
            (self._cards if card.netdev else self._hub.cards).append(card)
        else:
            name = pairs.get("id") or self._free_name("net")
            self._create("-net", kind, name, pairs.without("type", "id"))
            self._hub.backends.append(name)

    def cards(self) -> list[Card]:
        """The network cards to make, when all options have been read. Raises UsageError."""
        hub = self._hub
        if len(hub.cards) > 1 or len(hub.backends) > 1:
            raise UsageError("several '-net nic' or '-net TYPE' are not supported: use -nic, or -netdev with -device")
        joined = [Card(name, card.model, card.mac) for card, name in zip(hub.cards, hub.backends, strict=False)]
        return [*self._cards, *joined]

    def take(self, name: str) -> NetBackend:
        """The back end with this id for a card. Raises UsageError when there is none or it has a card."""
        backend = self.backends.get(name)
        if backend is None:
            raise unknown("netdev", name, self.backends)
        if backend.attached:
            raise UsageError(f"netdev '{name}' is already in use by another network card")
        return backend

    def close(self) -> None:
        for backend in self.backends.values():
            backend.close()
        self.backends.clear()

    def _create(self, option: str, kind: str, name: str, pairs: Pairs) -> NetBackend:
        if name in self.backends:
            raise UsageError(f"{option}: id '{name}' exists twice")
        if kind not in BACKENDS:
            raise unknown(f"{option} type", kind, BACKENDS)
        for key, _ in pairs:
            if key in _ABSENT[kind]:
                raise UsageError(f"{option} {kind}: {key}: {_ABSENT[kind][key]} is not supported")
        module, _, attribute = BACKENDS[kind].partition(":")
        backend: type[NetBackend] = getattr(importlib.import_module(module), attribute)
        made: Callable[..., NetBackend] = backend
        device = made(self.context, name, fill(backend.options, pairs, f"{option} {kind}"))
        self.backends[name] = device
        return device

    def _disable(self, option: str, pairs: Pairs) -> None:
        if len(pairs) > 1:
            raise UsageError(f"{option} none takes no further options")
        self.disabled = True

    def _free_name(self, stem: str) -> str:
        return next(name for n in range(len(self.backends) + 1) if (name := f"{stem}{n}") not in self.backends)


def _read_card(option: str, pairs: Pairs, netdev: str) -> Card:
    mac = pairs.get("mac") or pairs.get("macaddr")
    if mac:
        try:
            parse_mac(mac)
        except UsageError as error:
            raise UsageError(f"{option}: {error}") from None
    for key in ("addr", "vectors"):
        if pairs.get(key):
            raise UsageError(f"{option}: {key}: there is no PCI to set it for")
    return Card(netdev, pairs.get("model"), mac)
