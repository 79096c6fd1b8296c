"""A folder with Debian packages of another architecture unpacked, for `ratite-ARCH -L FOLDER PROGRAM`.

Packages are unpacked only: their maintainer scripts do not run, so caches that those make (ld.so.cache, alternatives)
are absent.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ratite.errors import unknown
from ratite.fetch import cache, deb
from ratite.fetch.apt import Apt, Progress
from ratite.fetch.guest import SUITES

# Since Debian 13 packages hold their files below /usr only, and these names are links made at installation (usrmerge).
MERGED = ("bin", "lib", "lib64", "sbin")
STAMP = ".ratite-packages"


def make(
    arch: str, packages: Sequence[str], folder: Path | None = None, progress: Progress = lambda text, part: None,
    suite: str | None = None,
) -> Path:
    """Unpack `packages` and what they depend on; returns the folder, by default one in the cache. suite: the release of Debian,
    by default the one that the architecture's guests are made of.

    A folder that already holds these packages is left as it is.
    """
    if suite is None and arch not in SUITES:
        raise unknown("guest architecture", arch, SUITES)
    suite = suite or SUITES[arch]
    folder = folder or cache.folder("sysroots", f"{suite}-{arch}-{'-'.join(sorted(packages))}"[:200])
    folder.mkdir(parents=True, exist_ok=True)
    with cache.locked(folder):
        wanted = " ".join(sorted(packages))
        stamp = folder / STAMP
        if not stamp.exists() or stamp.read_text() != wanted:
            _fill(folder, suite, arch, packages, progress)
            stamp.write_text(wanted)
    return folder


def _fill(folder: Path, suite: str, arch: str, packages: Sequence[str], progress: Progress) -> None:
    for name in MERGED:
        (folder / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(folder / name):
            (folder / name).symlink_to(f"usr/{name}")
    apt = Apt(cache.folder("apt", f"{suite}-{arch}"), suite, arch, progress)
    with cache.locked(apt.folder):
        archives = apt.download_with_dependencies(*packages)
        for number, archive in enumerate(archives):
            progress("unpacking", number / len(archives))
            deb.unpack(archive, folder)
    progress("unpacking", 1.0)
