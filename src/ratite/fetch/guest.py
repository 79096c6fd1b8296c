"""Guests made of what Debian ships: a kernel with a busybox shell, and Debian's own installer.

A `Recipe` per architecture says which packages to take and where the files lie in them; an architecture more is a row
more.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ratite.errors import unknown
from ratite.fetch import cache, cpio, deb
from ratite.fetch.apt import Apt, Progress


class Recipe(NamedTuple):
    """Where the parts of an architecture's guest are found."""

    suite: str
    kernel_package: str
    kernel: str
    installer: str
    append: str
    machine: str
    """Options of the emulator that the guest is known to run with."""


_IMAGES = "./usr/lib/debian-installer/images/13"

RECIPES: Mapping[str, Recipe] = {
    "riscv64": Recipe(
        suite="trixie",
        kernel_package="debian-installer-13-netboot-riscv64",
        kernel=f"{_IMAGES}/riscv64/text/debian-installer/riscv64/linux",
        installer=f"{_IMAGES}/riscv64/text/debian-installer/riscv64/initrd.gz",
        append="console=ttyS0",
        machine="-M virt -m 1G",
    ),
}

FILES = ("kernel", "initrd.gz", "installer.gz", "busybox")
BUSYBOX_PACKAGE = "busybox-static"
BUSYBOX = "./usr/bin/busybox"
SUITES = {**{arch: recipe.suite for arch, recipe in RECIPES.items()}, "loong64": "sid"}


class Guest(NamedTuple):
    """The files of a guest in the cache folder."""

    kernel: Path
    initrd: Path
    """busybox and our own init."""
    installer: Path
    """The initrd that Debian ships with the kernel."""
    busybox: Path
    append: str
    machine: str


def fetch(arch: str, progress: Progress = lambda text, part: None) -> Guest:
    """The guest for `arch`, from the cache folder or, the first time, from the archive.

    Raises HostError where the system is not Debian-like or its archive cannot be reached.
    """
    recipe = _recipe(arch)
    folder = cache.folder("guests", f"debian-{recipe.suite}-{arch}")
    kernel, initrd_file, installer, busybox = (folder / name for name in FILES)
    guest = Guest(kernel, initrd_file, installer, busybox, recipe.append, recipe.machine)
    with cache.locked(folder):
        if not all(path.exists() for path in (guest.kernel, guest.installer, guest.busybox)):
            _download(recipe, arch, guest, progress)
        _refresh(guest.initrd, initrd(guest.busybox.read_bytes()))
    return guest


def copy(guest: Guest, folder: Path) -> None:
    """Put the guest's files, its command line and machine options into a folder of the user's."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in (guest.kernel, guest.initrd, guest.installer, guest.busybox):
        cache.write(folder / path.name, path.read_bytes(), path.stat().st_mode & 0o777)
    cache.write(folder / "cmdline", f"{guest.append}\n".encode())
    cache.write(folder / "machine", f"{guest.machine}\n".encode())


def initrd(busybox: bytes, extra: Mapping[str, bytes] | None = None) -> bytes:
    """A gzip'd root file system around a static busybox; `extra` adds programs by path."""
    archive = cpio.Archive()
    for name in ("bin", "sbin", "dev", "proc", "sys", "tmp", "etc", "root"):
        archive.folder(name)
    archive.device("dev/console", 5, 1)
    archive.device("dev/null", 1, 3, 0o666)
    archive.file("init", _init_script(), 0o755)
    archive.file("bin/busybox", busybox, 0o755)
    archive.link("bin/sh", "busybox")
    for name, data in (extra or {}).items():
        archive.file(name, data, 0o755)
    return gzip.compress(archive.to_bytes(), mtime=0)


def _download(recipe: Recipe, arch: str, guest: Guest, progress: Progress) -> None:
    apt = Apt(cache.folder("apt", f"{recipe.suite}-{arch}"), recipe.suite, arch, progress)
    with cache.locked(apt.folder):
        busybox, kernel = apt.download(BUSYBOX_PACKAGE, recipe.kernel_package)
        progress("unpacking", 0.0)
        cache.write(guest.busybox, deb.members(busybox, {"busybox": BUSYBOX})["busybox"], 0o755)
        images = deb.members(kernel, {"kernel": recipe.kernel, "installer": recipe.installer})
        cache.write(guest.kernel, images["kernel"])
        cache.write(guest.installer, images["installer"])
        progress("unpacking", 1.0)


def _refresh(path: Path, data: bytes) -> None:
    """Write the file only when its contents change, as they do when the init script does."""
    if not path.exists() or path.read_bytes() != data:
        cache.write(path, data)


def _init_script() -> bytes:
    return Path(__file__).with_name("init.sh").read_bytes()


def _recipe(arch: str) -> Recipe:
    try:
        return RECIPES[arch]
    except KeyError:
        raise unknown("guest architecture", arch, RECIPES) from None
