"""Joining finished pieces of machine code to a straight line: done natively, because a boot joins half a million of them.

Python describes each piece by a record in memory that native code can read, made once for every instruction word:

    length of the code (4 bytes), number of late places (2), place of the one that may be patched later, plus one (2);
    the code, padded to a multiple of eight; the late places, 16 bytes each: {place in the code (4), kind (4), value (8)}

Kinds of late places are TO (displacement to a guest offset, `value` bytes from the instruction's; direct if that is in the same line), AWAY (the
same, never direct), MISS (displacement to a stub of a memory access, which is made behind the line), and kinds of relocations
(`ratite.cpu.placing`), with RELATIVE where the offset of the instruction in its page is to be added to the value.

Displacements that may be patched later come to lie inside eight aligned bytes, so that patching them is one step for
processors which execute them: up to three instructions that do nothing are put before the code.

`join(job)` takes a table of 64-bit numbers, `JOB` says which, and gives 0 when there is not enough room.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from ratite.codegen import host_x86_64 as host
from ratite.codegen.stencil import MISS_LOAD, STUB, TAKEN

TO, AWAY, MISS = TAKEN, STUB, MISS_LOAD
_RELOCATION, RELATIVE = 16, 32

#: In the table of offsets: this piece is not what a branch to its offset goes to.
NOT_AN_ENTRY = 1 << 31

#: What `join` is told: how many pieces; where their records, their guest offsets (4 bytes each) and the results are: where each piece begins (4
#: bytes each, and the end), code, places of entries (a table of a page for itself), relocations (three numbers each), exits (kind, place, guest
#: offset); how many bytes of code and how many late places there is room for. What it tells: bytes of code, relocations, exits.
JOB = ("count", "records", "offsets", "starts", "code", "local", "relocations", "exits", "room", "most", "size", "relocated", "left")

_HEAD, _LATE = struct.Struct("<iHH"), struct.Struct("<iiq")
#: Where in a record the code is.
CODE_AT = _HEAD.size

_FILLER = int.from_bytes(4 * host.NOP, "little", signed=True)


def record(code: bytes, lates: Iterable[tuple[int, int, int]]) -> bytes:
    """The record of a piece of code, with late places as (kind, place, value)."""
    patched, parts = 0, []
    for kind, place, value in lates:
        parts.append(_LATE.pack(place, kind, value))
        if kind == TO:
            patched = place + 1
    return b"".join((_HEAD.pack(len(code), len(parts), patched), code, bytes(-len(code) % 8), *parts))


def late_value_at(length: int, n: int) -> int:
    """Where in the record of `length` bytes of code the value of late place `n` is."""
    return CODE_AT + -(-length // 8) * 8 + n * _LATE.size + 8


def relocation(kind: int, relative: bool) -> int:
    """The kind of a late place that becomes a relocation of its own."""
    return (RELATIVE if relative else _RELOCATION) + kind


def joining_text(miss: int) -> str:
    """`join` as LLVM text; `miss`: the kind of relocation of a stub."""
    fields = "".join(
        f" %p_{name} = getelementptr i64, ptr %job, i64 {n}\n %{name} = load i64, ptr %p_{name}\n" for n, name in enumerate(JOB)
    )
    pointers = "".join(
        f" %{name}_ = inttoptr i64 %{name} to ptr\n" for name in ("records", "offsets", "starts", "code", "local", "relocations", "exits")
    )
    stub = ""
    for n in range(0, len(host.MISS_STUB), 8):
        eight = int.from_bytes(host.MISS_STUB[n : n + 8], "little", signed=True)
        stub += f" %s{n} = getelementptr i8, ptr %stub, i64 {n}\n store i64 {eight}, ptr %s{n}, align 1\n"
    return f"""
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
define i64 @join(ptr %job) nounwind {{
{fields}{pointers} %i = alloca i64
 %j = alloca i64
 %at = alloca i64
 %sum = alloca i64
 %late = alloca ptr
 store i64 0, ptr %i
 store i64 0, ptr %at
 store i64 0, ptr %sum
 br label %measure
measure:
 %m0 = load i64, ptr %i
 %m1 = icmp ult i64 %m0, %count
 br i1 %m1, label %measure1, label %measured
measure1:
{_piece("m")} %mpos = load i64, ptr %at
 %mtp = getelementptr i8, ptr %mrecord, i64 6
 %mt16 = load i16, ptr %mtp
 %mt = zext i16 %mt16 to i64
 %many = icmp ne i64 %mt, 0
 %mt0 = add i64 %mpos, %mt
 %mt1 = sub i64 %mt0, 1
 %mt2 = and i64 %mt1, 7
 %mover = icmp ugt i64 %mt2, 4
 %mpads = and i1 %many, %mover
 %mpad0 = sub i64 8, %mt2
 %mpad = select i1 %mpads, i64 %mpad0, i64 0
 %mbegin = add i64 %mpos, %mpad
 %mpos32 = trunc i64 %mbegin to i32
 store i32 %mpos32, ptr %mstart
 %mpos2 = add i64 %mbegin, %mlength
 store i64 %mpos2, ptr %at
 %msum = load i64, ptr %sum
 %msum2 = add i64 %msum, %mlates
 store i64 %msum2, ptr %sum
 %m2 = add i64 %m0, 1
 store i64 %m2, ptr %i
 br label %measure
measured:
 %all = load i64, ptr %at
 %all32 = trunc i64 %all to i32
 %lastp = getelementptr i32, ptr %starts_, i64 %count
 store i32 %all32, ptr %lastp
 %all7 = add i64 %all, 7
 %end0 = and i64 %all7, -8
 %lates = load i64, ptr %sum
 %stubs = mul i64 %lates, {len(host.MISS_STUB)}
 %need0 = add i64 %end0, %stubs
 %need = add i64 %need0, 8
 %roomy = icmp ule i64 %need, %room
 %few = icmp ule i64 %lates, %most
 %fits = and i1 %roomy, %few
 br i1 %fits, label %begin, label %no
no:
 ret i64 0
begin:
 %pad0 = sub i64 %end0, %all
 %padp = getelementptr i8, ptr %code_, i64 %all
 call void @llvm.memset.p0.i64(ptr %local_, i8 0, i64 8192, i1 false)
 store i32 {_FILLER}, ptr %code_, align 1
 store i64 0, ptr %i
 br label %copy
copy:
 %c0 = load i64, ptr %i
 %c1 = icmp ult i64 %c0, %count
 br i1 %c1, label %copy1, label %copied
copy1:
{_piece("c")} %cto = getelementptr i8, ptr %code_, i64 %cat
 %cfrom = getelementptr i8, ptr %crecord, i64 {_HEAD.size}
 call void @llvm.memcpy.p0.p0.i64(ptr %cto, ptr %cfrom, i64 %clength, i1 false)
 %cend = getelementptr i8, ptr %cto, i64 %clength
 store i32 {_FILLER}, ptr %cend, align 1
 %c2 = add i64 %c0, 1
 store i64 %c2, ptr %i
 %centry = icmp sge i32 %coffset, 0
 br i1 %centry, label %copy2, label %copy
copy2:
 %cunit = lshr i32 %coffset, 1
 %cunit64 = zext i32 %cunit to i64
 %clocal = getelementptr i32, ptr %local_, i64 %cunit64
 %cat1 = add i32 %cat32, 1
 store i32 %cat1, ptr %clocal
 br label %copy
copied:
 call void @llvm.memset.p0.i64(ptr %padp, i8 0, i64 %pad0, i1 false)
 store i64 0, ptr %i
 store i64 %end0, ptr %at
 store i64 0, ptr %p_relocated
 store i64 0, ptr %p_left
 br label %fill
fill:
 %f0 = load i64, ptr %i
 %f1 = icmp ult i64 %f0, %count
 br i1 %f1, label %fill1, label %filled
filled:
 %size1 = load i64, ptr %at
 store i64 %size1, ptr %p_size
 ret i64 1
fill1:
{_piece("f")} %f2 = add i64 %f0, 1
 store i64 %f2, ptr %i
 %fpad = add i64 %flength, {7 + _HEAD.size}
 %fskip = and i64 %fpad, -8
 %ffirst = getelementptr i8, ptr %frecord, i64 %fskip
 store ptr %ffirst, ptr %late
 store i64 %flates, ptr %j
 %foffset31 = and i32 %foffset, {NOT_AN_ENTRY - 1}
 %fhere = zext i32 %foffset31 to i64
 br label %lates1
lates1:
 %l0 = load i64, ptr %j
 %l1 = icmp eq i64 %l0, 0
 br i1 %l1, label %fill, label %one
one:
 %l2 = sub i64 %l0, 1
 store i64 %l2, ptr %j
 %l = load ptr, ptr %late
 %next = getelementptr i8, ptr %l, i64 {_LATE.size}
 store ptr %next, ptr %late
 %kindp = getelementptr i8, ptr %l, i64 4
 %valuep = getelementptr i8, ptr %l, i64 8
 %place32 = load i32, ptr %l
 %kind32 = load i32, ptr %kindp
 %value = load i64, ptr %valuep
 %place0 = zext i32 %place32 to i64
 %kind = zext i32 %kind32 to i64
 %place = add i64 %place0, %fat
 %site = getelementptr i8, ptr %code_, i64 %place
 %target = add i64 %fhere, %value
 %nrp = load i64, ptr %p_relocated
 %nr3 = mul i64 %nrp, 3
 %r = getelementptr i64, ptr %relocations_, i64 %nr3
 %rkind = getelementptr i64, ptr %r, i64 1
 %rvalue = getelementptr i64, ptr %r, i64 2
 switch i64 %kind, label %relocate [ i64 {TO}, label %to i64 {AWAY}, label %away i64 {MISS}, label %miss ]
to:
 %inside = icmp ult i64 %target, 4096
 br i1 %inside, label %within, label %away
within:
 %tunit = lshr i64 %target, 1
 %tlocal = getelementptr i32, ptr %local_, i64 %tunit
 %there1 = load i32, ptr %tlocal
 %known = icmp ne i32 %there1, 0
 br i1 %known, label %direct, label %away
direct:
 %there64 = zext i32 %there1 to i64
 %there = sub i64 %there64, 5
 br label %displace
away:
 %nl = load i64, ptr %p_left
 %nl3 = mul i64 %nl, 3
 %x = getelementptr i64, ptr %exits_, i64 %nl3
 %xplace = getelementptr i64, ptr %x, i64 1
 %xtarget = getelementptr i64, ptr %x, i64 2
 store i64 %kind, ptr %x
 store i64 %place, ptr %xplace
 store i64 %target, ptr %xtarget
 %nl1 = add i64 %nl, 1
 store i64 %nl1, ptr %p_left
 br label %lates1
miss:
 %at0 = load i64, ptr %at
 %stub = getelementptr i8, ptr %code_, i64 %at0
{stub} %at1 = add i64 %at0, {len(host.MISS_STUB)}
 store i64 %at1, ptr %at
 %high = shl i64 %fhere, 32
 %both = or i64 %high, %fat
 %full = or i64 %both, %value
 store i64 %at0, ptr %r
 store i64 {miss}, ptr %rkind
 store i64 %full, ptr %rvalue
 %nrm = add i64 %nrp, 1
 store i64 %nrm, ptr %p_relocated
 %stub4 = sub i64 %at0, 4
 br label %displace
displace:
 %goal = phi i64 [ %there, %direct ], [ %stub4, %miss ]
 %d = sub i64 %goal, %place
 %d32 = trunc i64 %d to i32
 store i32 %d32, ptr %site, align 1
 br label %lates1
relocate:
 %own = and i64 %kind, 15
 %relative = icmp uge i64 %kind, {RELATIVE}
 %v = select i1 %relative, i64 %target, i64 %value
 store i64 %place, ptr %r
 store i64 %own, ptr %rkind
 store i64 %v, ptr %rvalue
 %nrr = add i64 %nrp, 1
 store i64 %nrr, ptr %p_relocated
 br label %lates1
}}
"""


def _piece(x: str) -> str:
    """Load what is known of piece `%{x}0`: record, length, number of late places, where its start is noted, start, offset."""
    return f""" %{x}rp = getelementptr i64, ptr %records_, i64 %{x}0
 %{x}r = load i64, ptr %{x}rp
 %{x}record = inttoptr i64 %{x}r to ptr
 %{x}l32 = load i32, ptr %{x}record
 %{x}length = zext i32 %{x}l32 to i64
 %{x}np = getelementptr i8, ptr %{x}record, i64 4
 %{x}n16 = load i16, ptr %{x}np
 %{x}lates = zext i16 %{x}n16 to i64
 %{x}start = getelementptr i32, ptr %starts_, i64 %{x}0
 %{x}at32 = load i32, ptr %{x}start
 %{x}at = zext i32 %{x}at32 to i64
 %{x}op = getelementptr i32, ptr %offsets_, i64 %{x}0
 %{x}offset = load i32, ptr %{x}op
"""
