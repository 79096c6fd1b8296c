"""`ratite machines|cpus|devices`: what there is, as tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from ratite.cli import inventory
from ratite.cli.inventory import Row
from ratite.errors import UsageError
from ratite.isa import ARCHITECTURES


def main(words: Sequence[str]) -> int:
    """Print the table that `words[0]` names, for the architecture or device of `words[1]`."""
    name, *rest = words
    if len(rest) > 1:
        raise UsageError(f"'{rest[1]}' is one word too many")
    if name == "devices":
        _devices(rest)
    else:
        for arch in rest or ARCHITECTURES:
            if name == "machines":
                _print(f"Machines of {arch}", ("-M", "CPUs", "what it is"), inventory.machines(arch))
            else:
                _print(f"CPU models of {arch}", ("-cpu", "ISA", "what it is"), inventory.cpus(arch))
    return 0


def _devices(names: Sequence[str]) -> None:
    if not names:
        _print("Devices", ("-device", "bus", "what it is"), inventory.devices())
        return
    from ratite.hw.model import find_device

    device = find_device(names[0])
    properties = sorted(device.properties.items())
    rows = [Row(name, prop.kind.name, prop.description) for name, prop in properties]
    _print(f"{device.name}: {inventory.first_line(device.__doc__)}", ("property", "type", "meaning"), rows)


def _print(title: str, head: Sequence[str], rows: Sequence[Row]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", header_style="bold")
    for column in head:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))    # Text: what looks like rich's markup is none
    Console().print(table)
