"""Freezing, thawing and trimming a mounted file system (ioctl_fsfreeze(2), ioctl_fitrim(2))."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from ratite.agent.linux.ioctls import both_code
from ratite.agent.linux.mounts import Mount
from ratite.agent.system.base import System

_RANGE = struct.Struct("=QQQ")    # start, length, shortest extent
_FREEZE = both_code("X", 119, 4)
_THAW = both_code("X", 120, 4)
_TRIM = both_code("X", 121, _RANGE.size)
_WHOLE = (1 << 64) - 1


def freeze(system: System, mount: Mount) -> bool:
    """Write everything out and hold all later writes. False when something else is mounted over it. Raises OSError."""
    with _opened(system, mount) as descriptor:
        if descriptor is None:
            return False
        system.ioctl(descriptor, _FREEZE)
        return True


def thaw(system: System, mount: Mount) -> bool:
    """Let writes go on, however often the file system was frozen. False when it was not. Raises OSError."""
    with _opened(system, mount) as descriptor:
        if descriptor is None:
            return False
        thawed = False
        while True:
            try:
                system.ioctl(descriptor, _THAW)
            except OSError:
                return thawed
            thawed = True


def trim(system: System, mount: Mount, shortest: int) -> tuple[int, int]:
    """Tell the disk which blocks are free, where at least `shortest` bytes are; returns how many bytes that were, and the
    shortest extent that the file system took. Raises OSError.
    """
    with _opened(system, mount) as descriptor:
        if descriptor is None:
            raise OSError(0, "another file system is mounted over it")
        extent = bytearray(_RANGE.pack(0, _WHOLE, shortest))
        system.ioctl(descriptor, _TRIM, extent)
        _, trimmed, minimum = _RANGE.unpack(extent)
        return trimmed, minimum


def is_visible(system: System, mount: Mount) -> bool:
    """Whether the path of the mount point leads to this file system."""
    try:
        with _opened(system, mount) as descriptor:
            return descriptor is not None
    except OSError:
        return False


@contextmanager
def _opened(system: System, mount: Mount) -> Iterator[int | None]:
    """The mount point's folder, or None when the path leads to another file system."""
    descriptor = os.open(system.path(mount.point), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        yield descriptor if system.is_mounted(descriptor, mount.device, mount.kind) else None
    finally:
        os.close(descriptor)
