"""Debian's kernel with busybox, from the command to the line that its init prints: cold, first and warm.

    python bench/boot.py [--isa loongarch64] [--peer QEMU] [--rounds 5] [--json FILE]

For LoongArch, RATITE_GUESTS names the folder with the guest (docs/machines.md), and the peer is Debian sid's QEMU, which is fetched.

Cold is the first boot on a machine: Ratite's cache folder is empty. First is that of a guest which nobody has booted, where the stencils have been
compiled for another: the translations are taken from the folder. Warm boots find what the first one left. The second table is CPU time, which other
work on the machine disturbs less.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import guests
import measure
from measure import Row
from ratite.cli.console import Console


class Boot(NamedTuple):
    """Seconds to GUEST-READY."""

    wall: float
    cpu: float


def boot(command: list[str]) -> Boot:
    """Boot once."""
    begin = time.monotonic()
    with Console(command) as console:
        console.wait_for("GUEST-READY", guests.BOOT_SECONDS)
        seconds = Boot(time.monotonic() - begin, measure.cpu_seconds(console.process_number))
        guests.power_off(console)
    return seconds


def forget_translations(cache: Path) -> None:
    """Leave the stencils alone."""
    for path in cache.rglob("*.pages"):
        path.unlink()


def main() -> None:
    """One cold boot, then warm ones in turns with the peer."""
    arguments = measure.options("Boot of Linux.", "ratite-system-{isa}", "qemu-system-{isa}", 5, measure.ISAS)
    initrd = guests.files(arguments.isa).initrd
    ours = guests.command(arguments.ours, initrd, isa=arguments.isa)
    peer = guests.command(arguments.peer, initrd, isa=arguments.isa)
    first: list[Boot] = []
    warm: list[Boot] = []
    theirs: list[Boot] = []
    with tempfile.TemporaryDirectory() as empty:
        os.environ["RATITE_CACHE"] = empty
        cold = boot(ours)
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
            theirs.append(boot(peer))
            forget_translations(Path(empty))
            first.append(boot(ours))
            warm.append(boot(ours))
    for n, (title, file) in enumerate((("wall", arguments.json), ("CPU", None))):
        usual = statistics.median(one[n] for one in theirs)
        middle = {"cold": cold[n], "first": statistics.median(one[n] for one in first), "warm": statistics.median(one[n] for one in warm)}
        rows = [Row(name, seconds, usual) for name, seconds in middle.items()]
        measure.report(f"Boot of Debian's kernel to init: {title} seconds", rows, "s", file, mean=False)


if __name__ == "__main__":
    main()
