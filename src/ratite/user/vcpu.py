"""What user mode asks of the execution engine."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol


class Exit(Protocol):
    """Why native code stopped.

    `kind` is `syscall` (the pc is at the instruction), `trap` (`cause` and `value` are the ISA's), `fault` (`value` is
    the guest address of an access that the host refused, `signo` and `code` the host's) or `interrupt`.
    """

    kind: str
    cause: int
    value: int
    signo: int
    code: int


class Vcpu(Protocol):
    """A guest CPU over one GuestSpace."""

    state: Any
    """Registers by name, unsigned: `state.pc` and what else the ISA declares."""
    words: memoryview
    """All state as 64-bit words; field `name` is at `base8 + engine.arch.layout.slots[name].offset // 8`."""
    base8: int
    engine: Any

    @property
    def interrupt_address(self) -> int:
        """Host address of a byte; native code that finds it not zero leaves with `interrupt`. Cleared by leaving
        only, so that one set just before `run` is not lost."""

    def run(self) -> Exit:
        """Run until something happens that is Python's to do."""

    def step(self) -> Exit | None:
        """Run one instruction in the reference evaluator; returns None where nothing else is to be done."""

    def kick(self) -> None:
        """Have `run` return soon."""

    def clone(self) -> Vcpu:
        """Another vCPU over the same memory and translations, its state a copy."""

    def set_fp_round(self, mode: int) -> None:
        """Set the host's rounding mode: 0 to nearest even, 1 to zero, 2 down, 3 up."""

    def leave_sent_faults_to(self, handler: int) -> None:
        """Have a native handler get the signals SIGSEGV and SIGBUS where they are no faults."""

    def fork_lock(self) -> AbstractContextManager[object]:
        """What is to be held across fork, so that a child finds the engine's tables in order."""

    def close(self) -> None:
        """The thread is gone: forget its vCPU."""

    def finish(self) -> None:
        """The process ends: keep what the next one can use."""

    def invalidate(self, start: int, size: int) -> None:
        """Forget translations of a range of guest memory."""
