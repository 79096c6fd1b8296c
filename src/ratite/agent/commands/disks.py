"""guest-get-disks, guest-get-fsinfo."""

from __future__ import annotations

import os
from typing import Any

from ratite.agent.agent import Agent
from ratite.agent.command import command
from ratite.agent.errors import system_error
from ratite.agent.linux import blocks, mounts, nvme
from ratite.agent.linux.blocks import Block


@command("guest-get-disks", needs="disks")
def disks(agent: Agent) -> list[dict[str, Any]]:
    """Disks with their partitions: where the hardware is, and of what virtual disks are made."""
    rows = []
    for disk in blocks.disks(agent.system):
        rows.append(_describe_disk(agent, disk))
        rows += [{"name": part.node, "partition": True, "dependencies": [disk.node]} for part in disk.partitions()]
    return rows


@command("guest-get-fsinfo", needs="disks")
def file_systems(agent: Agent) -> list[dict[str, Any]]:
    """Mounted file systems on block devices, with the disks that they are on. Total bytes are those that users can have."""
    try:
        found = mounts.read(agent.system)
    except OSError as error:
        raise system_error(f"cannot read {mounts.MOUNTS}", error) from None
    return [_describe_mount(agent, mount) for mount in found]


def _describe_disk(agent: Agent, disk: Block) -> dict[str, Any]:
    row: dict[str, Any] = {"name": disk.node, "partition": False, "dependencies": [slave.node for slave in disk.slaves()]}
    if alias := disk.attribute("dm/name"):
        row["alias"] = alias
    if not disk.is_virtual:
        row["address"] = blocks.address(disk)
        if row["address"]["bus-type"] == "nvme" and (smart := _smart(agent, disk)):
            row["smart"] = smart
    return row


def _smart(agent: Agent, disk: Block) -> dict[str, Any]:
    try:
        return {"type": "nvme", **nvme.health(agent.system, disk.node)}
    except OSError as error:
        agent.log.debug(f"no health log of {disk.node}: {error}")
        return {}


def _describe_mount(agent: Agent, mount: mounts.Mount) -> dict[str, Any]:
    block = blocks.by_number(agent.system, mount.device)
    row: dict[str, Any] = {
        "name": block.name if block else os.path.basename(mount.source),
        "mountpoint": mount.point.encode(errors="replace").decode(),
        "type": mount.kind,
        "disk": [blocks.address(disk) for disk in block.hardware()] if block else [],
    }
    try:
        space = os.statvfs(agent.system.path(mount.point))
    except OSError:
        return row
    used = space.f_blocks - space.f_bfree
    return {**row, "used-bytes": used * space.f_frsize, "total-bytes": (used + space.f_bavail) * space.f_frsize}
