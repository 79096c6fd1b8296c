"""Zeroed host memory at a fixed address, for tables that native code reads."""

from __future__ import annotations

import ctypes
import mmap


class HostBuffer:
    """`size` bytes: `view` for Python, `address` for native code."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._map = mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.view = memoryview(self._map)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._map))

    def clear(self) -> None:
        """Zero it, giving the pages back to the host."""
        self._map.madvise(mmap.MADV_DONTNEED)
