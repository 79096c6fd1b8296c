"""Raw images: the bytes of a host file or block device are the bytes of the disk."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from ratite.block.image import Views, advance, clear, total
from ratite.block.lock import lock_image
from ratite.block.probe import probe
from ratite.errors import ImageError

SECTOR = 512
_IOV_MAX = 1024
_DIRECT_ALIGNMENT = 4096    # what every host file system accepts for O_DIRECT
_ZERO_CHUNK = 1 << 20

# fallocate(2), which Python has only without modes
_KEEP_SIZE, _PUNCH_HOLE, _ZERO_RANGE = 0x01, 0x02, 0x10


class RawImage:
    """A file or block device. The last sector of a file whose size is no multiple of 512 is padded with zeroes.

    `direct` bypasses the host's page cache for requests that are aligned for it. `guarded` is for images whose format
    was only guessed: writing the magic number of another format into the first sector fails, as it would change the
    guess of the next start and let the guest choose which files of the host are opened.
    """

    def __init__(
        self,
        path: str,
        *,
        readonly: bool = False,
        direct: bool = False,
        guarded: bool = False,
        lock: bool = True,
        share: bool = False,
    ) -> None:
        self.path, self.readonly = path, readonly
        self._guarded = guarded
        self._fd = self._direct_fd = -1
        try:
            self._fd = os.open(path, (os.O_RDONLY if readonly else os.O_RDWR) | os.O_CLOEXEC | os.O_NONBLOCK)
            mode = os.fstat(self._fd).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
                raise ImageError(f"'{path}' is neither a file nor a block device")
            if lock:
                lock_image(self._fd, path, write=not readonly, share=share)
            self._end = os.lseek(self._fd, 0, os.SEEK_END)
            if direct:
                self._direct_fd = self._open_direct()
        except OSError as error:
            self.close()
            hint = "; readonly=on opens it for reading alone" if error.errno in (errno.EACCES, errno.EROFS) else ""
            raise ImageError(f"cannot open image '{path}': {error.strerror}{hint}") from None
        except ImageError:
            self.close()
            raise
        self.size = -(-self._end // SECTOR) * SECTOR

    def head(self, count: int) -> bytes:
        """The first bytes, for probing."""
        return os.pread(self._fd, count, 0)

    def close(self) -> None:
        for fd in {self._fd, self._direct_fd} - {-1}:
            os.close(fd)
        self._fd = self._direct_fd = -1

    # --- BlockImage

    def preadv(self, views: Views, offset: int) -> None:
        left, fd = list(views), self._fd_for(views, offset)
        while left:
            count = os.preadv(fd, left[:_IOV_MAX], offset)
            if not count:
                return clear(left)
            offset += count
            left = advance(left, count)
            fd = self._fd

    def try_preadv(self, views: Views, offset: int) -> bool:
        if self._direct_fd >= 0 or len(views) > _IOV_MAX:
            return False
        try:
            return os.preadv(self._fd, views, offset, os.RWF_NOWAIT) == total(views)
        except OSError:    # not in the page cache, or the file system cannot tell
            return False

    def pwritev(self, views: Views, offset: int) -> None:
        if self._guarded and offset < SECTOR:
            self._refuse_magic(views, offset)
        left, fd = list(views), self._fd_for(views, offset)
        while left:
            count = os.pwritev(fd, left[:_IOV_MAX], offset)
            offset += count
            left = advance(left, count)
            fd = self._fd

    def flush(self) -> None:
        os.fdatasync(self._fd)

    def discard(self, offset: int, size: int) -> None:
        _fallocate(self._fd, _PUNCH_HOLE | _KEEP_SIZE, offset, size)

    def write_zeroes(self, offset: int, size: int, unmap: bool) -> None:
        if unmap and _fallocate(self._fd, _PUNCH_HOLE | _KEEP_SIZE, offset, size):
            return
        if _fallocate(self._fd, _ZERO_RANGE | _KEEP_SIZE, offset, size):
            return
        zeroes = memoryview(bytes(min(size, _ZERO_CHUNK)))
        while size:
            count = min(size, len(zeroes))
            self.pwritev([zeroes[:count]], offset)
            offset, size = offset + count, size - count

    # --- inside

    def _open_direct(self) -> int:
        try:
            return os.open(self.path, (os.O_RDONLY if self.readonly else os.O_RDWR) | os.O_CLOEXEC | os.O_DIRECT)
        except OSError:
            raise ImageError(f"'{self.path}': its file system has no direct access; use cache=writeback") from None

    def _fd_for(self, views: Views, offset: int) -> int:
        """The direct descriptor takes only what is aligned in the file and in memory; the kernel keeps both
        descriptors coherent.
        """
        if self._direct_fd < 0:
            return self._fd
        from ratite.block.alignment import is_aligned

        return self._direct_fd if is_aligned(views, offset, _DIRECT_ALIGNMENT) else self._fd

    def _refuse_magic(self, views: Views, offset: int) -> None:
        sector = bytearray(os.pread(self._fd, SECTOR, 0).ljust(SECTOR, b"\0"))
        data = b"".join(views)[: SECTOR - offset]
        sector[offset : offset + len(data)] = data
        if probe(bytes(sector)) != "raw":
            raise OSError(errno.EPERM, "writing another format's magic number to an image whose format was guessed")


def _fallocate(fd: int, mode: int, offset: int, size: int) -> bool:
    """False where the file system cannot do it."""
    if not size:
        return True
    if _libc_fallocate()(fd, mode, offset, size) == 0:
        return True
    import ctypes

    number = ctypes.get_errno()
    if number in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
        return False
    raise OSError(number, os.strerror(number))


def _libc_fallocate() -> Callable[[int, int, int, int], int]:
    import ctypes

    function = ctypes.CDLL(None, use_errno=True).fallocate
    function.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    function.restype = ctypes.c_int
    call: Callable[[int, int, int, int], int] = function
    return call
