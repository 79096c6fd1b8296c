"""guest-get-diskstats (admin-guide/iostats), guest-get-cpustats (proc_stat(5))."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from ratite.agent.agent import Agent
from ratite.agent.command import command
from ratite.agent.errors import system_error

# Columns after the name; older kernels have 11, 15 or fewer.
_DISK = (
    "read-ios", "read-merges", "read-sectors", "read-ticks",
    "write-ios", "write-merges", "write-sectors", "write-ticks",
    "ios-pgr", "total-ticks", "weight-ticks",
    "discard-ios", "discard-merges", "discard-sectors", "discard-ticks",
    "flush-ios", "flush-ticks",
)    # fmt: skip
_PROCESSOR = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guestnice")


@command("guest-get-diskstats", needs="statistics")
def disk_statistics(agent: Agent) -> list[dict[str, Any]]:
    """What disks and partitions have done since the start; ticks are milliseconds."""
    rows = (line.split() for line in _lines(agent, "/proc/diskstats"))
    return [
        {"major": int(row[0]), "minor": int(row[1]), "name": row[2], "stats": _named(_DISK, row[3:])}
        for row in rows
        if len(row) > 3
    ]


@command("guest-get-cpustats", needs="statistics")
def processor_statistics(agent: Agent) -> list[dict[str, Any]]:
    """Milliseconds that each processor has spent in each state."""
    ticks = os.sysconf("SC_CLK_TCK")
    rows = (re.fullmatch(r"cpu(\d+) +([\d ]+)", line) for line in _lines(agent, "/proc/stat"))
    return [
        {"type": "linux", "cpu": int(row[1]), **_named(_PROCESSOR, row[2].split(), 1000, ticks)}
        for row in rows
        if row
    ]


def _named(names: Sequence[str], values: Sequence[str], factor: int = 1, divisor: int = 1) -> dict[str, int]:
    """The columns that there are, with their names."""
    return {name: int(values[column]) * factor // divisor for column, name in enumerate(names[: len(values)])}


def _lines(agent: Agent, path: str) -> list[str]:
    try:
        return agent.system.read(path).splitlines()
    except OSError as error:
        raise system_error(f"cannot read {path}", error) from None
