"""Threads and processes coming into being, futexes, and the ends of both."""

from __future__ import annotations

from errno import EFAULT, EINVAL, ENOSYS

from ratite.user.failure import check
from ratite.user.host import quick
from ratite.user.signalnumbers import SIGCHLD
from ratite.user.table import Int, Ptr, Size, UInt, forward, restarted_syscall, restarted_timed_syscall, syscall
from ratite.user.thread import DONE, ProcessExit, Thread, ThreadExit

CLONE_VM, CLONE_SIGHAND, CLONE_PIDFD, CLONE_PTRACE, CLONE_VFORK = 0x100, 0x800, 0x1000, 0x2000, 0x4000
CLONE_PARENT, CLONE_THREAD, CLONE_SETTLS, CLONE_PARENT_SETTID = 0x8000, 0x1_0000, 0x8_0000, 0x10_0000
CLONE_CHILD_CLEARTID, CLONE_CHILD_SETTID = 0x20_0000, 0x100_0000
_THREAD_FLAGS = 0x100 | 0x200 | 0x400 | CLONE_SIGHAND | CLONE_THREAD    # VM, FS, FILES, SIGHAND, THREAD
# What unshare can give a child after it was made: file system, files, System V semaphores, name spaces.
_NAMESPACES = 0x2_0000 | 0x200_0000 | 0x400_0000 | 0x800_0000 | 0x1000_0000 | 0x4000_0000

_FUTEX_COMMAND = 0x7F
_FUTEX_WAITS = (0, 6, 9, 11, 13)             # WAIT, LOCK_PI, WAIT_BITSET, WAIT_REQUEUE_PI, LOCK_PI2: a timeout
_FUTEX_REQUEUES = (3, 4, 5, 12)              # a second number in the timeout's place
_FUTEX_ADDRESS_PAIR = (3, 4, 5, 11, 12)      # a second address


@syscall
def clone(t: Thread, flags: Size, sp: Ptr, parent_tid: Ptr, tls: Size, child_tid: Ptr) -> int:
    """Start a thread or a process."""
    if t.abi.clone_takes_tls_last:
        tls, child_tid = child_tid, tls
    exit_signal = flags & 0xFF
    return _clone(t, flags & ~0xFF, exit_signal, sp, tls, parent_tid, child_tid, parent_tid)


@syscall
def clone3(t: Thread, arguments: Ptr, size: Size) -> int:
    """Start a thread or a process, described by a structure. Not modelled: chosen ids and cgroups."""
    layout = t.abi.structs["clone_args"]
    if size < layout.size:
        return -EINVAL
    if size > 4096 or any(t.space.read(arguments + layout.size, size - layout.size)):
        return -ENOSYS
    given = t.read_struct(arguments, "clone_args")
    sp = given["stack"] + given["stack_size"] if given["stack"] else 0
    return _clone(t, given["flags"], given["exit_signal"], sp, given["tls"], given["parent_tid"], given["child_tid"],
                  given["pidfd"])


def _clone(t: Thread, flags: int, exit_signal: int, sp: int, tls: int, parent_tid: int, child_tid: int,
           pidfd: int) -> int:
    thread_area = tls if flags & CLONE_SETTLS else None
    set_child = child_tid if flags & CLONE_CHILD_SETTID else 0
    set_parent = parent_tid if flags & CLONE_PARENT_SETTID else 0
    clear = child_tid if flags & CLONE_CHILD_CLEARTID else 0
    if flags & CLONE_THREAD:
        if flags & _THREAD_FLAGS != _THREAD_FLAGS or flags & CLONE_PIDFD:
            return _refuse(t, flags)
        return t.process.start_thread(t, sp, thread_area, set_child, set_parent, clear)
    shares_memory = flags & CLONE_VM and not flags & CLONE_VFORK
    if flags & (CLONE_PTRACE | CLONE_PARENT) or exit_signal != SIGCHLD or shares_memory:
        return _refuse(t, flags | exit_signal)
    return _fork(t, flags, sp, thread_area, set_child, set_parent, clear, pidfd)


def _refuse(t: Thread, flags: int) -> int:
    t.process.unimplemented(f"clone with flags {flags:#x} is not implemented")
    return -EINVAL


def _fork(t: Thread, flags: int, sp: int, tls: int | None, child_tid: int, parent_tid: int, clear: int,
          pidfd: int) -> int:
    for address in (parent_tid, pidfd if flags & CLONE_PIDFD else 0):
        if address and not t.space.writable(address, 4):
            return -EFAULT

    def prepare() -> None:
        if flags & _NAMESPACES:
            check(quick("unshare", flags & _NAMESPACES))
        t.clear_child_tid = clear
        t.abi.start_thread(t.registers, sp, tls)
        if child_tid:
            t.space.write_u32(child_tid, t.tid)
    if flags & CLONE_VFORK:
        child = t.process.vfork(t, prepare)
    else:
        child = t.process.fork(t)
        if not child:
            prepare()
    if not child:
        return DONE
    if parent_tid:
        t.space.write_u32(parent_tid, child)
    if flags & CLONE_PIDFD:
        t.space.write_u32(pidfd, check(quick("pidfd_open", child, 0)))
    return child


@syscall
def exit(t: Thread, status: Int) -> int:
    """End the thread."""
    if len(t.process.threads) == 1:
        return exit_group(t, status)
    raise ThreadExit(status & 0xFF)


@syscall
def exit_group(t: Thread, status: Int) -> int:
    """End the process."""
    t.process.end_vfork(t, ended=True)
    raise ProcessExit(status & 0xFF)


@syscall
def set_tid_address(t: Thread, address: Ptr) -> int:
    """Say which word to clear when the thread ends."""
    t.clear_child_tid = address
    return t.tid


@syscall
def set_robust_list(t: Thread, head: Ptr, size: Size) -> int:
    """Say where the list of held locks is."""
    if size != t.abi.structs["robust_list_head"].size:
        return -EINVAL
    t.robust_list = (head, size)
    return 0


@syscall
def get_robust_list(t: Thread, tid: Int, head: Ptr, size: Ptr) -> int:
    """Tell where a thread's list of held locks is."""
    other = t if tid in (0, t.tid) else t.process.threads.get(tid)
    if other is None:
        return -EINVAL
    word = t.abi.model.word
    t.space.write(head, other.robust_list[0].to_bytes(word, "little"))
    t.space.write(size, other.robust_list[1].to_bytes(word, "little"))
    return 0


@syscall
def gettid(t: Thread) -> int:
    """Tell the thread's id."""
    return t.tid


@restarted_timed_syscall
def futex(
    t: Thread, address: Ptr, operation: Int, value: UInt, timeout: Ptr, second: Ptr, value3: UInt, kind: str
) -> int:
    """Wait for a change of a word, or wake those who do."""
    command = operation & _FUTEX_COMMAND
    if command in _FUTEX_REQUEUES:
        time = timeout & 0xFFFF_FFFF
    elif command in _FUTEX_WAITS and timeout:
        time = t.take_struct(timeout, kind)
    else:
        time = 0
    other = t.space.host(second) if command in _FUTEX_ADDRESS_PAIR else 0
    return t.sleep("futex", t.space.host(address), operation, value, time, other, value3)


@restarted_syscall
def futex_waitv(t: Thread, waiters: Ptr, count: UInt, flags: UInt, timeout: Ptr, clock: Int) -> int:
    """Wait for one of several words; each entry is value, address, flags and padding, 24 bytes in every ABI."""
    most, size = 128, 24
    if not 0 < count <= most:
        return -EINVAL
    data = bytearray(t.space.read(waiters, count * size))
    for at in range(8, len(data), size):
        address = int.from_bytes(data[at:at + 8], "little")
        data[at:at + 8] = t.space.host(address).to_bytes(8, "little")
    time = t.take_struct(timeout, "timespec64") if timeout else 0
    return t.sleep("futex_waitv", t.scratch.put(bytes(data)), count, flags, time, clock)


forward("unshare", "Int")
forward("setns", "Fd, Int")
forward("sched_yield")
forward("membarrier", "Int, UInt, Int")


