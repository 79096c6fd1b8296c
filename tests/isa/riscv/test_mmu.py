"""Address translation against a model of the manual's algorithm, and through whole accesses of instructions."""

from __future__ import annotations

import random

import pytest

from ratite.bits import mask
from tests.isa.riscv import page_tables as pt
from tests.isa.riscv.harts import CODE, NOP, RAM, Bench, Benches, M, S, U, csrrc, csrrs, csrrw
from tests.isa.riscv.page_tables import FETCH, LOAD, LOOK, SCHEMES, STORE, PageTable, Rules, Scheme, walk

TABLES, DATA = RAM + 0x20_0000, RAM + 0x10_0000
SUM, MXR, MPRV = 1 << 18, 1 << 19, 1 << 17
ALL = pt.R | pt.W | pt.X
SFENCE = 0x12000073

CPUS = {32: "rv32", 64: "rv64,svinval=on,svnapot=on,svpbmt=on"}


def lw(rd: int, rs1: int, offset: int = 0) -> int:
    """lw rd, offset(rs1)."""
    return (offset & 0xFFF) << 20 | rs1 << 15 | 2 << 12 | rd << 7 | 0x03


def sw(rs2: int, rs1: int) -> int:
    """sw rs2, 0(rs1)."""
    return rs2 << 20 | rs1 << 15 | 2 << 12 | 0x23


def _table(bench: Bench, scheme: Scheme) -> PageTable:
    return PageTable(scheme, TABLES, bench.memory.read, bench.memory.write)


def _identity(bench: Bench, scheme: Scheme, flags: int = 0) -> PageTable:
    """A table that maps the code page and the handlers to themselves."""
    table = _table(bench, scheme)
    for page in (CODE, CODE + 0x8000, CODE + 0x9000, CODE + 0xA000):
        table.map(page, page, ALL | pt.A | pt.D | flags)
    return table


def _rv(scheme: Scheme, native: bool, benches: Benches) -> Bench:
    return benches.get(CPUS[scheme.xlen], scheme.xlen, native)


def _random_pte(rng: random.Random, level: int, scheme: Scheme) -> int:
    """A leaf, most often a good one."""
    flags = pt.V | rng.getrandbits(10) & ~1
    if rng.random() < 0.8:
        flags |= rng.choice([pt.R, pt.R | pt.W, pt.X, ALL])
    page = (RAM + rng.randrange(0, 0x40_0000, 4096)) >> 12
    if level and rng.random() < 0.8:
        page &= ~mask(level * scheme.index_bits)
    pte = page << 10 | flags
    if scheme.xlen == 64 and rng.random() < 0.4:
        pte |= rng.choice([pt.N, pt.N, pt.PBMT_NC, pt.PBMT_IO, 3 << 61, 1 << 54, 1 << 60])
        if pte & pt.N and rng.random() < 0.7:
            pte = pte & ~(0xF << 10) | 8 << 10
    return pte


@pytest.mark.parametrize("name", SCHEMES)
def test_walk(benches: Benches, name: str) -> None:
    """Random entries at random levels for random accesses: status, address, permissions and A and D bits."""
    scheme, rng = SCHEMES[name], random.Random(name)
    bench = _rv(scheme, False, benches)
    state = bench.state
    good = 0
    for _ in range(700):
        table = _table(bench, scheme)
        level = rng.choice([0, 0, *range(scheme.levels)])
        va = rng.getrandbits(scheme.xlen)
        va = scheme.canonical(va) if rng.random() < 0.95 else va
        place = table.entry(va, level)
        table.put(place, _random_pte(rng, level, scheme))
        if rng.random() < 0.05:
            above = table.entry(va, min(level + 1, scheme.levels - 1))
            table.put(above, table.get(above) | rng.choice([pt.A, pt.D, pt.U]))
        pbmt = rng.random() < 0.8
        rules = Rules(rng.choice([U, S]), rng.random() < 0.5, rng.random() < 0.5, svnapot=True, svpbmt=pbmt)
        access = rng.choice([LOAD, STORE, FETCH, LOOK])
        state.satp = scheme.satp(TABLES, rng.getrandbits(9))
        state.menvcfg = pbmt << 62
        state.priv, state.mstatus = rules.priv, rules.sum * SUM | rules.mxr * MXR
        if access in (LOAD, STORE) and rng.random() < 0.3:    # the same view, lent to machine mode
            state.priv, state.mstatus = M, state.mstatus | MPRV | rules.priv << 11
        expected = walk(table, va, access, rules)
        found = bench.cpu.call("translate", va, access)
        assert found == expected.status
        if found == 0:
            good += 1
            assert (state.walk_pa, state.walk_perms) == (expected.pa, expected.perms)
            assert table.get(expected.place) == expected.pte
    assert good > 100
    bench.mode(M)


@pytest.mark.parametrize("name", ["sv39", "sv48", "sv57"])
def test_walk_without_the_extensions(benches: Benches, name: str) -> None:
    """Without Svnapot and Svpbmt their bits are reserved."""
    bench = benches.get("rv64")
    scheme = SCHEMES[name]
    table = _table(bench, scheme)
    bench.state.satp, bench.state.priv, bench.state.menvcfg = table.satp, S, 1 << 62
    for extra, status in ((0, 0), (pt.N | 8 << 10, 29), (pt.PBMT_NC, 29), (pt.PBMT_IO, 29)):
        table.put(table.entry(0x1000), DATA >> 12 << 10 | extra | pt.V | pt.R)
        assert bench.cpu.call("translate", 0x1000, LOAD) == status
    bench.mode(M)


@pytest.mark.parametrize(("mode", "bare"), [(M, False), (S, True), (U, True)])
def test_no_translation(benches: Benches, mode: int, bare: bool) -> None:
    """Machine mode, and satp.MODE = 0: addresses are physical."""
    bench = benches.get()
    bench.state.satp = 0x12345 if bare else 8 << 60 | 0x12345
    bench.mode(mode)
    for address in (DATA, 0xFFFF_FFFF_FFFF_F123, 0):
        assert bench.cpu.call("translate", address, LOAD) == 0
        assert bench.state.walk_pa == address
    bench.mode(M)


@pytest.mark.parametrize("name", SCHEMES)
def test_table_outside_memory(benches: Benches, name: str) -> None:
    """A table where there is no RAM is an access fault of the kind of the access."""
    scheme = SCHEMES[name]
    bench = _rv(scheme, False, benches)
    bench.state.satp, bench.state.priv = scheme.satp(0x1000_0000), S
    assert [bench.cpu.call("translate", 0x1000, access) for access in (LOAD, STORE, FETCH)] == [16 + 5, 16 + 7, 16 + 1]
    table = _table(bench, scheme)
    bench.state.satp = table.satp
    table.put(table.entry(0x1000, scheme.levels - 1), 0x1000_0000 >> 12 << 10 | pt.V)
    assert bench.cpu.call("translate", 0x1000, STORE) == 16 + 7
    bench.mode(M)


# --- whole accesses ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("native", [False, True], ids=["reference", "native"])
@pytest.mark.parametrize("name", SCHEMES)
def test_loads_and_stores(benches: Benches, name: str, native: bool) -> None:
    """Load and store through pages of every size; A is set by the load, D by the store alone."""
    scheme = SCHEMES[name]
    bench = _rv(scheme, native, benches)
    for level in range(scheme.levels):
        bench.reset()
        table = _identity(bench, scheme)
        size = 4096 << level * scheme.index_bits
        va = scheme.canonical(5 * (4096 << (scheme.levels - 1) * scheme.index_bits)) + 0x123400 % size
        physical = DATA - DATA % size + va % size
        place = table.map(va, DATA - DATA % size, pt.R | pt.W, level)
        backed = RAM <= physical < RAM + 0x40_0000
        if backed:
            bench.memory.write(physical, 4, 0x1234)
        bench.state.satp = table.satp
        bench.mode(S)
        bench.x[12], bench.x[13] = va, 0x77
        bench.run(lw(10, 12))
        assert bench.trapped == (None if backed else 5)
        assert table.get(place) & (pt.A | pt.D) == pt.A
        if backed:
            assert bench.x[10] == 0x1234
            bench.run(sw(13, 12), lw(10, 12))
            assert (bench.trapped, bench.x[10], table.get(place) & pt.D) == (None, 0x77, pt.D)
            assert bench.memory.read(physical, 4) == 0x77


@pytest.mark.parametrize(("flags", "mode", "mstatus", "load", "store", "fetch"), [
    (pt.R, S, 0, None, 15, 12),
    (pt.R | pt.W, S, 0, None, None, 12),
    (pt.X, S, 0, 13, 15, None),
    (pt.X, S, MXR, None, 15, None),
    (ALL, S, 0, None, None, None),
    (ALL | pt.U, S, 0, 13, 15, 12),
    (ALL | pt.U, S, SUM, None, None, 12),
    (ALL | pt.U, U, 0, None, None, None),
    (pt.X | pt.U, U, MXR, None, 15, None),
    (ALL, U, SUM, 13, 15, 12),
])  # fmt: skip
def test_permissions(
    bench: Bench, flags: int, mode: int, mstatus: int, load: int | None, store: int | None, fetch: int | None
) -> None:
    """What each mode may do; the fault's value is the address."""
    va = 0x40_0000_0000 - 4096    # the highest page of the lower half
    for word, expected in ((lw(10, 12), load), (sw(13, 12), store), (0x00060067, fetch)):    # jalr x0, 0(a2)
        bench.reset()
        table = _identity(bench, SCHEMES["sv39"], pt.U if mode == U else 0)
        table.map(va, DATA, flags | pt.A | pt.D)
        bench.memory.write(DATA, 4, 0x00100073)    # ebreak
        bench.state.satp, bench.state.mstatus = table.satp, mstatus
        bench.mode(mode)
        bench.x[12] = va
        bench.run(word)
        if word == 0x00060067:
            if not bench.native:
                bench.cpu.step()
            assert (bench.trapped, bench.state.mepc) == (3 if expected is None else expected, va)
        else:
            assert bench.trapped == expected
        if expected is not None:
            assert bench.state.mtval == va


def test_supervisor_switches_user_access(bench: Bench) -> None:
    """SUM set and cleared between two accesses: no fence is needed, and translations kept from before do no harm."""
    table = _identity(bench, SCHEMES["sv39"])
    table.map(0x5000, DATA, pt.R | pt.W | pt.U | pt.A | pt.D)
    bench.state.satp = table.satp
    bench.mode(S)
    bench.x[11], bench.x[12] = SUM, 0x5000
    bench.run(csrrs("sstatus"), lw(10, 12), csrrc("sstatus", rd=0), csrrs("sstatus", rd=0), lw(10, 12))
    assert bench.trapped is None
    bench.run(csrrc("sstatus", rd=0), lw(10, 12))
    assert bench.trapped == 13


def test_execute_only_pages_become_readable_and_unreadable(bench: Bench) -> None:
    """MXR set and cleared between two accesses."""
    table = _identity(bench, SCHEMES["sv39"])
    table.map(0x5000, DATA, pt.X | pt.A)
    bench.state.satp = table.satp
    bench.mode(S)
    bench.x[11], bench.x[12] = MXR, 0x5000
    bench.run(csrrs("sstatus", rd=0), lw(10, 12), csrrc("sstatus", rd=0), lw(10, 12))
    assert (bench.trapped, bench.state.mepc) == (13, CODE + 12)


def test_machine_mode_borrows_a_view(bench: Bench) -> None:
    """MPRV: loads and stores look as MPP does, fetches do not; with MPP changed the view changes."""
    table = _table(bench, SCHEMES["sv39"])
    table.map(DATA, DATA + 0x1000, pt.R | pt.W | pt.A | pt.D)
    table.map(DATA + 0x1000, DATA + 0x2000, pt.R | pt.W | pt.A | pt.D | pt.U)
    for n in range(3):
        bench.memory.write(DATA + 0x1000 * n, 4, n)
    bench.state.satp = table.satp
    bench.x[12], bench.x[14] = DATA, DATA + 0x1000

    def look(mstatus: int, base: int) -> tuple[int | None, int]:
        bench.x[11] = mstatus
        bench.run(csrrw("mstatus", rd=0), lw(10, base), NOP)
        return bench.trapped, int(bench.x[10])

    assert look(0, 12) == (None, 0)
    assert look(MPRV | S << 11, 12) == (None, 1)
    assert look(MPRV | M << 11, 12) == (None, 0)
    assert look(MPRV | S << 11 | SUM, 14) == (None, 2)
    assert look(MPRV | U << 11, 14) == (None, 2)
    assert look(MPRV | U << 11, 12)[0] == 13
    bench.mode(M)
    assert look(MPRV | S << 11, 14)[0] == 13


def test_fences(bench: Bench) -> None:
    """After sfence.vma, of all or of one address, a changed entry is seen; so is another table after a write of satp.
    """
    table = _identity(bench, SCHEMES["sv39"])
    place = table.map(0x7000, DATA, pt.R | pt.A)
    for n in range(3):
        bench.memory.write(DATA + 0x1000 * n, 4, n)
    bench.state.satp = table.satp
    bench.mode(S)
    bench.x[12] = 0x7000
    for fence in (SFENCE, SFENCE | 12 << 15, SFENCE | 12 << 15 | 3 << 20, 0x16000073 | 12 << 15):
        table.put(place, DATA >> 12 << 10 | pt.V | pt.R | pt.A)
        bench.run(fence, lw(10, 12))
        assert bench.x[10] == 0
        table.put(place, DATA + 0x2000 >> 12 << 10 | pt.V | pt.R | pt.A)
        bench.run(NOP, fence, lw(10, 12))
        assert (bench.trapped, bench.x[10]) == (None, 2)
    other = PageTable(SCHEMES["sv39"], TABLES + 0x10_0000, bench.memory.read, bench.memory.write)
    other.map(CODE, CODE, ALL | pt.A | pt.D)
    other.map(0x7000, DATA + 0x1000, pt.R | pt.A)
    bench.x[11] = other.satp
    bench.run(csrrw("satp"), lw(10, 12))
    assert bench.x[10] == 1


def test_fence_of_one_address_inside_a_large_page(bench: Bench) -> None:
    """An address fence drops all that was kept of the large page around it."""
    table = _identity(bench, SCHEMES["sv39"])
    va = 0x4000_0000
    place = table.map(va, RAM, pt.R | pt.A, level=1)
    bench.state.satp = table.satp
    bench.memory.write(DATA, 4, 1)
    bench.memory.write(DATA + 0x1000, 4, 2)
    bench.mode(S)
    bench.x[12], bench.x[13], bench.x[14] = va + DATA - RAM, va + DATA - RAM + 0x1000, va
    bench.run(lw(10, 12), lw(11, 13))
    assert (bench.trapped, bench.x[10], bench.x[11]) == (None, 1, 2)
    table.put(place, 0)
    bench.run(SFENCE | 14 << 15, lw(10, 13))
    assert bench.trapped == 13


def test_address_translation_off_in_the_configuration(benches: Benches) -> None:
    """A hart without address translation takes no mode but 0."""
    bench = benches.get("rv64,mmu=off")
    assert bench.put("satp", 8 << 60) == 0


@pytest.mark.parametrize("offset", [0xFFD, 0xFFE, 0xFFF])
def test_access_across_pages(bench: Bench, offset: int) -> None:
    """The second page's fault counts with its address; the first page's comes first; a good pair is read and written.
    """
    table = _identity(bench, SCHEMES["sv39"])
    table.map(0x5000, DATA, pt.R | pt.W | pt.A | pt.D)
    second = table.map(0x6000, DATA + 0x3000, pt.R | pt.W | pt.A | pt.D)
    bench.state.satp = table.satp
    bench.mode(S)
    bench.x[12], bench.x[13] = 0x5000 + offset, 0x89ABCDEF
    bench.run(sw(13, 12), lw(10, 12))
    assert (bench.trapped, bench.x[10] & mask(32)) == (None, 0x89ABCDEF)
    assert bench.memory.read(DATA + 0x3000, 1) == 0x89ABCDEF >> 8 * (0x1000 - offset) & 0xFF
    table.put(second, 0)
    bench.run(SFENCE, lw(10, 12))
    assert (bench.trapped, bench.state.mtval) == (13, 0x6000)
    bench.mode(S)
    bench.memory.write(DATA + offset, 1, 0)
    bench.run(sw(13, 12))
    assert (bench.trapped, bench.memory.read(DATA + offset, 1)) == (15, 0)
