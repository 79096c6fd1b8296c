"""ABIs of architectures with 31 general registers that pass arguments in a row of them, as the younger ones do."""

from __future__ import annotations

from ratite.user.abi.base import Abi, Handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ratite.user.vcpu import Vcpu

SIGINFO_SIZE = 128


class Registers:
    """A vCPU's registers as slices of its memory."""

    __slots__ = ("f", "pc", "vcpu", "x")

    def __init__(self, vcpu: Vcpu, general: str) -> None:
        self.vcpu = vcpu
        slots = vcpu.engine.arch.layout.slots
        first = {name: vcpu.base8 + slots[name].offset // 8 for name in (general, "f", "next_pc")}
        self.x = vcpu.words[first[general]:first[general] + 32]
        step = slots["f"].stride // 8
        self.f = vcpu.words[first["f"]:first["f"] + 32 * step:step]
        self.pc = vcpu.words[first["next_pc"]:first["next_pc"] + 1]
        """Of one element."""


class RegisterAbi(Abi):
    """What such an ABI is but for its numbers: instructions have four bytes, results come in the first argument."""

    general: str
    """The register file in the ISA's state."""
    sp: int
    tp: int
    a0: int
    """First of the argument registers."""
    a7: int
    """Where the number of a system call is."""
    ra: int
    """Where a function finds the address to return to."""

    def __init__(self) -> None:
        self._mask = (1 << self.bits) - 1

    def registers(self, vcpu: Vcpu) -> Registers:
        return Registers(vcpu, self.general)

    def number(self, r: Registers) -> int:
        return r.x[self.a7]

    def arguments(self, r: Registers) -> tuple[int, int, int, int, int, int]:
        a0, a1, a2, a3, a4, a5 = r.x[self.a0:self.a0 + 6]
        return a0, a1, a2, a3, a4, a5

    def finish(self, r: Registers, result: int) -> None:
        r.x[self.a0] = result & self._mask
        r.pc[0] += 4

    def start(self, r: Registers, entry: int, sp: int) -> None:
        for n in range(1, 32):
            r.x[n] = 0
        for n in range(32):
            r.f[n] = 0
        self.reset_float(r.vcpu)
        r.x[self.sp] = sp
        r.pc[0] = entry

    def reset_float(self, vcpu: Vcpu) -> None:
        """Clear what floating point has beside its registers."""
        raise NotImplementedError

    def start_thread(self, r: Registers, sp: int, tls: int | None) -> None:
        if sp:
            r.x[self.sp] = sp
        if tls is not None:
            r.x[self.tp] = tls
        self.finish(r, 0)

    def stack_pointer(self, r: Registers) -> int:
        return r.x[self.sp]

    def call_handler(self, r: Registers, handler: Handler, frame: int) -> None:
        """Let a signal handler run that finds siginfo and, behind it, ucontext in a frame."""
        r.x[self.ra] = handler.trampoline
        r.x[self.sp] = frame
        r.x[self.a0] = handler.signo
        r.x[self.a0 + 1] = frame
        r.x[self.a0 + 2] = frame + SIGINFO_SIZE
        r.pc[0] = handler.address


# Five sticky flags in the opposite order: the engine has invalid first, these ISAs have inexact first.
_MIRRORED = bytes(sum(1 << 4 - n for n in range(5) if flags >> n & 1) for flags in range(32))


def mirrored(flags: int) -> int:
    """The sticky flags of the engine as the ISA has them, or back."""
    return _MIRRORED[flags & 31]
