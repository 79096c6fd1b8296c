"""Linux ABI of RISC-V, 64 and 32 bits.

Sources: the RISC-V psABI; the Linux kernel's user interface headers of riscv (`asm/ucontext.h`, `asm/ptrace.h`,
`asm/hwcap.h`) and its documentation of /proc/cpuinfo. Not modelled: the vector part of a signal frame.
"""

from __future__ import annotations

import struct
from errno import EFAULT

from ratite.bits import align_down, align_up
from ratite.user.abi.base import AlternateStack, Fault, Handler
from ratite.user.abi.generic import numbers_32_time64, numbers_64
from ratite.user.abi.registers import SIGINFO_SIZE, RegisterAbi, Registers, mirrored
from ratite.user.failure import GuestFault, SyscallError
from ratite.user.layout import ILP32, LP64, Layout
from ratite.user.signalnumbers import (
    BUS_ADRALN,
    ILL_ILLOPC,
    SIGBUS,
    SIGILL,
    SIGSEGV,
    SIGTRAP,
    TRAP_BRKPT,
)
from ratite.user.space import GuestSpace
from ratite.user.structs import GENERIC_STRUCTS, Structs

ARCH_CALLS = {258: "riscv_hwprobe", 259: "riscv_flush_icache"}

RA, SP, TP, A0, A7 = 1, 2, 4, 10, 17

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ratite.user.vcpu import Vcpu

# Exception codes (privileged architecture, chapter on mcause).
FETCH_MISALIGNED, ILLEGAL, BREAKPOINT, LOAD_MISALIGNED, STORE_MISALIGNED = 0, 2, 3, 4, 6

FP_STATE = struct.Struct("<32QI")
FP_STATE_SIZE = 528    # room for the Q extension: 32 * 16, fcsr, three reserved words
UCONTEXT_HEAD = "flags:ulong link:ptr sp:ptr stack_flags:i32 stack_size:ulong mask_low:u32 mask_high:u32 unused:u32*30"


class Riscv(RegisterAbi):
    """What both widths share."""

    elf_machine = 243
    general, sp, tp, a0, a7, ra = "x", SP, TP, A0, A7, RA
    syscall_cause = 8    # environment call from user mode
    trampoline = struct.pack("<II", 0x08B0_0893, 0x0000_0073)    # li a7, 139; ecall

    def __init__(self) -> None:
        super().__init__()
        self._head = Layout(UCONTEXT_HEAD, self.model)
        self._registers = struct.Struct("<32Q" if self.bits == 64 else "<32I")
        self.registers_offset = SIGINFO_SIZE + align_up(self._head.size, 16)
        self.fp_offset = self.registers_offset + self._registers.size
        self.frame_size = self.fp_offset + FP_STATE_SIZE

    def reset_float(self, vcpu: Vcpu) -> None:
        _set_fcsr(vcpu, 0)

    def trap(self, r: Registers, cause: int, value: int) -> Fault:
        if cause == ILLEGAL:
            return Fault(SIGILL, ILL_ILLOPC, r.pc[0])
        if cause == BREAKPOINT:
            return Fault(SIGTRAP, TRAP_BRKPT, r.pc[0])
        if cause in (FETCH_MISALIGNED, LOAD_MISALIGNED, STORE_MISALIGNED):
            return Fault(SIGBUS, BUS_ADRALN, value)
        return Fault(SIGSEGV, 0, value)

    def enter_handler(self, r: Registers, space: GuestSpace, handler: Handler, sp: int) -> None:
        frame = align_down(sp - self.frame_size, 16)
        if not 0 < frame < space.limit:
            raise GuestFault(frame)
        stack = handler.stack
        head = self._head.make(sp=stack.start, stack_flags=stack.flags, stack_size=stack.size,
                               mask_low=handler.mask, mask_high=handler.mask >> 32)
        registers = self._registers.pack(r.pc[0], *r.x[1:])
        fp = FP_STATE.pack(*r.f, _fcsr(r.vcpu))
        space.write(frame, b"".join((
            handler.info, head.ljust(self.registers_offset - SIGINFO_SIZE, b"\0"), registers,
            fp.ljust(FP_STATE_SIZE, b"\0"))))
        self.call_handler(r, handler, frame)

    def leave_handler(self, r: Registers, space: GuestSpace) -> tuple[int, AlternateStack]:
        frame = space.read(self.stack_pointer(r), self.frame_size)
        head = self._head.read(frame[SIGINFO_SIZE:])
        pc, *registers = self._registers.unpack_from(frame, self.registers_offset)
        if any(frame[self.fp_offset + 516:self.fp_offset + FP_STATE_SIZE]):
            raise SyscallError(EFAULT)    # words that must be zero, as the kernel demands
        *fp, fcsr = FP_STATE.unpack_from(frame, self.fp_offset)
        r.pc[0] = pc
        for n, value in enumerate(registers, 1):
            r.x[n] = value
        for n, value in enumerate(fp):
            r.f[n] = value
        _set_fcsr(r.vcpu, fcsr)
        stack = AlternateStack(head["sp"], head["stack_size"], head["stack_flags"])
        return head["mask_low"] | head["mask_high"] << 32, stack

    def hwcap(self, isa: str) -> int:
        letters = isa.lower().removeprefix(f"rv{self.bits}").partition("_")[0].replace("g", "imafd")
        return sum({1 << ord(letter) - ord("a") for letter in letters if "a" <= letter < "s" or letter == "v"})

    def cpuinfo(self, isa: str, processors: int) -> bytes:
        isa = isa if isa.startswith("rv") else f"rv{self.bits}{isa}"
        mmu = "sv39" if self.bits == 64 else "sv32"
        return "".join(f"processor\t: {n}\nhart\t\t: {n}\nisa\t\t: {isa}\nmmu\t\t: {mmu}\n\n"
                       for n in range(processors)).encode()


def _fcsr(vcpu: Vcpu) -> int:
    frm: int = vcpu.state.frm
    flags: int = vcpu.state.fp_flags
    return frm << 5 | mirrored(flags)


def _set_fcsr(vcpu: Vcpu, value: int) -> None:
    state = vcpu.state
    state.frm = value >> 5 & 7
    state.fp_flags = mirrored(value)
    if state.frm <= 4:  # instructions look at the reserved ones themselves
        vcpu.set_fp_round(state.frm)


class Riscv64(Riscv):
    """RV64, LP64 and its floating-point variants."""

    name = machine = "riscv64"
    title = "RISC-V 64-bit"
    bits = 64
    model = LP64
    pie_base = 0x2A_AAAA_A000
    numbers = {**numbers_64(), **ARCH_CALLS}
    structs = Structs(GENERIC_STRUCTS, LP64)


class Riscv32(Riscv):
    """RV32, ILP32 and its floating-point variants; `time_t` has 64 bits."""

    name = machine = "riscv32"
    title = "RISC-V 32-bit"
    bits = 32
    model = ILP32
    pie_base = 0x5555_5000
    numbers = {**numbers_32_time64(), **ARCH_CALLS}
    structs = Structs(GENERIC_STRUCTS, ILP32)
