"""`ratite cache`: what earlier runs have left in the cache folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ratite.codegen.library import cache_folder, cached_files
from ratite.errors import HostError, UsageError

#: Kinds of files by suffix.
_KINDS = {
    ".stencils": "machine code of instruction forms", ".runtime": "native helpers", ".pages": "translated guest pages",
    ".heat": "where time was spent",
}  # fmt: skip


def main(words: Sequence[str]) -> int:
    """`info` (the default) or `clear`."""
    if len(words) > 1 or (words and words[0] not in ("info", "clear")):
        raise UsageError(f"'{' '.join(words)}' is not understood; ratite cache [info|clear]")
    files = _files(cache_folder())
    if words and words[0] == "clear":
        for path in files:
            _delete(path)
        print(f"{len(files)} files deleted from {cache_folder()}")
        return 0
    print(f"Translations in {cache_folder()}:")
    for suffix, kind in _KINDS.items():
        sizes = [path.stat().st_size for path in files if path.suffix == suffix]
        print(f"  {kind:<36} {len(sizes):>4} files {sum(sizes) / 2**20:>8.1f} MiB")
    return 0


def _files(folder: str) -> list[Path]:
    """The files of stencil libraries and page stores; whatever else is in the folder is not this command's."""
    try:
        return [Path(path) for path in cached_files(folder)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise HostError(f"cannot read {folder}: {error.strerror}") from None


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise HostError(f"cannot delete {path}: {error.strerror}") from None
