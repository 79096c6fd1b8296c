"""Guests that ship with Ratite: small programs of our own for machines with nothing else to run.

Each folder holds the source of one, the script that builds it (`build.sh`), and the built file.
"""

from __future__ import annotations

from pathlib import Path

from ratite.errors import unknown

_MONITORS = {"riscv64": "riscv64/monitor.elf"}


def monitor(arch: str) -> Path:
    """The bare-metal monitor for `arch`: an ELF file for `-bios none -kernel`."""
    try:
        return Path(__file__).parent / _MONITORS[arch]
    except KeyError:
        raise unknown("architecture of an embedded guest", arch, _MONITORS) from None
