"""The Linux guest that the system benchmarks run, and its boot."""

from __future__ import annotations

import sys
from pathlib import Path

import measure
from ratite.cli.console import Console
from ratite.errors import RatiteError
from ratite.fetch import guest, progress

BOOT_SECONDS = 600.0


def files() -> guest.Guest:
    """Debian's kernel and busybox."""
    try:
        with progress.bar() as report:
            return guest.fetch("riscv64", report)
    except RatiteError as error:
        sys.exit(f"The guest cannot be had: {error}")


def command(emulator: str, initrd: Path, append: str = "", *, memory: str = "1G") -> list[str]:
    """The command line that both emulators take."""
    linux = files()
    options = ["-M", "virt", "-m", memory, "-nographic", "-no-reboot"]
    boot = ["-kernel", str(linux.kernel), "-initrd", str(initrd)]
    return [emulator, *options, *boot, "-append", f"{linux.append} {append}".strip()]


def initrd_with_programs() -> Path:
    """busybox, the benchmark programs, and a script that runs them between marks on the console."""
    folder = measure.build_programs()
    lines = ["#!/bin/sh"]
    for name in measure.PROGRAMS:
        lines += [f"echo BENCH-BEGIN {name}", f"/bin/{name}", f"echo BENCH-END {name} $?"]
    extra = {f"bin/{name}": (folder / name).read_bytes() for name in measure.PROGRAMS}
    extra["bin/bench"] = ("\n".join(lines) + "\n").encode()
    path = measure.BUILD / "bench-initrd.gz"
    path.write_bytes(guest.initrd(files().busybox.read_bytes(), extra))
    return path


def power_off(console: Console) -> None:
    """End a guest that is at its prompt."""
    console.wait_for("# ", BOOT_SECONDS)
    console.send("poweroff -f")
    console.finish(60)
