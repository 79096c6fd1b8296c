"""Guests from Debian's packages, without the network: packages are made here."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest

from ratite.errors import HostError, ImageError, UsageError
from ratite.fetch import apt, cache, deb, guest, sysroot

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed")


@pytest.fixture(autouse=True)
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RATITE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def make_package(folder: Path, name: str, files: dict[str, bytes]) -> Path:
    """Build a .deb with the given files."""
    tree = folder / f"{name}.tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: 1\nArchitecture: riscv64\n"
        "Maintainer: A Test <test@example.org>\nDescription: a test\n"
    )
    for path, data in files.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(data)
    package = folder / f"{name}_1_riscv64.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", tree, package], check=True, capture_output=True)
    return package


@needs_dpkg
def test_a_guest_is_taken_out_of_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first fetch unpacks kernel, installer and busybox; the second asks nobody; a changed init is packed anew."""
    recipe = guest.RECIPES["riscv64"]
    busybox = make_package(tmp_path, "busybox-static", {"usr/bin/busybox": b"BUSYBOX"})
    images = {recipe.kernel: b"KERNEL", recipe.installer: b"INSTALLER"}
    kernel = make_package(tmp_path, recipe.kernel_package, images)
    asked: list[tuple[str, ...]] = []

    def download(self: apt.Apt, *packages: str) -> list[Path]:
        asked.append(packages)
        return [busybox, kernel]

    monkeypatch.setattr(apt.Apt, "download", download)
    files = guest.fetch("riscv64")
    assert files.kernel.read_bytes() == b"KERNEL"
    assert files.installer.read_bytes() == b"INSTALLER"
    assert files.busybox.stat().st_mode & 0o777 == 0o755
    assert b"BUSYBOX" in gzip.decompress(files.initrd.read_bytes())
    before = files.initrd.stat().st_mtime_ns
    assert guest.fetch("riscv64") == files
    assert files.initrd.stat().st_mtime_ns == before
    assert asked == [("busybox-static", recipe.kernel_package)]
    monkeypatch.setattr(guest, "_init_script", lambda: b"NEW INIT")
    assert b"NEW INIT" in gzip.decompress(guest.fetch("riscv64").initrd.read_bytes())

    guest.copy(files, tmp_path / "out")
    assert (tmp_path / "out/cmdline").read_text() == "console=ttyS0\n"
    assert (tmp_path / "out/kernel").read_bytes() == b"KERNEL"


@needs_dpkg
def test_a_package_without_the_file(tmp_path: Path) -> None:
    """The package and the file that it lacks are named."""
    package = make_package(tmp_path, "empty", {"usr/bin/other": b""})
    with pytest.raises(ImageError, match=r"^empty_1_riscv64.deb holds no ./usr/bin/busybox$"):
        deb.members(package, {"busybox": "./usr/bin/busybox"})
    (tmp_path / "bad.deb").write_bytes(b"no package")
    with pytest.raises(ImageError, match=r"bad.deb cannot be read"):
        deb.members(tmp_path / "bad.deb", {})
    with pytest.raises(HostError, match=r"cannot unpack bad.deb"):
        deb.unpack(tmp_path / "bad.deb", tmp_path / "x")


@needs_dpkg
def test_a_sysroot_is_filled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files land below the folder, /bin and /lib are links into /usr, and equal packages are not fetched again."""
    package = make_package(tmp_path, "tool", {"usr/bin/tool": b"TOOL", "usr/lib/libtool.so": b"LIB"})
    asked: list[tuple[str, ...]] = []

    def download(self: apt.Apt, *packages: str) -> list[Path]:
        asked.append(packages)
        return [package]

    monkeypatch.setattr(apt.Apt, "download_with_dependencies", download)
    folder = sysroot.make("riscv64", ["tool"])
    assert (folder / "bin/tool").read_bytes() == b"TOOL"
    assert (folder / "lib/libtool.so").read_bytes() == b"LIB"
    assert sysroot.make("riscv64", ["tool"]) == folder
    assert asked == [("tool",)]


def test_unknown_architectures_are_named() -> None:
    """One line with what there is."""
    for make in (lambda: guest.fetch("riscv46"), lambda: sysroot.make("riscv46", ["x"])):
        with pytest.raises(UsageError, match="guest architecture 'riscv46' is not known: did you mean 'riscv64'"):
            make()


def test_a_cache_folder_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the folder and the variable that moves it."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RATITE_CACHE", str(tmp_path / "file"))
    with pytest.raises(HostError, match=r"cannot make the cache folder .*file/x: .*; RATITE_CACHE names another"):
        cache.folder("x")
