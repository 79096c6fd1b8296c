"""Open files: reading, writing, positions, locks, copies of descriptors."""

from __future__ import annotations

from errno import EBADF, EINVAL

from ratite.user.failure import SyscallError
from ratite.user.structs import HOST_LAYOUTS
from ratite.user.table import Fd, Int, Off, Ptr, Size, UInt, forward, restarted_syscall, syscall
from ratite.user.thread import Thread

IOV_MAX = 1024

F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_SETLK, F_SETLKW = range(8)
F_SETOWN, F_GETOWN, F_SETSIG, F_GETSIG = range(8, 12)
F_GETLK64, F_SETLK64, F_SETLKW64, F_SETOWN_EX, F_GETOWN_EX = 12, 13, 14, 15, 16
F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW = 36, 37, 38
F_SETLEASE, F_GETLEASE, F_NOTIFY, F_DUPFD_CLOEXEC, F_SETPIPE_SZ, F_GETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS = (
    1024, 1025, 1026, 1030, 1031, 1032, 1033, 1034)
F_GET_RW_HINT, F_SET_RW_HINT, F_GET_FILE_RW_HINT, F_SET_FILE_RW_HINT = 1035, 1036, 1037, 1038

_LOCKS = {F_GETLK: "flock", F_SETLK: "flock", F_SETLKW: "flock", F_GETLK64: "flock64", F_SETLK64: "flock64",
          F_SETLKW64: "flock64", F_OFD_GETLK: "flock64", F_OFD_SETLK: "flock64", F_OFD_SETLKW: "flock64"}
# The host knows one lock structure, under the plain numbers.
_HOST_LOCK = {F_GETLK64: F_GETLK, F_SETLK64: F_SETLK, F_SETLKW64: F_SETLKW}
_LOCKS_READ_BACK = (F_GETLK, F_GETLK64, F_OFD_GETLK)
_POINTERS = (F_SETOWN_EX, F_GETOWN_EX, F_GET_RW_HINT, F_SET_RW_HINT, F_GET_FILE_RW_HINT, F_SET_FILE_RW_HINT)
_NUMBERS = (F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_SETOWN, F_GETOWN, F_SETSIG, F_GETSIG, F_SETLEASE, F_GETLEASE,
            F_NOTIFY, F_DUPFD_CLOEXEC, F_SETPIPE_SZ, F_GETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS)


def host_vectors(t: Thread, vectors: int, count: int) -> int:
    """Host address of an iovec array with host pointers."""
    if not 0 <= count <= IOV_MAX:
        raise SyscallError(EINVAL)
    layout = t.abi.structs["iovec"]
    data = t.space.read(vectors, layout.size * count)
    host = HOST_LAYOUTS["iovec"]
    made = []
    for at in range(0, len(data), layout.size):
        base, size = layout.unpack(data[at:])
        if size >> t.abi.bits - 1:
            raise SyscallError(EINVAL)
        made.append(host.pack([t.space.host(base) if size else 0, size]))
    return t.scratch.put(b"".join(made))


def _vector_call(name: str) -> None:
    """Declare a call that reads or writes several pieces; the offset, where there is one, is split in two registers."""
    def plain(t: Thread, fd: Fd, vectors: Ptr, count: Int) -> int:
        return t.sleep(name, fd, host_vectors(t, vectors, count), count)

    def placed(t: Thread, fd: Fd, vectors: Ptr, count: Int, low: Size, high: Size, flags: Int) -> int:
        return t.sleep(name, fd, host_vectors(t, vectors, count), count, low | high << 32 if t.abi.bits == 32 else low,
                       0, flags)
    function = placed if name.startswith("p") else plain
    function.__name__ = name
    restarted_syscall(function)


for _name in ("readv", "writev", "preadv", "pwritev", "preadv2", "pwritev2"):
    _vector_call(_name)


@syscall
def vmsplice(t: Thread, fd: Fd, vectors: Ptr, count: Size, flags: UInt) -> int:
    """Move memory into a pipe."""
    return t.sleep("vmsplice", fd, host_vectors(t, vectors, count), count, flags)


@syscall
def close(t: Thread, fd: Fd) -> int:
    """Close a file, unless it is one of Ratite's own."""
    if fd in t.process.private_fds:
        return -EBADF
    return t.sleep("close", fd)


@syscall
def close_range(t: Thread, first: UInt, last: UInt, flags: UInt) -> int:
    """Close all files between two numbers, but for Ratite's own."""
    if first > last:
        return -EINVAL
    for fd in sorted(fd for fd in t.process.private_fds if first <= fd <= last):
        if first < fd:
            result = t.sleep("close_range", first, fd - 1, flags)
            if result < 0:
                return result
        first = fd + 1
    return t.sleep("close_range", first, last, flags) if first <= last else 0


@syscall
def dup3(t: Thread, old: Fd, new: Fd, flags: Int) -> int:
    """Copy a descriptor to a given number."""
    if new in t.process.private_fds:
        return -EBADF
    return t.sleep("dup3", old, new, flags)


@restarted_syscall
def fcntl(t: Thread, fd: Fd, command: Int, argument: Size) -> int:
    """Ask or change something about an open file."""
    if command in _LOCKS:
        return _lock(t, fd, command, argument)
    if command in _POINTERS:
        return t.sleep("fcntl", fd, command, t.space.host(argument))
    if command in _NUMBERS:
        return t.sleep("fcntl", fd, command, argument)
    return -EINVAL


@restarted_syscall
def fcntl64(t: Thread, fd: Fd, command: Int, argument: Size) -> int:
    """The same for 32-bit programs, whose lock structure has a 64-bit form too."""
    return fcntl(t, fd, command, argument)


def _lock(t: Thread, fd: int, command: int, argument: int) -> int:
    kind = _LOCKS[command]
    lock = t.take_copy(argument, kind)
    result = t.sleep("fcntl", fd, _HOST_LOCK.get(command, command), lock)
    if result >= 0 and command in _LOCKS_READ_BACK:
        t.give_copy(argument, kind, lock)
    return result


@syscall
def llseek(t: Thread, fd: Fd, high: UInt, low: UInt, result: Ptr, whence: Int) -> int:
    """Move the file position; the new one is written to memory."""
    position = t.sleep("lseek", fd, high << 32 | low, whence)
    if position < 0:
        return position
    t.space.write(result, position.to_bytes(8, "little"))
    return 0


@syscall
def getdents64(t: Thread, fd: Fd, buffer: Ptr, size: UInt) -> int:
    """Read a folder."""
    return t.sleep("getdents64", fd, t.space.host(buffer), min(size, 1 << 24))


@syscall
def pipe2(t: Thread, pair: Ptr, flags: Int) -> int:
    """Make a pipe."""
    return t.sleep("pipe2", t.space.host(pair), flags)


@syscall
def fallocate(t: Thread, fd: Fd, mode: Int, offset: Off, length: Off) -> int:
    """Reserve or free space in a file."""
    return t.sleep("fallocate", fd, mode, offset, length)


forward("dup", "Fd")
forward("flock", "Fd, Int", restart=True)
forward("ftruncate", "Fd, Long")
forward("ftruncate64", "Fd, Off", host="ftruncate")
forward("fchdir", "Fd")
forward("fchmod", "Fd, UInt")
forward("fchown", "Fd, UInt, UInt")
forward("lseek", "Fd, Long, Int", sleeps=False)
forward("read", "Fd, Ptr, Size", restart=True)
forward("write", "Fd, Ptr, Size", restart=True)
forward("pread64", "Fd, Ptr, Size, Off", restart=True)
forward("pwrite64", "Fd, Ptr, Size, Off", restart=True)
forward("sendfile", "Fd, Fd, InOut(offset), Size", restart=True)
forward("sendfile64", "Fd, Fd, Ptr, Size", host="sendfile", restart=True)
forward("splice", "Fd, Ptr, Fd, Ptr, Size, UInt", restart=True)
forward("tee", "Fd, Fd, Size, UInt", restart=True)
forward("fsync", "Fd")
forward("fdatasync", "Fd")
forward("sync")
forward("syncfs", "Fd")
forward("sync_file_range", "Fd, Off, Off, UInt")
forward("fadvise64", "Fd, Off, Off, Int")
forward("fadvise64_64", "Fd, Off, Off, Int", host="fadvise64")
forward("readahead", "Fd, Off, Size")
forward("copy_file_range", "Fd, Ptr, Fd, Ptr, Size, UInt", restart=True)
forward("vhangup")
forward("memfd_create", "Ptr, UInt")
forward("pidfd_getfd", "Fd, Fd, UInt")
