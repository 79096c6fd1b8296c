"""What keeps a guest's timers waiting: stretches of processor time in which Ratite holds its locks or does not look at interrupts.

    python bench/holds.py [--seconds 8] [--least 1000] [-- OPTIONS OF ratite-system-riscv64]

The guest of bench/latency.py runs for so many seconds, and each call of what is named below that takes `--least` microseconds of processor time of
its thread is counted. In contrast to lateness, that does not depend on what else the host is doing. Nested calls count each for itself.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "build/holds.txt"


class Holds:
    """Counts long calls, by what was called."""

    def __init__(self, least: int) -> None:
        self._least = least
        self._found: dict[str, list[int]] = defaultdict(list)
        self._collecting = 0

    def _note(self, what: str, begin: int) -> None:
        took = (time.thread_time_ns() - begin) // 1000
        if took >= self._least:
            self._found[what].append(took)

    def watch(self, owner: Any, name: str, label: Callable[..., str] | None = None) -> None:
        """Have the calls of a method measured."""
        method = getattr(owner, name)

        def measured(*arguments: Any, **named: Any) -> Any:
            begin = time.thread_time_ns()
            try:
                return method(*arguments, **named)
            finally:
                self._note(label(*arguments) if label else f"{owner.__name__}.{name}", begin)

        setattr(owner, name, measured)

    def collection(self, phase: str, info: Mapping[str, int]) -> None:
        """For `gc.callbacks`."""
        if phase == "start":
            self._collecting = time.thread_time_ns()
        else:
            self._note(f"collection of generation {info['generation']}", self._collecting)

    def table(self) -> str:
        """The worst first."""
        rows = sorted(self._found.items(), key=lambda row: -max(row[1]))
        figures = [(what, len(took), max(took) / 1000, sum(took) / 1000) for what, took in rows]
        return "".join(f"{what:34}{count:6} times, worst {worst:6.1f} ms, together {all_:7.1f} ms\n" for what, count, worst, all_ in figures)


def run_watched(least: int, options: list[str]) -> None:
    """In a process of its own: the emulator, measured from when the guest is up."""
    from ratite.cli.system import riscv64
    from ratite.codegen.library import Library
    from ratite.cpu import engine, memo, pagestore, regions, translate, vcpu, words
    from ratite.isa.arch import Exit

    holds = Holds(least)
    reasons = {number: name for name, number in vars(Exit).items() if isinstance(number, int)}
    holds.watch(vcpu.Vcpu, "_look_after", lambda _, reason: f"exit {reasons[reason]}")
    for owner, names in (
        (memo.Memo, ("make", "_draft", "_recipe")), (words.KnownWords, ("learn", "make_room", "_find_free")),
        (translate.Translator, ("_choose", "_place", "_compile")), (pagestore.PageStore, ("restore", "keep")), (Library, ("save",)),
        (engine.Engine, ("entry", "invalidate_page")), (regions.Regions, ("sample", "_build", "_install")),
    ):  # fmt: skip
        for name in names:
            holds.watch(owner, name)
    gc.callbacks.append(holds.collection)
    sys.argv = ["ratite-system-riscv64", *options]
    try:
        riscv64()
    finally:
        FILE.write_text(holds.table())


def main() -> None:
    """Run the guest, and print the table."""
    parser = argparse.ArgumentParser(description="What keeps a guest's timers waiting.")
    parser.add_argument("--seconds", type=int, default=8, help="seconds to run (8)")
    parser.add_argument("--least", type=int, default=1000, help="microseconds of processor time that count (1000)")
    parser.add_argument("--watched", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("options", nargs="*", help="of ratite-system-riscv64, behind --")
    chosen = parser.parse_args()
    if chosen.watched:
        run_watched(chosen.least, chosen.options)
        return
    import guests
    import latency

    command = guests.command("", latency.make_initrd(chosen.seconds), "run=/bin/bench")[1:]
    watched = [sys.executable, __file__, "--watched", "--least", str(chosen.least), "--", *command, *chosen.options]
    print(latency.microseconds(watched, chosen.seconds))
    print(FILE.read_text(), end="")


if __name__ == "__main__":
    main()
