"""`snapshot=on`: writes go to a temporary file and are forgotten at the end; the image itself stays as it is."""

from __future__ import annotations

import os
import threading

from ratite.block.image import BlockImage, Views, advance, total

_CLUSTER = 4096


class OverlayImage:
    """Reads through to `base` wherever nothing was written.

    Written clusters of 4 KiB live in an unlinked sparse file at their own offsets; a bit each says which. One lock
    covers writes and the reads of mixed ranges, as a cluster must be copied up as a whole.
    """

    readonly = False

    def __init__(self, base: BlockImage) -> None:
        self.base = base
        self.size = base.size
        self._fd = _temporary_file()
        os.truncate(self._fd, self.size)
        self._written = bytearray((self.size // _CLUSTER >> 3) + 1)
        self._lock = threading.Lock()

    def preadv(self, views: Views, offset: int) -> None:
        with self._lock:
            for start, end, ours in self._runs(offset, offset + total(views)):
                part = _slice(views, start - offset, end - offset)
                if ours:
                    _read_all(self._fd, part, start)
                else:
                    self.base.preadv(part, start)

    def try_preadv(self, views: Views, offset: int) -> bool:
        return False

    def pwritev(self, views: Views, offset: int) -> None:
        with self._lock:
            end = offset + total(views)
            self._copy_up(offset)
            self._copy_up(end - 1)
            _write_all(self._fd, views, offset)
            self._mark(offset, end)

    def flush(self) -> None:
        """Nothing of this is meant to last."""

    def discard(self, offset: int, size: int) -> None:
        """What was there may stay."""

    def write_zeroes(self, offset: int, size: int, unmap: bool) -> None:
        zeroes = memoryview(bytes(min(size, 1 << 20)))
        while size:
            count = min(size, len(zeroes))
            self.pwritev([zeroes[:count]], offset)
            offset, size = offset + count, size - count

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self.base.close()

    # --- which clusters are ours

    def _is_written(self, cluster: int) -> bool:
        return bool(self._written[cluster >> 3] >> (cluster & 7) & 1)

    def _mark(self, start: int, end: int) -> None:
        for cluster in range(start // _CLUSTER, (end - 1) // _CLUSTER + 1):
            self._written[cluster >> 3] |= 1 << (cluster & 7)

    def _copy_up(self, offset: int) -> None:
        """Fetch the cluster around `offset` from the base, unless it is ours already."""
        cluster = offset // _CLUSTER
        if self._is_written(cluster):
            return
        start = cluster * _CLUSTER
        buffer = memoryview(bytearray(min(_CLUSTER, self.size - start)))
        self.base.preadv([buffer], start)
        _write_all(self._fd, [buffer], start)
        self._mark(start, start + 1)

    def _runs(self, start: int, end: int) -> list[tuple[int, int, bool]]:
        """The range cut into pieces that lie all in the overlay or all in the base."""
        runs: list[tuple[int, int, bool]] = []
        while start < end:
            ours = self._is_written(start // _CLUSTER)
            stop = start
            while stop < end and self._is_written(stop // _CLUSTER) == ours:
                stop = (stop // _CLUSTER + 1) * _CLUSTER
            runs.append((start, min(stop, end), ours))
            start = stop
        return runs


def _temporary_file() -> int:
    import tempfile

    fd, path = tempfile.mkstemp(prefix="ratite-snapshot-")
    os.unlink(path)
    return fd


def _slice(views: Views, start: int, end: int) -> list[memoryview]:
    part, left = [], end - start
    for view in advance(views, start):
        if left > 0:
            part.append(view[:left])
            left -= len(view)
    return part


def _read_all(fd: int, views: Views, offset: int) -> None:
    left = list(views)
    while left and (count := os.preadv(fd, left[:1024], offset)):
        left, offset = advance(left, count), offset + count


def _write_all(fd: int, views: Views, offset: int) -> None:
    left = list(views)
    while left:
        count = os.pwritev(fd, left[:1024], offset)
        left, offset = advance(left, count), offset + count
