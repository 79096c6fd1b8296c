"""Putting joined code in its place, natively: relocations, the entries of its page, the table of translated entries.

A unit of code is first made as if it lay at address 0. A relocation is three 64-bit numbers {place, kind, value}:

    SYMBOL      displacement (32 bits) to symbol `value >> 32`, plus the lower half of value
    ABSOLUTE    address (32 bits) of symbol `value >> 32`, plus the lower half of value
    PAGE64      guest address `value` bytes from the start of the page
    PAGE32      the same in 32 bits
    MISS        a whole stub of a memory access: symbol `value >> 48`, offset of its instruction in the page `value >> 32 & 0xffff`, place of its
                code in the lower half

Entry of the table of translated entries, 32 bytes: {guest address, host page | context, host address of code, number of changes}; an entry whose
number is odd, or changes meanwhile, does not count. Code is where its address and tag say, or in the other place of that pair.
"""

from __future__ import annotations

from ratite.codegen import host_x86_64 as host
from ratite.codegen.compiled import compiled, copy, load16, load32, load64, store16, store32, store64, store_release64
from ratite.codegen.joining import NOT_AN_ENTRY, NOT_AN_INSTRUCTION, OFFSET, STUB_RELOCATION, Job
from ratite.codegen.tables import ENTRY_BITS

#: Kinds of relocations.
RELOCATE_SYMBOL, RELOCATE_ABSOLUTE, RELOCATE_PAGE64, RELOCATE_PAGE32, RELOCATE_MISS = range(STUB_RELOCATION + 1)

_SLOTS = (1 << ENTRY_BITS) - 1
_ADDRESS, _TAG, _CODE, _CHANGES, _ENTRY_SIZE = range(0, 40, 8)


class Site:
    """Where code is put, and what belongs to its place: places in a table of 64-bit numbers.

    SYMBOLS: addresses of what code refers to; GUEST: mask of guest addresses; TABLE: the table of translated entries. For one page: its address
    (PAGE), its entries (PAGE_ENTRIES), its TAG in the table. For one unit: where it is written (TO), and its address (AT); offsets to which calls
    return, RETURNED of them at RETURN_OFFSETS (4 bytes each). Where results go: PCS and PLACES of instructions, LISTED of them.
    """

    SYMBOLS, GUEST, TABLE, PAGE, PAGE_ENTRIES, TAG = range(0, 48, 8)
    TO, AT, RETURNED, RETURN_OFFSETS, PCS, PLACES, LISTED = range(48, 104, 8)
    BYTES = 104


@compiled
def place(site: int, job: int) -> int:
    """Put the unit that a `Job` has joined in its place; how many entries of the page are new."""
    copy(load64(site + Site.TO), load64(job + Job.CODE), load64(job + Job.SIZE))
    relocate(site, load64(job + Job.RELOCATIONS), load64(job + Job.RELOCATED))
    fresh = enter_pieces(site, job)
    link = load64(job + Job.LINKS)
    for _ in range(load64(job + Job.LINKED)):
        to = load32(load64(site + Site.PAGE_ENTRIES) + 2 * load64(link + 8))
        store32(load64(site + Site.TO) + load64(link), to - load64(site + Site.AT) - load64(link) - 4)
        link += 16
    for n in range(load64(site + Site.RETURNED)):  # a return will come here, through the table
        publish(site, load32(load64(site + Site.RETURN_OFFSETS) + 4 * n))
    return fresh


@compiled
def enter_pieces(site: int, job: int) -> int:
    """Enter the pieces of a job in their page, and list those that are instructions; how many entries there are."""
    entered = 0
    listed = 0
    for n in range(load64(job + Job.COUNT)):
        what = load32(load64(job + Job.OFFSETS) + 4 * n)
        start = load32(load64(job + Job.STARTS) + 4 * n)
        if not what & NOT_AN_ENTRY:
            store32(load64(site + Site.PAGE_ENTRIES) + 2 * (what & OFFSET), load64(site + Site.AT) + start)
            entered += 1
        if not what & NOT_AN_INSTRUCTION:
            store16(load64(site + Site.PCS) + 2 * listed, what)
            store32(load64(site + Site.PLACES) + 4 * listed, start)
            listed += 1
    store64(site + Site.LISTED, listed)
    return entered


@compiled
def enter_places(site: int, pcs: int, places: int, count: int) -> None:
    """Enter instructions in their page: their offsets (2 bytes each) and those of their code from the start of their unit (4 bytes each)."""
    entries = load64(site + Site.PAGE_ENTRIES)
    at = load64(site + Site.AT)
    for n in range(count):
        store32(entries + 2 * load16(pcs + 2 * n), at + load32(places + 4 * n))


@compiled
def enter_published(site: int, offsets: int, count: int) -> None:
    """Enter the code for offsets of a page (2 bytes each) in the table of translated entries."""
    for n in range(count):
        publish(site, load16(offsets + 2 * n))


@compiled
def publish(site: int, offset: int) -> None:
    """Enter the code for an offset of a page in the table of translated entries, if there is any."""
    code = load32(load64(site + Site.PAGE_ENTRIES) + 2 * offset) if offset < _PAGE_SIZE else 0
    if code:
        pc = load64(site + Site.PAGE) + offset
        tag = load64(site + Site.TAG)
        enter_code(load64(site + Site.TABLE), pc, tag, code)


_PAGE_SIZE = 4096
_NOWHERE = 1  # no address of an instruction


@compiled
def slot_of_entry(pc: int, tag: int) -> int:
    """Where in the table of translated entries the code for an address is, or beside the other one of a pair."""
    return ((pc >> 1) + (tag >> 7) & _SLOTS) * _ENTRY_SIZE


@compiled
def enter_code(table: int, pc: int, tag: int, code: int) -> None:
    """Enter code in the table of translated entries. What is in the way goes to the neighbour, so that two which go on alternately, and want the
    same place, are both found."""
    entry = table + slot_of_entry(pc, tag)
    neighbour = entry ^ _ENTRY_SIZE
    if is_entry(neighbour, pc, tag):
        write_entry(neighbour, pc, tag, code)
    else:
        moved = 0 if is_entry(entry, pc, tag) else load64(entry + _CODE)
        if moved:
            write_entry(neighbour, load64(entry + _ADDRESS), load64(entry + _TAG), moved)
        write_entry(entry, pc, tag, code)


@compiled
def withdraw_code(table: int, pc: int, tag: int) -> None:
    """Take code out of the table."""
    entry = table + slot_of_entry(pc, tag)
    neighbour = entry ^ _ENTRY_SIZE
    if is_entry(entry, pc, tag):
        write_entry(entry, _NOWHERE, 0, 0)
    if is_entry(neighbour, pc, tag):
        write_entry(neighbour, _NOWHERE, 0, 0)


@compiled
def is_entry(entry: int, pc: int, tag: int) -> int:
    """Whether an entry is about an address."""
    return 1 if load64(entry + _ADDRESS) == pc and load64(entry + _TAG) == tag else 0


@compiled
def write_entry(entry: int, pc: int, tag: int, code: int) -> None:
    """Change an entry of the table of translated entries, so that who reads it meanwhile takes it for what it was or is."""
    changes = load64(entry + _CHANGES)
    store_release64(entry + _CHANGES, changes + 1)
    store_release64(entry + _ADDRESS, pc)
    store_release64(entry + _TAG, tag)
    store_release64(entry + _CODE, code)
    store_release64(entry + _CHANGES, changes + 2)


@compiled
def relocate(site: int, relocation: int, count: int) -> None:
    """Fill in what depends on the place of a unit."""
    to = load64(site + Site.TO)
    at = load64(site + Site.AT)
    mask = load64(site + Site.GUEST)
    for _ in range(count):
        place = load64(relocation)
        kind = load64(relocation + 8)
        value = load64(relocation + 16)
        symbol = load64(site + Site.SYMBOLS) + 8 * (value >> 32)
        guest = load64(site + Site.PAGE) + value & mask
        if kind == RELOCATE_MISS:
            relocate_stub(site, place, value)
        elif kind == RELOCATE_PAGE64:
            store64(to + place, guest)
        elif kind == RELOCATE_PAGE32:
            store32(to + place, guest)
        elif kind == RELOCATE_ABSOLUTE:
            store32(to + place, load64(symbol) + value)
        else:
            store32(to + place, load64(symbol) + value - at - place - 4)
        relocation += 24


@compiled
def relocate_stub(site: int, place: int, value: int) -> None:
    """Fill in the stub of a memory access."""
    stub = load64(site + Site.TO) + place
    at = load64(site + Site.AT) + place
    handler = load64(load64(site + Site.SYMBOLS) + 8 * (value >> 48))
    store32(stub + host.MISS_OPERAND, at + host.MISS_RECORD)
    store32(stub + host.MISS_JUMP, handler - at - host.MISS_JUMP - 4)
    store64(stub + host.MISS_RECORD, load64(site + Site.PAGE) + (value >> 32 & 0xFFFF) & load64(site + Site.GUEST))
    store32(stub + host.MISS_RETRY, load64(site + Site.AT) + value)


#: All of them.
FUNCTIONS = (
    place, enter_pieces, enter_places, enter_published, publish, slot_of_entry, enter_code, withdraw_code, is_entry, write_entry, relocate,
    relocate_stub,
)  # fmt: skip


def placing_text() -> str:
    """The functions as LLVM text."""
    from ratite.codegen.native import text_of

    return "".join(text_of(function) for function in FUNCTIONS)
