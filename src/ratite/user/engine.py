"""The execution engine as user mode sees it: one for a process, over its GuestSpace."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from ratite.cpu.engine import Engine
from ratite.cpu.vcpu import Vcpu as EngineVcpu
from ratite.user.abi.base import Abi
from ratite.user.space import GuestSpace
from ratite.user.vcpu import Vcpu


class UserVcpu(EngineVcpu):
    """A vCPU of a user-mode process."""

    @property
    def interrupt_address(self) -> int:
        """Host address of the byte that makes native code leave."""
        return self.env + self.engine.arch.layout.slots["host_attention"].offset

    def clone(self) -> UserVcpu:
        """Another vCPU over the same memory and translations, its state a copy."""
        other = UserVcpu(self.engine)
        other.state.load(self.state.save())
        other.set_fp_round(int(self.state.fp_round))
        return other

    def finish(self) -> None:
        """Keep newly compiled stencils on disk."""
        self.engine.save()

    def fork_lock(self) -> AbstractContextManager[Any]:
        """The engine's lock."""
        return self.engine.lock


def make(abi: Abi, cpu: str) -> tuple[Callable[[GuestSpace], Vcpu], str]:
    """What makes the first vCPU of a process, and the CPU's ISA string. Raises UsageError for a wrong `cpu`."""
    arch, isa = abi.instruction_set(cpu)

    def first(space: GuestSpace) -> Vcpu:
        return UserVcpu(Engine(arch, user=space))
    return first, isa


