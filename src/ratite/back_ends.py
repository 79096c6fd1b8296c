"""Drives, networks and files of a command line, and the devices that refer to them."""

from __future__ import annotations

from typing import Any

from ratite.boards.machine import Machine
from ratite.chardev.loop import IoLoop
from ratite.chardev.manager import Chardevs
from ratite.cli.machine_options import SystemConfig
from ratite.errors import UsageError


class BackEnds:
    """What `-drive`, `-netdev`, `-nic`, `-object`, `-fw_cfg` made; `plug` adds the devices of `-device` and the ones implied."""

    def __init__(self, config: SystemConfig, loop: IoLoop, lock: Any, chardevs: Chardevs) -> None:
        self.config = config

    def flash(self) -> list[Any]:
        """Contents of flash chips, in order."""
        return []

    def fw_cfg(self) -> list[tuple[str, bytes]]:
        """Files of the firmware configuration device."""
        return []

    def plug(self, machine: Machine) -> None:
        """Add the user's devices to a machine."""
        if self.config.devices or self.config.drives:
            raise UsageError("devices come in a moment")

    def close(self) -> None:
        """Flush and close everything."""
