"""Address translation: LoongArch Reference Manual, volume 1, chapters 5.2 to 5.4 and 7.5."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratite.isa.loongarch.exceptions import Cause
from ratite.isa.loongarch.pages import FETCH, LOAD, LOOK, STORE
from ratite.isa.loongarch.tlb import ENTRIES, MTLB, STLB
from tests.isa.loongarch.cores import (
    A0,
    A1,
    CODE,
    DATA,
    ERTN,
    NR,
    NX,
    PG,
    REFILL,
    RPLV,
    TABLES,
    TLBCLR,
    TLBFILL,
    TLBFLUSH,
    TLBRD,
    TLBSRCH,
    USER,
    WINDOW,
    Bench,
    Benches,
    D,
    G,
    V,
    csrrd,
    csrwr,
    invtlb,
    ld_d,
    lddir,
    ldpte,
    st_d,
)  # fmt: skip

VA = 0x7FFF_0000_0000
NE = 1 << 31
#: Of entries of page tables.
PRESENT, WRITABLE = 1 << 7, 1 << 8


@pytest.mark.parametrize(("page", "level", "access", "cause"), [
    (0, 3, LOAD, Cause.LOAD_PAGE), (0, 3, STORE, Cause.STORE_PAGE), (0, 3, FETCH, Cause.FETCH_PAGE),
    (V | D | USER, 3, STORE, 0), (V | USER, 3, STORE, Cause.MODIFIED), (V | USER, 3, LOAD, 0),
    (V | D, 3, LOAD, Cause.PRIVILEGE_LEVEL), (V | D | USER, 0, LOAD, 0), (V | D | USER | RPLV, 0, LOAD, Cause.PRIVILEGE_LEVEL),
    (V | USER | NR, 3, LOAD, Cause.NOT_READABLE), (V | USER | NX, 3, FETCH, Cause.NOT_EXECUTABLE), (V | USER | NX, 3, LOAD, 0),
    (V | D, 3, LOOK, 0),
])  # fmt: skip
def test_permissions(benches: Benches, page: int, level: int, access: int, cause: int) -> None:
    """What a page allows, by the bits of its TLBELO."""
    bench = benches.get("la464", native=True)
    bench.translated(level)
    bench.entry(STLB, VA, DATA | page, DATA | page)
    found = bench.look(VA | 0x123, access)
    assert found == (-cause if cause else DATA | 0x123)


def test_pairs_and_sizes(benches: Benches) -> None:
    """An entry has an even and an odd page of its size."""
    bench = benches.get("la464", native=True)
    bench.translated()
    bench.entry(STLB, VA, 0x10_0000 | V, 0x20_0000 | V, size=14)
    assert bench.look(VA + 0x3ABC) == 0x10_3ABC
    assert bench.look(VA + 0x7ABC) == 0x20_3ABC
    assert bench.look(VA + 0x8000) == -Cause.TLB_REFILL


def test_addresses_that_can_not_be(benches: Benches) -> None:
    """Bits above the 48 that are translated must repeat bit 47, outside the windows."""
    bench = benches.get("la464", native=True)
    bench.translated()
    assert bench.look(1 << 47) == -Cause.MEMORY_ADDRESS
    assert bench.look(1 << 47, FETCH) == -Cause.FETCH_ADDRESS
    assert bench.look(-0x2000) == -Cause.TLB_REFILL
    bench.state.dmw[2] = 0x8 << 60 | 1 << 3
    assert bench.look(0x8000_0000_0000_5000) == -Cause.MEMORY_ADDRESS
    bench.translated(3)
    assert bench.look(0x8000_0000_0000_5000) == 0x5000


def test_global_pages_and_address_spaces(benches: Benches) -> None:
    """An entry is global when both of its pages say so; else it belongs to the address space it was written in."""
    bench = benches.get("la464", native=True)
    bench.translated(space=7)
    bench.entry(STLB, VA, DATA | V | G, DATA | V | G, space=3)
    bench.entry(STLB + 1, VA + 0x2000, DATA | V | G, DATA | V, space=3)
    assert bench.look(VA) == DATA
    assert bench.look(VA + 0x2000) == -Cause.TLB_REFILL
    bench.state.asid = 3
    assert bench.look(VA + 0x2000) == DATA


def walk_tables(bench: Bench, leaf: int, huge: int = 0) -> None:
    """Three levels of tables for 16 KiB pages, as Linux has them, with one pair of pages for VA."""
    s = bench.state
    s.pwcl = 14 | 11 << 5 | 25 << 10 | 11 << 15
    s.pwch = 36 | 11 << 6
    s.stlbps = 14
    top, middle, bottom = TABLES, TABLES + 0x4000, TABLES + 0x8000
    s.pgdl = top
    bench.memory.write(top + 8 * (VA >> 36 & 0x7FF), 8, middle | 0x9000 << 48)
    bench.memory.write(middle + 8 * (VA >> 25 & 0x7FF), 8, huge or bottom | 0x9000 << 48)
    bench.memory.write(bottom + 8 * (VA >> 14 & 0x7FF), 8, leaf)
    bench.memory.write(bottom + 8 * (VA >> 14 & 0x7FF) + 8, 8, leaf + 0x4000)


WALK = (csrwr("tlbrsave"), csrrd("pgd"), lddir(3), lddir(1), ldpte(0), ldpte(1), TLBFILL, csrrd("tlbrsave"), ERTN)


@pytest.mark.parametrize("huge", [0, 1 << 6 | 1 << 12 | V | D])
def test_refill_by_software(bench: Bench, huge: int) -> None:
    """The handler that operating systems have brings a translation in, and the access goes through, once."""
    bench.translated()
    walk_tables(bench, DATA | V | D, huge)
    bench.state.tlbrentry = 0xB000
    for n, word in enumerate(WALK):
        bench.memory.write(0xB000 + 4 * n, 4, word)
    bench.memory.write(DATA if not huge else 0x20_0000, 8, 0x1122_3344_5566_7788)
    bench.r[A0], bench.r[A1] = 99, VA + (0x20_0000 if huge else 0)
    if bench.native:
        bench.run(ld_d(), st_d(A1, A1))
    else:
        bench.memory.write(CODE, 4, ld_d())
        bench.memory.write(CODE + 4, 4, st_d(A1, A1))
        bench.state.next_pc = WINDOW | CODE
        for _ in range(3 + len(WALK)):
            bench.cpu.step()
    assert bench.r[A0] == 0x1122_3344_5566_7788
    assert bench.memory.read(DATA if not huge else 0x20_0000, 8) == bench.r[A1]
    assert bench.state.crmd == PG
    assert bench.state.tlbrera & 1 == 0


def test_engine_follows_invalidation(bench: Bench) -> None:
    """Once invtlb has taken an entry away, machine code does not reach the page either; the page beside it stays."""
    bench.translated()
    bench.entry(STLB, VA, DATA | V, DATA | V)
    bench.entry(STLB + 1, VA + 0x2000, DATA | V, DATA | V)
    bench.r[A1] = VA
    bench.run(ld_d(A0))
    assert bench.state.pc == WINDOW | CODE + 4
    bench.r[A0] = 0
    bench.run(invtlb(5), ld_d(A0))
    assert (bench.state.pc, bench.state.tlbrbadv) == (REFILL, VA)
    bench.translated()
    assert bench.look(VA + 0x2000) == DATA


def test_search_read_write(bench: Bench) -> None:
    """tlbsrch finds the index, tlbrd reads the entry back, and an empty one says so."""
    bench.translated(space=5)
    bench.entry(STLB + 9, VA, DATA | V, DATA | V | D, size=21, space=5)
    bench.state.tlbehi, bench.state.tlbidx = VA & -0x40_0000, NE
    bench.run(TLBSRCH)
    assert bench.state.tlbidx & (NE | 0xFFF) == STLB + 9
    bench.state.tlbehi = bench.state.tlbelo0 = 0
    bench.run(TLBRD)
    assert (bench.state.tlbehi, bench.state.tlbelo0, bench.state.tlbelo1) == (VA, DATA | V, DATA | V | D)
    assert bench.state.tlbidx == 21 << 24 | STLB + 9
    bench.state.tlbidx = 17
    bench.run(TLBRD)
    assert (bench.state.tlbidx, bench.state.tlbehi) == (NE | 17, 0)
    bench.state.tlbehi = VA + 0x8000_0000
    bench.run(TLBSRCH)
    assert bench.state.tlbidx & NE


@pytest.mark.parametrize(("word", "gone"), [(TLBCLR, {1}), (TLBFLUSH, {1, 2, 3})])
def test_clear_and_flush(bench: Bench, word: int, gone: set[int]) -> None:
    """tlbclr empties what belongs to the present address space in the MTLB or in a set; tlbflush all of it."""
    bench.translated(space=1)
    for n, (space, flags) in enumerate(((1, 0), (2, 0), (1, G)), 1):
        bench.entry(STLB + n, VA + 0x2000 * n, DATA | V | flags, DATA | V | flags, space=space)
    bench.state.tlbidx = STLB
    bench.run(word)
    left = {n for n in (1, 2, 3) if bench.state.mtlb_used >> n & 1}
    assert left == {1, 2, 3} - gone


def test_refills_spread_over_ways(benches: Benches) -> None:
    """Entries of the STLB's page size go to the set that their address chooses, others to the MTLB, and none is lost from it
    until it is full.
    """
    bench = benches.get("la464", native=True)
    bench.translated()
    s = bench.state
    for n in range(MTLB):
        s.tlbehi, s.tlbidx, s.tlbelo0, s.tlbelo1 = VA + (n << 25), 24 << 24, V, V
        bench.cpu.call("tlb_fill")
    assert all(bench.look(VA + (n << 25)) == 0 for n in range(MTLB))
    s.tlbehi, s.tlbidx = 0x1234_6000, 12 << 24
    bench.cpu.call("tlb_fill")
    bench.cpu.call("tlb_search")
    assert s.tlbidx & 0xFF == 0x1234_6000 >> 13 & 0xFF and s.tlbidx & 0xFFF < STLB < ENTRIES


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["write", *range(7)]), st.integers(0, MTLB - 1), st.integers(0, 5), st.integers(1, 2), st.booleans()),
    min_size=1, max_size=40,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(OPERATIONS)
def test_invalidation_against_a_model(operations: list[tuple[str | int, int, int, int, bool]]) -> None:
    """Writes at random and every kind of invtlb leave what a list of entries leaves."""
    bench = _MODEL.get("la464", native=True)
    bench.translated()
    model: dict[int, tuple[int, int, bool]] = {}
    for op, index, page, space, is_global in operations:
        va = VA + 0x2000 * page
        if op == "write":
            flags = V | G if is_global else V
            for other in [n for n, (p, a, g) in model.items() if p == page and n != index and (a == space or g or is_global)]:
                del model[other]    # two entries for one page are the program's fault
                bench.state.tlbidx = NE | other
                bench.cpu.call("tlb_write")
            bench.entry(STLB + index, va, DATA | flags, DATA | flags, space=space)
            model[index] = (page, space, is_global)
            continue
        bench.cpu.call("tlb_invalidate", int(op), space, va)
        model = {n: (p, a, g) for n, (p, a, g) in model.items() if not _taken(int(op), (p, a, g), page, space)}
    for page in range(6):
        for space in (1, 2):
            bench.state.asid = space
            there = any(p == page and (g or a == space) for p, a, g in model.values())
            assert (bench.look(VA + 0x2000 * page) == DATA) == there


def _taken(op: int, entry: tuple[int, int, bool], page: int, space: int) -> bool:
    p, a, g = entry
    return (op <= 1, op <= 1, g, not g, not g and a == space, not g and a == space and p == page, (g or a == space) and p == page)[op]


_MODEL = Benches()


def test_order_of_refusals(benches: Benches) -> None:
    """Where several things forbid an access, one is told (5.4.4): not valid, not executable, privilege level, not readable, not
    written.
    """
    bench = benches.get("la464", native=True)
    bench.translated(3)
    for flags, cause in (
        (NR | NX, {LOAD: Cause.LOAD_PAGE, STORE: Cause.STORE_PAGE, FETCH: Cause.FETCH_PAGE}),
        (V | NR | NX, {LOAD: Cause.PRIVILEGE_LEVEL, STORE: Cause.PRIVILEGE_LEVEL, FETCH: Cause.NOT_EXECUTABLE}),
        (V | NR | USER, {LOAD: Cause.NOT_READABLE, STORE: Cause.MODIFIED}),
    ):
        bench.entry(STLB, VA, DATA | flags, DATA | flags)
        for access, expected in cause.items():
            assert bench.look(VA, access) == -expected


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_write_protection_can_be_off(bench: Bench, level: int) -> None:
    """MISC.DWPL lets a level but the last store to clean pages, from the next instruction on."""
    bench.translated()
    bench.state.dmw[0] |= 0xF
    bench.entry(STLB, VA, DATA | V | USER, DATA | V | USER)
    bench.r[A1] = VA
    bench.state.crmd = PG | level
    bench.cpu.call("mode_update")
    bench.run(st_d())
    assert bench.cause == Cause.MODIFIED
    bench.state.crmd = PG
    bench.cpu.call("mode_update")
    bench.r[A0] = 1 << 16 + level
    bench.run(csrwr("misc"))
    bench.state.crmd = PG | level
    bench.cpu.call("mode_update")
    bench.run(st_d())
    assert (bench.state.pc == WINDOW | CODE + 4) == (level < 3)


def test_windows_for_data_only(benches: Benches) -> None:
    """The last two windows do not serve fetches (5.2.1)."""
    bench = benches.get("la464", native=True)
    bench.translated()
    bench.state.dmw[1], bench.state.dmw[2] = 0xA << 60 | 1, 0xB << 60 | 1
    assert bench.look(0xA << 60 | 0x5000, FETCH) == bench.look(0xB << 60 | 0x5000) == 0x5000
    assert bench.look(0xB << 60 | 0x5000, FETCH) == -Cause.FETCH_ADDRESS


def test_hardware_walk(benches: Benches) -> None:
    """A core that walks needs no handler; a debugger's look changes neither tables nor TLB."""
    bench = benches.get("la464,hptw=on", native=True)
    bench.translated()
    entry = TABLES + 0x8000 + 8 * (VA >> 14 & 0x7FF)
    walk_tables(bench, DATA | PRESENT | WRITABLE)
    assert bench.look(VA) == -Cause.TLB_REFILL
    bench.state.pwch |= 1 << 24
    bench.cpu.call("tlb_invalidate", 0, 0, 0)
    assert (bench.look(VA, LOOK), bench.memory.read(entry, 8)) == (DATA, DATA | PRESENT | WRITABLE)
    assert (bench.look(VA), bench.memory.read(entry, 8)) == (DATA, DATA | PRESENT | WRITABLE | V)
    assert (bench.look(VA + 8, STORE), bench.memory.read(entry, 8)) == (DATA + 8, DATA | PRESENT | WRITABLE | V | D)
    assert bench.look(VA + 0x4000, FETCH) == DATA + 0x4000
    assert bench.look(VA + 0x8000) == -Cause.LOAD_PAGE
    bench.memory.write(entry, 8, 0)
    assert bench.look(VA) == DATA   # it is in the TLB


@pytest.mark.parametrize("seed", range(40))
def test_hardware_walks_of_nonsense(benches: Benches, seed: int) -> None:
    """Whatever tables and their shape say, a walk ends, and gives RAM or an exception."""
    bench = benches.get("la464,hptw=on", native=True)
    rng = random.Random(seed)
    bench.translated()
    s = bench.state
    s.pwcl, s.pwch, s.stlbps = rng.getrandbits(32), rng.getrandbits(24) | 1 << 24, rng.choice((12, 14, 63))
    s.pgdl = s.pgdh = TABLES
    for n in range(4096):
        table, anything = TABLES + (rng.randrange(8) << 12), rng.getrandbits(64) | PRESENT
        bench.memory.write(TABLES + 8 * n, 8, rng.choice((0, table, anything, anything & (1 << 22) - 1)))
    for _ in range(50):
        va = rng.getrandbits(47)
        for access in (LOAD, STORE, FETCH, LOOK):
            bench.look(va, access)
