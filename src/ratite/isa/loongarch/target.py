"""LoongArch for programs that choose an instruction set by name."""

from __future__ import annotations

from ratite.isa.arch import Arch
from ratite.isa.loongarch import cpus
from ratite.isa.loongarch.arch import make_arch
from ratite.isa.loongarch.config import LoongArchConfig
from ratite.isa.loongarch.process import start_process
from ratite.isa.target import CpuModel, Target


def target(name: str) -> Target:
    """LA64, the only one."""
    return Target(
        parse_cpu=lambda text: cpus.parse_cpu(text or cpus.DEFAULT),
        user_arch=_user_arch,
        make_arch=make_arch,
        start_process=start_process,
        models=lambda: [CpuModel(m.name, m.config.isa_string, m.summary) for m in cpus.MODELS.values()],
        cpu_help=cpus.cpu_help,
    )


def _user_arch(config: LoongArchConfig) -> tuple[Arch, str]:
    return make_arch(config.for_user_mode()), config.isa_string
