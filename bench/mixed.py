"""A minute of mixed work inside a machine: GCC's compiler and assembler, shell scripts, SQLite, all of Debian's riscv64 userland.

    python bench/mixed.py [--rounds 3] [--size 1] [--only PART] [--json FILE]

`bench/mixed` holds the scripts. The machine boots into a RAM disk with the programs; marks on the console are timed on the host. With the
usual size a round takes about a minute in an emulator.
"""

from __future__ import annotations

import re
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import guests
import measure
from measure import Row
from ratite.cli.console import Console
from ratite.fetch import guest

PARTS = ("compile", "shell", "database")
PACKAGES = ("bash", "coreutils", "sqlite3", "cpp-14", "binutils", "sed", "grep", "gawk")
LEAVE_OUT = ("usr/share", "usr/games", "usr/src", "usr/include", "usr/sbin", "usr/lib/riscv64-linux-gnu/gconv", "usr/lib/riscv64-linux-gnu/gprofng")

#: A line of the guest's kernel.
KERNEL = re.compile(r"^\[ *\d+\.\d+\].*\r?\n", re.MULTILINE)

SCRIPT = """#!/bin/sh
mount -t proc none /debian/proc
mount -t devtmpfs none /debian/dev
exec chroot /debian /usr/bin/bash /jobs/all.sh {size}
"""


def make_initrd(size: int) -> Path:
    """The usual RAM disk, and behind it, not compressed, Debian's programs below /debian: Linux unpacks one after the other."""
    files = {f"jobs/{path.name}": path.read_bytes() for path in (measure.HERE / "mixed").glob("*.sh")}
    files |= {f"jobs/{name}.i": text for name, text in measure.preprocessed().items()}
    tree = guests.archive_of(guests.sysroot_of(*PACKAGES), "debian", LEAVE_OUT, files)
    first = guest.initrd(guests.files().busybox.read_bytes(), {"bin/bench": SCRIPT.format(size=size).encode()})
    path = measure.BUILD / "mixed-initrd"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(first + bytes(-len(first) % 512) + tree)
    return path


def times(command: list[str]) -> tuple[dict[str, float], str]:
    """Boot, and the wall seconds of each part; then what the parts printed."""
    seconds: dict[str, float] = {}
    printed = ""
    with Console(command) as console:
        console.wait_for("GUEST-READY", guests.BOOT_SECONDS)
        for name in PARTS:
            console.wait_for(f"BENCH-BEGIN {name}", guests.BOOT_SECONDS)
            begin = time.monotonic()
            printed += console.wait_for(f"BENCH-END {name} 0", guests.BOOT_SECONDS)
            seconds[name] = time.monotonic() - begin
        console.wait_for("RUN-ENDED 0", 60)
        console.finish(60)
    return seconds | {"all": sum(seconds.values())}, printed


def compare(emulators: Sequence[str], outputs: Sequence[str]) -> None:
    """Exit where the emulators' guests have not printed the same: with the first line that differs, and all that they printed in files. Kernels
    complain of a host that stands still for a while, in any emulator: that is told, and no difference."""
    for emulator, output in zip(emulators, outputs, strict=True):
        for line in KERNEL.findall(output):
            print(f"{emulator}: the guest's kernel said: {line}", file=sys.stderr)
    lines = [KERNEL.sub("", output).splitlines() for output in outputs]
    if lines[0] == lines[1]:
        return
    at = next((n for n, pair in enumerate(zip(*lines, strict=False)) if pair[0] != pair[1]), min(map(len, lines)))
    for emulator, output, mine in zip(emulators, outputs, lines, strict=True):
        path = measure.BUILD / f"mixed-{Path(emulator).name}.txt"
        path.write_text(output)
        print(f"{emulator}, line {at + 1}: {mine[at] if at < len(mine) else 'the end'!r}; all of it is in {path}", file=sys.stderr)
    sys.exit("The emulators disagree.")


def main() -> None:
    """Boot each emulator in turns, check that both print the same, report the medians."""
    arguments = measure.options(
        "Mixed work in a machine.", "ratite-system-riscv64", "qemu-system-riscv64", 3, size=(1, "how often each part does its work")
    )
    initrd = make_initrd(arguments.size)
    emulators = (arguments.ours, arguments.peer)
    samples: dict[tuple[str, str], list[float]] = {}
    for number in range(arguments.rounds):
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
        outputs = []
        for emulator in emulators:
            seconds, printed = times(guests.command(emulator, initrd, "run=/bin/bench quiet"))
            outputs.append(printed)
            for name, value in seconds.items():
                samples.setdefault((name, emulator), []).append(value)
        compare(emulators, outputs)
    rows = [
        Row(name, *(statistics.median(samples[name, emulator]) for emulator in emulators))
        for name in measure.chosen((*PARTS, "all"), arguments.only)
    ]
    measure.report("Mixed work inside the machine: wall seconds", rows, "s", arguments.json, mean=False)


if __name__ == "__main__":
    main()
