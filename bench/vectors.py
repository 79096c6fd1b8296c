"""A foreign program of vector instructions: ratite-loongarch64, without regions and with them, against qemu-loongarch64 of Debian sid.

    python bench/vectors.py [--peer QEMU] [--rounds 3] [--only lsx] [--times 60000] [--json FILE]

Times are user CPU seconds with the program's own start taken off. A first run finds the hot loops, so that regions come from disk.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

import measure
from measure import HERE, Row

ISA = "loongarch64"


def main() -> None:
    """Measure in turns, check that all print the same, report."""
    arguments = measure.options(
        "Vector instructions in user mode.", "ratite-{isa}", "qemu-{isa}", 3, (ISA,), times=(60000, "rounds of the program")
    )
    ways = {"stencils": [arguments.ours, "-region", "off"], "regions": [arguments.ours, "-region", "on"], "qemu": [arguments.peer, "-cpu", "max"]}
    rows = []
    for extension in measure.chosen(("lsx", "lasx"), arguments.only):
        program = measure.BUILD / ISA / f"vectors-{extension}"
        program.parent.mkdir(parents=True, exist_ok=True)
        source = HERE / "inside/vectors.c"
        subprocess.run([*measure.compiler(ISA), "-O3", f"-m{extension}", "-static", "-o", program, source], check=True)
        measure.run([*ways["regions"], str(program), str(10 * arguments.times)])
        samples: dict[str, list[float]] = {way: [] for way in ways}
        outputs = set()
        for number in range(arguments.rounds):
            print(f"{extension}: round {number + 1} of {arguments.rounds}", file=sys.stderr)
            for way, command in ways.items():
                start = measure.run([*command, str(program), "0"])
                whole = measure.run([*command, str(program), str(arguments.times)])
                samples[way].append(whole.user - start.user)
                outputs.add(whole.output)
        if len(outputs) != 1:
            sys.exit(f"{extension}: the emulators disagree: {outputs}")
        medians = {way: statistics.median(found) for way, found in samples.items()}
        rows += [Row(f"{extension}, {way}", medians[way], medians["qemu"]) for way in ("stencils", "regions")]
    measure.report("Vectors in user mode: CPU seconds without start", rows, "s", arguments.json, mean=False)


if __name__ == "__main__":
    main()
