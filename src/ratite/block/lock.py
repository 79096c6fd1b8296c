"""Keeps two programs from writing to one image, QEMU included.

The protocol is QEMU's, so that either emulator respects the other: byte 100 + n of the file, locked for reading, says
"I use permission n", byte 200 + n says "nobody else may use permission n". Whoever comes takes its bytes first and
looks for conflicts then. Permission 0 is consistent reading, 1 is writing. The locks belong to the open file
description, so that two drives of one process exclude each other as well.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct

from ratite.errors import ImageError

_USED, _REFUSED = 100, 200
_READ, _WRITE = 0, 1
_FLOCK = struct.Struct("@hhqqi0q")    # struct flock of 64-bit Linux
_UNSUPPORTED = {errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}


def lock_image(fd: int, path: str, *, write: bool, share: bool) -> None:
    """Take the locks for reading (and writing) on `fd`; `share` lets others write meanwhile. They end when `fd` is
    closed.

    Raises ImageError when somebody else's use conflicts. A file system without locks is used without them.
    """
    used = {_READ, _WRITE} if write else {_READ}
    refused = set() if share else {_WRITE}
    try:
        for byte in [_USED + n for n in used] + [_REFUSED + n for n in refused]:
            _lock(fd, byte)
        conflict = any(_is_locked(fd, _REFUSED + n) for n in used) or any(_is_locked(fd, _USED + n) for n in refused)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return
        conflict = True
    if conflict:
        purpose = "writing" if write else "reading"
        hint = "another drive or program uses it; file.locking=off skips this"
        raise ImageError(f"'{path}' cannot be locked for {purpose}: {hint}")


def _lock(fd: int, byte: int) -> None:
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, byte, 1, 0))


def _is_locked(fd: int, byte: int) -> bool:
    """Whether another open file description holds any lock on the byte."""
    answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0))
    kind: int = _FLOCK.unpack(answer)[0]
    return kind != fcntl.F_UNLCK
