"""`ratite profile`: run a guest, and print where its time goes."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ratite.cli.options import Option, OptionTable, append, store, switch
from ratite.errors import HostError, UsageError, unknown
from ratite.profiling.request import FREQUENCY, frequency, seconds

if TYPE_CHECKING:
    from ratite.profiling.analysis import Analysis

#: Seconds that a program has to end after it was asked to.
_PATIENCE = 10.0
_GLANCE = 0.05


class ProfileConfig:
    """What to profile and how."""

    def __init__(self) -> None:
        self.help = False
        self.output = ""
        """File of the flame graph, empty for none."""
        self.symbols: list[str] = []
        self.seconds = 0.0
        """How long to run the program; 0 for until it ends."""
        self.frequency = FREQUENCY
        self.top = 30
        """Functions to list."""


def _count(text: str) -> int:
    return int(seconds(text))


OPTIONS = OptionTable("[options] [--] PROGRAM [ARGUMENT...]", {
    "Options": [
        Option("-h -help", "", "print this list", switch("help")),
        Option("-o -output", "FILE", "write a flame graph (SVG)", store("output")),
        Option("-symbols", "FILE", "names for guest code: ELF file, System.map or kallsyms", append("symbols")),
        Option("-seconds", "N", "end the program after N seconds", store("seconds", seconds)),
        Option("-frequency", "HZ", f"samples for a second of processor time ({FREQUENCY})", store("frequency", frequency)),
        Option("-top", "N", "list so many functions (30)", store("top", _count)),
    ],
}, epilog="PROGRAM is one of Ratite's emulators, such as ratite-system-riscv64 or ratite-riscv64.")


def main(words: Sequence[str]) -> int:
    """Run the program that the words name, report, and return its exit status."""
    config = ProfileConfig()
    own, rest = _split(words)
    rest = OPTIONS.parse(own, config, stop_at_positional=True) + rest
    if config.help:
        print(OPTIONS.help("ratite profile"))
        return 0
    if not rest:
        raise UsageError("a program to profile is missing; ratite profile -h lists the options")
    run = _program(rest[0])
    finders = _finders(config)
    with tempfile.TemporaryDirectory(prefix="ratite-profile-") as folder:
        file = str(Path(folder, "samples"))
        request = f"{file.replace(',', ',,')},frequency={config.frequency},seconds={config.seconds:g}"
        status = _run(lambda: run(["-profile", request, *rest[1:]]), config.seconds, Path(file))
        _report(config, finders, file, " ".join(rest))
    return status


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    at = list(words).index("--") if "--" in words else len(words)
    return list(words[:at]), list(words[at + 1 :])


def _program(name: str) -> Callable[[list[str]], int]:
    """The main function of an emulator."""
    from ratite.cli.entry import guard
    from ratite.cli.ratite import PROGRAMS

    emulators = [program for program in PROGRAMS if program != "ratite-ga"]
    name = os.path.basename(name)
    if name not in emulators:
        raise unknown("emulator", name, emulators)
    kind, arch = ("system", name.removeprefix("ratite-system-")) if name.startswith("ratite-system-") else ("user", name.removeprefix("ratite-"))

    def run(words: list[str]) -> int:
        from ratite.cli import system, user

        return guard(name, lambda given: (system if kind == "system" else user).main(arch, given), words)

    return run


def _finders(config: ProfileConfig) -> list[Callable[[int], object]]:
    from ratite.profiling.symbols import load

    return [load(path).find for path in config.symbols]


def _run(run: Callable[[], int], limit: float, file: Path) -> int:
    """Run the emulator in a process of its own; a user's interrupt is for that one."""
    child = os.fork()
    if not child:
        status = 1
        try:
            status = run()
        finally:
            os._exit(status)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return _wait(child, limit, file)
    finally:
        signal.signal(signal.SIGINT, before)


def _wait(child: int, limit: float, file: Path) -> int:
    """Wait for the end, or for the samples of the time that was asked for, and end it then."""
    told = 0.0
    while True:
        ended, status = os.waitpid(child, os.WNOHANG if limit else 0)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return 0 if told else code if code >= 0 else 128 - code
        if not told and file.exists() and file.stat().st_size:
            os.kill(child, signal.SIGTERM)
            told = time.monotonic()
        elif told and time.monotonic() - told > _PATIENCE:
            os.kill(child, signal.SIGKILL)
        time.sleep(_GLANCE)


def _report(config: ProfileConfig, finders: Sequence[object], file: str, title: str) -> None:
    from ratite.profiling.analysis import Analysis
    from ratite.profiling.flamegraph import svg
    from ratite.profiling.recording import load

    if not Path(file).exists() or not Path(file).stat().st_size:
        raise HostError("there are no samples: the program did not start, or was killed")
    analysis = Analysis(load(file), finders)  # type: ignore[arg-type]
    if config.output:
        try:
            Path(config.output).write_text(svg(analysis.stacks(), title, "ticks"))
        except OSError as error:
            raise HostError(f"'{config.output}': {error.strerror}") from None
    _print(analysis, config.top)


def _print(analysis: Analysis, top: int) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ratite.cpu.sampling import STATES
    from ratite.profiling.analysis import CROWDED, WAITING

    meanings = STATES | {CROWDED: "ready, but the host ran something else", WAITING: "for interrupts, input, system calls, a turn, Python's lock"}
    profile, ticks = analysis.profile, max(1, analysis.ticks)
    functions = Table(title=f"Functions ({analysis.ticks:,} ticks of {1000 / profile.frequency:g} ms)", title_justify="left", header_style="bold")
    for name, justify in (("function", "left"), ("of", "left"), ("ticks", "right"), ("share", "right"), ("in machine code", "right")):
        functions.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for function, count, native in analysis.functions()[:top]:
        functions.add_row(Text(function.name), Text(function.file), f"{count:,}", f"{count / ticks:.1%}", f"{native / ticks:.1%}")
    states = Table(title=f"Where the time goes ({profile.wall / 1e9:.2f} s)", title_justify="left", header_style="bold")
    for name, justify in (("state", "left"), ("seconds", "right"), ("share", "right"), ("what it is", "left")):
        states.add_column(name, justify=justify)  # type: ignore[arg-type]
    for share in analysis.shares():
        states.add_row(share.state, f"{share.seconds:.2f}", f"{share.part:.1%}", meanings.get(share.state, ""))
    console = Console(stderr=True)
    console.print(functions)
    console.print(states)
    console.print(f"Threads beside the CPUs (regions, input and output) took {profile.other / 1e9:.2f} s of processor time.")
    if profile.lost:
        console.print(f"{profile.lost} samples were lost.")
