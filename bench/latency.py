"""How late a guest's timers are: a thread that wants to be woken every millisecond, beside programs that keep the processor busy.

    python bench/latency.py [--rounds 3] [--seconds 20] [--only NAME] [--json FILE]

The guest has one processor. A real-time thread asks for absolute times, 1,000 a second, and measures how late it is; the benchmark programs
run meanwhile, one after the other, so that code is translated (and regions are compiled) all the time. Ratite is measured without regions, as it
usually runs, which is with them, and without its cache folder, where everything has to be compiled first.
"""

from __future__ import annotations

import re
import statistics
import sys
from pathlib import Path

import guests
import measure
from measure import Row
from ratite.cli.console import Console
from ratite.fetch import guest

VARIANTS = {"warm": ["-accel", "tcg,region=off"], "regions": [], "no cache": ["-accel", "tcg,cache=off"]}
FIGURES = {"median": "median", "99.9 %": "p999", "worst": "worst"}

SCRIPT = """#!/bin/sh
( while :; do for program in {programs}; do /bin/$program; done; done ) >/dev/null &
sleep 1
/bin/latency {seconds}
"""


def make_initrd(seconds: int) -> Path:
    """A guest that measures, beside all benchmark programs."""
    folder = measure.build_programs()
    extra = {f"bin/{name}": (folder / name).read_bytes() for name in measure.PROGRAMS}
    extra |= {"bin/latency": measure.compile_inside("latency")}
    extra["bin/bench"] = SCRIPT.format(programs=" ".join(measure.PROGRAMS), seconds=seconds).encode()
    path = measure.BUILD / "latency-initrd.gz"
    path.write_bytes(guest.initrd(guests.files().busybox.read_bytes(), extra))
    return path


def microseconds(command: list[str], seconds: int) -> dict[str, float]:
    """Boot, measure, and return what the guest found."""
    with Console(command) as console:
        console.wait_for("GUEST-READY", guests.BOOT_SECONDS)
        text = console.wait_for("RUN-ENDED 0", guests.BOOT_SECONDS + 20 * seconds)
        console.finish(60)
    return {name: float(value) for name, value in re.findall(r"(\w+)=([\d.]+)", text[text.rindex("LATENCY-US") :])}


def main() -> None:
    """Boot each variant and the peer in turns and report the medians of the rounds."""
    arguments = measure.options(
        "Interrupt latency in a machine.", "ratite-system-riscv64", "qemu-system-riscv64", 3, seconds=(20, "seconds to measure")
    )
    initrd = make_initrd(arguments.seconds)
    variants = measure.chosen(VARIANTS, arguments.only)
    commands = {name: guests.command(arguments.ours, initrd, "run=/bin/bench") + VARIANTS[name] for name in variants}
    commands["peer"] = guests.command(arguments.peer, initrd, "run=/bin/bench")
    found: dict[str, list[dict[str, float]]] = {name: [] for name in commands}
    if "warm" in commands:
        microseconds(commands["warm"], 1)    # fills the cache
    for number in range(arguments.rounds):
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
        for name, command in commands.items():
            found[name].append(microseconds(command, arguments.seconds))
            print(f"{name}: {found[name][-1]}", file=sys.stderr)
    rows = [
        Row(f"{name}, {title}", *(statistics.median(sample[key] for sample in found[who]) / 1000 for who in (name, "peer")))
        for name in variants
        for title, key in FIGURES.items()
    ]
    measure.report("Lateness of a 1 kHz timer in the guest: milliseconds", rows, "ms", arguments.json, mean=False)


if __name__ == "__main__":
    main()
