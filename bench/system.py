"""The same programs inside an emulated machine under Linux: ratite-system-riscv64 against qemu-system-riscv64, or
those of another instruction set.

    python bench/system.py [--isa loongarch64] [--peer QEMU] [--rounds 3] [--only NAME] [--json FILE]

One boot a round and emulator; the guest runs the programs one by one, and marks on its console are timed on the host.
"""

from __future__ import annotations

import statistics
import sys

import guests
import measure
from measure import Row


def main() -> None:
    """Boot each emulator in turns and report the medians."""
    arguments = measure.options("Programs inside a machine.", "ratite-system-{isa}", "qemu-system-{isa}", 3, measure.ISAS)
    initrd = guests.initrd_with_programs(arguments.isa)
    samples: dict[tuple[str, str], list[float]] = {}
    guests.times(guests.command(arguments.ours, initrd, "run=/bin/bench", isa=arguments.isa), measure.PROGRAMS)    # fills the caches
    for number in range(arguments.rounds):
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
        for emulator in (arguments.ours, arguments.peer):
            command = guests.command(emulator, initrd, "run=/bin/bench", isa=arguments.isa)
            for name, seconds in guests.times(command, measure.PROGRAMS).items():
                samples.setdefault((name, emulator), []).append(seconds)
    rows = [
        Row(name, *(statistics.median(samples[name, emulator]) for emulator in (arguments.ours, arguments.peer)))
        for name in measure.chosen(measure.PROGRAMS, arguments.only)
    ]
    measure.report("Inside the machine: wall seconds", rows, "s", arguments.json)


if __name__ == "__main__":
    main()
