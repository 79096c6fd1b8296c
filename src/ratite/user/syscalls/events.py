"""Waiting for files: poll, select, epoll, eventfd, inotify."""

from __future__ import annotations

from errno import EINVAL

from ratite.user.structs import HOST_LAYOUTS
from ratite.user.syscalls.signals import SIGSET_SIZE, host_mask
from ratite.user.table import Fd, Int, Ptr, Size, forward, syscall, timed_syscall
from ratite.user.thread import Thread

_EPOLL_CTL_DEL = 2
_EPOLL_MOST = 1 << 16


def _time_copy(t: Thread, timeout: int, kind: str) -> int:
    """Host address of a copy of a time that the kernel will count down; 0 for a null pointer."""
    return t.take_copy(timeout, kind) if timeout else 0


def _time_back(t: Thread, timeout: int, kind: str, copy: int) -> None:
    """Give the guest what is left of its time, as Linux does."""
    if timeout:
        t.give_copy(timeout, kind, copy)


@timed_syscall
def ppoll(t: Thread, files: Ptr, count: Size, timeout: Ptr, mask: Ptr, size: Size, kind: str) -> int:
    """Wait for one of several files."""
    if count > 1 << 20:
        return -EINVAL
    time = _time_copy(t, timeout, kind)
    result = t.sleep("ppoll", t.space.host(files), count, time, host_mask(t, mask, size), SIGSET_SIZE)
    _time_back(t, timeout, kind, time)
    return result


@timed_syscall
def pselect6(
    t: Thread, count: Int, reading: Ptr, writing: Ptr, special: Ptr, timeout: Ptr, mask: Ptr, kind: str
) -> int:
    """Wait for one of a set of files."""
    time = _time_copy(t, timeout, kind)
    block = 0
    if mask:
        given = t.read_struct(mask, "sigset_argument")
        pointer = host_mask(t, given["set"], given["size"])
        block = t.scratch.put(HOST_LAYOUTS["sigset_argument"].pack([pointer, SIGSET_SIZE]))
    host = t.space.host
    result = t.sleep("pselect6", count, host(reading), host(writing), host(special), time, block)
    _time_back(t, timeout, kind, time)
    return result


@syscall
def epoll_ctl(t: Thread, fd: Fd, operation: Int, file: Fd, event: Ptr) -> int:
    """Add, change or remove a file of an epoll set."""
    block = t.take_copy(event, "epoll_event") if event and operation != _EPOLL_CTL_DEL else 0
    return t.sleep("epoll_ctl", fd, operation, file, block)


def _epoll_wait(t: Thread, call: str, fd: int, events: int, most: int, timeout: int, mask: int, size: int) -> int:
    if most <= 0:
        return -EINVAL
    most = min(most, _EPOLL_MOST)
    host, guest = HOST_LAYOUTS["epoll_event"], t.abi.structs["epoll_event"]
    room = t.scratch.room(most * host.size)
    result = t.sleep(call, fd, room, most, timeout, host_mask(t, mask, size), SIGSET_SIZE)
    if result > 0:
        data = t.scratch.get(room, result * host.size)
        t.space.write(events, b"".join(guest.pack(host.unpack(data[at:])) for at in range(0, len(data), host.size)))
    return result


@syscall
def epoll_pwait(t: Thread, fd: Fd, events: Ptr, most: Int, timeout: Int, mask: Ptr, size: Size) -> int:
    """Wait for the files of an epoll set."""
    return _epoll_wait(t, "epoll_pwait", fd, events, most, timeout, mask, size)


@syscall
def epoll_pwait2(t: Thread, fd: Fd, events: Ptr, most: Int, timeout: Ptr, mask: Ptr, size: Size) -> int:
    """The same with a time in nanoseconds."""
    time = t.take_copy(timeout, "timespec64") if timeout else 0
    return _epoll_wait(t, "epoll_pwait2", fd, events, most, time, mask, size)


forward("epoll_create1", "Int")
forward("eventfd2", "UInt, Int")
forward("inotify_init1", "Int")
forward("inotify_add_watch", "Fd, Path, UInt")
forward("inotify_rm_watch", "Fd, Int")
forward("fanotify_init", "UInt, UInt")
