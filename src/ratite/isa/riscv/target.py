"""RISC-V for programs that choose an instruction set by name."""

from __future__ import annotations

from functools import partial

from ratite.isa.arch import Arch
from ratite.isa.riscv import cpus
from ratite.isa.riscv.arch import make_arch
from ratite.isa.riscv.config import RiscvConfig
from ratite.isa.riscv.process import start_process
from ratite.isa.target import CpuModel, Target


def target(name: str) -> Target:
    """RISC-V of 32 or 64 bits."""
    xlen = int(name.removeprefix("riscv"))
    return Target(
        parse_cpu=lambda text: cpus.parse_cpu(text or f"rv{xlen}", xlen),
        user_arch=_user_arch,
        make_arch=make_arch,
        start_process=start_process,
        models=lambda: [CpuModel(m.name, m.config.isa_string, m.summary) for m in cpus.MODELS[xlen].values()],
        cpu_help=partial(cpus.cpu_help, xlen),
    )


def _user_arch(config: RiscvConfig) -> tuple[Arch, str]:
    return make_arch(config.for_user_mode()), config.isa_string
