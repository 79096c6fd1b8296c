"""The same programs inside an emulated machine under Linux: ratite-system-riscv64 against qemu-system-riscv64, or
those of another instruction set.

    python bench/system.py [--isa loongarch64] [--peer QEMU] [--rounds 3] [--only NAME] [--json FILE]

One boot a round and emulator; the guest runs the programs one by one, and marks on its console are timed on the host.
"""

from __future__ import annotations

import statistics
import sys
import time

import guests
import measure
from measure import Row
from ratite.cli.console import Console


def times(command: list[str]) -> dict[str, float]:
    """Boot, and the wall seconds of each program."""
    seconds: dict[str, float] = {}
    with Console(command) as console:
        console.wait_for("GUEST-READY", guests.BOOT_SECONDS)
        for name in measure.PROGRAMS:
            console.wait_for(f"BENCH-BEGIN {name}", guests.BOOT_SECONDS)
            begin = time.monotonic()
            console.wait_for(f"BENCH-END {name} 0", guests.BOOT_SECONDS)
            seconds[name] = time.monotonic() - begin
        console.wait_for("RUN-ENDED 0", 60)
        console.finish(60)
    return seconds


def main() -> None:
    """Boot each emulator in turns and report the medians."""
    arguments = measure.options("Programs inside a machine.", "ratite-system-{isa}", "qemu-system-{isa}", 3, measure.ISAS)
    initrd = guests.initrd_with_programs(arguments.isa)
    samples: dict[tuple[str, str], list[float]] = {}
    times(guests.command(arguments.ours, initrd, "run=/bin/bench", isa=arguments.isa))    # fills the caches
    for number in range(arguments.rounds):
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
        for emulator in (arguments.ours, arguments.peer):
            for name, seconds in times(guests.command(emulator, initrd, "run=/bin/bench", isa=arguments.isa)).items():
                samples.setdefault((name, emulator), []).append(seconds)
    rows = [
        Row(name, *(statistics.median(samples[name, emulator]) for emulator in (arguments.ours, arguments.peer)))
        for name in measure.chosen(measure.PROGRAMS, arguments.only)
    ]
    measure.report("Inside the machine: wall seconds", rows, "s", arguments.json)


if __name__ == "__main__":
    main()
