"""The system calls, one module an area; importing this declares them all."""

from __future__ import annotations

from ratite.user.syscalls import (
    descriptors,
    events,
    files,
    identity,
    ioctl,
    ipc,
    memory,
    network,
    process,
    scheduling,
    signals,
    system,
    threads,
    times,
)
from ratite.user.table import CALLS

AREAS = (descriptors, events, files, identity, ioctl, ipc, memory, network, process, scheduling, signals, system,
         threads, times)

__all__ = ["AREAS", "CALLS"]
