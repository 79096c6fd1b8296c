"""What there is: boards, CPU models, devices, log items; as `help` prints them and as rows for tables.

Plain text only, and each list imports no more than it shows: `-M help` is asked by scripts.
"""

from __future__ import annotations

from typing import NamedTuple

from ratite.errors import unknown
from ratite.isa import ARCHITECTURES


class Row(NamedTuple):
    """One thing that can be named on a command line."""

    name: str
    kind: str
    """For boards the most CPUs, for devices the bus, for CPUs the ISA string."""
    summary: str


def show(what: str, arch: str) -> None:
    """Print a list as the options' `help` does; `what` is a configuration's `show`."""
    lists = {"machines": _machine_help, "cpus": _cpu_help, "devices": _device_help, "log": _log_help}
    print("\n".join(lists[what](arch)))


def show_device(name: str) -> None:
    """Print the properties of a device, as `-device NAME,help` does."""
    from ratite.hw.model import find_device

    print(find_device(name).help_text(), end="")


def machines(arch: str) -> list[Row]:
    """The boards of an architecture."""
    from ratite.boards import boards_of

    return [Row(board.name, str(board.max_cpus), board.summary) for board in boards_of(known_architecture(arch))]


def cpus(arch: str) -> list[Row]:
    """The CPU models of an architecture."""
    from ratite.isa.target import find_target

    return [Row(model.name, model.isa, model.summary) for model in find_target(arch).models()]


def devices() -> list[Row]:
    """Every device, with the first line of its documentation."""
    from ratite.hw import load_all
    from ratite.hw.model import DEVICES

    load_all()
    return [Row(name, device.bus, first_line(device.__doc__)) for name, device in sorted(DEVICES.items())]


def first_line(text: str | None) -> str:
    """The first sentence of a docstring's first paragraph, as one line."""
    paragraph = (text or "").strip().split("\n\n")[0]
    return " ".join(paragraph.split())


def known_architecture(arch: str) -> str:
    """The name given back when it is one. Raises UsageError."""
    if arch not in ARCHITECTURES:
        raise unknown("architecture", arch, ARCHITECTURES)
    return arch


def _machine_help(arch: str) -> list[str]:
    return ["Supported machines are:", *(f"{row.name:<20} {row.summary}" for row in machines(arch))]


def _cpu_help(arch: str) -> list[str]:
    from ratite.isa.target import find_target

    return [find_target(arch).cpu_help()]


def _device_help(arch: str) -> list[str]:
    from ratite.hw.model import SYSTEM_BUS

    return [f'name "{row.name}", bus {row.kind}, desc "{row.summary}"' for row in devices() if row.kind != SYSTEM_BUS]


def _log_help(arch: str) -> list[str]:
    from ratite.log import CATEGORIES

    return ["Log items (comma separated):", *(f"{name:<15} {meaning}" for name, meaning in CATEGORIES.items())]
