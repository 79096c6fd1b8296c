"""Modules of a Debian guest's kernel: drivers and file systems that the kernel image itself has not.

They come out of Debian's package with the whole kernel (`linux-image-VERSION`, about 100 MB), and are kept in the cache folder, unpacked
as insmod wants them. Which module needs which other is the caller's knowledge.
"""

from __future__ import annotations

import lzma
import re
from collections.abc import Sequence
from pathlib import Path

from ratite.errors import ImageError
from ratite.fetch import cache, deb
from ratite.fetch.apt import Apt, Progress
from ratite.fetch.guest import RECIPES, Guest

_VERSION = re.compile(rb"Linux version ([-+.~\w]+) \(")


def fetch(arch: str, guest: Guest, names: Sequence[str], progress: Progress = lambda text, part: None) -> dict[str, bytes]:
    """The modules `names` (files' names without `.ko`) of the guest's kernel, in the order of `names`.

    Raises HostError where the archive cannot be reached or has another version by now, ImageError where the kernel or its package are
    not as expected.
    """
    version = kernel_version(guest.kernel)
    folder = cache.folder("guests", guest.kernel.parent.name, f"modules-{version}")
    files = {name: folder / f"{name}.ko" for name in names}
    with cache.locked(folder):
        missing = [name for name, path in files.items() if not path.exists()]
        if missing:
            package = _download(arch, version, progress)
            patterns = {name: f"./usr/lib/modules/{version}/kernel/*/{name}.ko.xz" for name in missing}
            for name, data in deb.members(package, patterns).items():
                cache.write(files[name], _unpack(name, data))
    return {name: path.read_bytes() for name, path in files.items()}


def kernel_version(kernel: Path) -> str:
    """The release that an uncompressed kernel image names in its banner, as `uname -r` prints it."""
    match = _VERSION.search(kernel.read_bytes())
    if match is None:
        raise ImageError(f"{kernel} is no uncompressed Linux kernel: it names no version")
    return match[1].decode()


def _download(arch: str, version: str, progress: Progress) -> Path:
    suite = RECIPES[arch].suite
    apt = Apt(cache.folder("apt", f"{suite}-{arch}"), suite, arch, progress)
    with cache.locked(apt.folder):
        return apt.download(f"linux-image-{version}")[0]


def _unpack(name: str, data: bytes) -> bytes:
    try:
        return lzma.decompress(data)
    except lzma.LZMAError as error:
        raise ImageError(f"the module {name} cannot be unpacked: {error}") from None
