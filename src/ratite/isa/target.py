"""What programs ask of an instruction set that they choose by name: `target(name)` of the `target.py` in its folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module

from ratite.errors import unknown
from ratite.isa import ARCHITECTURES
from ratite.isa.arch import Arch
from ratite.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Folders below ratite.isa by name.
FOLDERS = {name: architecture.folder for name, architecture in ARCHITECTURES.items()}


class CpuModel(Record, frozen=True):
    """A CPU model: its name for `-cpu`, its ISA string, and what it is."""

    name: str
    isa: str
    summary: str


class Target(Record, frozen=True):
    """What programs ask of an instruction set.

    parse_cpu: the configuration that an argument of `-cpu` describes, "" for the usual one; raises UsageError.
    make_arch: the instruction set of a configuration. user_arch: that as a Linux program sees it, and the ISA string. start_process:
    makes a vCPU ready to run a program. models, cpu_help: the CPU models, as a list and as text.
    """

    parse_cpu: Callable[[str], Any]
    make_arch: Callable[[Any], Arch]
    user_arch: Callable[[Any], tuple[Arch, str]]
    start_process: Callable[[Any], None]
    models: Callable[[], Sequence[CpuModel]]
    cpu_help: Callable[[], str]


def find_target(name: str) -> Target:
    """The instruction set of this name; raises UsageError for one that there is not."""
    if name not in FOLDERS:
        raise unknown("architecture", name, FOLDERS)
    found: Target = import_module(f"ratite.isa.{FOLDERS[name]}.target").target(name)
    return found
