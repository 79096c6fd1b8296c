"""A guest's shell as tests use it: lines to run, whose success is checked."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ratite.cli.console import Console
from ratite.fetch.guest import Guest

READY = "GUEST-READY"
PROMPT = "~ # "
BOOT_SECONDS = 300.0
STEP_SECONDS = 120.0


def emulator(arch: str) -> list[str]:
    """The command `ratite-system-ARCH` of the tree under test."""
    return [sys.executable, "-c", f"from ratite.cli.system import {arch}; raise SystemExit({arch}())"]


def linux(guest: Guest, initrd: Path | None = None) -> list[str]:
    """Options that boot Debian's kernel, to Ratite's own initrd or another."""
    files = ["-kernel", str(guest.kernel), "-initrd", str(initrd or guest.initrd)]
    return ["-M", "virt", "-m", "512", "-nographic", *files, "-append", guest.append]


class Shell:
    """The shell of Ratite's own initrd, on a console."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def wait_until_up(self) -> None:
        """Wait for a boot to end."""
        self.console.wait_for(READY, BOOT_SECONDS)
        self.console.wait_for(PROMPT, STEP_SECONDS)

    def run(self, line: str, seconds: float = STEP_SECONDS) -> str:
        """Run a line that has to succeed; returns what appeared on the screen, the line itself included."""
        self.console.send(f"{line}; echo status=$?")
        output = self.console.wait_for(PROMPT, seconds)
        assert "status=0" in output, f"'{line}' failed: {output}"
        return output

    def number(self, line: str) -> float:
        """Run a line that prints a number between = and =."""
        return float(self.run(line).split("\n=")[1].split("=")[0])

    def power_off(self) -> int:
        """Power off from within; returns the emulator's exit status."""
        self.console.send("poweroff -f")
        return self.console.finish(STEP_SECONDS)


def boot(options: Sequence[str]) -> Shell:
    """Start a machine with a kernel and Ratite's initrd, and wait for the shell. The caller closes `console`."""
    shell = Shell(Console([*emulator("riscv64"), *options]))
    try:
        shell.wait_until_up()
    except BaseException:
        shell.console.__exit__(None, None, None)
        raise
    return shell
