"""guest-fstrim."""

from __future__ import annotations

import errno
from typing import Any

from ratite.agent.agent import Agent
from ratite.agent.command import INT, Argument, command
from ratite.agent.errors import AgentError, invalid_value
from ratite.agent.linux import freezing, mounts


@command("guest-fstrim", Argument("minimum", INT, optional=True), needs="trim")
def trim(agent: Agent, minimum: int = 0) -> dict[str, Any]:
    """Tell the disks which blocks no file uses, in extents of at least `minimum` bytes; what happened, for each file system."""
    if minimum < 0:
        raise invalid_value("minimum", minimum)
    try:
        found = mounts.read(agent.system)
    except OSError as error:
        raise AgentError(f"cannot read {mounts.MOUNTS}: {error.strerror}") from None
    return {"paths": [_trim_group(agent, group, minimum) for group in mounts.by_device(found)]}


def _trim_group(agent: Agent, group: list[mounts.Mount], minimum: int) -> dict[str, Any]:
    """Trim one file system, at the first of its mount points that shows it."""
    for mount in group:
        if freezing.is_visible(agent.system, mount):
            return _trim_one(agent, mount, minimum)
    return {"path": group[0].point, "error": "another file system is mounted over it"}


def _trim_one(agent: Agent, mount: mounts.Mount, minimum: int) -> dict[str, Any]:
    try:
        trimmed, shortest = freezing.trim(agent.system, mount, minimum)
    except OSError as error:
        unsupported = error.errno in (errno.ENOTTY, errno.EOPNOTSUPP)
        return {"path": mount.point, "error": "trim not supported" if unsupported else f"failed to trim: {error.strerror}"}
    return {"path": mount.point, "trimmed": trimmed, "minimum": shortest}
