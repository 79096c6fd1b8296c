"""How a system call fails: exceptions that carry an error number."""

from __future__ import annotations

from errno import EFAULT

from ratite.errors import MemoryAccessError


class SyscallError(Exception):
    """A guest system call fails with this error number (of the host; ABIs that number errors differently translate)."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class GuestFault(SyscallError, MemoryAccessError):
    """The guest gave an address that has no memory, or none of the wanted kind, behind it."""

    def __init__(self, address: int) -> None:
        super().__init__(EFAULT)
        self.address = address

    def __str__(self) -> str:
        return f"no such guest memory: {self.address:#x}"


def check(result: int) -> int:
    """Pass on a host system call's result; failures become a SyscallError."""
    if result < 0:
        raise SyscallError(-result)
    return result
