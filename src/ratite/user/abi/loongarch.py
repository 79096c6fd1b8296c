"""Linux ABI of LoongArch, 64 bits (lp64d and its variants).

Sources: the LoongArch ELF psABI; the Linux kernel's user interface headers of loongarch (`asm/ucontext.h`,
`asm/sigcontext.h`, `asm/hwcap.h`, `asm/unistd.h`) and its documentation of /proc/cpuinfo.

A signal frame has the widest registers that the CPU has, also where the program never used them: the kernel gives the
floating-point registers alone to a program that has not used vectors.
"""

from __future__ import annotations

import struct
from errno import EFAULT

from ratite.bits import align_down
from ratite.isa.loongarch.causes import Cause
from ratite.user.abi.base import AlternateStack, Fault, Handler
from ratite.user.abi.generic import numbers_64
from ratite.user.abi.registers import SIGINFO_SIZE, RegisterAbi, Registers, mirrored
from ratite.user.failure import GuestFault, SyscallError
from ratite.user.layout import LP64, Layout
from ratite.user.signalnumbers import (
    BUS_ADRALN,
    SIGBUS,
    SIGFPE,
    SIGILL,
    SIGSEGV,
    SIGTRAP,
    TRAP_BRKPT,
)
from ratite.user.space import GuestSpace
from ratite.user.structs import GENERIC_STRUCTS, Structs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ratite.user.vcpu import Vcpu

RA, TP, SP, A0, A7 = 1, 2, 3, 4, 11

SI_KERNEL, BUS_ADRERR, SEGV_BNDERR = 0x80, 2, 3
FPE_INTDIV, FPE_INTOVF, FPE_FLTDIV, FPE_FLTOVF, FPE_FLTUND, FPE_FLTRES, FPE_FLTINV = range(1, 8)

# What the codes of break instructions mean that compilers put behind divisions and additions (`asm/break.h`).
_BREAKS = {6: (SIGFPE, FPE_INTOVF), 7: (SIGFPE, FPE_INTDIV)}

UCONTEXT_HEAD = "flags:ulong link:ptr sp:ptr stack_flags:i32 stack_size:ulong mask:u64 unused:u64*15"
REGISTERS_AT = 176
"""Where sigcontext lies in ucontext: aligned to 16 bytes."""
REGISTERS = struct.Struct("<33QI4x")
"""The program counter, general registers, and flags, up to the extended contexts."""
USED_FP = 1
CONTEXT_HEAD = struct.Struct("<II8x")
"""Magic number and size, head included, of an extended context; both are zero in the last one."""
CONTEXTS = {0x46505501: 1, 0x53580001: 2, 0x41535801: 4}
"""Words of a register in extended contexts by their magic numbers: floating point (FPU_CTX_MAGIC), LSX and LASX."""
FP_CONTROL = struct.Struct("<QI4x")
"""What follows the registers: condition flags, and fcsr0."""
FIRST_PART = SIGINFO_SIZE + REGISTERS_AT + REGISTERS.size + CONTEXT_HEAD.size
MOST_CONTEXTS = 16
NO_RESERVATION = (1 << 64) - 1

_FEATURES = ("cpucfg", "lam", "ual", "fpu", "lsx", "lasx", "crc32", "complex", "crypto", "lvz")
"""Names in /proc/cpuinfo in the order of bits of AT_HWCAP."""

# si_code of SIGFPE by the bit of FCSR0's Cause, in the order in which the kernel looks.
_FPE_CODES = ((16, FPE_FLTINV), (8, FPE_FLTDIV), (4, FPE_FLTOVF), (2, FPE_FLTUND), (1, FPE_FLTRES))


class LoongArch64(RegisterAbi):
    """LA64."""

    name = machine = "loongarch64"
    title = "LoongArch 64-bit"
    bits = 64
    model = LP64
    elf_machine = 258
    general, sp, tp, a0, a7, ra = "r", SP, TP, A0, A7, RA
    syscall_cause = int(Cause.SYSTEM_CALL)
    clone_takes_tls_last = True
    signal_stack_minimum = 4096
    trampoline = struct.pack("<II", 0x0382_2C0B, 0x002B_0000)    # ori a7, zero, 139; syscall 0
    pie_base = 0x2A_AAAA_8000
    # The kernel never had calls with a 32-bit limit for it.
    numbers = {number: name for number, name in numbers_64().items() if name not in ("getrlimit", "setrlimit")}
    structs = Structs(GENERIC_STRUCTS, LP64)

    def __init__(self) -> None:
        super().__init__()
        self._head = Layout(UCONTEXT_HEAD, self.model)

    def reset_float(self, vcpu: Vcpu) -> None:
        for n in range(32):
            vcpu.state.x[n] = 0
        _set_control(vcpu, 0, 0)

    def trap(self, r: Registers, cause: int, value: int) -> Fault:
        pc = r.pc[0]
        match cause:
            case Cause.ILLEGAL:
                return Fault(SIGILL, SI_KERNEL, 0)
            case Cause.BREAKPOINT:
                number, code = _BREAKS.get(value, (SIGTRAP, TRAP_BRKPT))
                return Fault(number, code, pc)
            case Cause.FLOATING_POINT | Cause.VECTOR_FLOATING_POINT:
                raised: int = r.vcpu.state.fcsr_cause & r.vcpu.state.fcsr_enables
                return Fault(SIGFPE, next((code for bit, code in _FPE_CODES if raised & bit), 0), pc)
            case Cause.ALIGNMENT:
                return Fault(SIGBUS, BUS_ADRALN, value)
            case Cause.FETCH_ADDRESS:
                r.pc[0] = value    # the jump has been done
                return Fault(SIGBUS, BUS_ADRERR, value)
            case Cause.BOUND_CHECK:
                return Fault(SIGSEGV, SEGV_BNDERR, pc)
        return Fault(SIGSEGV, 0, value)

    def enter_handler(self, r: Registers, space: GuestSpace, handler: Handler, sp: int) -> None:
        context = _fp_context(r.vcpu)
        # What comes first is so long that the registers of the context are aligned to a vector.
        frame = align_down(sp - len(context) - CONTEXT_HEAD.size, 32) - FIRST_PART
        if not 0 < frame < space.limit:
            raise GuestFault(frame)
        stack = handler.stack
        head = self._head.make(sp=stack.start, stack_flags=stack.flags, stack_size=stack.size, mask=handler.mask)
        space.write(frame, b"".join((
            handler.info, head.ljust(REGISTERS_AT, b"\0"), REGISTERS.pack(r.pc[0], 0, *r.x[1:], USED_FP),
            context, CONTEXT_HEAD.pack(0, 0))))
        self.call_handler(r, handler, frame)

    def leave_handler(self, r: Registers, space: GuestSpace) -> tuple[int, AlternateStack]:
        frame = self.stack_pointer(r) + SIGINFO_SIZE
        head = self._head.read(space.read(frame, self._head.size))
        pc, _, *registers, flags = REGISTERS.unpack(space.read(frame + REGISTERS_AT, REGISTERS.size))
        fp = _read_fp_context(space, frame + REGISTERS_AT + REGISTERS.size) if flags & USED_FP else None
        r.pc[0] = pc
        r.vcpu.state.reserve_addr = NO_RESERVATION    # returning from an exception takes it away
        for n, value in enumerate(registers, 1):
            r.x[n] = value
        if fp is not None:
            count, packed, conditions, control = fp
            words = _vectors(r.vcpu)
            for n, value in enumerate(memoryview(packed).cast("Q")):
                words[n // count * VECTOR_WORDS + n % count] = value
            _set_control(r.vcpu, conditions, control)
        return head["mask"], AlternateStack(head["sp"], head["stack_size"], head["stack_flags"])

    def hwcap(self, isa: str) -> int:
        return sum(1 << _FEATURES.index(name) for name in isa.split() if name in _FEATURES)

    def cpuinfo(self, isa: str, processors: int) -> bytes:
        lines = ["system type\t\t: generic-loongson-machine\n"]
        for n in range(processors):
            lines.append(f"processor\t\t: {n}\nCPU Family\t\t: Loongson-64bit\nAddress Sizes\t\t: 48 bits physical, "
                         f"48 bits virtual\nISA\t\t\t: loongarch32 loongarch64\nFeatures\t\t: {isa}\n")
        return "\n".join([*lines, ""]).encode()


VECTOR_WORDS = 4
"""Of a register in the state."""


def _vectors(vcpu: Vcpu) -> memoryview:
    """The words of all vector registers."""
    first = vcpu.base8 + vcpu.engine.arch.layout.slots["x"].offset // 8
    return vcpu.words[first:first + 32 * VECTOR_WORDS]


def _fp_context(vcpu: Vcpu) -> bytes:
    """The extended context with the registers that the CPU has."""
    config = vcpu.engine.arch.config
    count = 4 if config.has("LASX") else 2 if config.has("LSX") else 1
    magic = next(magic for magic, words in CONTEXTS.items() if words == count)
    words = _vectors(vcpu).tolist()
    chosen = [words[n + k] for n in range(0, len(words), VECTOR_WORDS) for k in range(count)]
    body = struct.pack(f"<{len(chosen)}Q", *chosen) + FP_CONTROL.pack(*_control(vcpu))
    return CONTEXT_HEAD.pack(magic, CONTEXT_HEAD.size + len(body)) + body


def _read_fp_context(space: GuestSpace, address: int) -> tuple[int, bytearray, int, int] | None:
    """Words of a register, registers, condition flags and fcsr0 in the chain of extended contexts at an address, or None."""
    for _ in range(MOST_CONTEXTS):
        magic, size = CONTEXT_HEAD.unpack(space.read(address, CONTEXT_HEAD.size))
        if not magic:
            return None
        count = CONTEXTS.get(magic)
        if count and size >= CONTEXT_HEAD.size + 256 * count + FP_CONTROL.size:
            registers = bytearray(space.read(address + CONTEXT_HEAD.size, 256 * count))
            return count, registers, *FP_CONTROL.unpack(space.read(address + CONTEXT_HEAD.size + len(registers), FP_CONTROL.size))
        if size < CONTEXT_HEAD.size:
            break
        address += size
    raise SyscallError(EFAULT)


# FCSR0.RM has rounding up before down, the engine has down before up.
_ROUNDING = (0, 1, 3, 2)


def _control(vcpu: Vcpu) -> tuple[int, int]:
    """The condition flags, a byte each, and fcsr0."""
    state = vcpu.state
    conditions = int.from_bytes(bytes(flag & 1 for flag in state.fcc), "little")
    return conditions, (state.fcsr_enables | _ROUNDING[state.fp_round & 3] << 8 | mirrored(state.fp_flags) << 16
                        | state.fcsr_cause << 24)


def _set_control(vcpu: Vcpu, conditions: int, control: int) -> None:
    state = vcpu.state
    for n, flag in enumerate(conditions.to_bytes(8, "little")):
        state.fcc[n] = flag & 1
    state.fcsr_enables = control & 31
    state.fp_flags = mirrored(control >> 16)
    state.fcsr_cause = control >> 24 & 31
    vcpu.set_fp_round(_ROUNDING[control >> 8 & 3])
