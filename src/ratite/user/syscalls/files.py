"""Files by name: opening, status, links, attributes, and the folders of /proc that speak of the guest."""

from __future__ import annotations

import os
from errno import E2BIG, EFAULT, EINVAL

from ratite.user import procfs
from ratite.user.host import M64
from ratite.user.structs import HOST_LAYOUTS
from ratite.user.table import Fd, Int, Path, Ptr, Size, forward, restarted_syscall, syscall, timed_syscall
from ratite.user.thread import Thread

O_ACCMODE = 3


@restarted_syscall
def openat(t: Thread, dirfd: Fd, path: Path, flags: Int, mode: Int) -> int:
    """Open a file; those of /proc that describe the process are made up."""
    if path[:6] == b"/proc/" and flags & O_ACCMODE == 0:
        fd = procfs.open_file(t, path, flags)
        if fd is not None:
            return fd
    return t.sleep("openat", dirfd, t.scratch.put(path + b"\0"), flags, mode)


@restarted_syscall
def openat2(t: Thread, dirfd: Fd, path: Path, how: Ptr, size: Size) -> int:
    """Open a file, told how by a structure; one longer than the host's kernel knows is its to refuse."""
    if size > 4096:
        return -E2BIG
    copy = t.scratch.put(t.space.read(how, size))
    return t.sleep("openat2", dirfd, t.scratch.put(path + b"\0"), copy, size)


@syscall
def readlinkat(t: Thread, dirfd: Fd, name: Ptr, buffer: Ptr, size: Int) -> int:
    """Read a symbolic link; the process's own /proc/self/exe names the guest's program."""
    path = t.raw_path(name)
    if size <= 0:
        return -EINVAL
    if path[:6] == b"/proc/" and t.process.paths.is_own_link(path):
        target = t.process.paths.guest_name(t.process.paths.executable)[:size]
        t.space.write(buffer, target)
        return len(target)
    found = t.scratch.put(t.process.paths.resolve(path) + b"\0")
    return t.sleep("readlinkat", dirfd, found, t.space.host(buffer), size)


@syscall
def newfstatat(t: Thread, dirfd: Fd, path: Path, status: Ptr, flags: Int) -> int:
    """Tell a file's status."""
    room = t.struct_room("stat")
    result = t.sleep("newfstatat", dirfd, t.scratch.put(path + b"\0"), room, flags)
    if result == 0:
        t.give_copy(status, "stat", room)
    return result


@syscall
def statfs64(t: Thread, path: Path, size: Size, status: Ptr) -> int:
    """Tell about a file system, to 32-bit programs."""
    return _statfs64(t, "statfs", t.scratch.put(path + b"\0"), size, status)


@syscall
def fstatfs64(t: Thread, fd: Fd, size: Size, status: Ptr) -> int:
    """Tell about the file system of an open file, to 32-bit programs."""
    return _statfs64(t, "fstatfs", fd, size, status)


def _statfs64(t: Thread, call: str, subject: int, size: int, status: int) -> int:
    if size != t.abi.structs["statfs64"].size:
        return -EINVAL
    room = t.scratch.room(HOST_LAYOUTS["statfs64"].size)
    result = t.sleep(call, subject, room)
    if result == 0:
        t.give_copy(status, "statfs64", room)
    return result


@timed_syscall
def utimensat(t: Thread, dirfd: Fd, name: Ptr, times: Ptr, flags: Int, kind: str) -> int:
    """Set a file's times."""
    pair = 0
    if times:
        size = t.abi.structs[kind].size
        host = HOST_LAYOUTS[kind].size
        pair = t.scratch.put(b"".join(t.scratch.get(t.take_copy(times + n * size, kind), host) for n in range(2)))
    return t.sleep("utimensat", dirfd, t.host_path(name), pair, flags)


@syscall
def mount(t: Thread, source: Ptr, target: Path, kind: Ptr, flags: Size, data: Ptr) -> int:
    """Mount a file system."""
    return t.sleep("mount", t.space.host(source), t.scratch.put(target + b"\0"), t.space.host(kind), flags,
                   t.space.host(data))


@syscall
def name_to_handle_at(t: Thread, dirfd: Fd, path: Path, handle: Ptr, mount_id: Ptr, flags: Int) -> int:
    """Get a file handle; the structure says itself how long it is, so it is looked at first."""
    limit = 128
    if t.space.read_u32(handle) > limit:
        return -EINVAL
    return t.sleep("name_to_handle_at", dirfd, t.scratch.put(path + b"\0"), t.space.host(handle),
                   t.space.host(mount_id), flags)


@syscall
def umask(t: Thread, mask: Int) -> int:
    """Set the file creation mask."""
    return os.umask(mask & 0o777)


@syscall
def getcwd(t: Thread, buffer: Ptr, size: Size) -> int:
    """Name the working folder."""
    result = t.sleep("getcwd", t.space.host(buffer), min(size, 1 << 20))
    return result if buffer or result < 0 else -EFAULT


@syscall
def truncate(t: Thread, path: Path, length: Size) -> int:
    """Set a file's size."""
    return t.sleep("truncate", t.scratch.put(path + b"\0"), length & M64)


forward("truncate64", "Path, Off", host="truncate")
forward("fstat", "Fd, Out(stat)")
forward("statx", "Fd, Path, Int, UInt, Ptr")
forward("statfs", "Path, Out(statfs)")
forward("fstatfs", "Fd, Out(statfs)")
forward("faccessat", "Fd, Path, Int")
forward("faccessat2", "Fd, Path, Int, Int")
forward("mknodat", "Fd, Path, UInt, UInt")
forward("mkdirat", "Fd, Path, UInt")
forward("unlinkat", "Fd, Path, Int")
forward("symlinkat", "Ptr, Fd, Path")
forward("linkat", "Fd, Path, Fd, Path, Int")
forward("renameat", "Fd, Path, Fd, Path")
forward("renameat2", "Fd, Path, Fd, Path, UInt")
forward("umount2", "Path, Int")
forward("pivot_root", "Path, Path")
forward("chdir", "Path")
forward("chroot", "Path")
forward("acct", "Path")
forward("fchmodat", "Fd, Path, UInt")
forward("fchmodat2", "Fd, Path, UInt, Int")
forward("fchownat", "Fd, Path, UInt, UInt, Int")
forward("swapon", "Path, Int")
forward("swapoff", "Path")
forward("setxattr", "Path, Ptr, Ptr, Size, Int")
forward("lsetxattr", "Path, Ptr, Ptr, Size, Int")
forward("fsetxattr", "Fd, Ptr, Ptr, Size, Int")
forward("getxattr", "Path, Ptr, Ptr, Size")
forward("lgetxattr", "Path, Ptr, Ptr, Size")
forward("fgetxattr", "Fd, Ptr, Ptr, Size")
forward("listxattr", "Path, Ptr, Size")
forward("llistxattr", "Path, Ptr, Size")
forward("flistxattr", "Fd, Ptr, Size")
forward("removexattr", "Path, Ptr")
forward("lremovexattr", "Path, Ptr")
forward("fremovexattr", "Fd, Ptr")
forward("open_tree", "Fd, Path, UInt")
forward("move_mount", "Fd, Path, Fd, Path, UInt")
forward("fsopen", "Ptr, UInt")
forward("fsmount", "Fd, UInt, UInt")
forward("fspick", "Fd, Path, UInt")
forward("mount_setattr", "Fd, Path, UInt, Ptr, Size")


