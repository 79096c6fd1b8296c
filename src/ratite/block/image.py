"""What a disk image can do. Every method blocks; `ratite.block.drive` calls them from worker threads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

Views = Sequence[memoryview]


class BlockImage(Protocol):
    """A range of bytes that can be read and written anywhere.

    Offsets and sizes are in bytes and lie within `size`; the caller has checked that. Failures are OSErrors with an
    errno. Methods may run in several threads at once; requests that overlap have no defined order, as on a real disk.
    """

    @property
    def size(self) -> int:
        """Bytes, a multiple of 512."""

    @property
    def readonly(self) -> bool:
        """True when writes fail."""

    def preadv(self, views: Views, offset: int) -> None:
        """Fill the views, one after the other, from `offset`."""

    def try_preadv(self, views: Views, offset: int) -> bool:
        """The same if it can be done without waiting for a disk; False when it cannot, and then the views may hold
        anything.
        """

    def pwritev(self, views: Views, offset: int) -> None:
        """Write what the views hold, one after the other, at `offset`."""

    def flush(self) -> None:
        """Return when what was written survives a power failure."""

    def discard(self, offset: int, size: int) -> None:
        """The range is not needed any more; it may read as anything afterwards. Doing nothing is allowed."""

    def write_zeroes(self, offset: int, size: int, unmap: bool) -> None:
        """The range reads as zeroes afterwards; with `unmap` it may give its space back to the host."""

    def close(self) -> None:
        """Give host resources back. May be called twice."""


def total(views: Views) -> int:
    """The number of bytes in all views."""
    return sum(map(len, views))


def advance(views: Views, count: int) -> list[memoryview]:
    """What is left of the views after their first `count` bytes."""
    left = list(views)
    while left and count >= len(left[0]):
        count -= len(left.pop(0))
    if count:
        left[0] = left[0][count:]
    return left


def clear(views: Views) -> None:
    """Fill the views with zeroes."""
    for view in views:
        view[:] = bytes(len(view))
