"""The engine's own native code: entering and leaving, dispatch, translation-cache misses, and what helpers of an ISA may call.

It is LLVM text with the offsets of the configured state, compiled together with the ISA's helpers into one object, which is kept on disk.

    enter        load the pinned registers, dispatch next_pc; returns when something leaves. Python calls `run` (`ratite.codegen.alarms`)
    leave        store the pinned registers and return to Python
    dispatch     look at interrupts, then go on at next_pc: jump cache, else table of translated entries, else leave to translate
    raise        deliver trap_cause/trap_value at next_pc
    miss_load, miss_store   fill the translation cache and retry, or fault, or leave for the slow path

Entry of a translation cache, 32 bytes: {page readable, page writable, page executable, host minus guest address}; a page that does not match
any address is -1. Entry of a jump cache: {guest address, host address}. Entry of the table of translated entries, 32 bytes: {guest
address, host page | context, host address of code, number of changes}; an entry whose number is odd, or changes meanwhile, does not count. Row
of the RAM table, 40 bytes: {first guest-physical address, last, host minus guest, address of a byte per page (not zero: holds translated
code), writable}; the table ends with a row of last < first.
"""

from __future__ import annotations

from ratite.codegen import host_x86_64 as host
from ratite.codegen.alarms import alarms_text
from ratite.codegen.choosing import choosing_text
from ratite.codegen.joining import joining_text
from ratite.codegen.lower import METADATA, HelperLowering
from ratite.codegen.placing import placing_text
from ratite.codegen.sampling import sampling_text
from ratite.codegen.stencil import signature
from ratite.codegen.tables import (
    ENTRY_BITS,
    JUMP_BASE,
    JUMP_ENTRIES,
    JUMP_PAGES,
    JUMP_SIZE,
    PAGE_BITS,
    TLB_ENTRIES,
    TLB_SIZE,
    TRACE_EXCEPTIONS,
    TRACE_WALKS,
    tlb_base,
)  # fmt: skip
from ratite.isa.arch import Arch, Exit

#: What `tlb_insert` gives where there is no RAM; it leaves the address in `device_address`.
NOT_RAM = 2

_PAGE = -(1 << PAGE_BITS)


class _Template:
    """Fills @{field} with the offset of a field."""

    def __init__(self, arch: Arch) -> None:
        self.arch = arch

    def at(self, name: str) -> int:
        return self.arch.layout.slots[name].offset


def _pins(arch: Arch) -> list[int]:
    layout = arch.layout
    return [layout.slots[f].at(n) for f, n in layout.pinned]


def _arguments(word: int, tlb: str = "%tlb", va: str = "poison") -> str:
    return ", ".join([f"ptr {tlb}", "ptr %env"] + [f"i{word} %p{i}" for i in range(host.PINNED)] + [f"i64 {va}"])


def _ptr(name: str, offset: int | str, base: str = "%env") -> str:
    return f" %{name} = getelementptr i8, ptr {base}, i64 {offset}\n"


def _count(arch: Arch, name: str) -> str:
    """Add one to a counter of the state; for what is rare."""
    where = _ptr(f"c_{name}", arch.layout.slots[name].offset)
    return where + f" %n_{name} = load i64, ptr %c_{name}\n %m_{name} = add i64 %n_{name}, 1\n store i64 %m_{name}, ptr %c_{name}\n"


def _traced(arch: Arch, yes: str, no: str, what: int = TRACE_WALKS) -> str:
    """Go to label `yes` when something is Python's to do, else to `no`."""
    name, offset = yes + no, arch.layout.slots["traced"].offset
    return (
        f" %trp{name} = getelementptr i8, ptr %env, i64 {offset}\n %tr{name} = load i64, ptr %trp{name}\n"
        f" %trb{name} = and i64 %tr{name}, {what}\n %trc{name} = icmp ne i64 %trb{name}, 0\n"
        f" br i1 %trc{name}, label %{yes}, label %{no}, !prof !8\n"
    )


def _entering(arch: Arch) -> str:
    t, w = _Template(arch), arch.word
    load = "".join(_ptr(f"a{i}", o) + f" %p{i} = load i{w}, ptr %a{i}\n" for i, o in enumerate(_pins(arch)))
    store = "".join(_ptr(f"a{i}", o) + f" store i{w} %p{i}, ptr %a{i}\n" for i, o in enumerate(_pins(arch)))
    return f"""
define void @enter(ptr %env) nounwind {{
{load}{_ptr("ctl", t.at("mxcsr"))}{_ptr("own", t.at("host_mxcsr"))}{_ptr("tl", t.at("tlb"))} %tlb = load ptr, ptr %tl
{_ptr("rsn", t.at("reason"))} store i64 0, ptr %rsn
 call void @llvm.x86.sse.stmxcsr(ptr %own)
 call void @llvm.x86.sse.ldmxcsr(ptr %ctl)
 call preserve_nonecc void @begin({_arguments(w)})
 call void @llvm.x86.sse.ldmxcsr(ptr %own)
 ret void
}}
define preserve_nonecc void @begin({signature(w, True)}) nounwind noinline {{
 %sp = call ptr @llvm.addressofreturnaddress.p0()
{_ptr("at", t.at("stack_pointer"))} store ptr %sp, ptr %at
 %fp = {host.READ_FRAME}
{_ptr("fpat", t.at("frame_pointer"))} store i64 %fp, ptr %fpat
 musttail call preserve_nonecc void @dispatch({_arguments(w)})
 ret void
}}
define hidden preserve_nonecc void @leave({signature(w, True)}) nounwind {{
{store}{_ptr("now", t.at("scratch"))} call void @llvm.x86.sse.stmxcsr(ptr %now)
 %raw = load i32, ptr %now
 %low = and i32 %raw, 1
 %half = lshr i32 %raw, 1
 %high = and i32 %half, 30
 %new = or i32 %low, %high
 %new8 = trunc i32 %new to i8
{_ptr("fl", t.at("fp_flags"))} %old = load i8, ptr %fl
 %all = or i8 %old, %new8
 store i8 %all, ptr %fl
 ret void
}}
"""


def _dispatch(arch: Arch) -> str:
    t, w = _Template(arch), arch.word
    poll = " br label %look\n" if arch.user else _poll(arch)
    wide = " %pc = add i64 %pcw, 0\n" if w == 64 else " %pc = zext i32 %pcw to i64\n"
    return f"""
define preserve_nonecc void @dispatch({signature(w, True)}) nounwind {{
{_ptr("at", t.at("attention"))} %att = load i16, ptr %at
 %calm = icmp eq i16 %att, 0
 br i1 %calm, label %look, label %busy, !prof !9
busy:
 %asked = icmp ugt i16 %att, 255
 br i1 %asked, label %out, label %irq
out:
{_ptr("rs", t.at("reason"))} store i64 {Exit.INTERRUPT}, ptr %rs
 musttail call preserve_nonecc void @leave({_arguments(w)})
 ret void
irq:
{_traced(arch, "tracing", "native")}tracing:
{_ptr("rst", t.at("reason"))} store i64 {Exit.POLL}, ptr %rst
 musttail call preserve_nonecc void @leave({_arguments(w)})
 ret void
native:
{poll}look:
{_ptr("pcp", t.at("next_pc"))}{_ptr("tlp", t.at("tlb"))}{_ptr("jcp", t.at("jump_cache"))} %pcw = load i{w}, ptr %pcp
 %tlb2 = load ptr, ptr %tlp
 %jc = load ptr, ptr %jcp
{wide} %sh = shl i64 %pc, 3
 %ix = and i64 %sh, {(JUMP_ENTRIES - 1) * 16}
{_ptr("e", "%ix", "%jc")} %tag = load i64, ptr %e
 %hit = icmp eq i64 %tag, %pc
 br i1 %hit, label %go, label %slow, !prof !9
go:
{_ptr("ec", 8, "%e")} %code = load ptr, ptr %ec
 musttail call preserve_nonecc void %code({_arguments(w, "%tlb2")})
 ret void
slow:
 %found = call ptr @find_entry(ptr %env, i64 %pc)
 %n = ptrtoint ptr %found to i64
 %none = icmp ule i64 %n, 1
 br i1 %none, label %not, label %run
run:
 musttail call preserve_nonecc void %found({_arguments(w, "%tlb2")})
 ret void
not:
 %again = icmp eq i64 %n, 1
 br i1 %again, label %retry, label %translate
retry:
 musttail call preserve_nonecc void @dispatch({_arguments(w, "%tlb2")})
 ret void
translate:
{_ptr("rs2", t.at("reason"))} store i64 {Exit.TRANSLATE}, ptr %rs2
 musttail call preserve_nonecc void @leave({_arguments(w)})
 ret void
}}
"""


def _poll(arch: Arch) -> str:
    """Have the ISA look for interrupts. It gives 1 when an alarm has to be set that is Python's."""
    t, w = _Template(arch), arch.word
    return f""" %alarm = call i{w} @poll(ptr %env)
 %quiet = icmp eq i{w} %alarm, 0
 br i1 %quiet, label %look, label %python, !prof !9
python:
{_ptr("rsa", t.at("reason"))} store i64 {Exit.ALARM}, ptr %rsa
 musttail call preserve_nonecc void @leave({_arguments(w)})
 ret void
"""


def _find_entry(arch: Arch) -> str:
    t, w = _Template(arch), arch.word
    narrow = "" if w == 64 else " %pcn = trunc i64 %pc to i32\n"
    pcn = "%pc" if w == 64 else "%pcn"
    if arch.user:
        where = " br label %table\ntable:\n %key = add i64 0, 0\n"
    else:
        trap = f" call i{w} @take_trap(ptr %env, i{w} %cause, i{w} {pcn})\n"
        where = f"""
{_ptr("cxp", t.at("context_index"))} %cx = load i64, ptr %cxp
 %to = mul i64 %cx, {TLB_SIZE}
 %tt = add i64 %to, {tlb_base(arch)}
{_ptr("tb", "%tt")} %ti = lshr i64 %pc, {PAGE_BITS - 5}
 %tj = and i64 %ti, {(TLB_ENTRIES - 1) * 32}
{_ptr("te", "%tj", "%tb")}{_ptr("tx", 16, "%te")} %page = and i64 %pc, {_PAGE}
 %tag = load i64, ptr %tx
 %hit = icmp eq i64 %tag, %page
 br i1 %hit, label %table, label %walk, !prof !9
walk:
{_traced(arch, "none", "fill")}fill:
{narrow} %st = call i{w} @mmu_fill(ptr %env, i{w} {pcn}, i{w} 2)
 %ok = icmp eq i{w} %st, 0
 br i1 %ok, label %table, label %bad
bad:
 %io = icmp ult i{w} %st, 16
 br i1 %io, label %none, label %fault
fault:
{_traced(arch, "none", "deliver", TRACE_EXCEPTIONS)}deliver:
 %cause = sub i{w} %st, 16
{trap} ret ptr inttoptr (i64 1 to ptr)
table:
{_ptr("ta", 24, "%te")} %add = load i64, ptr %ta
 %hp = add i64 %add, %page
 %key = or i64 %hp, %cx
"""
    return f"""
define ptr @find_entry(ptr %env, i64 %pc) nounwind {{
{_count(arch, "jump_misses")}{where}{_ptr("htp", t.at("entry_table"))} %ht = load ptr, ptr %htp
 %h1 = lshr i64 %pc, 1
 %h2 = lshr i64 %key, 7
 %h3 = add i64 %h1, %h2
 %h4 = and i64 %h3, {(1 << ENTRY_BITS) - 1}
 %h5 = shl i64 %h4, 5
{_look_at_entry("first", "%h5", "other")}other:
 %h6 = xor i64 %h5, 32
{_look_at_entry("second", "%h6", "none")}found:
 %code = phi ptr [ %firstcode, %firstlook ], [ %secondcode, %secondlook ]
{_ptr("jcp", t.at("jump_cache"))} %jc = load ptr, ptr %jcp
 %sh = shl i64 %pc, 3
 %ix = and i64 %sh, {(JUMP_ENTRIES - 1) * 16}
{_ptr("e", "%ix", "%jc")}{_ptr("ec", 8, "%e")} store i64 %pc, ptr %e
 store ptr %code, ptr %ec
 %pn = lshr i64 %pc, {PAGE_BITS}
 %pb = and i64 %pn, 4095
 %byte = lshr i64 %pb, 3
 %bo = add i64 %byte, {JUMP_PAGES}
{_ptr("bp", "%bo")} %bits = load i8, ptr %bp
 %bn = trunc i64 %pb to i8
 %bn7 = and i8 %bn, 7
 %one = shl i8 1, %bn7
 %with = or i8 %bits, %one
 store i8 %with, ptr %bp
{_ptr("cip", t.at("context_index"))} %ci = load i64, ptr %cip
 %cs = add i64 %ci, 32
 %cb = shl i64 1, %cs
{_ptr("dp", t.at("tlb_dirty"))} %d = load i64, ptr %dp
 %d2 = or i64 %d, %cb
 store i64 %d2, ptr %dp
 ret ptr %code
none:
 ret ptr null
}}
"""


def _look_at_entry(n: str, offset: str, otherwise: str) -> str:
    """Look whether the entry at an offset of the table of translated entries is the one for %pc and %key, and whole."""
    return f""" br label %{n}look
{n}look:
{_ptr(f"{n}e", offset, "%ht")}{_ptr(f"{n}k", 8, f"%{n}e")}{_ptr(f"{n}c", 16, f"%{n}e")}\
{_ptr(f"{n}n", 24, f"%{n}e")} %{n}1 = load atomic i64, ptr %{n}n acquire, align 8
 %{n}pc = load atomic i64, ptr %{n}e acquire, align 8
 %{n}key = load atomic i64, ptr %{n}k acquire, align 8
 %{n}code = load atomic ptr, ptr %{n}c acquire, align 8
 %{n}2 = load atomic i64, ptr %{n}n acquire, align 8
 %{n}same = icmp eq i64 %{n}pc, %pc
 %{n}samek = icmp eq i64 %{n}key, %key
 %{n}both = and i1 %{n}same, %{n}samek
 %{n}odd = trunc i64 %{n}1 to i1
 %{n}still = icmp eq i64 %{n}1, %{n}2
 %{n}whole = xor i1 %{n}odd, %{n}still
 %{n}valid = and i1 %{n}both, %{n}whole
 br i1 %{n}valid, label %found, label %{otherwise}
"""


def _fetch_is(arch: Arch) -> str:
    """Whether the page of `va` is fetched from host address `expected` now."""
    if arch.user:
        return ""
    t, w = _Template(arch), arch.word
    narrow = "" if w == 64 else " %van = trunc i64 %va to i32\n"
    va = "%va" if w == 64 else "%van"
    return f"""
define i64 @fetch_is(ptr %env, i64 %va, i64 %expected) nounwind {{
{_ptr("cxp", t.at("context_index"))} %cx = load i64, ptr %cxp
 %to = mul i64 %cx, {TLB_SIZE}
 %tt = add i64 %to, {tlb_base(arch)}
{_ptr("tb", "%tt")} %ti = lshr i64 %va, {PAGE_BITS - 5}
 %tj = and i64 %ti, {(TLB_ENTRIES - 1) * 32}
{_ptr("te", "%tj", "%tb")}{_ptr("tx", 16, "%te")} %page = and i64 %va, {_PAGE}
 %tag = load i64, ptr %tx
 %hit = icmp eq i64 %tag, %page
 br i1 %hit, label %test, label %fill, !prof !9
fill:
{narrow} %st = call i{w} @mmu_fill(ptr %env, i{w} {va}, i{w} 2)
 %ok = icmp eq i{w} %st, 0
 br i1 %ok, label %test, label %no
test:
{_ptr("ta", 24, "%te")} %add = load i64, ptr %ta
 %hp = add i64 %add, %page
 %same = icmp eq i64 %hp, %expected
 %r = zext i1 %same to i64
 ret i64 %r
no:
 ret i64 0
}}
"""


def _refill(arch: Arch) -> str:
    """For regions: fill the translation cache for `va`; whether that is done. It may not be for what is asked: the cache has to be looked at again.
    All but one of the host's registers stay, so that a region need not make room for this."""
    if arch.user:
        return ""
    w = arch.word
    narrow = "" if w == 64 else " %van = trunc i64 %va to i32\n %wr = trunc i64 %write to i32\n"
    va, write = ("%va", "%write") if w == 64 else ("%van", "%wr")
    return f"""
define preserve_mostcc i64 @refill(ptr %env, i64 %va, i64 %write) nounwind {{
{_traced(arch, "no", "fill")}fill:
{narrow} %st = call i{w} @mmu_fill(ptr %env, i{w} {va}, i{w} {write})
 %ok = icmp eq i{w} %st, 0
 %r = zext i1 %ok to i64
 ret i64 %r
no:
 ret i64 0
}}
"""


def _raising(arch: Arch) -> str:
    t, w = _Template(arch), arch.word
    if arch.user:
        body = f"""{_ptr("rs", t.at("reason"))} store i64 {Exit.TRAP}, ptr %rs
 musttail call preserve_nonecc void @leave({_arguments(w)})
 ret void"""
    else:
        body = f"""{_traced(arch, "tracing", "native", TRACE_EXCEPTIONS)}tracing:
{_ptr("rs", t.at("reason"))} store i64 {Exit.TRAP}, ptr %rs
 musttail call preserve_nonecc void @leave({_arguments(w)})
 ret void
native:
{_ptr("cp", t.at("trap_cause"))}{_ptr("vp", t.at("trap_value"))} %c = load i{w}, ptr %cp
 %v = load i{w}, ptr %vp
 %u = call i{w} @take_trap(ptr %env, i{w} %c, i{w} %v)
 musttail call preserve_nonecc void @dispatch({_arguments(w)})
 ret void"""
    return f"define preserve_nonecc void @raise({signature(w, True)}) nounwind {{\n{body}\n}}\n"


def _miss(arch: Arch, write: bool) -> str:
    """The record of a miss is the twelfth argument: {guest address of the instruction, host address to retry at}."""
    t, w = _Template(arch), arch.word
    name, tag = ("store", 8) if write else ("load", 0)
    va = "%va" if w == 64 else "%van"
    narrow = "" if w == 64 else " %van = trunc i64 %va to i32\n"
    pcload = f" %pc = load i{w}, ptr %rec\n"
    check = ""
    if write:  # the fill keeps pages with translated code, and read-only memory, from being written
        check = """ %tag2 = load i64, ptr %tp
 %good = icmp eq i64 %tag2, %page
 br i1 %good, label %retry, label %code, !prof !9
code:
 br label %out
"""
    else:
        check = " br label %retry\n"
    reasons = f"[ {Exit.INTERPRET}, %look ], [ {Exit.MISS}, %walk ], [ %exit, %io ], [ {Exit.INTERPRET}, %fault ]"
    reasons += f", [ {Exit.CODE_WRITE}, %code ]" if write else ""
    return f"""
define preserve_nonecc void @miss_{name}({signature(w, True)}, ptr %rec) nounwind {{
 br label %look
look:
 %i1 = lshr i64 %va, {PAGE_BITS - 5}
 %i2 = and i64 %i1, {(TLB_ENTRIES - 1) * 32}
{_ptr("te", "%i2", "%tlb")}{_ptr("tp", tag, "%te")} %page = and i64 %va, {_PAGE}
 %tag = load i64, ptr %tp
 %crossing = icmp eq i64 %tag, %page
 br i1 %crossing, label %out, label %walk
walk:
{_traced(arch, "out", "fill")}fill:
{narrow} %st = call i{w} @mmu_fill(ptr %env, i{w} {va}, i{w} {int(write)})
 %ok = icmp eq i{w} %st, 0
 br i1 %ok, label %filled, label %bad, !prof !9
filled:
{check}retry:
{_ptr("rp", 8, "%rec")} %r32 = load i32, ptr %rp
 %r64 = zext i32 %r32 to i64
 %again = inttoptr i64 %r64 to ptr
 tail call preserve_nonecc void %again({_arguments(w)})
 ret void
bad:
 %notram = icmp ult i{w} %st, 16
 br i1 %notram, label %io, label %fault
io:
 %device = icmp eq i{w} %st, {NOT_RAM}
 %exit = select i1 %device, i64 {Exit.DEVICE}, i64 {Exit.INTERPRET}
 br label %out
fault:
{_traced(arch, "out", "deliver", TRACE_EXCEPTIONS)}deliver:
{pcload}{_ptr("np1", t.at("next_pc"))} store i{w} %pc, ptr %np1
 %cause = sub i{w} %st, 16
 %u = call i{w} @take_trap(ptr %env, i{w} %cause, i{w} {va})
 tail call preserve_nonecc void @dispatch({_arguments(w)})
 ret void
out:
 %why = phi i64 {reasons}
{pcload.replace("%pc", "%pc2")}{_ptr("np2", t.at("next_pc"))} store i{w} %pc2, ptr %np2
{_ptr("rs", t.at("reason"))} store i64 %why, ptr %rs
{_ptr("tv", t.at("trap_value"))} store i64 %va, ptr %tv
{_ptr("tc", t.at("trap_cause"))} store i64 {int(write)}, ptr %tc
{_ptr("ar", t.at("access_record"))} store ptr %rec, ptr %ar
 tail call preserve_nonecc void @leave({_arguments(w)})
 ret void
}}
"""


def _memory(arch: Arch) -> str:
    """What page walks call."""
    t = _Template(arch)
    region = f"""{_ptr("rtp", t.at("ram_table"))} %rt = load ptr, ptr %rtp
 br label %next
next:
 %row = phi ptr [ %rt, %entry ], [ %row2, %on ]
{_ptr("hip", 8, "%row")} %lo = load i64, ptr %row
 %hi = load i64, ptr %hip
 %end = icmp ult i64 %hi, %lo
 br i1 %end, label %none, label %test
test:
 %a = icmp uge i64 %pa, %lo
 %b = icmp ule i64 %pa, %hi
 %in = and i1 %a, %b
 br i1 %in, label %found, label %on
on:
{_ptr("row2", 40, "%row")} br label %next
found:
{_ptr("dp", 16, "%row")} %delta = load i64, ptr %dp
"""
    return f"""
define i64 @ram_host(ptr %env, i64 %pa) nounwind {{
entry:
{region} %h = add i64 %delta, %pa
 ret i64 %h
none:
 ret i64 0
}}
define i64 @tlb_insert(ptr %env, i64 %va, i64 %pa, i64 %perms) nounwind {{
entry:
{region}{_count(arch, "tlb_fills")} %exec = and i64 %perms, 4
 %isx = icmp ne i64 %exec, 0
{_ptr("mip", t.at("mmu_index"))}{_ptr("cip", t.at("context_index"))} %mi = load i64, ptr %mip
 %ci = load i64, ptr %cip
 %which = select i1 %isx, i64 %ci, i64 %mi
 %off = mul i64 %which, {TLB_SIZE}
 %off2 = add i64 %off, {tlb_base(arch)}
{_ptr("tb", "%off2")} %ti = lshr i64 %va, {PAGE_BITS - 5}
 %tj = and i64 %ti, {(TLB_ENTRIES - 1) * 32}
{_ptr("te", "%tj", "%tb")}{_ptr("tw", 8, "%te")}{_ptr("tx", 16, "%te")}{_ptr("ta", 24, "%te")} %page = and i64 %va, {_PAGE}
 %papage = and i64 %pa, {_PAGE}
 %hp = add i64 %delta, %papage
 %addend = sub i64 %hp, %page
 %r0 = load i64, ptr %te
 %w0 = load i64, ptr %tw
 %x0 = load i64, ptr %tx
 %a0 = load i64, ptr %ta
 %same = icmp eq i64 %a0, %addend
 %rs = icmp eq i64 %r0, %page
 %ws = icmp eq i64 %w0, %page
 %xs = icmp eq i64 %x0, %page
 %rk = and i1 %same, %rs
 %wk = and i1 %same, %ws
 %xk = and i1 %same, %xs
 %pr = and i64 %perms, 1
 %pw = and i64 %perms, 2
 %rn = icmp ne i64 %pr, 0
 %wn0 = icmp ne i64 %pw, 0
 br i1 %wn0, label %writable, label %put
writable:
{_ptr("cp", 24, "%row")}{_ptr("wp", 32, "%row")} %wr = load i64, ptr %wp
 %wok = icmp ne i64 %wr, 0
 %codes = load ptr, ptr %cp
 %rel = sub i64 %pa, %lo
 %pn = lshr i64 %rel, {PAGE_BITS}
{_ptr("cb", "%pn", "%codes")} %code = load i8, ptr %cb
 %clean = icmp eq i8 %code, 0
 %wn1 = and i1 %wok, %clean
 br label %put
put:
 %wn = phi i1 [ false, %found ], [ %wn1, %writable ]
 %r1 = or i1 %rk, %rn
 %w1 = or i1 %wk, %wn
 %x1 = or i1 %xk, %isx
 %r2 = select i1 %r1, i64 %page, i64 -1
 %w2 = select i1 %w1, i64 %page, i64 -1
 %x2 = select i1 %x1, i64 %page, i64 -1
 store i64 %r2, ptr %te
 store i64 %w2, ptr %tw
 store i64 %x2, ptr %tx
 store i64 %addend, ptr %ta
 %bit = shl i64 1, %which
{_ptr("dip", t.at("tlb_dirty"))} %di = load i64, ptr %dip
 %di2 = or i64 %di, %bit
 store i64 %di2, ptr %dip
 ret i64 0
none:
{_ptr("dap", t.at("device_address"))} store i64 %pa, ptr %dap
 ret i64 {NOT_RAM}
}}
define void @tlb_large(ptr %env, i64 %va, i64 %size) nounwind {{
 %neg = sub i64 0, %size
{_ptr("bp", t.at("large_base"))}{_ptr("mp", t.at("large_mask"))} %m0 = load i64, ptr %mp
 %b0 = load i64, ptr %bp
 %empty = icmp eq i64 %m0, -1
 br i1 %empty, label %first, label %widen
first:
 %b1 = and i64 %va, %neg
 store i64 %b1, ptr %bp
 store i64 %neg, ptr %mp
 ret void
widen:
 %m1 = and i64 %m0, %neg
 br label %again
again:
 %m = phi i64 [ %m1, %widen ], [ %m2, %shift ]
 %x = and i64 %b0, %m
 %y = and i64 %va, %m
 %eq = icmp eq i64 %x, %y
 br i1 %eq, label %done, label %shift
shift:
 %m2 = shl i64 %m, 1
 br label %again
done:
 store i64 %x, ptr %bp
 store i64 %m, ptr %mp
 ret void
}}
"""


def _flushing(arch: Arch) -> str:
    t = _Template(arch)
    base = tlb_base(arch)
    modes = ""
    for kind, count, size, start, shift in (("t", arch.mmu_modes, TLB_SIZE, base, 0), ("j", arch.contexts, JUMP_SIZE, JUMP_BASE, 32)):
        for n in range(count):
            label = f"{kind}{n}"
            modes += f""" %{label}b = and i64 %d, {1 << (n + shift)}
 %{label}c = icmp eq i64 %{label}b, 0
 br i1 %{label}c, label %{label}e, label %{label}d
{label}d:
{_ptr(label + "p", start + n * size)} call void @llvm.memset.p0.i64(ptr %{label}p, i8 -1, i64 {size}, i1 false)
 br label %{label}e
{label}e:
"""
    pages = ""
    for n in range(arch.mmu_modes):
        entry = "%tj" if n == 0 else f"%tj{n}"
        pages += f""" {"" if n == 0 else f"%tj{n} = add i64 %tj, {n * TLB_SIZE}"}
{_ptr(f"e{n}", entry, "%tb")} %r{n} = load i64, ptr %e{n}
{_ptr(f"w{n}", 8, f"%e{n}")} %v{n} = load i64, ptr %w{n}
{_ptr(f"x{n}", 16, f"%e{n}")} %y{n} = load i64, ptr %x{n}
 %a{n} = icmp eq i64 %r{n}, %page
 %b{n} = icmp eq i64 %v{n}, %page
 %c{n} = icmp eq i64 %y{n}, %page
 %s{n} = select i1 %a{n}, i64 -1, i64 %r{n}
 %u{n} = select i1 %b{n}, i64 -1, i64 %v{n}
 %z{n} = select i1 %c{n}, i64 -1, i64 %y{n}
 store i64 %s{n}, ptr %e{n}
 store i64 %u{n}, ptr %w{n}
 store i64 %z{n}, ptr %x{n}
"""
    half = JUMP_SIZE // 2
    jumps = "".join(
        f" %jo{n} = add i64 %side, {JUMP_BASE + n * JUMP_SIZE}\n"
        + _ptr(f"jp{n}", f"%jo{n}")
        + f" call void @llvm.memset.p0.i64(ptr %jp{n}, i8 -1, i64 {half}, i1 false)\n"
        for n in range(arch.contexts)
    )
    return f"""
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
define void @tlb_flush(ptr %env) nounwind {{
{_count(arch, "tlb_flushes")}{_ptr("dp", t.at("tlb_dirty"))} %d = load i64, ptr %dp
 store i64 0, ptr %dp
{_ptr("lm", t.at("large_mask"))} store i64 -1, ptr %lm
{_ptr("jp", JUMP_PAGES)} call void @llvm.memset.p0.i64(ptr %jp, i8 0, i64 512, i1 false)
{modes} ret void
}}
define void @tlb_flush_page(ptr %env, i64 %va) nounwind {{
{_ptr("lm", t.at("large_mask"))}{_ptr("lb", t.at("large_base"))} %m = load i64, ptr %lm
 %b = load i64, ptr %lb
 %x = and i64 %va, %m
 %isin = icmp eq i64 %x, %b
 %any = icmp ne i64 %m, -1
 %all = and i1 %isin, %any
 br i1 %all, label %whole, label %one
whole:
 call void @tlb_flush(ptr %env)
 ret void
one:
{_ptr("tb", base)} %ti = lshr i64 %va, {PAGE_BITS - 5}
 %tj = and i64 %ti, {(TLB_ENTRIES - 1) * 32}
 %page = and i64 %va, {_PAGE}
{pages} %pn = lshr i64 %va, {PAGE_BITS}
 %pb = and i64 %pn, 4095
 %byte = lshr i64 %pb, 3
 %bo = add i64 %byte, {JUMP_PAGES}
{_ptr("bp", "%bo")} %bits = load i8, ptr %bp
 %bn = trunc i64 %pb to i8
 %bn7 = and i8 %bn, 7
 %sh = lshr i8 %bits, %bn7
 %set = trunc i8 %sh to i1
 br i1 %set, label %jumps, label %done
jumps:
 %odd = and i64 %pn, 1
 %side = mul i64 %odd, {half}
{jumps} br label %done
done:
 ret void
}}
define void @mode_changed(ptr %env) nounwind {{
{_ptr("mip", t.at("mmu_index"))}{_ptr("cip", t.at("context_index"))} %mi = load i64, ptr %mip
 %ci = load i64, ptr %cip
 %to = mul i64 %mi, {TLB_SIZE}
 %to2 = add i64 %to, {base}
 %jo = mul i64 %ci, {JUMP_SIZE}
 %jo2 = add i64 %jo, {JUMP_BASE}
{_ptr("t", "%to2")}{_ptr("j", "%jo2")}{_ptr("tp", t.at("tlb"))}{_ptr("jp", t.at("jump_cache"))} store ptr %t, ptr %tp
 store ptr %j, ptr %jp
 ret void
}}
define i64 @time_ns(ptr %env) nounwind {{
 %ts = alloca [2 x i64]
{_ptr("fz", t.at("clock_frozen"))} %f = load i64, ptr %fz
 %stopped = icmp ne i64 %f, 0
 br i1 %stopped, label %still, label %ask
still:
 ret i64 %f
ask:
{_ptr("ct", t.at("counting"))} %counted = load i64, ptr %ct
 %counts = icmp ne i64 %counted, 0
 br i1 %counts, label %count, label %measure
count:
{_ptr("be", t.at("budget_end"))}{_ptr("bu", t.at("budget"))}{_ptr("sp", t.at("count_shift"))}{_ptr("ba", t.at("count_base"))} %end = load i64, ptr %be
 %left = load i64, ptr %bu
 %shift = load i64, ptr %sp
 %base = load i64, ptr %ba
 %done = sub i64 %end, %left
 %took = shl i64 %done, %shift
 %then = add i64 %base, %took
 ret i64 %then
measure:
{_ptr("cg", t.at("clock_gettime"))} %fn = load ptr, ptr %cg
 %u = call i32 %fn(i32 1, ptr %ts)
 %s = load i64, ptr %ts
{_ptr("np", 8, "%ts")} %n = load i64, ptr %np
 %a = mul i64 %s, 1000000000
 %b = add i64 %a, %n
{_ptr("op", t.at("clock_offset"))} %o = load i64, ptr %op
 %r = add i64 %b, %o
 ret i64 %r
}}
define i64 @instructions(ptr %env) nounwind {{
{_ptr("ct", t.at("counting"))} %counted = load i64, ptr %ct
 %counts = icmp ne i64 %counted, 0
 br i1 %counts, label %count, label %measure
count:
{_ptr("be", t.at("budget_end"))}{_ptr("bu", t.at("budget"))}{_ptr("co", t.at("count_others"))} %end = load i64, ptr %be
 %left = load i64, ptr %bu
 %others = load i64, ptr %co
 %done = sub i64 %end, %left
 %own = sub i64 %done, %others
 ret i64 %own
measure:
 %ns = call i64 @time_ns(ptr %env)
 ret i64 %ns
}}
"""


def _faults(arch: Arch) -> str:
    """User mode: the handler of host faults. One in generated code becomes an exit with the state of that very instruction; what is not is
    passed to the handler there was before; where there was none the process dies of it, at once if somebody sent it and else when the
    access is tried again. One in a region goes on at its landing, which leaves the region. A signal that somebody sent, whatever the thread does
    just now, is another handler's if there is one. `code_range` is {start, end, handler before, signal(2), raise(3), regions, their number, handler
    of what is sent}: of each region {start, end, landings}; landings are a region's pairs of distances {access, landing}, the last with an access
    of -1."""
    if not arch.user:
        return ""
    t = _Template(arch)
    return f"""
@code_range = external hidden global i8, !absolute_symbol !0
define void @on_fault(i32 %sig, ptr %info, ptr %uc) nounwind {{
{_ptr("cp", 8, "%info")} %code = load i32, ptr %cp
{_ptr("sentp", 56, "@code_range")} %sent_to = load ptr, ptr %sentp
 %sent = icmp sle i32 %code, 0
 %wanted = icmp ne ptr %sent_to, null
 %passed = and i1 %sent, %wanted
 br i1 %passed, label %pass, label %where
pass:
 call void %sent_to(i32 %sig, ptr %info, ptr %uc)
 ret void
where:
{_ptr("ripp", host.UC_RIP, "%uc")} %rip = load i64, ptr %ripp
 %lo = load i64, ptr @code_range
{_ptr("hip", 8, "@code_range")} %hi = load i64, ptr %hip
 %a = icmp uge i64 %rip, %lo
 %b = icmp ult i64 %rip, %hi
 %inside = and i1 %a, %b
 %refused = xor i1 %sent, true
 %ours = and i1 %inside, %refused
 br i1 %ours, label %guest, label %other
guest:
{_ptr("ap", 16, "%info")} %addr = load i64, ptr %ap
 %sig64 = zext i32 %sig to i64
 %shifted = shl i64 %sig64, 32
 %low = zext i32 %code to i64
 %both = or i64 %shifted, %low
{_ptr("rowsp", 40, "@code_range")} %rows = load ptr, ptr %rowsp
{_ptr("rowcountp", 48, "@code_range")} %rowcount = load i64, ptr %rowcountp
 br label %row
row:
 %r = phi i64 [ 0, %guest ], [ %r1, %next_row ]
 %more = icmp ult i64 %r, %rowcount
 br i1 %more, label %look, label %stencil
look:
 %ro = mul i64 %r, 24
{_ptr("rowp", "%ro", "%rows")}{_ptr("rowendp", 8, "%rowp")}{_ptr("landp", 16, "%rowp")} %first = load i64, ptr %rowp
 %end = load i64, ptr %rowendp
 %from = icmp uge i64 %rip, %first
 %until = icmp ult i64 %rip, %end
 %within = and i1 %from, %until
 br i1 %within, label %landings, label %next_row
next_row:
 %r1 = add i64 %r, 1
 br label %row
landings:
 %table = load ptr, ptr %landp
 %distance = sub i64 %rip, %first
 br label %pair
pair:
 %l = phi i64 [ 0, %landings ], [ %l1, %next_pair ]
 %pairp = getelementptr [2 x i32], ptr %table, i64 %l
{_ptr("top", 4, "%pairp")} %at32 = load i32, ptr %pairp
 %at = zext i32 %at32 to i64
 %here = icmp eq i64 %at, %distance
 br i1 %here, label %land, label %next_pair
next_pair:
 %l1 = add i64 %l, 1
 %last = icmp eq i32 %at32, -1
 br i1 %last, label %other, label %pair
land:
 %to32 = load i32, ptr %top
 %to = zext i32 %to32 to i64
 %landing = add i64 %first, %to
 store i64 %landing, ptr %ripp
 ret void
stencil:
{_ptr("envp", host.UC_STATE, "%uc")} %env = load ptr, ptr %envp
{_ptr("tc", t.at("trap_cause"))} store i64 %both, ptr %tc
{_ptr("tv", t.at("trap_value"))} store i64 %addr, ptr %tv
{_ptr("fp", t.at("fault_pc"))} store i64 %rip, ptr %fp
{_ptr("rs", t.at("reason"))} store i64 {Exit.FAULT}, ptr %rs
{_ptr("spp", t.at("stack_pointer"))} %sp = load i64, ptr %spp
{_ptr("rspp", host.UC_RSP, "%uc")} store i64 %sp, ptr %rspp
{_ptr("framep", t.at("frame_pointer"))} %frame = load i64, ptr %framep
{_ptr("rbpp", host.UC_RBP, "%uc")} store i64 %frame, ptr %rbpp
 store i64 ptrtoint (ptr @leave to i64), ptr %ripp
 ret void
other:
{_ptr("oldp", 16, "@code_range")} %old = load ptr, ptr %oldp
 %n = ptrtoint ptr %old to i64
 %plain = icmp ule i64 %n, 1
 br i1 %plain, label %die, label %chain
chain:
 call void %old(i32 %sig, ptr %info, ptr %uc)
 ret void
die:
{_ptr("sigp", 24, "@code_range")} %signal = load ptr, ptr %sigp
 %u = call ptr %signal(i32 %sig, ptr null)
 br i1 %sent, label %again, label %over
again:
{_ptr("raisep", 32, "@code_range")} %raise = load ptr, ptr %raisep
 %v = call i32 %raise(i32 %sig)
 br label %over
over:
 ret void
}}
"""


#: Functions that helpers may call, defined here.
_OWN = ("ram_host", "tlb_insert", "tlb_large", "tlb_flush", "tlb_flush_page", "mode_changed", "time_ns", "instructions", "set_alarm")


def runtime_text(arch: Arch) -> str:
    """The LLVM module of the engine and of the ISA's helpers."""
    parts = [f'target triple = "{host.TRIPLE}"\n', METADATA, host.FP_DECLARATIONS, "declare ptr @llvm.addressofreturnaddress.p0()\n"]
    parts += [_entering(arch), _dispatch(arch), _find_entry(arch), _fetch_is(arch), _refill(arch), _raising(arch), _flushing(arch)]
    parts += [_memory(arch), _faults(arch), placing_text(), joining_text(), choosing_text(), sampling_text(arch)]
    if not arch.user:
        parts += [_miss(arch, False), _miss(arch, True), alarms_text(arch)]
    declarations: set[str] = set()
    for name, helper in arch.helpers.items():
        low = HelperLowering(helper.record(arch.layout, arch.config), arch.layout, helper.params, helper.result(arch.word))
        parts.append(low.text().replace(f"@{helper.name}(", f"@{name}(", 1))
        declarations |= low.declarations
    defined = {*_OWN, *arch.helpers}
    parts += sorted(d + "\n" for d in declarations if d[d.index("@") + 1 : d.index("(")] not in defined)
    return "".join(parts)


def compile_runtime(arch: Arch) -> bytes:
    """The object code of the engine and of the ISA's helpers."""
    from llvmlite import binding as llvm

    module = llvm.parse_assembly(runtime_text(arch))
    machine = host.machine()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    code: bytes = machine.emit_object(module)
    return code
