"""The native half of the profiler: a signal handler that notes what the interrupted thread was doing.

A timer on a thread's processor time sends the signal (`ratite.cpu.sampling`). The handler finds the thread's row by the number that came with the
signal, and appends a record to the row's ring. It calls nothing and waits for nothing. Where generated code was interrupted, it follows
the guest's chain of frame pointers, as far as that can be read without a fault: in a machine through the translation cache, in a process by
a system call that checks addresses.

    table: rows of 64 bytes {ring, state of the vCPU, start of code memory, start of translations, end, process id}; not used: 0
    ring: {records written, records read, records lost} and from byte 64 on `RECORDS` records of 512 bytes
    record: {host address, ticks, reason of the last exit or 0 in native code, next_pc, return address register, kind, number of frames, context}
            and from byte 64 on the return addresses, innermost first

A frame is what RISC-V's and LoongArch's compilers make with frame pointers on: the return address lies one word below where the frame pointer
points, the caller's frame pointer two. A function that calls nothing keeps no return address, and its caller's frame pointer lies one
word below.
"""

from __future__ import annotations

from ratite.codegen import host_x86_64 as host
from ratite.codegen.tables import PAGE_BITS, TLB_ENTRIES
from ratite.isa.arch import Arch

ROWS, ROW_SIZE = 256, 64
RECORDS, RECORD_SIZE, HEAD_SIZE = 1024, 512, 64
DEPTH = (RECORD_SIZE - 64) // 8
#: Kinds of records: outside generated code, in a translation, in a native helper.
OUTSIDE, TRANSLATION, HELPER = range(3)

#: si_code of a timer's signal (signal(7)), and offsets in siginfo_t on 64-bit Linux.
_SI_TIMER = -2
_SI_CODE, _SI_OVERRUN, _SI_VALUE = 8, 20, 24
#: Farthest that a caller's frame is from its callee's.
_FRAME_LIMIT = 1 << 20


def _ptr(name: str, offset: int | str, base: str = "%env") -> str:
    return f" %{name} = getelementptr i8, ptr {base}, i64 {offset}\n"


def _load(name: str, offset: int | str, base: str = "%env", kind: str = "i64") -> str:
    return _ptr(f"{name}_at", offset, base) + f" %{name} = load {kind}, ptr %{name}_at\n"


def _store(name: str, value: str, offset: int, base: str = "%rec") -> str:
    return _ptr(f"{name}_to", offset, base) + f" store i64 {value}, ptr %{name}_to\n"


def _word(arch: Arch, name: str, offset: int | str, base: str = "%env") -> str:
    """Load a guest word as 64 bits."""
    if arch.word == 64:
        return _load(name, offset, base)
    return _load(f"{name}_w", offset, base, "i32") + f" %{name} = zext i32 %{name}_w to i64\n"


def _guest_word(arch: Arch) -> str:
    """Read a word of guest memory; 1 when that was possible."""
    size = arch.word // 8
    head = "define internal i64 @sampled_word(ptr %env, i64 %va, ptr %out, i64 %pid) nounwind {\n"
    head += f" %mine = alloca [2 x i64]\n %theirs = alloca [2 x i64]\n %odd = and i64 %va, {size - 1}\n"
    head += " %even = icmp eq i64 %odd, 0\n br i1 %even, label %look, label %no\nno:\n ret i64 0\nlook:\n"
    tlb = arch.layout.slots["tlb"].offset
    if arch.user:
        return head + f"""{_load("base", tlb)} %from = add i64 %base, %va
 %to = ptrtoint ptr %out to i64
 store i64 0, ptr %out
 store i64 %to, ptr %mine
{_store("ms", str(size), 8, "%mine")} store i64 %from, ptr %theirs
{_store("ts", str(size), 8, "%theirs")} %got = call i64 @read_checked(i64 %pid, ptr %mine, ptr %theirs)
 %all = icmp eq i64 %got, {size}
 %r = zext i1 %all to i64
 ret i64 %r
}}
"""
    return head + f"""{_load("tl", tlb, kind="ptr")} %i1 = lshr i64 %va, {PAGE_BITS - 5}
 %i2 = and i64 %i1, {(TLB_ENTRIES - 1) * 32}
{_ptr("te", "%i2", "%tl")}{_load("tag", 0, "%te")} %page = and i64 %va, {-(1 << PAGE_BITS)}
 %hit = icmp eq i64 %tag, %page
 br i1 %hit, label %read, label %no
read:
{_load("add", 24, "%te")} %host = add i64 %add, %va
 %p = inttoptr i64 %host to ptr
{_word(arch, "value", 0, "%p")} store i64 %value, ptr %out
 ret i64 1
}}
"""


def _frames(arch: Arch) -> str:
    """Follow the chain of frames from %fp0, if %follow says so; ends at `finish` with their number."""
    size = arch.word // 8
    return f""" br i1 %follow, label %next, label %finish
next:
 %fp = phi i64 [ %fp0, %record ], [ %prev, %kept ], [ %ra1, %leaf ]
 %n = phi i64 [ 0, %record ], [ %n1, %kept ], [ 0, %leaf ]
 %first = phi i1 [ true, %record ], [ false, %kept ], [ false, %leaf ]
 %room = icmp ult i64 %n, {DEPTH}
 br i1 %room, label %low, label %finish
low:
 %prev_va = add i64 %fp, {-2 * size}
 %ok1 = call i64 @sampled_word(ptr %env, i64 %prev_va, ptr %prev_p, i64 %pid)
 %ra_va = add i64 %fp, {-size}
 %ok2 = call i64 @sampled_word(ptr %env, i64 %ra_va, ptr %ra_p, i64 %pid)
 %ok = and i64 %ok1, %ok2
 %both = icmp eq i64 %ok, 1
 br i1 %both, label %high, label %finish
high:
 %prev = load i64, ptr %prev_p
 %ra1 = load i64, ptr %ra_p
 %jump = sub i64 %ra1, %fp
 %near0 = icmp ult i64 %jump, {_FRAME_LIMIT}
 %near = and i1 %near0, %first
 br i1 %near, label %leaf, label %keep
leaf:
 br label %next
keep:
 %fo = shl i64 %n, 3
 %fo2 = add i64 %fo, 64
{_ptr("f", "%fo2", "%rec")} store i64 %ra1, ptr %f
 br label %kept
kept:
 %n1 = add i64 %n, 1
 %step = sub i64 %prev, %fp
 %step1 = sub i64 %step, 1
 %up = icmp ult i64 %step1, {_FRAME_LIMIT}
 br i1 %up, label %next, label %last
last:
 br label %finish
finish:
 %count = phi i64 [ 0, %record ], [ %n, %next ], [ %n, %low ], [ %n1, %last ]
"""


def _frame_registers(arch: Arch) -> tuple[str, str]:
    """LLVM text that loads the interrupted frame pointer as %fpn, and those that the state holds as %fpm and %ra."""
    if arch.frame is None:
        return " %fpn = add i64 0, 0\n", " %fpm = add i64 0, 0\n %ra = add i64 0, 0\n"
    file, frame, link = arch.frame
    slot, pinned = arch.layout.slots[file], arch.layout.pinned
    state = _word(arch, "fpm", slot.at(frame)) + _word(arch, "ra", slot.at(link))
    if (file, frame) not in pinned:
        return " %fpn = add i64 %fpm, 0\n", state
    return _word(arch, "fpn", host.UC_PINNED[pinned.index((file, frame))], "%uc"), state


def sampling_text(arch: Arch) -> str:
    """The handler, `on_sample`; `sampling` holds the address of the table, or 0."""
    slots = arch.layout.slots
    native, state = _frame_registers(arch)
    return _guest_word(arch) + f"""
declare i64 @read_checked(i64, ptr, ptr)
@sampling = external hidden global i8, !absolute_symbol !0
define void @on_sample(i32 %sig, ptr %info, ptr %uc) nounwind {{
 %prev_p = alloca i64
 %ra_p = alloca i64
{_load("code", _SI_CODE, "%info", "i32")} %timer = icmp eq i32 %code, {_SI_TIMER}
 br i1 %timer, label %ours, label %done
ours:
 %table = load ptr, ptr @sampling
 %none = icmp eq ptr %table, null
 br i1 %none, label %done, label %find
find:
{_load("value", _SI_VALUE, "%info")} %index = and i64 %value, {ROWS - 1}
 %offset = mul i64 %index, {ROW_SIZE}
{_ptr("row", "%offset", "%table")}{_load("ring", 0, "%row", "ptr")}{_load("env", 8, "%row", "ptr")} %empty = icmp eq ptr %ring, null
 br i1 %empty, label %done, label %ring_of
ring_of:
{_load("overrun", _SI_OVERRUN, "%info", "i32")} %more = zext i32 %overrun to i64
 %ticks = add i64 %more, 1
{_load("head", 0, "%ring")}{_load("tail", 8, "%ring")} %used = sub i64 %head, %tail
 %full = icmp uge i64 %used, {RECORDS}
 br i1 %full, label %lose, label %record
lose:
{_load("lost", 16, "%ring")} %lost1 = add i64 %lost, 1
 store i64 %lost1, ptr %lost_at
 br label %done
record:
 %slot = and i64 %head, {RECORDS - 1}
 %at = mul i64 %slot, {RECORD_SIZE}
 %at1 = add i64 %at, {HEAD_SIZE}
{_ptr("rec", "%at1", "%ring")}{_load("rip", host.UC_RIP, "%uc")}{_load("lo", 16, "%row")}{_load("mid", 24, "%row")}{_load("hi", 32, "%row")}
{_load("pid", 40, "%row")} %a = icmp uge i64 %rip, %lo
 %b = icmp uge i64 %rip, %mid
 %c = icmp ult i64 %rip, %hi
 %code_in = and i1 %a, %c
 %unit = and i1 %b, %c
 %kind0 = select i1 %code_in, i64 {HELPER}, i64 {OUTSIDE}
 %kind = select i1 %unit, i64 {TRANSLATION}, i64 %kind0
{_load("reason", slots["reason"].offset)}{_word(arch, "pc", slots["next_pc"].offset)}{_load("context", slots["context_index"].offset)}
{state}{native} %outside = xor i1 %code_in, true
 %left = icmp ne i64 %reason, 0
 %python = and i1 %outside, %left
 %follow = or i1 %unit, %python
 %fp0 = select i1 %unit, i64 %fpn, i64 %fpm
{_store("s0", "%rip", 0)}{_store("s1", "%ticks", 8)}{_store("s2", "%reason", 16)}{_store("s3", "%pc", 24)}{_store("s4", "%ra", 32)}
{_store("s5", "%kind", 40)}{_store("s7", "%context", 56)}
{_frames(arch)}{_store("s6", "%count", 48)} %head1 = add i64 %head, 1
 store atomic i64 %head1, ptr %ring release, align 8
 br label %done
done:
 ret void
}}
"""
