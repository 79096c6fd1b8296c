"""Physical memory protection (volume II, 20211203, 3.7): writes of its registers, and what they allow, against a model.
"""

from __future__ import annotations

import random

import pytest

from ratite.bits import bit, bits, mask
from ratite.isa.riscv.pmp import FETCH, LOAD, SPLIT, STORE, check_access, pmp_allows
from tests.isa.riscv.harts import CODE, RAM, Bench, Benches, M, S, U, csrr, csrrw
from tests.isa.riscv.test_mmu import lw, sw

R, W, X, TOR, NA4, NAPOT, L = 1, 2, 4, 1 << 3, 2 << 3, 3 << 3, 0x80
DATA = RAM + 0x10_0000
ACCESS_FAULT = {LOAD: 5, STORE: 7, FETCH: 1}


def napot(base: int, size: int) -> int:
    """pmpaddr of a naturally aligned region."""
    return base >> 2 | (size >> 3) - 1


class Model:
    """The registers of a hart, and the manual's matching rules byte by byte."""

    def __init__(self) -> None:
        self.cfg, self.addr = [0] * 16, [0] * 16

    def covers(self, n: int, byte: int) -> bool:
        """Whether entry `n` covers a byte."""
        addr = self.addr[n]
        kind = bits(self.cfg[n], 4, 3)
        if kind == 1:
            return (self.addr[n - 1] if n else 0) << 2 <= byte < addr << 2
        if kind == 2:
            return byte >> 2 == addr
        if kind == 3:
            ones = (addr ^ addr + 1).bit_length()
            return byte >> 2 + ones == addr >> ones
        return False

    def allows(self, pa: int, size: int, access: int, mode: int) -> bool:
        """Whether an access passes."""
        for n in range(16):
            covered = [self.covers(n, pa + k) for k in range(size)]
            if any(covered):
                free = mode == M and not self.cfg[n] & L
                return all(covered) and (free or bool(bit(self.cfg[n], access)))
        return mode == M

    def randomise(self, rng: random.Random) -> None:
        """Entries around one page, small and large."""
        for n in range(16):
            self.cfg[n] = rng.choice([0, 0, rng.getrandbits(8) & 0x9F])
            if self.cfg[n] & 3 == W:
                self.cfg[n] &= ~W
            place = DATA + rng.randrange(-0x2000, 0x2000)
            shift = rng.randrange(0, 14)
            self.addr[n] = place >> 2 | mask(shift)
        self.cfg[0] &= ~L    # as TOR it can cover the code

    def put(self, bench: Bench) -> None:
        """Write the registers, locks last."""
        xlen = bench.config.xlen
        for n in range(16):
            bench.put(f"pmpaddr{n}", self.addr[n])
        per = xlen // 8
        for n in range(0, 16, per):
            bench.put(f"pmpcfg{n // 4}", int.from_bytes(bytes(self.cfg[n : n + per]), "little"))


@pytest.mark.parametrize("seed", range(20))
def test_matching(benches: Benches, seed: int) -> None:
    """Accesses of every kind, size and mode; a page is handled as a whole only where all of it has the same rights."""
    rng, bench, model = random.Random(seed), benches.get(), Model()
    bench.state.pmp_rules = 0
    model.randomise(rng)
    model.put(bench)
    for _ in range(200):
        mode, access, size = rng.choice([U, S, M]), rng.choice([LOAD, STORE, FETCH]), rng.choice([1, 2, 4, 8])
        pa = DATA + rng.randrange(-0x2800, 0x2800)
        expected = model.allows(pa, size, access, mode)
        assert pmp_allows(bench.state, pa, size, access, mode) == expected
        bench.state.priv = mode
        assert check_access(bench.cpu, pa, size, access) == expected
        whole = bench.cpu.call("page_rights", pa >> 12, mode)
        if whole != SPLIT and pa & 0xFFF <= 0x1000 - size:
            assert bool(whole >> access & 1) == expected
    bench.mode(M)


def test_whole_pages_are_recognised(benches: Benches) -> None:
    """A page that no boundary cuts is never checked piece by piece."""
    bench, rng = benches.get(), random.Random(1)
    for n in range(16):
        bench.put(f"pmpaddr{n}", (DATA + 0x1000 * n) >> 2 if n % 2 else napot(DATA + 0x1000 * n, 0x1000))
    kinds = [TOR if n % 2 else NAPOT for n in range(16)]
    for first in (0, 8):
        configurations = bytes(kinds[first + n] | rng.choice([0, 1, 3, 5, 7]) for n in range(8))
        bench.put(f"pmpcfg{first // 4}", int.from_bytes(configurations, "little"))
    for page in range(DATA - 0x2000, DATA + 0x12000, 0x1000):
        assert bench.cpu.call("page_rights", page >> 12, S) != SPLIT


@pytest.mark.parametrize("xlen", [32, 64])
def test_locked_entries(benches: Benches, xlen: int) -> None:
    """L keeps configuration and address until reset, and the address before it when the entry is TOR."""
    for native in (False, True):
        bench = benches.get(f"rv{xlen}", xlen, native)
        bench.put("pmpaddr1", 0x1000)
        bench.put("pmpaddr2", 0x2000)
        bench.put("pmpcfg0", (L | TOR | R) << 16 | (R | W) << 8)
        assert bench.put("pmpcfg0", mask(32)) == 0x9F_00_00_9F | (L | TOR | R) << 16 | 0x9F << 8
        assert bench.put("pmpaddr2", 0) == 0x2000
        assert bench.put("pmpaddr1", 0) == 0x1000
        bench.reset()
        assert bench.put("pmpaddr2", 5) == 5
        bench.put("pmpcfg0", (L | NAPOT | R) << 16 | (R | W) << 8)
        assert bench.put("pmpaddr1", 3) == 3


@pytest.mark.parametrize(("cfg", "mode", "load", "store"), [
    (NAPOT | R | W, S, None, None), (NAPOT | R, S, None, 7), (NAPOT | X, S, 5, 7), (NAPOT, U, 5, 7),
    (NAPOT, M, None, None), (NAPOT | L, M, 5, 7), (NAPOT | L | R, M, None, 7), (NAPOT | L | R | W, M, None, None),
])  # fmt: skip
@pytest.mark.parametrize("size", [8, 4096])
def test_accesses(bench: Bench, cfg: int, mode: int, load: int | None, store: int | None, size: int) -> None:
    """Loads and stores in a region of one page, and of eight bytes, with everything else allowed."""
    state = bench.state
    state.pmp_rules = 0
    bench.put("pmpaddr1", mask(54))
    bench.put("pmpaddr0", napot(DATA, size))
    bench.put("pmpcfg0", (NAPOT | R | W | X) << 8 | cfg)
    bench.x[12], bench.x[13] = DATA, 5
    for word, expected in ((lw(10, 12), load), (sw(13, 12), store)):
        bench.mode(mode)
        bench.run(word)
        assert bench.trapped == expected
        if expected is not None:
            assert state.mtval == DATA
    bench.mode(mode)
    bench.x[12] = DATA + size
    bench.run(lw(10, 12))
    assert bench.trapped is None
    bench.mode(M)


def test_access_that_a_region_covers_in_part(bench: Bench) -> None:
    """It fails, whatever the permissions."""
    inner = DATA + 0x100
    bench.put("pmpaddr0", napot(inner, 8))
    bench.put("pmpaddr2", mask(54))
    bench.put("pmpcfg0", (NAPOT | R | W | X) << 16 | NAPOT | R | W | X)
    bench.mode(S)
    for address, expected in ((inner + 4, None), (inner + 6, 5), (inner - 2, 5), (inner + 8, None)):
        bench.x[12] = address
        bench.mode(S)
        bench.run(lw(10, 12))
        assert bench.trapped == expected
    bench.mode(M)


def test_nothing_matches(bench: Bench) -> None:
    """Without a matching entry machine mode passes and lower modes do not, not even to fetch."""
    bench.put("pmpcfg0", 0)
    assert bench.cpu.call("translate", DATA, LOAD) == 0
    for mode in (S, U):
        bench.mode(mode)
        assert [bench.cpu.call("translate", DATA, a) for a in (LOAD, STORE, FETCH)] == [16 + 5, 16 + 7, 16 + 1]
    bench.state.next_pc = CODE
    if bench.native:
        bench.cpu.run()
    else:
        bench.cpu.step()
    assert (bench.trapped, bench.state.mtval, bench.state.mepc) == (1, CODE, CODE)


def test_lent_view_is_protected_as_the_lender(bench: Bench) -> None:
    """With MPRV, protection looks at MPP too, in whole pages and in pieces."""
    for size in (4096, 8):
        bench.reset()
        bench.put("pmpaddr0", napot(DATA, size))
        bench.put("pmpcfg0", (NAPOT | R | W | X) << 8 | NAPOT)
        bench.put("pmpaddr1", mask(54))
        bench.x[11], bench.x[12] = 1 << 17 | S << 11, DATA
        bench.run(lw(10, 12))
        assert bench.trapped is None
        bench.run(csrrw("mstatus", rd=0), lw(10, 12))
        assert bench.trapped == 5


def test_page_table_is_protected(bench: Bench) -> None:
    """A walk needs read permission for the table; without it the access itself gets the access fault."""
    table = RAM + 0x20_0000
    bench.put("pmpaddr0", napot(table, 4096))
    bench.put("pmpaddr1", mask(54))
    bench.put("pmpcfg0", (NAPOT | R | W | X) << 8 | NAPOT | X)
    bench.state.satp = 8 << 60 | table >> 12
    bench.mode(S)
    assert [bench.cpu.call("translate", 0x1000, a) for a in (LOAD, STORE, FETCH)] == [16 + 5, 16 + 7, 16 + 1]
    bench.mode(M)
    bench.put("pmpcfg0", (NAPOT | R | W | X) << 8 | NAPOT | R)
    bench.mode(S)
    assert bench.cpu.call("translate", 0x1000, LOAD) == 16 + 13
    bench.mode(M)


def test_no_protection_in_the_configuration(benches: Benches) -> None:
    """Without PMP everything passes and its registers do not exist."""
    bench = benches.get("rv64,pmp=off")
    bench.run(csrr("pmpcfg0"))
    assert bench.trapped == 2
    bench.mode(U)
    assert bench.cpu.call("translate", DATA, STORE) == 0
    bench.mode(M)
