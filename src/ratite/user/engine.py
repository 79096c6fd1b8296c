"""The engine of a process: an ISA configured for user mode, over the process's memory."""

from __future__ import annotations

from collections.abc import Callable

from ratite.cpu.engine import Engine
from ratite.cpu.vcpu import Vcpu
from ratite.user.abi.base import Abi
from ratite.user.space import GuestSpace

#: Room for machine code. The host gives memory only for what is used.
_CODE_SIZE = 192 << 20


def make(abi: Abi, cpu: str) -> tuple[Callable[[GuestSpace], Vcpu], str]:
    """What makes the first vCPU over a process's memory, and the CPU's ISA string. Raises UsageError for a wrong CPU."""
    from ratite.isa.riscv import hart
    from ratite.isa.riscv.arch import make_arch
    from ratite.isa.riscv.cpus import parse_cpu

    xlen = abi.bits
    config = parse_cpu(cpu or f"rv{xlen}", xlen).for_user_mode()
    arch = make_arch(config)

    def first(space: GuestSpace) -> Vcpu:
        vcpu = Vcpu(Engine(arch, user=space, code_size=_CODE_SIZE))
        hart.start_process(vcpu, 0)
        return vcpu

    return first, config.isa_string
