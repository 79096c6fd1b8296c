"""guest-network-get-interfaces."""

from __future__ import annotations

from typing import Any

from ratite.agent.agent import Agent
from ratite.agent.command import command
from ratite.agent.system.base import Interface


@command("guest-network-get-interfaces", needs="network")
def interfaces(agent: Agent) -> list[dict[str, Any]]:
    """Interfaces with their addresses and statistics."""
    return [_describe(interface) for interface in agent.system.interfaces()]


def _describe(interface: Interface) -> dict[str, Any]:
    row: dict[str, Any] = {"name": interface.name}
    if interface.hardware:
        row["hardware-address"] = interface.hardware
    if interface.addresses:
        row["ip-addresses"] = [
            {"ip-address": address, "ip-address-type": "ipv6" if ":" in address else "ipv4", "prefix": prefix}
            for address, prefix in interface.addresses
        ]
    if interface.counters is not None:
        row["statistics"] = {name.replace("_", "-"): value for name, value in interface.counters._asdict().items()}
    return row
