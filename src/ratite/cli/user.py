"""`ratite-ARCH PROGRAM ARGUMENTS...`: run one foreign Linux program on this machine's kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ratite.cli import user_options
from ratite.cli.entry import guard, version_line
from ratite.user.abi import ABIS


def __getattr__(name: str) -> Callable[[], int]:
    """The program `ratite-NAME`, for every architecture that user mode has an ABI for."""
    if name not in ABIS:
        raise AttributeError(f"no architecture named {name}")
    return lambda: guard(f"ratite-{name}", lambda words: main(name, words))


def main(arch: str, words: Sequence[str]) -> int:
    """Run the program that `words` describe and return its exit status."""
    config = user_options.parse(arch, words)
    program = f"ratite-{arch}"
    if config.show == "version":
        print(version_line(program))
    elif config.show == "help":
        print(user_options.OPTIONS.help(program))
    elif config.show:
        from ratite.cli import inventory

        inventory.show(config.show, arch)
    else:
        from ratite.user.run import run_program

        return run_program(config)
    return 0
