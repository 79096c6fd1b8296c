"""Everything that depends on the host processor: x86-64 Linux. An aarch64 host is another module with these names.

Stencils are functions of calling convention `preserve_none`, which passes twelve integers in r12 r13 r14 r15 rdi rsi rdx rcx r8 r9 r11 rax and
preserves nothing. The arguments are, in this order: the translation cache (the base of guest memory in user mode), the state, the pinned
guest registers, and the address of a missed access; every stencil ends by jumping to the next with the same ones.
"""

from __future__ import annotations

import functools
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ratite.codegen.elfobj import Reloc

#: How many guest registers native code keeps in host registers.
PINNED = 8

TRIPLE = "x86_64-unknown-linux-gnu"

# Relocation types of the x86-64 psABI.
ABS64, ABS32, ABS32S = 1, 10, 11
RELATIVE = frozenset({2, 4})  # PC32, PLT32

#: Where a memory access goes that finds no translation: mov eax, imm32; jmp rel32; then its record, which the first passes to the handler in
#: the twelfth argument: guest address of the instruction (8 bytes), host address to retry at (4 bytes).
MISS_STUB = struct.pack("<BiBiQI2x", 0xB8, 0, 0xE9, 0, 0, 0)
#: Places in it: address of the record, displacement to the handler, the two parts of the record.
MISS_OPERAND, MISS_JUMP, MISS_RECORD, MISS_RETRY = 1, 6, 10, 18


#: LLVM text: the register that generated code hands back as it found it, the stack pointer aside; also when it is left in its middle.
READ_FRAME = 'call i64 asm sideeffect "", "={rbp}"()'

#: Name of the section with the landings of an object's guarded accesses: pairs of distances from the start of function `region`, of 32 bits each,
#: the first that of an access.
LANDINGS = "landings"

#: Instructions that load a number of some bits and extend it in some way; "": nothing but these bits matters.
_LOADS = {
    (8, ""): "movzbl $1, ${0:k}", (16, ""): "movzwl $1, ${0:k}", (32, ""): "movl $1, ${0:k}", (64, ""): "movq $1, $0",
    (8, "zext"): "movzbl $1, ${0:k}", (16, "zext"): "movzwl $1, ${0:k}", (32, "zext"): "movl $1, ${0:k}",
    (8, "sext"): "movsb{to} $1, $0", (16, "sext"): "movsw{to} $1, $0", (32, "sext"): "movsl{to} $1, $0",
}  # fmt: skip
_STORES = {8: "movb ${1:b}, $0", 16: "movw ${1:w}, $0", 32: "movl ${1:k}, $0", 64: "movq $1, $0"}


def guarded_load(pointer: str, width: int, extension: str, to: str, labels: tuple[str, str]) -> str:
    """LLVM text of a load of memory that may not be there: goes on at the first of two labels, or at the second, with everything as it was before,
    when the handler of faults finds the access among the landings. What is loaded has type `to`."""
    text = f"{_move()} $1, $0" if width > 64 else _LOADS[width, extension].replace("{to}", "q" if to == "i64" else "l")
    operands = f"ptr elementtype({to if width > 64 else f'i{width}'}) {pointer}"
    return _guarded(text, to, f"={_kind(width)},*m,!i", operands, labels)


def guarded_store(pointer: str, width: int, ty: str, value: str, labels: tuple[str, str]) -> str:
    """The same for a store of a value of a type."""
    text = f"{_move()} $1, $0" if width > 64 else _STORES[width]
    constraint = "qi" if width == 8 else "x" if width > 64 else "re"
    return _guarded(text, "void", f"=*m,{constraint},!i", f"ptr elementtype({ty}) {pointer}, {ty} {value}", labels)


def guarded_exchange(pointer: str, width: int, expected: str, new: str, labels: tuple[str, str]) -> str:
    """The same for an atomic exchange of memory that holds what is expected; its result is what memory held."""
    size, register = {8: ("b", "${2:b}"), 16: ("w", "${2:w}"), 32: ("l", "${2:k}"), 64: ("q", "$2")}[width]
    operands = f"ptr elementtype(i{width}) {pointer}, i{width} {new}, i{width} {expected}"
    constraints = f"={{ax}},*m,{'q' if width == 8 else 'r'},0,!i,~{{flags}}"
    return _guarded(f"lock cmpxchg{size} {register}, $1", f"i{width}", constraints, operands, labels, 4)


def _guarded(text: str, result: str, constraints: str, operands: str, labels: tuple[str, str], label: int = 2) -> str:
    """Text of an access, an instruction, which notes where it is and where its second label is, operand `label`."""
    note = rf"\0A.pushsection {LANDINGS},\22\22,@progbits\0A.long 1b-region,${{{label}:l}}-region\0A.popsection"
    return f'callbr {result} asm sideeffect "1: {text}{note}", "{constraints}"({operands}) {_ACCESS} to label %{labels[0]} [label %{labels[1]}]'


def _kind(width: int) -> str:
    """The kind of register, as constraints say it, for numbers of a width."""
    return "x" if width > 64 else "r"


def _move() -> str:
    """The instruction that loads or stores a vector wherever it lies."""
    return "vmovdqu" if has("avx") else "movdqu"


#: What LLVM may know of guarded accesses: they touch nothing else that it sees.
_ACCESS = "nounwind memory(argmem: readwrite, inaccessiblemem: readwrite)"

#: LLVM text that keeps a block from being joined with others.
STAY = 'call void asm sideeffect "", ""()'

#: An instruction of one byte that does nothing.
NOP = b"\x90"


def jump(at: int, to: int) -> bytes:
    """A direct jump placed at `at`."""
    return struct.pack("<Bi", 0xE9, to - (at + 5))


def enter_region(number: int, at: int, to: int) -> bytes:
    """Code at `at` that goes to the region at `to` with the number of an entry in the eleventh argument: mov r11d, imm32; jmp rel32."""
    return b"\x41\xbb" + struct.pack("<i", number) + jump(at + 6, to)


#: Bytes between two entries of a region.
ENTRY_SIZE = 16

#: Host registers of the pinned guest registers: r14 r15 rdi rsi rdx rcx r8 r9.
PIN_REGISTERS = (14, 15, 7, 6, 2, 1, 8, 9)


#: Pinned registers for which LLVM compiles; code for others is made by renaming. Only these need a prefix, so renaming changes no length.
CANONICAL = (0, 1, 6, 7)


#: LLVM text that keeps the pinned registers, with what they hold at an instruction's start, in their places until here.
_KEEP = 'call void asm sideeffect "", "' + ",".join(f"{{{r}}}" for r in ("r14", "r15", "rdi", "rsi", "rdx", "rcx", "r8", "r9")) + ',~{memory}"'


def keep_pinned(word: int) -> str:
    """LLVM text after a guest access that may fault: up to here the code generator leaves the pinned registers `%p0`... alone."""
    return f"{_KEEP}({', '.join(f'i{word} %p{n}' for n in range(PINNED))})"


#: A trailing `jmp rel32` to the next stencil is dropped: (opcode, length).
TAIL_JUMP = (0xE9, 5)


def straighten(code: bytearray, relocs: list[Reloc]) -> list[Reloc]:
    """Turn a final `jcc A; jmp taken` into `jncc taken; jmp A`: the way on is then the end of the code, not a jump."""
    if len(relocs) < 2 or relocs[-1].symbol != "taken" or code[-5] != 0xE9 or code[-11] != 0x0F or code[-10] & 0xF0 != 0x80:
        return relocs
    first, last = relocs[-2:]
    if first.offset != len(code) - 9 or last.offset != len(code) - 4:
        return relocs
    code[-10] ^= 1
    return [*relocs[:-2], last._replace(offset=first.offset), first._replace(offset=last.offset)]


@functools.cache
def cpu() -> tuple[str, str]:
    """Name and features of the host processor, as LLVM spells them."""
    from llvmlite import binding as llvm

    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


@functools.cache
def has(feature: str) -> bool:
    """Whether the host processor has a feature, as LLVM spells it."""
    return f"+{feature}," in cpu()[1] + ","


@functools.cache
def machine(level: int = 2) -> Any:
    """LLVM's code generator for this host."""
    from llvmlite import binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()
    name, features = cpu()
    target = llvm.Target.from_triple(TRIPLE)
    # "medium": guest addresses, which are symbols to LLVM, may have 64 bits; code is near.
    return target.create_target_machine(cpu=name, features=features, opt=level, reloc="static", codemodel="medium")


def identity() -> str:
    """What generated code depends on, for cache keys; cheap, without LLVM."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        lines = {line.split(":")[0].strip(): line for line in f.read(8192).split("\n\n")[0].splitlines()}
    return lines.get("model name", "") + lines.get("flags", "")


def probe(t: Any, pointer: str, width: int) -> None:
    """LLVM text that writes memory as it is, and so faults where it can not be written: some number, whichever, is exchanged for itself. The one
    taken is in a register anyway, so that no pinned one is needed for it.
    """
    number = t(f"ptrtoint ptr %env to i{width}")
    t(f"cmpxchg ptr {pointer}, i{width} {number}, i{width} {number} seq_cst seq_cst, align {width // 8}")


# --- vectors ----------------------------------------------------------------------------------------------------------------------
def vector_bits() -> int:
    """How many bits a vector register has."""
    return 256 if has("avx") else 128


def permutes_bytes() -> bool:
    """Whether there is an instruction that permutes 16 bytes as 16 others say."""
    return has("ssse3")


def permute_bytes(t: Any, a: str, numbers: str) -> str:
    """LLVM text for that; numbers are below 16."""
    t.declare("declare <16 x i8> @llvm.x86.ssse3.pshuf.b.128(<16 x i8>, <16 x i8>)")
    return str(t(f"call <16 x i8> @llvm.x86.ssse3.pshuf.b.128(<16 x i8> {a}, <16 x i8> {numbers})"))


# --- floating point -----------------------------------------------------------------------------------------------------------------
#: MXCSR with all exceptions masked, round to nearest, no flags.
MXCSR = 0x1F80
#: engine flag bit -> MXCSR flag bit: invalid, division by zero, overflow, underflow, inexact.
_FLAGS = ((1, 1), (2, 4), (4, 8), (8, 16), (16, 32))
#: engine rounding mode (nearest, zero, down, up) -> MXCSR.RC, packed two bits each.
_ROUND = 0b10_01_11_00


def read_flags(t: Any) -> str:
    """LLVM text that reads the host's sticky flags as engine flags (i32). `t` adds an instruction and names its result."""
    t.line("call void @llvm.x86.sse.stmxcsr(ptr %fpctl)")
    raw = t("load i32, ptr %fpctl")
    low = t(f"and i32 {raw}, 1")
    rest = t(f"lshr i32 {raw}, 1")
    high = t(f"and i32 {rest}, 30")
    return str(t(f"or i32 {low}, {high}"))


def clear_flags(t: Any) -> None:
    """LLVM text that clears the host's sticky flags."""
    t.line("call void @llvm.x86.sse.stmxcsr(ptr %fpctl)")
    raw = t("load i32, ptr %fpctl")
    clean = t(f"and i32 {raw}, -64")
    t.line(f"store i32 {clean}, ptr %fpctl")
    t.line("call void @llvm.x86.sse.ldmxcsr(ptr %fpctl)")


def set_round(t: Any, mode: str) -> str:
    """LLVM text that sets the host's rounding mode from an engine mode (i32); gives the control word before."""
    t.line("call void @llvm.x86.sse.stmxcsr(ptr %fpctl)")
    raw = t("load i32, ptr %fpctl")
    twice = t(f"shl i32 {mode}, 1")
    rc = t(f"lshr i32 {_ROUND}, {twice}")
    field = t(f"and i32 {rc}, 3")
    placed = t(f"shl i32 {field}, 13")
    clean = t(f"and i32 {raw}, -24577")
    new = t(f"or i32 {clean}, {placed}")
    t.line(f"store i32 {new}, ptr %fpctl")
    t.line("call void @llvm.x86.sse.ldmxcsr(ptr %fpctl)")
    return str(raw)


FP_DECLARATIONS = """declare void @llvm.x86.sse.stmxcsr(ptr)
declare void @llvm.x86.sse.ldmxcsr(ptr)
"""

#: LLVM text that makes a number unknown, to be followed by the number.
HIDDEN_FLOAT = 'call {ty} asm "", "=x,0"'

#: Signals of accesses that fault (signal(7)).
SIGSEGV, SIGBUS = 11, 7

# --- signal frames of Linux (arch/x86/include/uapi/asm/sigcontext.h): byte offsets in ucontext_t ---------------------------------------------
_GREGS = 40
UC_R8, UC_R9, UC_R11, UC_R12, UC_R13, UC_R14, UC_R15 = (_GREGS + 8 * n for n in (0, 1, 3, 4, 5, 6, 7))
UC_RDI, UC_RSI, UC_RBP, UC_RDX, UC_RAX, UC_RCX, UC_RSP, UC_RIP = (_GREGS + 8 * n for n in (8, 9, 10, 12, 13, 14, 15, 16))
#: The register that holds the state pointer in generated code.
UC_STATE = UC_R13
#: Those that hold pinned guest registers.
UC_PINNED = (UC_R14, UC_R15, UC_RDI, UC_RSI, UC_RDX, UC_RCX, UC_R8, UC_R9)

#: A function (process id, own vector, other vector) that calls process_vm_readv(2), which copies only what can be read, and touches no errno:
#: mov r10, rdx; mov edx, 1; mov r8d, 1; xor r9d, r9d; mov eax, 310; syscall; ret.
READ_CHECKED = bytes.fromhex("4989d2 ba01000000 41b801000000 4531c9 b836010000 0f05 c3")

#: A function (number, six arguments) that calls the kernel; its result is that, or an error's number, negative, and errno is left alone:
#: mov rax, rdi; mov rdi, rsi; mov rsi, rdx; mov rdx, rcx; mov r10, r8; mov r8, r9; mov r9, [rsp + 8]; syscall; ret.
SYSTEM_CALL = bytes.fromhex("4889f8 4889f7 4889d6 4889ca 4d89c2 4d89c8 4c8b4c2408 0f05 c3")
#: Numbers of calls (arch/x86/entry/syscalls/syscall_64.tbl).
SYS_FUTEX, SYS_EPOLL_WAIT, SYS_TIMERFD_SETTIME = 202, 232, 286
#: struct epoll_event, which is packed on this host.
EPOLL_EVENT_SIZE, EPOLL_EVENT_DATA = 12, 4
