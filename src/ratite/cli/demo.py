"""`ratite demo`: a real Linux on an emulated machine, with one command."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ratite import guests
from ratite.cli.console import Console, ConsoleError
from ratite.errors import HostError, UsageError

ARCH = "riscv64"
USAGE = "[--selftest] [--monitor] [--emulator PROGRAM] [-- OPTION...]"
BOOT_SECONDS = 600.0
STEP_SECONDS = 120.0


class Scene(NamedTuple):
    """What the demo boots, and a conversation that shows that it works."""

    name: str
    options: Sequence[str]
    ready: str
    """What the guest prints when it has come up."""
    prompt: str
    steps: Sequence[tuple[str, str]]
    """Lines to type and what must come back."""
    goodbye: str


def main(words: Sequence[str]) -> int:
    """Run the demo: interactive, or with `--selftest` a conversation whose answers are checked (exit status 0 or 1)."""
    own, _, extra = _split(words)
    selftest = _take(own, "--selftest")
    scene = _monitor() if _take(own, "--monitor") else _choose()
    emulator = own.pop(own.index("--emulator") + 1) if "--emulator" in own[:-1] else ""
    _take(own, "--emulator")
    if own:
        raise UsageError(f"'{own[0]}' is not an option of the demo: {USAGE}")
    options = [*scene.options, *extra]
    if selftest:
        return _check(scene, [*_command(emulator), *options])
    return _play(scene, options)


def _split(words: Sequence[str]) -> tuple[list[str], str, list[str]]:
    own = list(words)
    at = own.index("--") if "--" in own else len(own)
    return own[:at], "--", own[at + 1 :]


def _take(words: list[str], switch: str) -> bool:
    if switch not in words:
        return False
    words.remove(switch)
    return True


def _choose() -> Scene:
    """Debian's Linux where its packages can be had, else the monitor that ships with Ratite."""
    from ratite.fetch import guest, progress

    try:
        with progress.bar() as report:
            files = guest.fetch(ARCH, report)
    except HostError as error:
        print(f"No Linux to boot: {error}.", file=sys.stderr)
        print(f"Booting the small monitor instead. With a kernel of your own:\n"
              f"  ratite-system-{ARCH} -M virt -nographic -kernel Image -initrd initrd.gz", file=sys.stderr)
        return _monitor()
    options = [*files.machine.split(), "-nographic", "-no-reboot", "-kernel", str(files.kernel)]
    return Scene(
        name="Debian's Linux kernel with a busybox shell",
        options=[*options, "-initrd", str(files.initrd), "-append", files.append],
        ready="GUEST-READY",
        prompt="~ # ",
        steps=(
            ("uname -m", "riscv64\r\n"),
            ("echo $((6 * 7)) is the answer", "\n42 is the answer"),
            ("seq 1 2000 | sha256sum", "6251e5743b6fd6a7d606130bdf7c15077ce85ebd3a0fdee284d15a46df199e38"),
            ("sh -c 'kill -9 $$'; echo status $?", "\nstatus 137"),
            ("sleep 1 && echo slept $((20 / 20)) s", "\nslept 1 s"),
        ),
        goodbye="poweroff -f",
    )


def _monitor() -> Scene:
    return Scene(
        name="Ratite's own monitor on the bare machine",
        options=["-M", "virt", "-nographic", "-no-reboot", "-bios", "none", "-kernel", str(guests.monitor(ARCH))],
        ready="Ratite monitor on hart 0",
        prompt="ratite> ",
        steps=(
            ("info", "isa          rv64"),
            ("echo one two", "\none two"),
            ("ticks 3", "\ntick 3"),
            ("mem 0", "load access fault"),
            ("bench", "2db75839f16 ok"),
        ),
        goodbye="poweroff",
    )


def _command(emulator: str) -> list[str]:
    """The emulator as another process; any that takes QEMU's options may stand in, to compare."""
    if emulator:
        return [emulator]
    return [sys.executable, "-c", f"from ratite.cli.system import {ARCH}; raise SystemExit({ARCH}())"]


def _play(scene: Scene, options: Sequence[str]) -> int:
    """Give the terminal to the guest."""
    from ratite.cli import system

    print(f"Booting {scene.name}. Leave with Ctrl-a x, or type '{scene.goodbye}'.", file=sys.stderr)
    return system.main(ARCH, options)


def _check(scene: Scene, command: Sequence[str]) -> int:
    print(f"Booting {scene.name}.")
    begin = time.monotonic()
    try:
        with Console(command) as console:
            _timed(f"up: '{scene.ready}'", lambda: console.wait_for(scene.ready, BOOT_SECONDS))
            console.wait_for(scene.prompt, STEP_SECONDS)
            for line, answer in scene.steps:
                _timed(line, lambda: _ask(console, line, answer, scene.prompt))    # noqa: B023 - called at once
            console.send(scene.goodbye)
            status = console.finish(STEP_SECONDS)
    except ConsoleError as error:
        print(f"FAILED after {time.monotonic() - begin:.1f} s: {error}")
        return 1
    print(f"Powered off with status {status}; {time.monotonic() - begin:.1f} s in all.")
    return 0 if status == 0 else 1


def _ask(console: Console, line: str, answer: str, prompt: str) -> None:
    console.send(line)
    console.wait_for(answer, STEP_SECONDS)
    console.wait_for(prompt, STEP_SECONDS)


def _timed(what: str, step: Callable[[], object]) -> None:
    begin = time.monotonic()
    step()
    print(f"  {time.monotonic() - begin:7.2f} s  {what}", flush=True)
