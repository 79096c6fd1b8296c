"""Signals: what the guest asks for. Delivery is in `ratite.user.signals`."""

from __future__ import annotations

from errno import EINTR, EINVAL, ENOMEM, EPERM

from ratite.user import siginfo
from ratite.user.abi.base import AlternateStack
from ratite.user.failure import SyscallError
from ratite.user.mailbox import NEVER_BLOCKED
from ratite.user.signalnumbers import (
    LAST_SIGNAL,
    SA_RESTORER,
    SIG_BLOCK,
    SIG_SETMASK,
    SIG_UNBLOCK,
    SS_AUTODISARM,
    SS_DISABLE,
    SS_ONSTACK,
)
from ratite.user.signals import UNMASKABLE, Action
from ratite.user.table import Fd, Int, Ptr, Size, UInt, restarted_syscall, syscall, timed_syscall
from ratite.user.thread import DONE, Thread

SIGSET_SIZE = 8


def read_mask(t: Thread, address: int, size: int) -> int:
    """A signal set of the guest."""
    if size != SIGSET_SIZE:
        raise SyscallError(EINVAL)
    return int.from_bytes(t.space.read(address, SIGSET_SIZE), "little") & ~UNMASKABLE


def host_mask(t: Thread, address: int, size: int) -> int:
    """Host address of a copy of a guest's signal set for calls that wait with another mask; 0 for a null pointer."""
    if not address:
        return 0
    return t.scratch.put((read_mask(t, address, size) & ~NEVER_BLOCKED).to_bytes(SIGSET_SIZE, "little"))


@syscall
def rt_sigaction(t: Thread, signo: Int, new: Ptr, old: Ptr, size: Size) -> int:
    """Tell and set what is done about a signal."""
    if size != SIGSET_SIZE or not 1 <= signo <= LAST_SIGNAL:
        return -EINVAL
    before = t.process.signals.actions[signo]
    if new:
        given = t.read_struct(new, "sigaction")
        mask = given["mask_low"] | given["mask_high"] << 32
        t.process.signals.set_action(signo, Action(given["handler"], given["flags"] & ~SA_RESTORER, mask))
    t.write_struct(old, "sigaction", handler=before.handler, flags=before.flags, mask_low=before.mask,
                   mask_high=before.mask >> 32)
    return 0


@syscall
def rt_sigprocmask(t: Thread, how: Int, new: Ptr, old: Ptr, size: Size) -> int:
    """Tell and set the thread's mask."""
    before = t.signals.mask
    if new:
        given = read_mask(t, new, size)
        if how == SIG_BLOCK:
            mask = before | given
        elif how == SIG_UNBLOCK:
            mask = before & ~given
        elif how == SIG_SETMASK:
            mask = given
        else:
            return -EINVAL
        if mask != before:
            # Guarded: with a signal in the mailbox the host's mask must stay as it is.
            result = t.sleep("rt_sigprocmask", *t.mailbox.call_with_mask(mask), 0, SIGSET_SIZE)
            if result < 0:
                return result
            t.signals.mask = mask
    elif size != SIGSET_SIZE:
        return -EINVAL
    if old:
        t.space.write(old, before.to_bytes(SIGSET_SIZE, "little"))
    return 0


@syscall
def rt_sigpending(t: Thread, pending: Ptr, size: Size) -> int:
    """Tell which blocked signals wait."""
    if size > SIGSET_SIZE:
        return -EINVAL
    room = t.scratch.put(bytes(SIGSET_SIZE))
    result = t.sleep("rt_sigpending", room, SIGSET_SIZE)
    if result == 0:
        found = int.from_bytes(t.scratch.get(room, SIGSET_SIZE), "little") | t.signals.waiting_set()
        t.space.write(pending, found.to_bytes(SIGSET_SIZE, "little")[:size])
    return result


@syscall
def rt_sigsuspend(t: Thread, mask: Ptr, size: Size) -> int:
    """Wait for a signal with another mask."""
    return t.sleep("rt_sigsuspend", host_mask(t, mask, size), SIGSET_SIZE)


@timed_syscall
def rt_sigtimedwait(t: Thread, mask: Ptr, info: Ptr, timeout: Ptr, size: Size, kind: str) -> int:
    """Take a signal that waits, or wait for one."""
    if size != SIGSET_SIZE:
        return -EINVAL
    wanted = t.scratch.put(t.space.read(mask, SIGSET_SIZE))
    room = t.scratch.room(siginfo.SIZE)
    result = t.sleep("rt_sigtimedwait", wanted, room, t.take_struct(timeout, kind) if timeout else 0, SIGSET_SIZE)
    if result > 0 and info:
        t.space.write(info, siginfo.to_guest(t.scratch.get(room, siginfo.SIZE), t.abi.bits))
    return result


@syscall
def rt_sigreturn(t: Thread) -> int:
    """Return from a signal handler."""
    t.signals.sigreturn()
    return DONE


@syscall
def sigaltstack(t: Thread, new: Ptr, old: Ptr) -> int:
    """Tell and set the stack for signal handlers."""
    start, flags, size = t.signals.describe_stack()
    if new:
        if t.signals.on_stack():
            return -EPERM
        given = t.read_struct(new, "stack_t")
        mode = given["flags"] & ~SS_AUTODISARM
        if mode == SS_DISABLE:
            t.signals.stack = AlternateStack()
        elif mode not in (0, SS_ONSTACK):
            return -EINVAL
        elif given["size"] < t.abi.signal_stack_minimum:
            return -ENOMEM
        else:
            t.signals.stack = AlternateStack(given["sp"], given["size"], given["flags"] & SS_AUTODISARM)
    t.write_struct(old, "stack_t", sp=start, flags=flags, size=size)
    return 0


@syscall
def kill(t: Thread, pid: Int, signo: Int) -> int:
    """Send a signal to processes."""
    return t.sleep("kill", pid, signo)


@syscall
def tkill(t: Thread, tid: Int, signo: Int) -> int:
    """Send a signal to a thread."""
    return t.sleep("tkill", tid, signo)


@syscall
def tgkill(t: Thread, pid: Int, tid: Int, signo: Int) -> int:
    """Send a signal to a thread of a process."""
    return t.sleep("tgkill", pid, tid, signo)


def _queued_info(t: Thread, info: int) -> int:
    return t.scratch.put(siginfo.to_host(t.space.read(info, siginfo.SIZE), t.abi.bits))


@syscall
def rt_sigqueueinfo(t: Thread, pid: Int, signo: Int, info: Ptr) -> int:
    """Send a signal with a siginfo of the sender's making."""
    return t.sleep("rt_sigqueueinfo", pid, signo, _queued_info(t, info))


@syscall
def rt_tgsigqueueinfo(t: Thread, pid: Int, tid: Int, signo: Int, info: Ptr) -> int:
    """The same to one thread."""
    return t.sleep("rt_tgsigqueueinfo", pid, tid, signo, _queued_info(t, info))


@syscall
def pidfd_send_signal(t: Thread, fd: Fd, signo: Int, info: Ptr, flags: UInt) -> int:
    """Send a signal to the process that a descriptor stands for."""
    return t.sleep("pidfd_send_signal", fd, signo, _queued_info(t, info) if info else 0, flags)


@restarted_syscall
def signalfd4(t: Thread, fd: Fd, mask: Ptr, size: Size, flags: Int) -> int:
    """Receive signals by reading a file."""
    return t.sleep("signalfd4", fd, host_mask(t, mask, size), SIGSET_SIZE, flags)


@syscall
def restart_syscall(t: Thread) -> int:
    """Kernels use it to go on with a call that a stop interrupted; here the host's has done that."""
    return -EINTR
