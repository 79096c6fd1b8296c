"""Zicbom and Zicboz, cache-block management and zeroing (RISC-V Cache-Block Management Operations, version 1.0).

There is no cache to manage: an operation checks that it is enabled and that its address may be accessed, and does
nothing else. Not modelled: protection regions that end within a cache block, and access faults of physical addresses
where nothing is. Prefetches (Zicbop) are hints encoded as ori.
"""

from __future__ import annotations

from ratite.isa.dsl import Session
from ratite.isa.riscv.exceptions import illegal
from ratite.isa.riscv.formats import Cbo
from ratite.isa.riscv.mmu import mmu_fill
from ratite.isa.riscv.table import RISCV

zicbom = RISCV.extension("zicbom")
zicboz = RISCV.extension("zicboz")

#: Bytes in a cache block.
BLOCK = 64

# Fields of menvcfg and senvcfg, as highest and lowest bit.
CBIE, CBCFE, CBZE = (5, 4), (6, 6), (7, 7)

# What mmu_fill is asked for, and from where on its answers are exceptions.
_LOAD, _STORE = 0, 1
_EXCEPTION = 16

_MACHINE, _USER = 3, 0


def _require_enabled(s: Session, o: Cbo, field: tuple[int, int]) -> None:
    """Raise an illegal-instruction exception where a more privileged mode has not enabled the operation."""
    if s.config.user or s.context == _MACHINE:
        return
    enabled = s.menvcfg.bits(*field) != 0
    if s.context == _USER and s.config.has("s"):
        enabled = enabled & (s.senvcfg.bits(*field) != 0)
    with s.when(enabled == 0, likely=False):
        illegal(s, o)


def _require_access(s: Session, o: Cbo) -> None:
    """Raise the exception of a store unless the address can be loaded from or stored to."""
    addr = s.x[o.rs1]
    if s.config.user:
        s.load(addr, 8)
        return
    with s.when(s.call(mmu_fill, addr, _LOAD) >= _EXCEPTION, likely=False):
        status = s.call(mmu_fill, addr, _STORE)
        with s.when(status >= _EXCEPTION):
            s.trap(status - _EXCEPTION, addr)


@zicbom("000000000000 ..... 010 00000 0001111", "cbo.inval ({rs1})", privileged=True)
def cbo_inval(s: Session, o: Cbo) -> None:
    """Invalidate a cache block."""
    _require_enabled(s, o, CBIE)
    _require_access(s, o)


@zicbom("000000000001 ..... 010 00000 0001111", "cbo.clean ({rs1})", privileged=True)
def cbo_clean(s: Session, o: Cbo) -> None:
    """Write a cache block back."""
    _require_enabled(s, o, CBCFE)
    _require_access(s, o)


@zicbom("000000000010 ..... 010 00000 0001111", "cbo.flush ({rs1})", privileged=True)
def cbo_flush(s: Session, o: Cbo) -> None:
    """Write a cache block back and invalidate it."""
    _require_enabled(s, o, CBCFE)
    _require_access(s, o)


@zicboz("000000000100 ..... 010 00000 0001111", "cbo.zero ({rs1})", privileged=True)
def cbo_zero(s: Session, o: Cbo) -> None:
    """Set a cache block to zeros."""
    _require_enabled(s, o, CBZE)
    base = s.x[o.rs1] & -BLOCK
    for offset in range(0, BLOCK, 8):
        s.store(base + offset, s.const(0, 64))
