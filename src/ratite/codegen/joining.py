"""Joining finished pieces of machine code to a straight line: done natively, because a boot joins half a million of them.

Python describes each piece by a record in memory that native code can read, made once for every instruction word:

    length of the code (4 bytes), number of late places (2), place of the one that may be patched later, plus one (2);
    the code, padded to a multiple of eight; the late places, 16 bytes each: {place in the code (4), kind (4), value (8)}

Kinds of late places are TO (displacement to a guest offset, `value` bytes from the instruction's; direct if that is in the same line), AWAY (the
same, never direct), MISS (displacement to a stub of a memory access, which is made behind the line), and kinds of relocations
(`ratite.cpu.placing`), with RELATIVE where the offset of the instruction in its page is to be added to the value. What leads out of the line goes to
a stub behind it, which goes on at the guest address.

Displacements that may be patched later come to lie inside eight aligned bytes, so that patching them is one step for
processors which execute them: up to three instructions that do nothing are put before the code.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from ratite.codegen import host_x86_64 as host
from ratite.codegen.compiled import compiled, copy, fill, load16, load32, load64, store32, store64
from ratite.codegen.kinds import MISS_LOAD, STUB, TAKEN

TO, AWAY, MISS = TAKEN, STUB, MISS_LOAD
_RELOCATION, RELATIVE = 16, 32
#: The kind of relocation that a stub of a memory access is (`ratite.codegen.runtime.RELOCATE_MISS`).
STUB_RELOCATION = 4

#: In the table of offsets: this piece is not what a branch to its offset goes to.
NOT_AN_ENTRY = 1 << 31
#: And this: it is none of the instructions of which somebody may want to know where their code is.
NOT_AN_INSTRUCTION = 1 << 30
OFFSET = NOT_AN_INSTRUCTION - 1

_PAGE = 4096
_HEAD, _LATE = struct.Struct("<iHH"), struct.Struct("<iiq")
#: Where in a record the code is.
CODE_AT = _HEAD.size
_LATES_OF, _PATCHED = 4, 6  # in the head
_KIND, _VALUE, _LATE_SIZE = 4, 8, 16  # in a late place

_FILLER = int.from_bytes(4 * host.NOP, "little", signed=True)
_STUB_SIZE = len(host.MISS_STUB)
_STUB0, _STUB1, _STUB2 = (int.from_bytes(host.MISS_STUB[n : n + 8], "little", signed=True) for n in range(0, _STUB_SIZE, 8))


class Job:
    """What `join` is told, and tells: places in a table of 64-bit numbers.

    Told: how many pieces (COUNT); where their records and their guest offsets (4 bytes each) are; the table of entries of their page (PAGE_ENTRIES);
    the record of code that goes on elsewhere (GOTO); for how many bytes of code (ROOM) and how many late places (MOST) there is room.
    Where the results go: where each piece begins (STARTS, 4 bytes each, and the end), CODE, places of entries (LOCAL, a table of a page for itself),
    RELOCATIONS (three numbers each), displacements that lead to entries of the page (LINKS: place, guest offset), those that will when these exist
    (PENDING), and stubs that go on elsewhere (GOTOS: guest offset, place). Told in the end: how many of each, and the SIZE of the code.
    """

    COUNT, RECORDS, OFFSETS, PAGE_ENTRIES, GOTO, ROOM, MOST = range(0, 56, 8)
    STARTS, CODE, LOCAL, RELOCATIONS, LINKS, PENDING, GOTOS = range(56, 112, 8)
    SIZE, RELOCATED, LINKED, PENDED, GONE = range(112, 152, 8)
    #: Bytes of the table.
    BYTES = 152


def record(code: bytes, lates: Iterable[tuple[int, int, int]]) -> bytes:
    """The record of a piece of code, with late places as (kind, place, value)."""
    patched, parts = 0, []
    for kind, place, value in lates:
        parts.append(_LATE.pack(place, kind, value))
        if kind == TO:
            patched = place + 1
    return b"".join((_HEAD.pack(len(code), len(parts), patched), code, bytes(-len(code) % 8), *parts))


#: Bytes of a record that tell of its code's size and late places.
HEAD_SIZE = _HEAD.size


def patched_place(head: bytes) -> int | None:
    """Where in its code the displacement is that may be patched later, by the beginning of a record; None if there is none."""
    return _HEAD.unpack(head)[2] - 1 if _HEAD.unpack(head)[2] else None


def late_value_at(length: int, n: int) -> int:
    """Where in the record of `length` bytes of code the value of late place `n` is."""
    return CODE_AT + -(-length // 8) * 8 + n * _LATE.size + 8


def relocation(kind: int, relative: bool) -> int:
    """The kind of a late place that becomes a relocation of its own."""
    return (RELATIVE if relative else _RELOCATION) + kind


@compiled
def join(job: int) -> int:
    """Join the pieces of a job; 0 when there is not enough room."""
    lates = measure(job)
    line = load64(job + Job.SIZE)
    goto = load64(job + Job.GOTO)
    behind = _STUB_SIZE if load32(goto) < _STUB_SIZE else load32(goto)
    if line + 16 + lates * behind > load64(job + Job.ROOM) or lates * (1 + load16(goto + _LATES_OF)) > load64(job + Job.MOST):
        return 0
    copy_pieces(job)
    store64(job + Job.SIZE, line + 7 & -8)
    fill(load64(job + Job.CODE) + line, 0, (line + 7 & -8) - line)
    store64(job + Job.RELOCATED, 0)
    store64(job + Job.LINKED, 0)
    store64(job + Job.PENDED, 0)
    store64(job + Job.GONE, 0)
    for i in range(load64(job + Job.COUNT)):
        offset = load32(load64(job + Job.OFFSETS) + 4 * i) & OFFSET
        fill_lates(job, load64(load64(job + Job.RECORDS) + 8 * i), load32(load64(job + Job.STARTS) + 4 * i), offset)
    return 1


@compiled
def measure(job: int) -> int:
    """Find out where each piece begins; how many late places there are."""
    at = 0
    lates = 0
    count = load64(job + Job.COUNT)
    starts = load64(job + Job.STARTS)
    for i in range(count):
        piece = load64(load64(job + Job.RECORDS) + 8 * i)
        patched = load16(piece + _PATCHED)
        if patched and at + patched - 1 & 7 > 4:
            at += 8 - (at + patched - 1 & 7)
        store32(starts + 4 * i, at)
        at += load32(piece)
        lates += load16(piece + _LATES_OF)
    store32(starts + 4 * count, at)
    store64(job + Job.SIZE, at)
    return lates


@compiled
def copy_pieces(job: int) -> None:
    """Put the pieces where they begin, and what does nothing between them; note the places of those that are entries."""
    code = load64(job + Job.CODE)
    local = load64(job + Job.LOCAL)
    fill(local, 0, 2 * _PAGE)
    store32(code, _FILLER)
    for i in range(load64(job + Job.COUNT)):
        piece = load64(load64(job + Job.RECORDS) + 8 * i)
        start = load32(load64(job + Job.STARTS) + 4 * i)
        length = load32(piece)
        copy(code + start, piece + CODE_AT, length)
        store32(code + start + length, _FILLER)
        offset = load32(load64(job + Job.OFFSETS) + 4 * i)
        if not offset & NOT_AN_ENTRY:
            store32(local + 2 * (offset & OFFSET), start + 1)


@compiled
def fill_lates(job: int, piece: int, start: int, offset: int) -> None:
    """Fill in the late places of a piece that begins at `start`, of an instruction at a guest offset."""
    late = piece + CODE_AT + (load32(piece) + 7 & -8)
    for _ in range(load16(piece + _LATES_OF)):
        place = start + load32(late)
        kind = load32(late + _KIND)
        value = load64(late + _VALUE)
        if kind == TO:
            lead(job, place, offset + value)
        elif kind == AWAY:
            displace(job, place, goto_stub(job, offset + value))
        elif kind == MISS:
            displace(job, place, miss_stub(job, value | offset << 32 | start))
        else:
            relocate_late(job, place, kind, value, offset)
        late += _LATE_SIZE


@compiled
def lead(job: int, place: int, target: int) -> None:
    """Have a displacement lead to a guest offset: in this line, in the page, or elsewhere."""
    if 0 <= target < _PAGE:
        known = load32(load64(job + Job.LOCAL) + 2 * target)
        if known:
            displace(job, place, known - 1)
            return
        if load32(load64(job + Job.PAGE_ENTRIES) + 2 * target):
            note(job, Job.LINKS, Job.LINKED, place, target)
            return
        note(job, Job.PENDING, Job.PENDED, place, target)
    displace(job, place, goto_stub(job, target))


@compiled
def displace(job: int, place: int, to: int) -> None:
    """Write a displacement."""
    store32(load64(job + Job.CODE) + place, to - place - 4)


@compiled
def note(job: int, table: int, count: int, first: int, second: int) -> None:
    """Append a pair of numbers to a table."""
    at = load64(job + table) + 16 * load64(job + count)
    store64(at, first)
    store64(at + 8, second)
    store64(job + count, load64(job + count) + 1)


@compiled
def miss_stub(job: int, value: int) -> int:
    """Append the stub of a memory access, filled in by its relocation; its place."""
    place = load64(job + Job.SIZE)
    stub = load64(job + Job.CODE) + place
    store64(stub, _STUB0)
    store64(stub + 8, _STUB1)
    store64(stub + 16, _STUB2)
    store64(job + Job.SIZE, place + _STUB_SIZE)
    add_relocation(job, place, STUB_RELOCATION, value)
    return place


@compiled
def goto_stub(job: int, target: int) -> int:
    """The place of code that goes on at a guest offset, from the start of the page."""
    gotos = load64(job + Job.GOTOS)
    for n in range(load64(job + Job.GONE)):
        if load64(gotos + 16 * n) == target:
            return load64(gotos + 16 * n + 8)
    place = load64(job + Job.SIZE)
    note(job, Job.GOTOS, Job.GONE, target, place)
    piece = load64(job + Job.GOTO)
    copy(load64(job + Job.CODE) + place, piece + CODE_AT, load32(piece))
    store64(job + Job.SIZE, place + load32(piece))
    late = piece + CODE_AT + (load32(piece) + 7 & -8)
    for _ in range(load16(piece + _LATES_OF)):
        relocate_late(job, place + load32(late), load32(late + _KIND), load64(late + _VALUE), target)
        late += _LATE_SIZE
    return place


@compiled
def relocate_late(job: int, place: int, kind: int, value: int, offset: int) -> None:
    """Append the relocation that a late place of an instruction at a guest offset becomes."""
    add_relocation(job, place, kind & 15, value + offset if kind >= RELATIVE else value)


@compiled
def add_relocation(job: int, place: int, kind: int, value: int) -> None:
    """Append a relocation."""
    at = load64(job + Job.RELOCATIONS) + 24 * load64(job + Job.RELOCATED)
    store64(at, place)
    store64(at + 8, kind)
    store64(at + 16, value)
    store64(job + Job.RELOCATED, load64(job + Job.RELOCATED) + 1)


#: `join` and what it calls.
FUNCTIONS = (join, measure, copy_pieces, fill_lates, lead, displace, note, miss_stub, goto_stub, relocate_late, add_relocation)


def joining_text() -> str:
    """`join` as LLVM text."""
    from ratite.codegen.native import text_of

    return "".join(text_of(function) for function in FUNCTIONS)
