"""What a second processor is worth: four copies of a CPU-bound program, on a machine with one processor and on one with two.

    python bench/parallel.py [--rounds 7] [--only NAME] [--json FILE]

Needs two idle cores. All machines are there all the time, at their prompts, and take turns of a few seconds: a host whose speed varies by the
minute is then as fast for one as for the others. The table has wall seconds with two processors; the lines before it say by how much they are
faster than one: the median over the rounds, each of which compares neighbours. So does the line for the host: no emulator can gain more than
native programs do from its second core, which is seldom 2 where cores share caches and whatever else is on the machine.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import guests
import measure
from measure import Row
from ratite.cli.console import Console
from ratite.fetch import guest

NAMES = ("integer_mix", "sha256", "nbody")
COPIES = 4
#: What the host's own second core is measured with: a program, and how many copies, which take some seconds.
NATIVE, NATIVE_COPIES = "sha256", 32

SCRIPT = f"""#!/bin/sh
echo COPIES-BEGIN
{" ".join(["/bin/$1 >/dev/null &"] * COPIES)}
wait
echo COPIES-END
"""


def make_initrd() -> Path:
    """A guest with a command that runs copies of a program at once, between marks on the console."""
    folder = measure.build_programs()
    extra = {f"bin/{name}": (folder / name).read_bytes() for name in NAMES}
    extra["bin/copies"] = SCRIPT.encode()
    path = measure.BUILD / "parallel-initrd.gz"
    path.write_bytes(guest.initrd(guests.files().busybox.read_bytes(), extra))
    return path


def seconds_of(console: Console, name: str) -> float:
    """Have a guest at its prompt run the copies."""
    console.send(f"copies {name}")
    console.wait_for("COPIES-BEGIN", 60)
    begin = time.monotonic()
    console.wait_for("COPIES-END", guests.BOOT_SECONDS)
    seconds = time.monotonic() - begin
    console.wait_for("# ", 60)
    return seconds


def host_seconds(program: Path, cores: Sequence[int]) -> float:
    """Run native copies of a program on some of the host's cores."""
    begin = time.monotonic()
    mask = ",".join(map(str, cores))
    copies = [subprocess.Popen(["taskset", "-c", mask, program], stdout=subprocess.DEVNULL) for _ in range(NATIVE_COPIES)]
    for copy in copies:
        copy.wait()
    return time.monotonic() - begin


def median_gain(one: Sequence[float], two: Sequence[float]) -> float:
    """By how much two processors are faster, given the samples of each round."""
    return statistics.median(a / b for a, b in zip(one, two, strict=True))


def measured(names: Sequence[str], emulators: Sequence[str], rounds: int) -> dict[tuple[str, str, int], list[float]]:
    """Wall seconds by program, emulator ("" is the host) and number of processors, in each round."""
    initrd, samples = make_initrd(), dict[tuple[str, str, int], list[float]]()
    native, cores = measure.build_natively(NATIVE), sorted(os.sched_getaffinity(0))
    with ExitStack() as open_machines:
        machines = {
            (emulator, processors): open_machines.enter_context(
                Console(guests.command(emulator, initrd, memory="512M", processors=processors))
            )
            for emulator in emulators
            for processors in (1, 2)
        }
        for console in machines.values():
            console.wait_for("GUEST-READY", guests.BOOT_SECONDS)
            console.wait_for("# ", 60)
        for console in machines.values():
            for name in names:  # once before: translated
                seconds_of(console, name)
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
            for name in names:
                for (emulator, processors), console in machines.items():
                    samples.setdefault((name, emulator, processors), []).append(seconds_of(console, name))
            for count in (1, 2):
                samples.setdefault((NATIVE, "", count), []).append(host_seconds(native, cores[:count]))
        for console in machines.values():
            console.send("poweroff -f")
            console.finish(60)
    return samples


def main() -> None:
    """Have all machines take turns, and report the medians."""
    arguments = measure.options("A second processor.", "ratite-system-riscv64", "qemu-system-riscv64", 7)
    names = measure.chosen(NAMES, arguments.only)
    samples = measured(names, (arguments.ours, arguments.peer), arguments.rounds)
    for emulator in (arguments.ours, arguments.peer):
        gains = [median_gain(samples[name, emulator, 1], samples[name, emulator, 2]) for name in names]
        print(f"{emulator}: two processors are {measure.geometric_mean(gains):.2f} times one ({', '.join(f'{gain:.2f}' for gain in gains)})")
    print(f"the host itself: two cores are {median_gain(samples[NATIVE, '', 1], samples[NATIVE, '', 2]):.2f} times one")
    rows = [Row(name, *(statistics.median(samples[name, emulator, 2]) for emulator in (arguments.ours, arguments.peer))) for name in names]
    measure.report(f"{COPIES} copies on two processors: wall seconds", rows, "s", arguments.json)


if __name__ == "__main__":
    main()
