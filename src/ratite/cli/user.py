"""`ratite-ARCH PROGRAM ARGUMENTS...`: run one foreign Linux program on this machine's kernel."""

from __future__ import annotations

from collections.abc import Sequence

from ratite.cli import user_options
from ratite.cli.entry import guard, version_line


def riscv64() -> int:
    """The program `ratite-riscv64`."""
    return guard("ratite-riscv64", lambda words: main("riscv64", words))


def riscv32() -> int:
    """The program `ratite-riscv32`."""
    return guard("ratite-riscv32", lambda words: main("riscv32", words))


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
