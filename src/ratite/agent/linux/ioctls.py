"""Numbers of ioctls (Linux, include/uapi/asm-generic/ioctl.h and the architectures that differ)."""

from __future__ import annotations

import os

# The architectures whose sizes have 13 bits and whose directions are none 1, read 2, write 4.
_OTHERS = ("alpha", "mips", "ppc", "powerpc", "sparc")


def _code(read: bool, write: bool, group: str, number: int, size: int, machine: str = "") -> int:
    other = (machine or os.uname().machine).startswith(_OTHERS)
    direction = (2 * read | 4 * write) << 29 if other else (2 * read | write) << 30
    return direction | size << 16 | ord(group) << 8 | number


def read_code(group: str, number: int, size: int, machine: str = "") -> int:
    """The number of an ioctl through which the kernel fills `size` bytes; `machine` as uname tells it, by default this one."""
    return _code(True, False, group, number, size, machine)


def write_code(group: str, number: int, size: int, machine: str = "") -> int:
    """The number of an ioctl through which the kernel reads `size` bytes."""
    return _code(False, True, group, number, size, machine)


def both_code(group: str, number: int, size: int, machine: str = "") -> int:
    """The number of an ioctl that reads and fills `size` bytes."""
    return _code(True, True, group, number, size, machine)
