"""Kernel modules from Debian's packages, without the network."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest

from ratite.errors import ImageError
from ratite.fetch import apt, guest, modules
from tests.fetch.test_guest import make_package, needs_dpkg

VERSION = "6.12.107+deb13-riscv64"
BANNER = f"Linux version {VERSION} (debian-kernel@lists.debian.org)".encode()


def make_guest(folder: Path, kernel: bytes = BANNER) -> guest.Guest:
    """A guest that has a kernel and nothing else."""
    path = folder / "some-guest" / "kernel"
    path.parent.mkdir()
    path.write_bytes(b"\x7f" * 100 + kernel + bytes(100))
    return guest.Guest(path, path, path, path, "", "")


@needs_dpkg
def test_modules_come_unpacked_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order asked for, from the package of the kernel's own version, which is not fetched again for what is there."""
    monkeypatch.setenv("RATITE_CACHE", str(tmp_path / "cache"))
    tree = f"usr/lib/modules/{VERSION}/kernel"
    files = {f"{tree}/fs/ext4/ext4.ko.xz": lzma.compress(b"EXT4"), f"{tree}/lib/crc16.ko.xz": lzma.compress(b"CRC"),
             f"{tree}/lib/bad.ko.xz": b"no xz"}  # fmt: skip
    package = make_package(tmp_path, "linux-image", files)
    asked: list[tuple[str, ...]] = []

    def download(self: apt.Apt, *packages: str) -> list[Path]:
        asked.append(packages)
        return [package]

    monkeypatch.setattr(apt.Apt, "download", download)
    files_of_guest = make_guest(tmp_path)
    for _ in range(2):
        found = modules.fetch("riscv64", files_of_guest, ["crc16", "ext4"])
        assert list(found.items()) == [("crc16", b"CRC"), ("ext4", b"EXT4")]
    assert asked == [(f"linux-image-{VERSION}",)]
    with pytest.raises(ImageError, match=r"holds no .*/none\.ko\.xz"):
        modules.fetch("riscv64", files_of_guest, ["none"])
    with pytest.raises(ImageError, match="module bad cannot be unpacked"):
        modules.fetch("riscv64", files_of_guest, ["bad"])


def test_what_is_no_kernel(tmp_path: Path) -> None:
    """The file is named."""
    with pytest.raises(ImageError, match="kernel is no uncompressed Linux kernel"):
        modules.kernel_version(make_guest(tmp_path, b"something else").kernel)
