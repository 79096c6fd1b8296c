"""Processes: execve, waiting, groups and sessions, limits, prctl."""

from __future__ import annotations

import os
from collections.abc import Sequence
from errno import EINVAL, ENOENT, EPERM

from ratite.user import loader, siginfo
from ratite.user.failure import SyscallError
from ratite.user.host import M64, quick
from ratite.user.paths import AT_FDCWD
from ratite.user.table import Fd, Int, Ptr, Size, UInt, forward, restarted_syscall, syscall
from ratite.user.thread import DONE, Thread

AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW = 0x1000, 0x100
_WORDS_LIMIT = 1 << 17    # of a command line

PR_SET_PDEATHSIG, PR_GET_PDEATHSIG, PR_SET_NAME, PR_GET_NAME = 1, 2, 15, 16
# prctl options whose arguments are numbers, and which mean the same for the guest as for the host process.
_PRCTL_NUMBERS = frozenset((
    PR_SET_PDEATHSIG, 3, 7, 8, 13, 14, 23, 24, 27, 28, 29, 30, 33, 34, 36, 38, 39, 41, 42, 47))
# Options whose second argument points to data.
_PRCTL_POINTERS = frozenset((PR_GET_PDEATHSIG, PR_SET_NAME, PR_GET_NAME, 37))

_UNLIMITED_32 = (1 << 32) - 1


def _words(t: Thread, vector: int) -> list[bytes]:
    """The strings that a null-terminated array of pointers names; a null array is an empty one, as on Linux."""
    words: list[bytes] = []
    if not vector:
        return words
    size = t.abi.model.word
    while True:
        pointer = int.from_bytes(t.space.read(vector + len(words) * size, size), "little")
        if not pointer:
            return words
        words.append(t.space.read_cstr(pointer, _WORDS_LIMIT))


@syscall
def execve(t: Thread, name: Ptr, argv: Ptr, envp: Ptr) -> int:
    """Become another program."""
    return _execute(t, t.raw_path(name), _words(t, argv), _words(t, envp))


@syscall
def execveat(t: Thread, dirfd: Fd, name: Ptr, argv: Ptr, envp: Ptr, flags: Int) -> int:
    """Become a program named relative to a folder, or by an open file."""
    if flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW):
        return -EINVAL
    path = t.raw_path(name)
    if not path:
        if not flags & AT_EMPTY_PATH:
            return -ENOENT
        path = b"/proc/self/fd/%d" % dirfd
    elif path[:1] != b"/" and dirfd != AT_FDCWD:
        path = b"/proc/self/fd/%d/%s" % (dirfd, path)
    return _execute(t, path, _words(t, argv), _words(t, envp))


def _execute(t: Thread, path: bytes, argv: list[bytes], env: list[bytes]) -> int:
    argv = argv or [b""]
    t.process.check_size(argv, env)
    try:
        found = loader.find(path, argv, t.abi, t.process.paths.resolve)
    except loader.WrongFile as error:
        if not error.machine:
            raise
        return _execute_host(t, error.filename, error.argv, env)
    t.process.execute(t, found, env)
    return DONE


def _execute_host(t: Thread, path: bytes, argv: Sequence[bytes], env: list[bytes]) -> int:
    """Have the host's kernel run a program for another architecture: its own, or one that it knows what to do with."""
    t.process.restore_core_limit()
    variables = {}
    for variable in env:
        key, equals, value = variable.partition(b"=")
        if key and equals:
            variables[key] = value
    try:
        os.execve(path, list(argv), variables)
    except ValueError:
        return -EINVAL
    finally:
        t.process.drop_core_limit()


@restarted_syscall
def wait4(t: Thread, pid: Int, status: Ptr, options: Int, usage: Ptr) -> int:
    """Wait for a child."""
    room = t.struct_room("rusage") if usage else 0
    result = t.sleep("wait4", pid, t.space.host(status), options, room)
    if usage and result > 0:
        t.give_copy(usage, "rusage", room)
    return result


@restarted_syscall
def waitid(t: Thread, kind: Int, ident: Int, info: Ptr, options: Int, usage: Ptr) -> int:
    """Wait for a child and tell about it in a siginfo."""
    room = t.scratch.put(bytes(siginfo.SIZE))
    usage_room = t.struct_room("rusage") if usage else 0
    result = t.sleep("waitid", kind, ident, room, options, usage_room)
    if result >= 0:
        if info:
            t.space.write(info, siginfo.to_guest(t.scratch.get(room, siginfo.SIZE), t.abi.bits))
        if usage:
            t.give_copy(usage, "rusage", usage_room)
    return result


@syscall
def getrlimit(t: Thread, resource: Int, limit: Ptr) -> int:
    """Tell a limit."""
    soft, hard = _limits(t, 0, resource)
    t.space.write(limit, t.abi.structs["rlimit"].pack([_narrow(t, soft), _narrow(t, hard)]))
    return 0


@syscall
def setrlimit(t: Thread, resource: Int, limit: Ptr) -> int:
    """Set a limit."""
    layout = t.abi.structs["rlimit"]
    soft, hard = layout.unpack(t.space.read(limit, layout.size))
    if t.abi.bits == 32:
        soft, hard = (M64 if value == _UNLIMITED_32 else value for value in (soft, hard))
    _set_limits(t, 0, resource, soft, hard)
    return 0


@syscall
def prlimit64(t: Thread, pid: Int, resource: Int, new: Ptr, old: Ptr) -> int:
    """Tell and set a limit."""
    before = _limits(t, pid, resource)
    if new:
        data = t.space.read(new, 16)
        _set_limits(t, pid, resource, int.from_bytes(data[:8], "little"), int.from_bytes(data[8:], "little"))
    if old:
        t.space.write(old, b"".join(value.to_bytes(8, "little") for value in before))
    return 0


def _own(t: Thread, pid: int, resource: int) -> bool:
    return resource in t.process.limits and pid in (0, os.getpid())


def _limits(t: Thread, pid: int, resource: int) -> tuple[int, int]:
    if _own(t, pid, resource):
        return t.process.limits[resource]
    room = t.scratch.room(16)
    result = quick("prlimit64", pid, resource, 0, room)
    if result < 0:
        raise SyscallError(-result)
    data = t.scratch.get(room, 16)
    return int.from_bytes(data[:8], "little"), int.from_bytes(data[8:], "little")


def _set_limits(t: Thread, pid: int, resource: int, soft: int, hard: int) -> None:
    if _own(t, pid, resource):
        if soft > hard:
            raise SyscallError(EINVAL)
        if hard > t.process.limits[resource][1] and os.geteuid():
            raise SyscallError(EPERM)
        t.process.limits[resource] = (soft, hard)
        return
    values = soft.to_bytes(8, "little") + hard.to_bytes(8, "little")
    result = quick("prlimit64", pid, resource, t.scratch.put(values), 0)
    if result < 0:
        raise SyscallError(-result)


def _narrow(t: Thread, value: int) -> int:
    return min(value, _UNLIMITED_32) if t.abi.bits == 32 else value


@syscall
def prctl(t: Thread, option: Int, a2: Size, a3: Size, a4: Size, a5: Size) -> int:
    """Set something about the process. Options that would change Ratite itself (seccomp, memory map) are refused."""
    if option in _PRCTL_NUMBERS:
        return t.sleep("prctl", option, a2, a3, a4, a5)
    if option in _PRCTL_POINTERS:
        return t.sleep("prctl", option, t.space.host(a2), a3, a4, a5)
    t.process.unimplemented(f"prctl option {option} is not implemented")
    return -EINVAL


@syscall
def personality(t: Thread, persona: UInt) -> int:
    """Tell and set the personality; only the plain one with its flags exists, and the flags are just kept."""
    old = t.process.personality
    if persona != 0xFFFF_FFFF:
        if persona & 0xFF not in (0, 8):    # PER_LINUX, PER_LINUX32
            return -EINVAL
        t.process.personality = persona
    return old


@syscall
def getpid(t: Thread) -> int:
    """Tell the process's id."""
    return os.getpid()


@syscall
def sched_getaffinity(t: Thread, pid: Int, size: UInt, mask: Ptr) -> int:
    """Tell which processors a thread may use."""
    if size * 8 < (os.cpu_count() or 1) or size % t.abi.model.word:
        return -EINVAL
    return t.sleep("sched_getaffinity", pid, min(size, 1 << 16), t.space.host(mask))


forward("getppid", sleeps=False)
forward("setpgid", "Int, Int")
forward("getpgid", "Int", sleeps=False)
forward("getsid", "Int", sleeps=False)
forward("setsid")
forward("getrusage", "Int, Out(rusage)")
forward("times", "Out(tms)")
forward("pidfd_open", "Int, UInt")
forward("sched_setaffinity", "Int, UInt, Ptr")

