"""Blocks of guest RAM: host memory that native code, devices and other processes can share."""

from __future__ import annotations

import mmap
import os

from ratite.errors import HostError


class RamBlock:
    """`size` bytes of zeroed memory, backed by an anonymous file (memfd) and mapped once.

    The host takes a page from its memory only when the guest first touches it. Raises HostError when the host refuses.
    """

    def __init__(self, name: str, size: int) -> None:
        if size <= 0:
            raise ValueError(f"RAM block '{name}' has a size of {size}")
        self.name = name
        self.size = size
        try:
            self.fd = os.memfd_create(name[:200], os.MFD_CLOEXEC)
            os.ftruncate(self.fd, size)
            self._map = mmap.mmap(self.fd, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        except (OSError, ValueError, OverflowError) as error:
            raise HostError(f"the host gives no {size} bytes for guest memory '{name}': {error}") from None
        self.view = memoryview(self._map)
        """The bytes, writable; the index is the offset in the block."""
        self.host = _address(self._map)
        """Host address of the first byte, for native code."""

    def __repr__(self) -> str:
        return f"<RamBlock {self.name} of {self.size:#x} bytes>"

    def close(self) -> None:
        """Give the memory back to the host. A second call does nothing.

        Views that are still in use elsewhere keep the mapping alive until they go.
        """
        if self.fd < 0:
            return
        os.close(self.fd)
        self.fd, self.host = -1, 0
        self.view.release()
        try:
            self._map.close()
        except BufferError:
            pass


def _address(memory: mmap.mmap) -> int:
    from ctypes import addressof, c_char

    return addressof(c_char.from_buffer(memory))
