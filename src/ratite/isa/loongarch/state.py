"""The state of a core that instructions see (LoongArch Reference Manual, volume 1, v1.10, chapters 2.1, 3.1 and 7).

Control and status registers are kept as software reads them, but for ESTAT and TVAL: the parts of ESTAT have different
writers (devices, the timer, software, exceptions), and TVAL follows the clock. `csr.py` puts them together.

The floating-point registers are the lowest parts of the vector registers. Writing a part leaves the rest as it was, where
the manual allows anything.

FCSR0 is kept in parts. Its Flags are the engine's sticky flags and its RM is the engine's rounding mode, both in the
engine's order; Enables and Cause are fields of their own in the manual's order. `fcsr.py` puts them together.
"""

from __future__ import annotations

from ratite.isa.dsl import WORD, Field, RegFile, State


def _run(letter: str, count: int, first: int = 0) -> tuple[str, ...]:
    """Names of consecutive registers."""
    return tuple(f"${letter}{n}" for n in range(first, first + count))


#: ABI names of the registers (LoongArch ELF psABI, register convention).
R_NAMES = ("$zero", "$ra", "$tp", "$sp", *_run("a", 8), *_run("t", 9), "$r21", "$fp", *_run("s", 9))
F_NAMES = (*_run("fa", 8), *_run("ft", 16), *_run("fs", 8))
FCC_NAMES = _run("fcc", 8)
V_NAMES = _run("vr", 32)
X_NAMES = _run("xr", 32)


class LoongArchState(State):
    """Registers of a core."""

    r = RegFile(32, WORD, zero=0, pinned=(4, 12, 5, 13, 3, 6, 14, 7), near=True, names=R_NAMES)
    x = RegFile(32, 256, names=X_NAMES)
    v = RegFile(32, 128, names=V_NAMES, within="x")
    f = RegFile(32, 64, names=F_NAMES, within="x")
    fcc = RegFile(8, 8, names=FCC_NAMES)
    reserve_high = Field(64, doc="what lies above the doubleword of the load reservation, for sc.q")
    fcsr_enables = Field(8, doc="FCSR0.Enables: floating-point exceptions that trap")
    fcsr_cause = Field(8, doc="FCSR0.Cause: exceptions of the last floating-point instruction")

    # --- modes and exceptions
    crmd = Field(WORD, reset=8, doc="current mode: 1:0 PLV, 2 IE, 3 DA (direct addresses), 4 PG (translated addresses)")
    prmd = Field(WORD, doc="PLV and IE from before the exception")
    euen = Field(WORD, doc="units that may be used: 0 floating point, 1 LSX, 2 LASX, 3 LBT")
    misc = Field(WORD, doc="what lower levels may do")
    ecfg = Field(WORD, doc="exceptions: 12:0 enabled interrupts, 18:16 distance of vectors")
    estat_code = Field(WORD, doc="ESTAT.Ecode and EsubCode, in place")
    estat_soft = Field(WORD, doc="software interrupts of ESTAT.IS")
    irq_lines = Field(64, doc="levels of the interrupt inputs, bits as in ESTAT.IS; written by devices only")
    era = Field(WORD, doc="address to return to from the exception handler")
    badv = Field(WORD, doc="address that goes with the last exception")
    badi = Field(WORD, doc="instruction of the last exception")
    eentry = Field(WORD, doc="address of the exception handlers")
    cpuid = Field(WORD, doc="number of the core")
    saved = RegFile(8, WORD)
    llbctl = Field(WORD, doc="LLBCTL.KLO: the next ertn keeps the load reservation")
    impctl1 = Field(WORD, doc="of the implementation; no effect")
    impctl2 = Field(WORD, doc="of the implementation; no effect")
    ctag = Field(WORD, doc="cache tag; there is no cache")

    iocsr_word = Field(WORD, doc="the instruction that accesses a register of the core's surroundings")
    iocsr_address = Field(WORD, doc="which one")

    # --- timer
    tid = Field(WORD, doc="number of the stable counter")
    tcfg = Field(WORD, doc="timer: 0 enabled, 1 periodic, from bit 2 on ticks")
    cntc = Field(WORD, doc="what to add to the stable counter")
    timer_fired = Field(8, doc="ESTAT.IS.TI")
    timer_deadline = Field(64, doc="nanoseconds at which the timer reaches zero; 0: it stands still")

    # --- performance monitors
    pmcfg = RegFile(4, WORD)
    pmcnt0 = Field(WORD, doc="counts of a monitor up to pm_since; fields, because native helpers write them")
    pmcnt1 = Field(WORD, doc="the same of the next")
    pmcnt2 = Field(WORD, doc="the same of the next")
    pmcnt3 = Field(WORD, doc="the same of the last")
    pm_active = Field(8, doc="performance monitors that count at some privilege level, a bit each")
    pm_level = Field(WORD, doc="privilege level since which counts are still to be added to the monitors")
    pm_since = Field(64, doc="up to where they have been added")
    pm_due = Field(8, doc="a monitor may have run over")
    pm_overflow = Field(8, doc="ESTAT.IS.PMI")

    # --- address translation
    tlbidx = Field(WORD, doc="index and page size of an entry, and whether it is empty")
    tlbehi = Field(WORD, doc="pair of virtual pages")
    tlbelo0 = Field(WORD, doc="even page")
    tlbelo1 = Field(WORD, doc="odd page")
    asid = Field(WORD, doc="address space")
    pgdl = Field(WORD, doc="root table of the lower half")
    pgdh = Field(WORD, doc="root table of the upper half")
    pwcl = Field(WORD, doc="shape of the lower levels of page tables")
    pwch = Field(WORD, doc="shape of the upper levels of page tables")
    stlbps = Field(WORD, reset=12, doc="page size of the STLB, as a power of two")
    rvacfg = Field(WORD, doc="shorter virtual addresses; no effect")
    tlbrentry = Field(WORD, doc="physical address of the handler of TLB refills")
    tlbrbadv = Field(WORD, doc="address that needs a refill")
    tlbrera = Field(WORD, doc="address to return to from the refill handler; bit 0: it is running")
    tlbrsave = Field(WORD, doc="free for the refill handler")
    tlbrelo0 = Field(WORD, doc="even page of a refill")
    tlbrelo1 = Field(WORD, doc="odd page of a refill")
    tlbrehi = Field(WORD, doc="pair of virtual pages of a refill, and page size")
    tlbrprmd = Field(WORD, doc="PLV and IE from before the refill")
    dmw = RegFile(4, WORD)
    tlb_table = Field(64, doc="host address of the TLB (tlb.py)")
    mtlb_used = Field(64, doc="entries of the MTLB that hold anything, a bit each")
    tlb_random = Field(64, doc="state of the generator that chooses entries to replace")
    walk_pa = Field(64, doc="result of translate(): the physical address")
    walk_perms = Field(8, doc="result of translate(): what the page allows now: 1 read, 2 write, 4 execute")

    # --- errors of the machine: none happen, the registers are there
    merrctl = Field(WORD, doc="machine error")
    merrinfo1 = Field(WORD, doc="machine error information")
    merrinfo2 = Field(WORD, doc="machine error information")
    merrentry = Field(WORD, doc="address of the handler of machine errors")
    merrera = Field(WORD, doc="address to return to from that")
    merrsave = Field(WORD, doc="free for that")
