"""Debian's kernel with busybox, from the command to the line that its init prints: cold, first and warm.

    python bench/boot.py [--rounds 5] [--json FILE]

Cold is the first boot on a machine: Ratite's cache folder is empty. First is that of a guest which nobody has booted, where the stencils have been
compiled for another: the translations are taken from the folder. Warm boots find what the first one left.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import guests
import measure
from measure import Row
from ratite.cli.console import Console


def boot_seconds(command: list[str]) -> float:
    """Wall seconds to GUEST-READY."""
    begin = time.monotonic()
    with Console(command) as console:
        console.wait_for("GUEST-READY", guests.BOOT_SECONDS)
        seconds = time.monotonic() - begin
        guests.power_off(console)
    return seconds


def forget_translations(cache: Path) -> None:
    """Leave the stencils alone."""
    for path in cache.rglob("*.pages"):
        path.unlink()


def main() -> None:
    """One cold boot, then warm ones in turns with the peer."""
    arguments = measure.options("Boot of Linux.", "ratite-system-riscv64", "qemu-system-riscv64", 5)
    initrd = guests.files().initrd
    ours = guests.command(arguments.ours, initrd)
    peer = guests.command(arguments.peer, initrd)
    with tempfile.TemporaryDirectory() as empty:
        os.environ["RATITE_CACHE"] = empty
        cold = boot_seconds(ours)
        first: list[float] = []
        warm: list[float] = []
        theirs: list[float] = []
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
            theirs.append(boot_seconds(peer))
            forget_translations(Path(empty))
            first.append(boot_seconds(ours))
            warm.append(boot_seconds(ours))
    usual = statistics.median(theirs)
    rows = [Row("cold", cold, usual), Row("first", statistics.median(first), usual), Row("warm", statistics.median(warm), usual)]
    measure.report("Boot of Debian's kernel to init: wall seconds", rows, "s", arguments.json, mean=False)


if __name__ == "__main__":
    main()
