"""Signal dispositions of a guest process and the delivery of signals to its threads.

The host's kernel does what it can do by itself: it keeps what is pending, chooses the thread, applies masks, ignores,
stops, continues and kills. So each host thread has its guest thread's mask, and each host disposition mirrors the
guest's: default, ignored, or (for a guest handler) the native handler of `host`, which brings the thread here as soon
as it reaches a safe point. Python then builds the guest's signal frame.

SIGSEGV and SIGBUS are never blocked on the host, and their host handlers belong to the vCPU engine, which reports
faults as exits, and passes those that somebody sends to the native handler. The host's kernel does not know which of
the guest's threads block them; so one that is sent to the process may wait in a thread that does while another would
take it, and sigwait does not get it.

Source: POSIX.1-2017, System Interfaces, 2.4; signal(7), sigaction(2) of the Linux manual pages.
"""

from __future__ import annotations

import ctypes
import os
import struct
from errno import EINVAL

from ratite.user import siginfo
from ratite.user.abi.base import AlternateStack, Fault, Handler
from ratite.user.failure import GuestFault, SyscallError
from ratite.user.host import native, quick
from ratite.user.mailbox import NEVER_BLOCKED, SETXID
from ratite.user.signalnumbers import (
    LAST_SIGNAL,
    SA_NOCLDSTOP,
    SA_NOCLDWAIT,
    SA_NODEFER,
    SA_ONSTACK,
    SA_RESETHAND,
    SA_RESTART,
    SA_RESTORER,
    SA_SIGINFO,
    SIG_DFL,
    SIG_IGN,
    SIGBUS,
    SIGKILL,
    SIGPIPE,
    SIGSEGV,
    SIGSTOP,
    SIGXFSZ,
    SS_AUTODISARM,
    SS_DISABLE,
    SS_ONSTACK,
    bit,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ratite.user.thread import Thread

UNMASKABLE = bit(SIGKILL) | bit(SIGSTOP)
OF_THE_ENGINE = (SIGSEGV, SIGBUS)
_ALTERNATE_MODES = SS_AUTODISARM
_RLIMIT_CORE = 4

# What the host kernel's rt_sigaction takes: handler, flags, restorer, mask.
_HOST_ACTION = struct.Struct("<4Q")
_ALL = (1 << 64) - 1


class Action:
    """What the guest wants done about a signal."""

    __slots__ = ("flags", "handler", "mask", "restorer")

    def __init__(self, handler: int = SIG_DFL, flags: int = 0, mask: int = 0, restorer: int = 0) -> None:
        self.handler = handler
        self.flags = flags
        self.mask = mask
        self.restorer = restorer


class Signals:
    """Dispositions of one process, taken over from the host's at the start."""

    def __init__(self) -> None:
        self._buffer = ctypes.create_string_buffer(_HOST_ACTION.size)
        self._address = ctypes.addressof(self._buffer)
        self.actions = [Action() for _ in range(LAST_SIGNAL + 1)]
        for signo in range(1, LAST_SIGNAL + 1):
            self._adopt(signo)

    def set_action(self, signo: int, action: Action) -> None:
        """Do what sigaction(2) does."""
        if not 1 <= signo <= LAST_SIGNAL or signo in (SIGKILL, SIGSTOP):
            raise SyscallError(EINVAL)
        old, self.actions[signo] = self.actions[signo], action
        if signo not in OF_THE_ENGINE and (action.handler, action.flags) != (old.handler, old.flags):
            self._mirror(signo)

    def restarts(self, signo: int) -> bool:
        """Whether a call that this signal interrupts is begun again."""
        action = self.actions[signo]
        return action.handler in (SIG_DFL, SIG_IGN) or bool(action.flags & SA_RESTART)

    def reset_handlers(self) -> None:
        """Forget handlers, as execve does; ignored signals stay ignored."""
        for signo, action in enumerate(self.actions):
            if action.handler not in (SIG_DFL, SIG_IGN):
                self.set_action(signo, Action())

    def have_native_handler(self, signo: int) -> None:
        """Install the native handler whatever the guest's disposition."""
        self._set_host(signo, native.handler, SA_SIGINFO | SA_RESTORER)

    def die(self, signo: int) -> None:
        """End the process by a signal's default action, as its parent will see."""
        quick("prlimit64", 0, _RLIMIT_CORE, self._no_core(), 0)
        self._set_host(signo, SIG_DFL, SA_RESTORER)
        self.raise_on_host(signo)
        os._exit(128 + signo)    # not reached: the signal was fatal

    def raise_on_host(self, signo: int) -> None:
        """Have the calling thread get a signal now, with every other one blocked."""
        ctypes.memmove(self._address, (_ALL & ~bit(signo)).to_bytes(8, "little"), 8)
        quick("tgkill", os.getpid(), quick("gettid"), signo)
        quick("rt_sigprocmask", 2, self._address, 0, 8)

    def _no_core(self) -> int:
        """Address of an rlimit of zero: a core file would hold Ratite, not the guest."""
        ctypes.memset(self._address, 0, 16)
        return self._address

    def _adopt(self, signo: int) -> None:
        """Take over a disposition from the host; Python's own handlers and ignored signals are not the guest's."""
        if signo in (SIGKILL, SIGSTOP, *OF_THE_ENGINE):
            return
        quick("rt_sigaction", signo, 0, self._address, 8)
        handler, *_ = _HOST_ACTION.unpack(self._buffer.raw)
        if handler == SIG_IGN and signo not in (SIGPIPE, SIGXFSZ):
            self.actions[signo].handler = SIG_IGN
        elif handler != SIG_DFL:
            self._set_host(signo, SIG_DFL, SA_RESTORER)

    def _mirror(self, signo: int) -> None:
        action = self.actions[signo]
        flags = SA_RESTORER | action.flags & (SA_NOCLDSTOP | SA_NOCLDWAIT)
        if action.handler in (SIG_DFL, SIG_IGN):
            self._set_host(signo, action.handler, flags)
        else:
            self._set_host(signo, native.handler, flags | SA_SIGINFO)

    def _set_host(self, signo: int, handler: int, flags: int) -> None:
        _HOST_ACTION.pack_into(self._buffer, 0, handler, flags, native.restorer, _ALL & ~NEVER_BLOCKED)
        quick("rt_sigaction", signo, self._address, 0, 8)


class ThreadSignals:
    """Signal state of one guest thread."""

    def __init__(self, thread: Thread, mask: int) -> None:
        self._thread = thread
        self.mask = mask
        """The guest's mask; the host's is the same less the signals that are never blocked there."""
        self.stack = AlternateStack()
        self.queued: list[bytes] = []
        """Signals that the host never blocks and the guest does, as siginfo: SIGSEGV, SIGBUS, SETXID."""

    @property
    def waiting(self) -> bool:
        """Whether there may be something to deliver."""
        return bool(self._thread.mailbox.pending[0] or any(not self.mask & bit(siginfo.signo(info)) for info in self.queued))

    def set_mask(self, mask: int) -> None:
        """Set the guest's mask and the host's; a signal that becomes free may be in the mailbox then."""
        self.mask = mask & ~UNMASKABLE
        self._thread.mailbox.open(self.mask)

    def interrupted_call_restarts(self) -> bool:
        """Whether the signals in the mailbox let the call that they interrupted begin again."""
        found = self._thread.mailbox.peek()
        signals = self._thread.process.signals
        return bool(found) and all(self._held_back(info) or signals.restarts(siginfo.signo(info)) for info in found)

    def waiting_set(self) -> int:
        """The signals that are held back, as a signal set."""
        return sum({bit(siginfo.signo(info)) for info in self.queued})

    def deliver(self) -> None:
        """Bring every signal that waits to the guest; later ones nest in earlier ones, as in the kernel."""
        mailbox = self._thread.mailbox
        while True:
            info = mailbox.take()
            if info is not None:
                self._thread.process.check_stopped(self._thread)
                if self._held_back(info):
                    self._keep(info)
                else:
                    self._deliver(siginfo.signo(info), info)
            elif (info := self._freed()) is not None:
                self._deliver(siginfo.signo(info), info)
            else:
                return
            mailbox.open(self.mask)

    def _held_back(self, info: bytes) -> bool:
        """Whether the guest blocks a signal that the host does not."""
        return bool(self.mask & bit(siginfo.signo(info)) & NEVER_BLOCKED)

    def _keep(self, info: bytes) -> None:
        """Hold a signal back that the guest blocks; a second one of its kind is nothing new."""
        if siginfo.signo(info) not in map(siginfo.signo, self.queued):
            self.queued.append(info)

    def _freed(self) -> bytes | None:
        """Take a signal that was held back and that the guest does not block any more."""
        for n, info in enumerate(self.queued):
            if not self._held_back(info):
                return self.queued.pop(n)
        return None

    def deliver_fault(self, fault: Fault) -> None:
        """Bring the guest a signal that its own instruction caused; a blocked or ignored one kills it."""
        signals = self._thread.process.signals
        if self.mask & bit(fault.signo) or signals.actions[fault.signo].handler == SIG_IGN:
            self._die(fault.signo)
        info = siginfo.fault(fault.signo, fault.code, fault.address, self._thread.abi.bits)
        self._deliver(fault.signo, info, converted=True)
        self._thread.mailbox.open(self.mask)

    def _deliver(self, signo: int, info: bytes, converted: bool = False) -> None:
        process = self._thread.process
        action = process.signals.actions[signo]
        if action.handler == SIG_IGN or (action.handler == SIG_DFL and signo == SETXID):
            return    # the latter is Ratite's own, sent to a thread that was ending anyway
        if action.handler == SIG_DFL:
            if signo in OF_THE_ENGINE:
                self._die(signo)
            process.signals.raise_on_host(signo)
            return
        abi = self._thread.abi
        if not converted:
            info = siginfo.to_guest(info, abi.bits)
        stack = AlternateStack(self.stack.start, self.stack.size, self._stack_flags())
        handler = Handler(action.handler, signo, info, self.mask, stack, process.trampoline, action.restorer)
        try:
            abi.enter_handler(self._thread.registers, self._thread.space, handler, self._frame_top(action))
        except GuestFault:
            self._die(SIGSEGV)
        if self.stack.flags & SS_AUTODISARM:
            self.stack = AlternateStack()
        self.mask |= action.mask & ~UNMASKABLE
        if not action.flags & SA_NODEFER:
            self.mask |= bit(signo)
        if action.flags & SA_RESETHAND:
            process.signals.set_action(signo, Action())

    def sigreturn(self) -> None:
        """Go back to where a handler interrupted the guest; a bad frame kills it."""
        try:
            mask, stack = self._thread.abi.leave_handler(self._thread.registers, self._thread.space)
        except SyscallError:
            self._die(SIGSEGV)
            return
        self.set_mask(mask)
        if not self.on_stack() and stack.flags & ~_ALTERNATE_MODES in (0, SS_ONSTACK, SS_DISABLE):
            disabled = stack.flags & SS_DISABLE
            self.stack = AlternateStack() if disabled else AlternateStack(
                stack.start, stack.size, stack.flags & _ALTERNATE_MODES)

    def on_stack(self) -> bool:
        """Whether the thread runs on its alternate stack. (One that disarms itself does not count.)"""
        if self.stack.flags & SS_AUTODISARM:
            return False
        return self.stack.holds(self._thread.abi.stack_pointer(self._thread.registers))

    def _stack_flags(self) -> int:
        """The `ss_flags` that the guest reads."""
        if not self.stack.size:
            return SS_DISABLE
        return self.stack.flags | (SS_ONSTACK if self.on_stack() else 0)

    def forget_stack(self) -> None:
        """Have no alternate stack, as after execve."""
        self.stack = AlternateStack()

    def describe_stack(self) -> tuple[int, int, int]:
        """Start, flags and size as sigaltstack(2) reports them."""
        return self.stack.start, self._stack_flags(), self.stack.size

    def _frame_top(self, action: Action) -> int:
        if action.flags & SA_ONSTACK and self.stack.size and not self.on_stack():
            return self.stack.start + self.stack.size
        return self._thread.abi.stack_pointer(self._thread.registers)

    def _die(self, signo: int) -> None:
        self._thread.log_exit(f"signal {signo}")
        self._thread.process.finish()
        self._thread.process.signals.die(signo)

