"""What a second processor is worth: four copies of a CPU-bound program, on a machine with one processor and on one with two.

    python bench/parallel.py [--rounds 3] [--only NAME] [--json FILE]

Needs two idle cores. The table has wall seconds with two processors; the lines before it say by how much they are faster than one.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

import guests
import measure
from measure import Row
from ratite.fetch import guest

NAMES = ("integer_mix", "sha256", "nbody")
COPIES = 4


def make_initrd() -> Path:
    """A guest that runs copies of each program at once, between marks on the console."""
    folder = measure.build_programs()
    lines = ["#!/bin/sh"]
    for name in NAMES:
        lines += [f"/bin/{name} >/dev/null"]    # once before: translated
        lines += [f"echo BENCH-BEGIN {name}", *[f"/bin/{name} >/dev/null &"] * COPIES, "wait", f"echo BENCH-END {name} $?"]
    extra = {f"bin/{name}": (folder / name).read_bytes() for name in NAMES}
    extra["bin/bench"] = ("\n".join(lines) + "\n").encode()
    path = measure.BUILD / "parallel-initrd.gz"
    path.write_bytes(guest.initrd(guests.files().busybox.read_bytes(), extra))
    return path


def main() -> None:
    """Boot each emulator with one and two processors in turns, and report the medians."""
    arguments = measure.options("A second processor.", "ratite-system-riscv64", "qemu-system-riscv64", 3)
    initrd = make_initrd()
    samples: dict[tuple[str, str, int], list[float]] = {}
    for number in range(arguments.rounds):
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
        for emulator in (arguments.ours, arguments.peer):
            for processors in (1, 2):
                found = guests.times(guests.command(emulator, initrd, "run=/bin/bench", processors=processors), NAMES)
                for name, seconds in found.items():
                    samples.setdefault((name, emulator, processors), []).append(seconds)
    middle = {key: statistics.median(values) for key, values in samples.items()}
    names = measure.chosen(NAMES, arguments.only)
    for emulator in (arguments.ours, arguments.peer):
        gains = [middle[name, emulator, 1] / middle[name, emulator, 2] for name in names]
        print(f"{emulator}: two processors are {measure.geometric_mean(gains):.2f} times one ({', '.join(f'{gain:.2f}' for gain in gains)})")
    rows = [Row(name, middle[name, arguments.ours, 2], middle[name, arguments.peer, 2]) for name in names]
    measure.report(f"{COPIES} copies on two processors: wall seconds", rows, "s", arguments.json)


if __name__ == "__main__":
    main()
