"""What is mounted, from /proc/self/mountinfo (proc_pid_mountinfo(5))."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from typing import NamedTuple

from ratite.agent.system.base import System

MOUNTS = "/proc/self/mountinfo"
_OCTAL = re.compile(rb"\\([0-7]{3})")


class Mount(NamedTuple):
    """A line of the table: the block device's numbers, and where it is mounted."""

    device: tuple[int, int]
    point: str
    kind: str
    source: str


def read(system: System) -> list[Mount]:
    """Mounted file systems that live on block devices, in the order of mounting. Raises OSError."""
    mounts = (_parse(system, line) for line in system.read_bytes(MOUNTS).splitlines())
    return [mount for mount in mounts if mount is not None and mount.device[0]]


def by_device(mounts: Iterable[Mount]) -> list[list[Mount]]:
    """Mounts of the same device together, in the order of their first ones: a file system may be mounted several times,
    and at some points be hidden by another.
    """
    devices: dict[tuple[int, int], list[Mount]] = {}
    for mount in mounts:
        devices.setdefault(mount.device, []).append(mount)
    return list(devices.values())


def _parse(system: System, line: bytes) -> Mount | None:
    left, separator, right = line.partition(b" - ")
    fields, tail = left.split(b" "), right.split(b" ")
    if not separator or len(fields) < 6 or len(tail) < 2:
        return None
    major, _, minor = fields[2].partition(b":")
    if not (major.isdigit() and minor.isdigit()):
        return None
    device, kind, source = (int(major), int(minor)), tail[0].decode(errors="replace"), _unescape(tail[1])
    if device[0] == 0 and kind == "btrfs":    # it has no number of its own; its source is the block device
        device = _block_device(system, source)
    return Mount(device, _unescape(fields[4]), kind, source)


def _block_device(system: System, path: str) -> tuple[int, int]:
    try:
        status = os.stat(system.path(path))
    except OSError:
        return 0, 0
    return (os.major(status.st_rdev), os.minor(status.st_rdev)) if stat.S_ISBLK(status.st_mode) else (0, 0)


def _unescape(text: bytes) -> str:
    """Spaces, newlines and backslashes are written in octal."""
    return os.fsdecode(_OCTAL.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), text))
