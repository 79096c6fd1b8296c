"""Files of /proc/self that would speak of Ratite instead of the guest: made up here, as files in memory.

Made up: maps, cmdline, environ, auxv, stat, and /proc/cpuinfo. Everything else in /proc is the host's.

Source: proc(5) of the Linux manual pages.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from ratite.user.failure import SyscallError
from ratite.user.paths import own_proc_file
from ratite.user.thread import Thread

O_CLOEXEC = 0o2000000


def open_file(t: Thread, path: bytes, flags: int) -> int | None:
    """A new descriptor with the content of one of these files; None for any other path."""
    make = _GLOBAL.get(path) or _OWN.get(own_proc_file(path) or b"")
    if make is None:
        return None
    content = make(t)
    fd = os.memfd_create(os.fsdecode(os.path.basename(path)), os.MFD_CLOEXEC if flags & O_CLOEXEC else 0)
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _maps(t: Thread) -> bytes:
    return b"".join(t.space.maps())


def _words(t: Thread, limits: tuple[int, int]) -> bytes:
    """What is now in the guest's memory between two addresses: programs may have written over it."""
    start, end = limits
    try:
        return t.space.read(start, end - start)
    except SyscallError:
        return b""


def _cmdline(t: Thread) -> bytes:
    return _words(t, t.process.argument_range)


def _environ(t: Thread) -> bytes:
    return _words(t, t.process.environment_range)


def _auxv(t: Thread) -> bytes:
    return t.process.auxv


def _stat(t: Thread) -> bytes:
    """The host's line with the guest's idea of code and stack."""
    with open("/proc/self/stat", "rb") as file:
        line = file.read()
    fields = line[line.rindex(b")") + 2:].split()
    start_stack = 28 - 3
    fields[start_stack] = b"%d" % t.space.stack_top
    return line[:line.rindex(b")") + 2] + b" ".join(fields) + b"\n"


def _cpuinfo(t: Thread) -> bytes:
    return t.abi.cpuinfo(t.process.isa, os.cpu_count() or 1)


_OWN: dict[bytes, Callable[[Thread], bytes]] = {
    b"maps": _maps, b"cmdline": _cmdline, b"environ": _environ, b"auxv": _auxv, b"stat": _stat,
}
_GLOBAL: dict[bytes, Callable[[Thread], bytes]] = {b"/proc/cpuinfo": _cpuinfo}
