"""The engine of a process: an ISA configured for user mode, over the process's memory."""

from __future__ import annotations

import sys
from collections.abc import Callable

from ratite.cpu.engine import Engine, Tuning
from ratite.cpu.vcpu import Vcpu
from ratite.isa.target import find_target
from ratite.user.abi.base import Abi
from ratite.user.space import GuestSpace

#: Room for machine code. The host gives memory only for what is used.
_CODE_SIZE = 192 << 20

#: Seconds after which the thread that compiles loops lets go of Python's lock.
_SWITCH_INTERVAL = 1e-4

def make(abi: Abi, cpu: str, region: str = "off", perf: bool = False) -> tuple[Callable[[GuestSpace], Vcpu], str]:
    """What makes the first vCPU over a process's memory, and the CPU's ISA string. region, perf: see `Tuning`. Raises UsageError for a wrong CPU."""
    target = find_target(abi.name)
    arch, isa = target.user_arch(target.parse_cpu(cpu))

    def first(space: GuestSpace) -> Vcpu:
        if region == "on":
            sys.setswitchinterval(_SWITCH_INTERVAL)
        vcpu = Vcpu(Engine(arch, user=space, code_size=_CODE_SIZE, tuning=Tuning(region=region, perf=perf)))
        target.start_process(vcpu)
        return vcpu

    return first, isa
