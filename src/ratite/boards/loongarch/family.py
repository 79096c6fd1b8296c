"""LoongArch cores for whoever runs a machine."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from ratite.boards.loongarch.core import LoongArchCore
from ratite.boards.machine import Machine
from ratite.cpu.engine import Engine
from ratite.hw.model import CharBackend, Clock
from ratite.isa.arch import Arch
from ratite.isa.loongarch import cpus
from ratite.isa.loongarch.arch import make_arch


class BoardFamily:
    """`ratite.boards.family.Family` for LoongArch."""

    def __init__(self, arch: str, cpu: str) -> None:
        self._config = cpus.parse_cpu(cpu or cpus.DEFAULT)

    def make_arch(self, machine: Machine) -> Arch:
        return make_arch(self._config)

    def make_processor(self, engine: Engine, number: int, clock: Clock, lock: AbstractContextManager[Any]) -> LoongArchCore:
        return LoongArchCore(engine, number, clock, lock)

    def power_on(self, machine: Machine, processors: Sequence[Any], console: CharBackend | None) -> None:
        """Firmware and the code of the boot ROM are guests."""
