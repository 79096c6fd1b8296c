"""How long programs take to start: -version, -M help, hello, and a shell script that starts 300 programs.

    python bench/startup.py [--rounds 5] [--json FILE]
"""

from __future__ import annotations

import os
import statistics
import sys

import guests
import measure
from measure import Row

COUNT = 300
# qemu-riscv64 hands execve to the kernel, which needs it named (or binfmt_misc); RUN is its name there and empty
# for Ratite.
SCRIPT = f'i=0; while [ $i -lt {COUNT} ]; do $RUN "$HELLO" || exit 1; i=$((i + 1)); done'


def main() -> None:
    """Measure each command in turns."""
    arguments = measure.options("Start-up.", "ratite-riscv64", "qemu-riscv64-static", 5)
    hello = str(measure.build_programs() / "hello")
    shell = [str(guests.files().busybox), "sh", "-c", SCRIPT]
    system_ours, system_peer = "ratite-system-riscv64", "qemu-system-riscv64"
    commands = {
        "-version": ([system_ours, "-version"], [system_peer, "-version"]),
        "-M help": ([system_ours, "-M", "help"], [system_peer, "-M", "help"]),
        "hello": ([arguments.ours, hello], [arguments.peer, hello]),
        f"script, {COUNT} programs": ([arguments.ours, *shell], [arguments.peer, *shell]),
    }
    environments = [os.environ | {"HELLO": hello, "RUN": run} for run in ("", arguments.peer)]
    names = measure.chosen(commands, arguments.only)
    samples: dict[tuple[str, int], list[float]] = {}
    for name in names:    # fill the caches
        measure.run(commands[name][0], environments[0])
    for number in range(arguments.rounds):
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
        for name in names:
            for which, command in enumerate(commands[name]):
                samples.setdefault((name, which), []).append(measure.run(command, environments[which]).wall)
    rows = [Row(name, *(statistics.median(samples[name, which]) for which in (0, 1))) for name in names]
    measure.report("Start-up: wall seconds", rows, "s", arguments.json, mean=False)


if __name__ == "__main__":
    main()
