"""Privileged instructions at random, with values at random in every register: machine code does what the reference evaluator
does, and neither can be brought to raise.
"""

from __future__ import annotations

import random

import pytest

from ratite.isa.loongarch.csr import CSRS
from tests.isa.loongarch.cores import (
    PG,
    TABLES,
    TLBCLR,
    TLBFILL,
    TLBFLUSH,
    TLBRD,
    TLBSRCH,
    TLBWR,
    Bench,
    Benches,
    csrxchg,
    invtlb,
    lddir,
    ldpte,
)

#: What differs between two vCPUs, or tells of how the engine got somewhere.
_OWN = ("tlb_table", "timer_deadline", "walk_pa", "walk_perms")
#: Not those that are written through Python, change the time, or make the next fetch another one.
_CSRS = [number for number, csr in CSRS.items() if csr.name not in ("tcfg", "tval", "crmd", "dmw0")] + [0x3FF]


def word(rng: random.Random) -> int:
    """An instruction."""
    a, b = rng.randrange(32), rng.randrange(32)
    return rng.choice((
        lambda: csrxchg(rng.choice(_CSRS), a, rng.choice((0, 1, b))), lambda: csrxchg(rng.choice(_CSRS), a, b),
        lambda: rng.choice((TLBCLR, TLBFLUSH, TLBSRCH, TLBRD, TLBWR, TLBFILL)), lambda: invtlb(rng.randrange(8), a, b),
        lambda: lddir(rng.randrange(8), a, b), lambda: ldpte(rng.randrange(2), a),
    ))()  # fmt: skip


def value(rng: random.Random) -> int:
    """A register's value: a small number, a table, an address, or anything."""
    return rng.choice((
        rng.randrange(4096), TABLES + 8 * rng.randrange(512), TABLES | 0x40 | rng.randrange(4) << 13, rng.getrandbits(64),
        12 << 24 | rng.randrange(2200), rng.getrandbits(48) & -0x1000 | rng.randrange(128), 1 << rng.randrange(64), -1 & (1 << 64) - 1,
    ))  # fmt: skip


def prepare(bench: Bench, seed: int) -> int:
    """Give the core a state at random; returns the instruction."""
    rng = random.Random(seed)
    bench.reset()
    chosen = word(rng)
    if rng.random() < 0.5:
        bench.translated()
    for n in range(1, 32):
        bench.r[n] = value(rng)
    s = bench.state
    for name in ("tlbidx", "tlbehi", "tlbelo0", "tlbelo1", "tlbrehi", "tlbrelo0", "tlbrelo1", "tlbrbadv", "pgdl", "pwcl", "pwch", "era", "badv"):
        setattr(s, name, value(rng) & CSRMASK.get(name, -1))
    s.stlbps, s.asid, s.tlbrera = rng.choice((12, 14)), rng.randrange(4), 0xA000 | rng.randrange(2)
    for n in range(rng.randrange(6)):
        bench.entry(rng.choice((2048 + n, rng.randrange(2048))), value(rng), value(rng), value(rng), rng.randrange(64), rng.randrange(4))
    for n in range(512):
        bench.memory.write(TABLES + 8 * n, 8, value(rng))
    s.euen, s.tlb_random = 7, seed
    return chosen


CSRMASK = {"tlbidx": 0xBF00_0FFF, "tlbehi": -0x2000, "pwcl": (1 << 32) - 1, "pwch": (1 << 24) - 1}


def outcome(bench: Bench) -> dict[str, object]:
    """The whole state, with the TLB."""
    state = bench.state.save()
    return {name: item for name, item in state.items() if name not in _OWN} | {"tlb": bytes(bench.cpu.tables["tlb_table"].view)}


@pytest.mark.parametrize("seed", range(200))
def test_machine_code_agrees(benches: Benches, seed: int) -> None:
    """One instruction from the same state."""
    results = []
    for native in (False, True):
        bench = benches.get("la464", native)
        chosen = prepare(bench, seed)
        assert bench.state.crmd & PG == 0 or bench.base
        bench.run(chosen)
        results.append(outcome(bench))
    assert results[0] == results[1], f"{chosen:#x}"
