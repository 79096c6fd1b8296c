"""Host memory for one system call: structures and paths that the kernel gets in place of the guest's."""

from __future__ import annotations

import ctypes

_SIZE = 1 << 16


class Scratch:
    """A buffer that is handed out piece by piece and empty again at the next system call. One per thread."""

    def __init__(self) -> None:
        self._memory = ctypes.create_string_buffer(_SIZE)
        self._base = ctypes.addressof(self._memory)
        self._view = memoryview(self._memory).cast("B")
        self._large: list[ctypes.Array[ctypes.c_char]] = []
        self.used = 0
        """Bytes handed out."""

    def reset(self) -> None:
        """Take everything back."""
        self.used = 0
        self._large.clear()

    def room(self, size: int) -> int:
        """Host address of `size` bytes with any content, aligned to 8."""
        start = self.used
        if start + size > _SIZE:
            self.used += 1
            large = ctypes.create_string_buffer(size)
            self._large.append(large)
            return ctypes.addressof(large)
        self.used = start + size + 7 & ~7
        return self._base + start

    def put(self, data: bytes) -> int:
        """Host address of a copy of `data`."""
        address = self.room(len(data))
        at = address - self._base
        if 0 <= at < _SIZE:
            self._view[at:at + len(data)] = data
        else:
            ctypes.memmove(address, data, len(data))
        return address

    def get(self, address: int, size: int) -> bytes:
        """What is now in memory that `room` or `put` handed out."""
        at = address - self._base
        if 0 <= at < _SIZE:
            return bytes(self._view[at:at + size])
        return ctypes.string_at(address, size)
