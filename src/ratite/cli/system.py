"""`ratite-system-ARCH`: run a whole machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ratite.cli import machine_options
from ratite.cli.entry import guard, version_line
from ratite.cli.machine_options import SystemConfig
from ratite.isa import ARCHITECTURES


def __getattr__(name: str) -> Callable[[], int]:
    """The program `ratite-system-NAME`, for every instruction set."""
    if name not in ARCHITECTURES:
        raise AttributeError(f"no architecture named {name}")
    return lambda: guard(f"ratite-system-{name}", lambda words: main(name, words))


def main(arch: str, words: Sequence[str]) -> int:
    """Build and run the machine that `words` describe, or print what they ask for; returns the exit status."""
    config = machine_options.parse(arch, list(words))
    program = f"ratite-system-{arch}"
    if config.show == "version":
        print(version_line(program))
    elif config.show == "help":
        print(machine_options.OPTIONS.help(program))
    elif config.show:
        from ratite.cli import inventory

        inventory.show(config.show, arch)
    elif described := next((device.get("driver") for device in config.devices if device.get("help")), ""):
        from ratite.cli import inventory

        inventory.show_device(described)
    else:
        return run_system(config)
    return 0


def run_system(config: SystemConfig) -> int:
    """Build the machine, run it until it ends, and return the exit status: the guest's word where it has one, else 0.
    """
    from ratite.machine_runner import run

    return run(config)
