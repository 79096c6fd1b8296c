"""mstatus and sstatus, and what follows from them for translation and interrupts (ISA manual volume II, 20211203, 3.1.6
and 4.1.1).

The engine keeps one translation cache for each way of looking at memory (`MODES`). MPRV lends a lower mode's view to
machine mode; its cache is the fifth, emptied when the mode lent is another one than before.

Big-endian modes (MBE, SBE, UBE), register widths below XLEN in lower modes (SXL, UXL) and the vector and custom state
(VS, XS) are not modelled: those fields have one legal value.
"""

from __future__ import annotations

from typing import NamedTuple

from ratite.ir import Value
from ratite.isa.dsl import Session, native

USER, SUPERVISOR, MACHINE = 0, 1, 3

# Bits of mstatus.
SIE, MIE, SPIE, MPIE, SPP = 1 << 1, 1 << 3, 1 << 5, 1 << 7, 1 << 8
MPP = 3 << 11
MPRV, SUM, MXR, TVM, TW, TSR = (1 << n for n in range(17, 23))
FS = 3 << 13

#: Fields of sstatus that can be written, apart from FS.
_SUPERVISOR_FIELDS = SIE | SPIE | SPP | SUM | MXR
#: Fields of mstatus that can be written where they exist, apart from FS.
_MACHINE_FIELDS = MIE | MPIE | MPP
#: Fields that decide how memory looks.
_VIEW = MPP | MPRV | SUM | MXR

# Translation caches, as `mmu_index` names them.
MMU_USER, MMU_SUPERVISOR, MMU_SUPERVISOR_SUM, MMU_MACHINE, MMU_LENT = range(5)
MMU_MODES = 5


class Change(NamedTuple):
    """Bits that an instruction may set and may clear, as far as its operands tell."""

    sets: int
    clears: int

    @property
    def touched(self) -> int:
        """Bits that may change at all."""
        return self.sets | self.clears


def previous(s: Session) -> Value:
    """mstatus.MPP as a privilege mode."""
    mode: Value = s.mstatus.bits(12, 11)
    return mode.zext(8)


def supervisor_fields(s: Session) -> int:
    """What sstatus shows of the bits that `state.mstatus` holds."""
    return _SUPERVISOR_FIELDS if s.config.has("s") else 0


def machine_fields(s: Session) -> int:
    """The bits that `state.mstatus` holds on this hart."""
    fields = _MACHINE_FIELDS | supervisor_fields(s)
    fields |= TVM | TSR if s.config.has("s") else 0
    return fields | (MPRV | TW if s.config.has("u") else 0)


def _shown(s: Session, fields: int, lengths: int) -> Value:
    """A status register as it reads: the `fields` of mstatus, FS, SD, and for RV64 the constant register `lengths`."""
    fs = s.fs.zext(s.xlen)
    dirty = (s.fs == 3).zext(s.xlen)
    shown: Value = (s.mstatus & fields) | (fs << 13) | (dirty << (s.xlen - 1))
    return shown | lengths if s.xlen == 64 else shown


def read_mstatus(s: Session) -> Value:
    """mstatus; SXL and UXL say 64 where the modes exist."""
    return _shown(s, machine_fields(s), (2 << 34 if s.config.has("s") else 0) | (2 << 32 if s.config.has("u") else 0))


def read_sstatus(s: Session) -> Value:
    """sstatus; UXL says 64."""
    return _shown(s, supervisor_fields(s), 2 << 32)


def write_mstatus(s: Session, new: Value, change: Change) -> None:
    """Write mstatus."""
    _write(s, new, machine_fields(s), change)


def write_sstatus(s: Session, new: Value, change: Change) -> None:
    """Write the fields of mstatus that sstatus shows."""
    _write(s, new, supervisor_fields(s), change)


def _write(s: Session, new: Value, fields: int, change: Change) -> None:
    from ratite.isa.riscv.traps import check_interrupts

    if change.touched & FS and s.config.has("f"):
        s.fs = new.bits(14, 13).zext(8)
    fields &= change.touched
    if not fields:
        return
    old = s.mstatus
    merged = (old & ~fields) | (new & fields)
    if fields & MPP:
        merged = s.select(_is_mode(s, new.bits(12, 11)), merged, (merged & ~MPP) | (old & MPP))
    s.mstatus = merged
    if fields & _VIEW:
        changed = old ^ merged
        with s.when((changed & _VIEW) != 0):
            s.call(view_changed, changed)
    if fields & change.sets & (SIE | MIE):
        check_interrupts(s)


def _is_mode(s: Session, mode: Value) -> Value:
    """Whether the two bits name a privilege mode that exists."""
    legal = mode == MACHINE
    for letter, number in (("s", SUPERVISOR), ("u", USER)):
        if s.config.has(letter):
            legal = legal | (mode == number)
    return legal


@native()
def view_changed(s: Session, changed: Value) -> None:
    """Follow a change of mstatus; `changed` has ones where bits differ. MXR alters what translations allow, so they are
    dropped.
    """
    with s.when((changed & MXR) != 0):
        s.call("tlb_flush")
    s.call(mode_update)
    s.ret(0)


@native()
def mode_update(s: Session) -> None:
    """Choose translation cache and context for the privilege mode and mstatus; to be called after every change of
    either.
    """
    mode = s.priv
    sum_ = (s.mstatus & SUM) != 0
    supervisor = s.select(sum_, s.const(MMU_SUPERVISOR_SUM, 64), s.const(MMU_SUPERVISOR, 64))
    view = s.var(s.select(mode == USER, MMU_USER, supervisor))
    with s.when(mode == MACHINE):
        view.value = MMU_MACHINE
        with s.when(((s.mstatus & MPRV) != 0) & (previous(s) != MACHINE)):
            view.value = MMU_LENT
            lent = (previous(s) << 1) | sum_.zext(8)
            with s.when(lent != s.mprv_view):
                s.mprv_view = lent
                s.call("tlb_flush")
    s.mmu_index = view.value
    s.context_index = mode.zext(64)
    s.call("mode_changed")
    s.ret(0)


def effective_mode(s: Session) -> Value:
    """The privilege mode with which loads and stores look at memory."""
    lent = (s.priv == MACHINE) & ((s.mstatus & MPRV) != 0)
    return s.select(lent, previous(s), s.priv)
