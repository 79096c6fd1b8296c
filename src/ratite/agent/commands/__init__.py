"""The commands, by subject."""

from __future__ import annotations


def load_all() -> None:
    """Import the modules, which declare the commands. Nothing may be imported later: the file systems may be frozen."""
    from ratite.agent.commands import (
        accounts,
        clock,
        devices,
        disks,
        execute,
        files,
        freeze,
        identity,
        memory,
        network,
        power,
        processors,
        protocol,
        ssh_keys,
        statistics,
        trim,
    )

    assert all((accounts, clock, devices, disks, execute, files, freeze, identity, memory, network, power))
    assert all((processors, protocol, ssh_keys, statistics, trim))
