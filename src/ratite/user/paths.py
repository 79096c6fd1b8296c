"""From the guest's file names to the host's: the sysroot, and what /proc says about the process itself."""

from __future__ import annotations

import os

AT_FDCWD = -100


class Paths:
    """How one process's paths are looked up.

    An absolute path that exists under the sysroot means the file there; every other path is the host's. So a program
    finds its libraries in the sysroot and the user's files outside of it. `..` and absolute symbolic links inside the
    sysroot are followed as the host sees them.
    """

    def __init__(self, sysroot: bytes) -> None:
        self.sysroot = sysroot.rstrip(b"/")
        """Folder that is looked in first; empty for none."""
        self.executable = b""
        """The running program's file."""

    def resolve(self, path: bytes) -> bytes:
        """The host's name for a guest path."""
        if path[:1] != b"/":
            return path
        if path[:6] == b"/proc/" and self.is_own_link(path):
            return self.executable
        if self.sysroot:
            candidate = self.sysroot + path
            if _exists(candidate):
                return candidate
        return path

    def is_own_link(self, path: bytes) -> bool:
        """Whether a path is /proc/self/exe by any of its names."""
        return own_proc_file(path) == b"exe"

    def guest_name(self, path: bytes) -> bytes:
        """The name by which the guest knows a host path: without the sysroot."""
        if self.sysroot and path.startswith(self.sysroot + b"/"):
            return path[len(self.sysroot):]
        return path


def own_proc_file(path: bytes) -> bytes | None:
    """The part behind /proc/self/, /proc/PID/ or a thread's folder, where the path is of this process."""
    parts = path.split(b"/")
    if len(parts) < 4 or parts[1] != b"proc":
        return None
    if parts[2] not in (b"self", b"thread-self", b"%d" % os.getpid()):
        return None
    if parts[3] == b"task" and len(parts) == 6:
        return parts[5] if parts[4].isdigit() and os.path.isdir(b"/proc/self/task/" + parts[4]) else None
    return parts[3] if len(parts) == 4 else None


def _exists(path: bytes) -> bool:
    """Whether there is a file of any kind, a dangling link included."""
    try:
        os.lstat(path)
    except (OSError, ValueError):
        return False
    return True


__all__ = ["AT_FDCWD", "Paths", "own_proc_file"]
