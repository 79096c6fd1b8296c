"""The Linux guest that the system benchmarks run, and its boot."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import measure
from ratite.cli.console import Console
from ratite.errors import RatiteError
from ratite.fetch import cpio, guest, progress, sysroot

BOOT_SECONDS = 600.0


#: Folders below RATITE_GUESTS, which holds guests that cannot be fetched.
FOLDERS = {"riscv64": "rv64", "loongarch64": "loong64"}


class Linux(NamedTuple):
    """A kernel, a static busybox, and the kernel's command line."""

    kernel: Path
    busybox: Path
    append: str

    @property
    def initrd(self) -> Path:
        """A RAM disk with busybox and our init."""
        return _written(f"{self.kernel.parent.name}.gz", guest.initrd(self.busybox.read_bytes()))


def files(isa: str = "riscv64") -> Linux:
    """Debian's kernel and busybox: fetched, or from the folder that RATITE_GUESTS names."""
    folder = Path(os.environ.get("RATITE_GUESTS", "/nonexistent"), FOLDERS[isa])
    if (folder / "kernel").exists():
        return Linux(folder / "kernel", folder / "busybox", (folder / "cmdline").read_text().strip())
    try:
        with progress.bar() as report:
            found = guest.fetch(isa, report)
    except RatiteError as error:
        sys.exit(f"The guest cannot be had: {error} (RATITE_GUESTS may name a folder with {FOLDERS[isa]}/kernel, busybox and cmdline)")
    return Linux(found.kernel, found.busybox, found.append)


def command(emulator: str, initrd: Path, append: str = "", *, memory: str = "1G", processors: int = 1, isa: str = "riscv64") -> list[str]:
    """The command line that both emulators take."""
    linux = files(isa)
    options = ["-M", "virt", "-m", memory, "-smp", str(processors), "-nographic", "-no-reboot"]
    boot = ["-kernel", str(linux.kernel), "-initrd", str(initrd)]
    return [emulator, *options, *boot, "-append", f"{linux.append} {append}".strip()]


def initrd_with_programs(isa: str = "riscv64") -> Path:
    """busybox, the benchmark programs, and a script that runs them between marks on the console."""
    folder = measure.build_programs(isa)
    lines = ["#!/bin/sh"]
    for name in measure.PROGRAMS:
        lines += [f"echo BENCH-BEGIN {name}", f"/bin/{name}", f"echo BENCH-END {name} $?"]
    extra = {f"bin/{name}": (folder / name).read_bytes() for name in measure.PROGRAMS}
    extra["bin/bench"] = ("\n".join(lines) + "\n").encode()
    return _written(f"bench-{isa}.gz", guest.initrd(files(isa).busybox.read_bytes(), extra))


def _written(name: str, data: bytes) -> Path:
    """A file in the folder of what is built."""
    measure.BUILD.mkdir(exist_ok=True)
    path = measure.BUILD / name
    path.write_bytes(data)
    return path


def sysroot_of(*packages: str) -> Path:
    """A folder with Debian's riscv64 packages."""
    try:
        with progress.bar() as report:
            return sysroot.make("riscv64", packages, progress=report)
    except RatiteError as error:
        sys.exit(f"The packages cannot be had: {error}")


def archive_of(folder: Path, top: str, leave_out: Sequence[str], files: Mapping[str, bytes]) -> bytes:
    """A cpio archive of a folder, below `top`, without the parts whose paths begin with one of `leave_out`, and with `files` added."""
    archive = cpio.Archive()
    archive.folder(top)
    for name in ("proc", "dev", "tmp", "jobs"):
        archive.folder(f"{top}/{name}")
    for place, folders, names in os.walk(folder):
        here = Path(place).relative_to(folder)
        folders[:] = sorted(name for name in folders if not str(here / name).startswith(tuple(leave_out)))
        for name in sorted([*folders, *names]):
            path, inside = Path(place, name), f"{top}/{here / name}"
            if path.is_symlink():
                archive.link(inside, os.readlink(path))
            elif path.is_dir():
                archive.folder(inside)
            elif path.is_file():
                archive.file(inside, path.read_bytes(), path.stat().st_mode & 0o777)
    for name, data in files.items():
        archive.file(f"{top}/{name}", data, 0o755)
    return archive.to_bytes()


def times(command: list[str], names: Sequence[str]) -> dict[str, float]:
    """Boot a guest that runs things between marks on its console: the wall seconds of each."""
    seconds: dict[str, float] = {}
    with Console(command) as console:
        console.wait_for("GUEST-READY", BOOT_SECONDS)
        for name in names:
            console.wait_for(f"BENCH-BEGIN {name}", BOOT_SECONDS)
            begin = time.monotonic()
            console.wait_for(f"BENCH-END {name} 0", BOOT_SECONDS)
            seconds[name] = time.monotonic() - begin
        console.wait_for("RUN-ENDED 0", 60)
        console.finish(60)
    return seconds


def power_off(console: Console) -> None:
    """End a guest that is at its prompt."""
    console.wait_for("# ", BOOT_SECONDS)
    console.send("poweroff -f")
    console.finish(60)
