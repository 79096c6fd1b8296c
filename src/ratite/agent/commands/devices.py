"""guest-get-devices: devices that have a driver (Documentation/ABI/testing/sysfs-bus-pci)."""

from __future__ import annotations

import os
from typing import Any

from ratite.agent.agent import Agent
from ratite.agent.command import command

_FOLDER = "/sys/bus/pci/devices"


@command("guest-get-devices", needs="devices")
def devices(agent: Agent) -> list[dict[str, Any]]:
    """PCI devices with their drivers; QEMU's agent tells them of Windows only. Linux keeps no date of a driver."""
    try:
        names = sorted(os.listdir(agent.system.path(_FOLDER)))
    except OSError:    # a machine without PCI
        return []
    return [row for row in (_describe(agent, f"{_FOLDER}/{name}") for name in names) if row is not None]


def _describe(agent: Agent, folder: str) -> dict[str, Any] | None:
    driver = agent.system.path(f"{folder}/driver")
    vendor, device = (agent.system.read_line(f"{folder}/{name}") for name in ("vendor", "device"))
    if not os.path.exists(driver) or not vendor or not device:
        return None
    row: dict[str, Any] = {
        "driver-name": os.path.basename(os.path.realpath(driver)),
        "id": {"type": "pci", "vendor-id": int(vendor, 16), "device-id": int(device, 16)},
    }
    if version := agent.system.read_line(f"{folder}/driver/module/version"):
        row["driver-version"] = version
    return row
