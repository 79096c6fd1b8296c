"""Where the native signal handler leaves a signal for a guest thread, and the thread's host signal mask."""

from __future__ import annotations

import ctypes
import struct

from ratite.user.host import M64, machine, native, quick
from ratite.user.signalnumbers import SIG_SETMASK, SIGBUS, SIGSEGV, bit

SETXID = 33
"""The C libraries' signal for "all threads do this call"; Ratite stops threads with it before execve."""
NEVER_BLOCKED = bit(SIGSEGV) | bit(SIGBUS) | bit(SETXID)
ALL_BLOCKED = M64 & ~NEVER_BLOCKED

_MASK_OFFSET = machine.MAILBOX_SIZE
_INFO = slice(machine.SIGINFO_OFFSET, machine.SIGINFO_OFFSET + 128)


class Mailbox:
    """One thread's. While it is full, the host blocks all further signals of the thread."""

    def __init__(self, interrupt_address: int) -> None:
        self._memory = ctypes.create_string_buffer(machine.MAILBOX_SIZE + 16)
        self.address = ctypes.addressof(self._memory)
        self._bytes = memoryview(self._memory).cast("B")
        self.pending = self._bytes.cast("i")
        """`pending[0]` is not zero while a signal waits here."""
        struct.pack_into("<QQ", self._bytes, machine.INTERRUPT_OFFSET, interrupt_address, ALL_BLOCKED)

    def peek(self) -> bytes:
        """The siginfo of the waiting signal."""
        return bytes(self._bytes[_INFO])

    def clear(self) -> None:
        """Take the signal out. The host mask must be set after this, and before the thread goes on."""
        self.pending[0] = 0

    def call_with_mask(self, mask: int) -> tuple[int, int]:
        """Number and argument of the host call that sets this thread's mask; for `guarded`."""
        struct.pack_into("<Q", self._bytes, _MASK_OFFSET, mask & ~NEVER_BLOCKED & M64)
        return SIG_SETMASK, self.address + _MASK_OFFSET

    def set_host_mask(self, mask: int) -> None:
        """Set the calling thread's mask; signals that become free may fill the mailbox before this returns."""
        how, address = self.call_with_mask(mask)
        quick("rt_sigprocmask", how, address, 0, 8)

    def enlist(self, tid: int) -> None:
        """Start to receive a thread's signals."""
        native.enlist(tid, self.address)
