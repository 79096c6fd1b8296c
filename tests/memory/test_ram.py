"""RAM blocks: shared memory with a host address."""

from __future__ import annotations

import ctypes
import mmap

import pytest

from ratite.errors import HostError
from ratite.memory import RamBlock


def test_view_address_and_file_are_the_same_memory() -> None:
    """Python, native code and another mapping of the file see each other's writes."""
    ram = RamBlock("test", 0x4000)
    assert bytes(ram.view[:16]) == bytes(16)
    ram.view[8] = 0x5A
    assert ctypes.c_ubyte.from_address(ram.host + 8).value == 0x5A
    with mmap.mmap(ram.fd, 0x4000) as other:
        other[0x3FFF] = 7
        assert ram.view[0x3FFF] == 7
    ram.close()


def test_close_twice_and_with_views_in_use() -> None:
    """Closing is safe while a device still holds a view, and a second time."""
    ram = RamBlock("test", 0x1000)
    view = ram.view[:16]
    ram.close()
    ram.close()
    view[0] = 1


@pytest.mark.parametrize("size", [0, -1])
def test_a_block_needs_a_size(size: int) -> None:
    """A programming error, not a user's."""
    with pytest.raises(ValueError):
        RamBlock("test", size)


def test_too_much_memory_is_a_host_error() -> None:
    """One line instead of a traceback."""
    with pytest.raises(HostError, match="gives no"):
        RamBlock("huge", 1 << 62)
