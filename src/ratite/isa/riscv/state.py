"""The state of a hart (ISA manual volume I, 20191213, chapter 2; volume II, 20211203, chapters 2 to 4).

Control and status registers that the manual composes of independent parts are kept the way instructions use them: mip
as the wires from devices and what software wrote; mstatus.FS as a field of its own; cycle and instret as distances from
the clock. Where they are read and written as registers, `csr.py` puts them together.
"""

from __future__ import annotations

from ratite.isa.dsl import WORD, Field, RegFile, State


def _run(letter: str, first: int, last: int) -> tuple[str, ...]:
    """Names of consecutive registers."""
    return tuple(f"{letter}{n}" for n in range(first, last + 1))


#: ABI names of the registers (volume I, chapter 25).
X_NAMES = ("zero", "ra", "sp", "gp", "tp", *_run("t", 0, 2), *_run("s", 0, 1), *_run("a", 0, 7), *_run("s", 2, 11))
X_NAMES += _run("t", 3, 6)
F_NAMES = (*_run("ft", 0, 7), *_run("fs", 0, 1), *_run("fa", 0, 7), *_run("fs", 2, 11), *_run("ft", 8, 11))

#: Most memory protection entries that a hart can have here.
PMP_ENTRIES = 16


class RiscvState(State):
    """Registers of a hart."""

    x = RegFile(32, WORD, zero=0, pinned=(15, 14, 10, 2, 8, 13, 12, 11), near=True, names=X_NAMES)
    f = RegFile(32, 64, names=F_NAMES)
    frm = Field(8, doc="rounding mode")
    fs = Field(8, doc="mstatus.FS: 0 off, 1 initial, 2 clean, 3 dirty")

    priv = Field(8, reset=3, doc="privilege mode: 0 user, 1 supervisor, 3 machine")
    mstatus = Field(WORD, doc="mstatus without FS, SD, SXL and UXL")
    irq_lines = Field(64, doc="levels of the interrupt inputs, bits as in mip; written by devices only")
    mip_soft = Field(WORD, doc="bits of mip that software set; STIP follows stimecmp where that is in use")
    ssip_edge = Field(8, doc="1: another hart or a device asked for a supervisor software interrupt, and mip_soft does not say so yet")
    mie = Field(WORD, doc="interrupts that may be taken")
    mideleg = Field(WORD, doc="interrupts that go to supervisor mode")
    medeleg = Field(WORD, doc="exceptions that go to supervisor mode")

    stvec = Field(WORD, doc="address of the supervisor trap handler; bit 0: vectored")
    sepc = Field(WORD, doc="address to return to from the supervisor trap handler")
    scause = Field(WORD, doc="what the last supervisor trap was; top bit: an interrupt")
    stval = Field(WORD, doc="address or instruction that goes with scause")
    sscratch = Field(WORD, doc="free for the supervisor trap handler")
    satp = Field(WORD, doc="address translation: mode, address space, page of the root table")
    scounteren = Field(WORD, doc="counters that user mode may read")
    senvcfg = Field(WORD, doc="what user mode may do with cache blocks")

    mtvec = Field(WORD, doc="address of the machine trap handler; bit 0: vectored")
    mepc = Field(WORD, doc="address to return to from the machine trap handler")
    mcause = Field(WORD, doc="what the last machine trap was; top bit: an interrupt")
    mtval = Field(WORD, doc="address or instruction that goes with mcause")
    mscratch = Field(WORD, doc="free for the machine trap handler")
    mhartid = Field(WORD, doc="number of the hart")
    mcounteren = Field(WORD, doc="counters that modes below machine mode may read")
    mcountinhibit = Field(WORD, doc="counters that stand still: bit 0 cycle, bit 2 instret")
    menvcfg = Field(64, doc="what modes below machine mode may do with cache blocks; memory types")

    stimecmp = Field(64, reset=(1 << 64) - 1, doc="value of time from which on the supervisor timer interrupt is pending")
    time_offset = Field(64, doc="what to add to the clock's ticks to get the time counter")
    cycle_base = Field(64, doc="cycle counter at clock 0; the counter itself while it stands still")
    instret_base = Field(64, doc="instret counter at clock 0; the counter itself while it stands still")

    pmpcfg = RegFile(PMP_ENTRIES, 8)
    pmpaddr = RegFile(PMP_ENTRIES, 64)
    pmp_first = RegFile(PMP_ENTRIES, 64)
    pmp_last = RegFile(PMP_ENTRIES, 64)
    pmp_rules = Field(32, doc="entries of pmpcfg that cover anything, a bit each; pmp_first and pmp_last say what")

    mprv_view = Field(8, doc="privilege and SUM for which the translations of mode 4 hold (see status.py)")
    walk_pa = Field(64, doc="result of translate(): the physical address")
    walk_perms = Field(8, doc="result of translate(): what the page allows now: 1 read, 2 write, 4 execute")
