"""The host's side of a machine (disks, networks, entropy, firmware files), and the devices that the command line adds.

`BackEnds` is made before the machine, because a board wants to know what is in its flash; `plug` adds the devices once
the machine is there: first those that options imply (`-drive if=virtio`, `-nic`), as a board would, then those of
`-device` in their order.
"""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from ratite.block.drive import Drive, Drives, Interface
from ratite.block.worker import WorkerPool
from ratite.boards.machine import Machine
from ratite.chardev.loop import IoLoop
from ratite.chardev.manager import Chardevs
from ratite.cli.machine_options import SystemConfig
from ratite.errors import ImageError, RatiteError, UsageError, unknown
from ratite.hw.model import BlockBackend, Clock, Device, Links, find_device
from ratite.keyval import Pairs
from ratite.net.base import NetContext
from ratite.net.options import Card, Netdevs

PCI = "PCI"
DISKS = {True: "virtio-blk-pci", False: "virtio-blk-device"}    # on machines with PCI, and without
CARDS = {True: "virtio-net-pci", False: "virtio-net-device"}
CARD_MODELS = "virtio", "virtio-net-pci", "virtio-net-device", "e1000"


class BackEnds:
    """What `-drive`, `-netdev`, `-nic`, `-net`, `-object`, `-global` and `-fw_cfg` ask for.

    `random` gives random bytes. Disks take their time by `clock`, if there is one, and else the host's.
    """

    def __init__(
        self, config: SystemConfig, loop: IoLoop, lock: Any, chardevs: Chardevs, *,
        random: Callable[[int], bytes] = os.urandom, clock: Clock | None = None,
    ) -> None:  # fmt: skip
        self._config = config
        self._chardevs, self._random = chardevs, random
        self._pool = WorkerPool(lock, clock)
        self._drives = Drives(self._pool, _say)
        self._netdevs = Netdevs(NetContext(loop, _say))
        self._entropy: dict[str, Any] = {}
        try:
            self._open(config, loop)
        except BaseException:
            self.close()
            raise

    def flash(self) -> list[BlockBackend | None]:
        """What is in the flash chips, in order; a chip without a drive holds nothing."""
        chips: dict[int, Drive] = {}
        for drive in self._drives.of(Interface.PFLASH):
            options = drive.options
            wanted = options.index if options.index is not None else options.unit
            number = wanted if wanted is not None else next(n for n in range(len(chips) + 1) if n not in chips)
            chips[number] = self._drives.take(drive.name, f"flash chip {number}")
        if any(number > 1 for number in chips):
            raise UsageError("-drive if=pflash: a machine has two flash chips, 0 and 1")
        return [chips[number].image if number in chips else None for number in range(max(chips, default=-1) + 1)]

    def fw_cfg(self) -> list[tuple[str, bytes]]:
        """Further files for the firmware configuration device."""
        return [(pairs.get("name"), _content(pairs)) for pairs in self._config.fw_cfg]

    def plug(self, machine: Machine) -> None:
        """Add all devices. Raises UsageError, naming the option that is wrong."""
        has_pci = any(bus.kind == PCI for bus in machine.buses())
        for drive in (*self._drives.of(Interface.VIRTIO), *self._unassigned()):
            self._add(machine, f"-drive {drive.name}", DISKS[has_pci], {"drive": drive.name})
        for card in self._netdevs.cards():
            self._add(machine, f"-nic {card.model or 'virtio'}", _card_model(card, has_pci), _card_properties(card))
        for pairs in self._config.devices:
            options = pairs.without("driver").to_dict()
            self._add(machine, f"-device {pairs.get('driver')}", pairs.get("driver"), options)

    def close(self) -> None:
        """Finish writing, and give everything back."""
        self._netdevs.close()
        self._drives.close()
        self._pool.close()
        for source in self._entropy.values():
            source.close()

    def _open(self, config: SystemConfig, loop: IoLoop) -> None:
        for option in config.drives:
            self._drives.add(option)
        for option in config.netdevs:
            self._netdevs.add(option)
        for option in config.nics:
            self._netdevs.add_nic(option)
        for option in config.nets:
            self._netdevs.add_net(option)
        for option in config.objects:
            self._add_entropy(option, loop)
        for driver, name, value in config.globals:
            set_default(driver, name, value)

    def _add_entropy(self, option: str, loop: IoLoop) -> None:
        from ratite.hw.virtio.entropy import make_entropy

        name, source = make_entropy(option, loop, self._random)
        if name in self._entropy:
            source.close()
            raise UsageError(f"-object: id '{name}' exists twice")
        self._entropy[name] = source

    def _unassigned(self) -> list[Drive]:
        """Drives that say nothing about their interface: disks on virtio."""
        return [drive for drive in self._drives.values() if drive.options.interface is None]

    def _add(self, machine: Machine, option: str, driver: str, properties: Mapping[str, object]) -> Device:
        links: Links = {
            "drive": self._drives, "netdev": self._netdevs, "chardev": self._chardevs, "rng": self._entropy,
        }
        try:
            return machine.plug(driver, properties, links=links)
        except RatiteError as error:
            raise type(error)(f"{option}: {error}") from None


def set_default(driver: str, name: str, value: str) -> None:
    """Change a property's default for the life of the process, as `-global` does. Raises UsageError."""
    device = find_device(driver)
    if name not in device.properties:
        raise UsageError(f"-global {driver}.{name}: {unknown('property', name, device.properties)}")
    changed = copy.copy(device.properties[name])
    try:
        changed.default = changed.kind.convert(value, {})
    except UsageError as error:
        raise UsageError(f"-global {driver}.{name}: {error}") from None
    device.properties = {**device.properties, name: changed}


def _card_model(card: Card, has_pci: bool) -> str:
    if card.model in ("", "virtio"):
        return CARDS[has_pci]
    if card.model not in CARD_MODELS:
        raise unknown("-nic: model", card.model, CARD_MODELS)
    return card.model


def _card_properties(card: Card) -> dict[str, object]:
    return {name: value for name, value in (("netdev", card.netdev), ("mac", card.mac)) if value}


def _content(pairs: Pairs) -> bytes:
    """The bytes of a `-fw_cfg` item: a text, or a file's content."""
    path = pairs.get("file")
    if not path:
        return pairs.get("string").encode()
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ImageError(f"-fw_cfg {pairs.get('name')}: {path}: {error.strerror}") from None


def _say(text: str) -> None:
    print(text, file=sys.stderr)
