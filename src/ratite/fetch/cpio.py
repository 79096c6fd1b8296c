"""Writing cpio archives in the format that Linux unpacks as its first root file system.

Format "newc", as the kernel's documentation tells it (Documentation/driver-api/early-userspace/buffer-format.rst): a
header of "070701" and thirteen numbers of eight hexadecimal digits, the name with its NUL, and the data, each padded
to a multiple of four bytes; an entry named `TRAILER!!!` ends the archive. Equal input gives equal bytes: times and
owners are zero and inode numbers count up.
"""

from __future__ import annotations

import stat

_MAGIC = b"070701"
_TRAILER = "TRAILER!!!"


class Archive:
    """An archive under construction. Folders must come before what they hold."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._count = 0

    def folder(self, name: str, mode: int = 0o755) -> None:
        """Add an empty folder."""
        self._entry(name, stat.S_IFDIR | mode, b"")

    def file(self, name: str, data: bytes, mode: int = 0o644) -> None:
        """Add a regular file."""
        self._entry(name, stat.S_IFREG | mode, data)

    def link(self, name: str, target: str) -> None:
        """Add a symbolic link."""
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def device(self, name: str, major: int, minor: int, mode: int = 0o600) -> None:
        """Add a character device node; writing one into an archive needs no rights."""
        self._entry(name, stat.S_IFCHR | mode, b"", major, minor)

    def to_bytes(self) -> bytes:
        """The finished archive."""
        return b"".join([*self._parts, _record(0, _TRAILER, 0, b"")])

    def _entry(self, name: str, mode: int, data: bytes, major: int = 0, minor: int = 0) -> None:
        self._count += 1
        self._parts.append(_record(self._count, name, mode, data, major, minor))


def _record(inode: int, name: str, mode: int, data: bytes, major: int = 0, minor: int = 0) -> bytes:
    path = name.encode() + b"\0"
    owner = group = time = device_major = device_minor = check = 0
    place = (device_major, device_minor, major, minor)
    numbers = (inode, mode, owner, group, 1, time, len(data), *place, len(path), check)
    header = _MAGIC + b"".join(b"%08X" % number for number in numbers)
    return _padded(header + path) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
