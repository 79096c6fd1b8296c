"""The user's cache folder, and how files get into it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ratite.errors import HostError


def folder(*parts: str) -> Path:
    """A folder of Ratite's below the user's cache folder (XDG Base Directory Specification 0.8), made when it is
    missing.
    """
    root = os.environ.get("RATITE_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "ratite")
    path = Path(root).expanduser().joinpath(*parts)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(f"cannot make the cache folder {path}: {error.strerror}; RATITE_CACHE names another") from None
    return path


def write(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Put a whole file in place: a reader sees the old one or the new one, never half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        temporary.chmod(mode)
        temporary.replace(path)
    except OSError as error:
        raise HostError(f"cannot write {path}: {error.strerror}") from None
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes that ask for the same folder out while the body runs."""
    import fcntl

    with open(path / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
