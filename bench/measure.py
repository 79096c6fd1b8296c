"""What the benchmarks share: running a command, medians, the table at the end, and the files that they need.

Absolute times vary from machine to machine and from minute to minute. So every figure is a ratio to a QEMU, measured in
turns with it in the same run: one sample of each after the other, several rounds, medians. Which QEMU, `--peer` says or the
environment's RATITE_PEER; usually it is Debian's on the PATH.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import peers
from ratite.errors import RatiteError
from ratite.testing import cross

HERE = Path(__file__).parent
BUILD = HERE / "build"
PROGRAMS = ("integer_mix", "sieve", "sha256", "list_walk", "nbody", "strings", "interpreter")


#: Instruction sets that the programs can be built for.
ISAS = ("riscv64", "loongarch64")


class Sample(NamedTuple):
    """One run of a command, in seconds."""

    wall: float
    user: float
    """CPU time in user mode, of the process and the children that it waited for."""
    output: str


def options(description: str, ours: str, peer: str, rounds: int, isas: Sequence[str] = ("riscv64",), **sizes: tuple[int, str]) -> argparse.Namespace:
    """The options that every benchmark has: which emulators, how many rounds, where the figures go. `isas`: instruction sets that it knows; the
    one chosen replaces `{isa}` in the emulators' names. `sizes` are more: default and meaning by name."""
    parser = argparse.ArgumentParser(description=description)
    if len(isas) > 1:
        parser.add_argument("--isa", choices=isas, default=isas[0], help=f"instruction set of the guest ({isas[0]})")
    parser.add_argument("--ours", help=f"Ratite's program ({ours})")
    parser.add_argument("--peer", default=os.environ.get("RATITE_PEER"), help=f"the program to compare with (RATITE_PEER, or {peer})")
    parser.add_argument("--rounds", type=int, default=rounds, help=f"samples of each ({rounds})")
    parser.add_argument("--only", action="append", help="measure this alone; may be repeated")
    parser.add_argument("--json", type=Path, help="write the figures into a file")
    for name, (usual, meaning) in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=usual, help=f"{meaning} ({usual})")
    chosen = parser.parse_args()
    isa = getattr(chosen, "isa", isas[0])
    chosen.ours, chosen.peer = chosen.ours or ours.format(isa=isa), chosen.peer or usual_peer(peer.format(isa=isa), isa)
    for program in (chosen.ours, chosen.peer):
        if shutil.which(program) is None:
            parser.error(f"there is no program {program}")
    return chosen


def usual_peer(program: str, isa: str) -> str:
    """The QEMU to compare with when nobody names one."""
    if isa not in peers.NEEDS_NEWER:
        return program
    try:
        return peers.newest(program)
    except RatiteError as error:
        sys.exit(f"A newer QEMU cannot be had: {error} (--peer and RATITE_PEER name one)")


def cpu_seconds(process: int) -> float:
    """CPU time of a process so far."""
    words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def run(command: Sequence[str], environment: Mapping[str, str] | None = None, status: int = 0) -> Sample:
    """Run a command to its end; another exit status than `status` ends the benchmark."""
    begin = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=None if environment is None else dict(environment))
    assert process.stdout is not None
    output = process.stdout.read().decode(errors="replace")
    _, how, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(how)
    if process.returncode != status:
        sys.exit(f"{' '.join(command)}: exit status {process.returncode}\n{output}")
    return Sample(time.monotonic() - begin, usage.ru_utime, output)


def chosen(names: Iterable[str], only: Sequence[str] | None) -> list[str]:
    """The names that `--only` leaves."""
    names = tuple(names)
    if unknown := sorted(set(only or ()) - set(names)):
        sys.exit(f"--only {unknown[0]}: there are {', '.join(names)}")
    return [name for name in names if not only or name in only]


def compiler(isa: str = "riscv64") -> tuple[str, ...]:
    """The cross compiler."""
    try:
        return cross.compiler(isa).command
    except RatiteError as error:
        sys.exit(str(error))


def build_programs(isa: str = "riscv64") -> Path:
    """Compile the guest programs where a source is newer; returns their folder."""
    folder = BUILD / isa
    sources = [*(HERE / "programs").iterdir()]
    built = [folder / path.stem for path in sources if path.suffix == ".c"]
    newest = max(path.stat().st_mtime for path in sources)
    if not all(path.exists() and path.stat().st_mtime >= newest for path in built):
        subprocess.run(["sh", str(HERE / "programs/build.sh"), str(folder), *compiler(isa)], check=True)
    return folder


def build_natively(name: str) -> Path:
    """Compile a benchmark program for the host itself, with Debian's gcc."""
    path = BUILD / f"{name}-host"
    BUILD.mkdir(exist_ok=True)
    subprocess.run(["gcc", "-O2", "-std=gnu11", "-o", path, HERE / "programs" / f"{name}.c", "-lm"], check=True)
    return path


def compile_inside(name: str, isa: str = "riscv64") -> bytes:
    """A program of bench/inside, which measures from within a guest: static."""
    source, program = HERE / "inside" / f"{name}.c", BUILD / isa / name
    program.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([*compiler(isa), "-O2", "-Wall", "-Wextra", "-static", "-o", program, source], check=True)
    return program.read_bytes()


def preprocessed() -> dict[str, bytes]:
    """The benchmark programs as a compiler sees them behind the preprocessor, by name."""
    command = [*compiler(), "-E", "-P", "-std=gnu11"]
    return {path.stem: subprocess.run([*command, path], check=True, capture_output=True).stdout for path in sorted((HERE / "programs").glob("*.c"))}


def geometric_mean(values: Sequence[float]) -> float:
    """The mean for ratios."""
    return math.exp(statistics.fmean(math.log(value) for value in values))


class Row(NamedTuple):
    """Medians of one measured thing, in a unit in which less is better."""

    name: str
    ours: float
    peer: float

    @property
    def ratio(self) -> float:
        """Above one: Ratite needs less than the peer."""
        return self.peer / self.ours if self.ours > 0 else math.nan


def report(title: str, rows: Sequence[Row], unit: str, json_file: Path | None, mean: bool = True) -> None:
    """Print the table and write the JSON file."""
    print(f"\n{title}")
    print(f"{'':28}{'ratite':>10}{'qemu':>10}{'qemu / ratite':>16}")
    for row in rows:
        print(f"{row.name:28}{row.ours:>8.3g} {unit}{row.peer:>8.3g} {unit}{row.ratio:>15.2f}")
    overall = geometric_mean([row.ratio for row in rows if row.ratio > 0]) if mean and rows else math.nan
    if mean:
        print(f"{'geometric mean':28}{'':20}{overall:>16.2f}")
    if json_file is not None:
        figures = {row.name: {"ours": row.ours, "peer": row.peer, "ratio": row.ratio} for row in rows}
        document: dict[str, object] = {"title": title, "unit": unit, "host": _host(), "rows": figures}
        if mean:
            document["geometric_mean"] = overall
        json_file.write_text(json.dumps(document, indent=2) + "\n")


def _host() -> str:
    """The processor's name, as far as Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
