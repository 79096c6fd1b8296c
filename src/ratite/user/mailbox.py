"""Where the native signal handler leaves signals for a guest thread, and the thread's host signal mask."""

from __future__ import annotations

import ctypes
import struct

from ratite.user.host import M64, NUMBERS, machine, native, pack_call, quick
from ratite.user.signalnumbers import SIG_SETMASK, SIGBUS, SIGSEGV, bit

SETXID = 33
"""The C libraries' signal for "all threads do this call"; Ratite stops threads with it before execve."""
NEVER_BLOCKED = bit(SIGSEGV) | bit(SIGBUS) | bit(SETXID)
ALL_BLOCKED = M64 & ~NEVER_BLOCKED

_MASK_OFFSET = machine.MAILBOX_SIZE


class Mailbox:
    """One thread's. While a signal is in it that the host can block, the host blocks all further ones of the thread; each of those that it never
    blocks has a place of its own, and what comes while that is full is as if it had not been sent, as with every standard signal of POSIX."""

    def __init__(self, interrupt_address: int) -> None:
        self._memory = ctypes.create_string_buffer(machine.MAILBOX_SIZE + 16)
        self.address = ctypes.addressof(self._memory)
        self._bytes = memoryview(self._memory).cast("B")
        self.pending = self._bytes.cast("i")
        """`pending[0]` is not zero while signals wait here."""
        struct.pack_into("<QQ", self._bytes, machine.INTERRUPT_OFFSET, interrupt_address, ALL_BLOCKED)

    def peek(self) -> list[bytes]:
        """The siginfos of the waiting signals."""
        return [self._info(slot) for slot in range(machine.SLOTS) if self._bytes[machine.PENDING_OFFSET + slot]]

    def take(self) -> bytes | None:
        """Take a signal out, and give its siginfo. `open` must follow when there is none left, before the thread goes on."""
        for slot in range(machine.SLOTS):
            if self._bytes[machine.PENDING_OFFSET + slot]:
                info = self._info(slot)
                self._bytes[machine.PENDING_OFFSET + slot] = 0
                return info
        return None

    def _info(self, slot: int) -> bytes:
        start = machine.SIGINFO_OFFSET + slot * machine.SIGINFO_SIZE
        return bytes(self._bytes[start : start + machine.SIGINFO_SIZE])

    def clear(self) -> None:
        """Throw everything away."""
        self.pending[0] = 0

    def call_with_mask(self, mask: int) -> tuple[int, int]:
        """Number and argument of the host call that sets this thread's mask; for `guarded`."""
        struct.pack_into("<Q", self._bytes, _MASK_OFFSET, mask & ~NEVER_BLOCKED & M64)
        return SIG_SETMASK, self.address + _MASK_OFFSET

    def block(self) -> None:
        """Have the calling thread get no signal that the host can block."""
        how, address = self.call_with_mask(M64)
        quick("rt_sigprocmask", how, address, 0, 8)

    def open(self, mask: int) -> None:
        """Set the calling thread's mask; signals that become free may fill the mailbox before this returns. With signals in it, it stays as it is:
        then there is more to deliver before the thread goes on, and another `open` to follow."""
        how, address = self.call_with_mask(mask)
        native.quick_guarded(pack_call(NUMBERS["rt_sigprocmask"], how, address, 0, 8, 0, 0, self.address))

    def enlist(self, tid: int) -> None:
        """Start to receive a thread's signals."""
        native.enlist(tid, self.address)
