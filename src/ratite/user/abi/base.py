"""What user mode asks of a guest architecture's Linux ABI."""

from __future__ import annotations

from ratite.user.layout import DataModel
from ratite.user.space import GuestSpace
from ratite.user.structs import Structs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ratite.user.vcpu import Vcpu

    Registers = Any
    """What `registers` of an ABI made for one vCPU."""


class Fault:
    """A signal that an instruction of the guest caused: number, si_code, and the address si_addr tells.

    The code of a SIGSEGV may be 0: whether the address is mapped decides.
    """

    __slots__ = ("address", "code", "signo")

    def __init__(self, signo: int, code: int, address: int) -> None:
        self.signo = signo
        self.code = code
        self.address = address


class AlternateStack:
    """A thread's sigaltstack; size 0 means none."""

    __slots__ = ("flags", "size", "start")

    def __init__(self, start: int = 0, size: int = 0, flags: int = 0) -> None:
        self.start = start
        self.size = size
        self.flags = flags

    def holds(self, sp: int) -> bool:
        """Whether a stack pointer lies on this stack."""
        return 0 < sp - self.start <= self.size


class Handler:
    """A call of a signal handler to be made: the signal, what the guest set up for it, and what to put back after."""

    __slots__ = ("address", "info", "mask", "restorer", "signo", "stack", "trampoline")

    def __init__(self, address: int, signo: int, info: bytes, mask: int, stack: AlternateStack, trampoline: int,
                 restorer: int = 0) -> None:
        self.address = address
        self.signo = signo
        self.info = info
        """The siginfo structure as the guest lays it out, 128 bytes."""
        self.mask = mask
        """Signal mask to go back to."""
        self.stack = stack
        """The alternate stack in force, saved in the frame."""
        self.trampoline = trampoline
        """Guest address of the ABI's `trampoline` code."""
        self.restorer = restorer
        """Guest address that sigaction gave to return to (ABIs with SA_RESTORER)."""


class Abi:
    """One architecture's Linux ABI for user programs. A new one subclasses this in its own file."""

    name: str
    """As on the command line, and as the file in ratite.isa."""
    title: str
    """For messages: "RISC-V 64-bit"."""
    bits: int
    model: DataModel
    machine: str
    """What uname tells."""
    elf_machine: int
    aligns_pairs = False
    """Whether a 64-bit argument starts in an even register (32-bit ABIs)."""
    numbers: dict[int, str]
    """System call names by number."""
    structs: Structs
    syscall_cause = -1
    """The exception that a system call instruction is, where the engine reports it as a trap."""
    clone_takes_tls_last = False
    """Whether clone's thread pointer comes after the address of the child's number (no CLONE_BACKWARDS in the kernel)."""
    signal_stack_minimum = 2048
    """MINSIGSTKSZ."""
    trampoline: bytes
    """Code that makes the rt_sigreturn call; it is put on a page of its own."""
    pie_base: int
    """Where a position-independent program is put."""

    def registers(self, vcpu: Vcpu) -> Registers:
        """A live view on a vCPU's registers, as quick as Python can have it."""
        raise NotImplementedError

    def number(self, registers: Registers) -> int:
        """The number of the system call that a vCPU stands at."""
        raise NotImplementedError

    def arguments(self, registers: Registers) -> tuple[int, int, int, int, int, int]:
        """The six argument registers, unsigned."""
        raise NotImplementedError

    def finish(self, registers: Registers, result: int) -> None:
        """Put a system call's result (or `-errno`) in its register and step behind the instruction."""
        raise NotImplementedError

    def start(self, registers: Registers, entry: int, sp: int) -> None:
        """Set all registers as a new program finds them."""
        raise NotImplementedError

    def start_thread(self, registers: Registers, sp: int, tls: int | None) -> None:
        """Set up a child's registers, a copy of the parent's at its clone call; sp 0 leaves the stack pointer."""
        raise NotImplementedError

    def stack_pointer(self, registers: Registers) -> int:
        """The stack pointer."""
        raise NotImplementedError

    def trap(self, registers: Registers, cause: int, value: int) -> Fault:
        """The signal for an exception that the CPU raised; `cause` and `value` are the ISA's."""
        raise NotImplementedError

    def enter_handler(self, registers: Registers, space: GuestSpace, handler: Handler, sp: int) -> None:
        """Put a signal frame below `sp` and set the registers to run the handler; raises GuestFault."""
        raise NotImplementedError

    def leave_handler(self, registers: Registers, space: GuestSpace) -> tuple[int, AlternateStack]:
        """Undo `enter_handler` from the frame at the stack pointer; returns the mask and alternate stack to restore."""
        raise NotImplementedError

    def hwcap(self, isa: str) -> int:
        """AT_HWCAP for a CPU, by its ISA string."""
        raise NotImplementedError

    def cpuinfo(self, isa: str, processors: int) -> bytes:
        """The text of /proc/cpuinfo."""
        raise NotImplementedError
