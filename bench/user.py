"""CPU-bound foreign programs: ratite-riscv64 against qemu-riscv64, or those of another instruction set.

    python bench/user.py [--isa loongarch64] [--peer QEMU] [--rounds 5] [--only NAME] [--json FILE]

Times are user CPU seconds with the program's own start taken off: each program also runs for no rounds, and the
difference counts. The second table is wall time, start and translation included.
"""

from __future__ import annotations

import statistics
import sys

import measure
from measure import Row


def main() -> None:
    """Measure in turns, check that both print the same, report."""
    arguments = measure.options("Foreign programs in user mode.", "ratite-{isa}", "qemu-{isa}-static", 5, measure.ISAS)
    folder = measure.build_programs(arguments.isa)
    emulators = (arguments.ours, arguments.peer)
    programs = measure.chosen(measure.PROGRAMS, arguments.only)
    cpu: dict[tuple[str, str], list[float]] = {}
    wall: dict[tuple[str, str], list[float]] = {}
    for program in programs:    # what the first run of a program leaves in the cache folder is not measured here
        measure.run([arguments.ours, str(folder / program)])
    for number in range(arguments.rounds):
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
        for program in programs:
            outputs = set()
            for emulator in emulators:
                start = measure.run([emulator, str(folder / program), "0"])
                whole = measure.run([emulator, str(folder / program)])
                cpu.setdefault((program, emulator), []).append(whole.user - start.user)
                wall.setdefault((program, emulator), []).append(whole.wall)
                outputs.add(whole.output)
            if len(outputs) != 1:
                sys.exit(f"{program}: the emulators disagree: {outputs}")
    for title, samples, file in (
        ("User mode: CPU seconds without start", cpu, arguments.json),
        ("User mode: wall seconds, all included", wall, None),
    ):
        rows = [Row(name, *(statistics.median(samples[name, emulator]) for emulator in emulators)) for name in programs]
        measure.report(title, rows, "s", file)


if __name__ == "__main__":
    main()
