"""Control and status registers, exceptions, interrupts, the timer: LoongArch Reference Manual, volume 1, chapters 6 and 7."""

from __future__ import annotations

import pytest

from ratite.isa.loongarch import clock, counters
from ratite.isa.loongarch.exceptions import Cause
from tests.isa.loongarch.cores import (
    A0,
    A1,
    A2,
    CODE,
    DA,
    ERTN,
    HANDLER,
    IDLE,
    IE,
    NOP,
    PG,
    TLBFILL,
    WINDOW,
    Bench,
    Benches,
    csrrd,
    csrwr,
    csrxchg,
    jump,
    ld_d,
)  # fmt: skip

FADD_D = 0x0101_0000
SYSCALL, BREAK = 0x002B_0000, 0x002A_0000
RDTIME = 0x0000_6800 | A1 << 5 | A0
PMI, TI, IPI = 10, 11, 12


@pytest.mark.parametrize(("name", "value", "kept"), [
    ("crmd", DA | 1 << 5, DA | 1 << 5), ("prmd", -1, 0xF), ("ecfg", -1, 0x7_1FFF), ("era", 0x1234_5678_9ABC_DEF0, 0x1234_5678_9ABC_DEF0),
    ("eentry", -1, -0x1000), ("asid", -1, 0xA_03FF), ("tlbidx", -1, -0x40FF_F001), ("tlbehi", 0x0000_9000_0000_3FFF, -0x7000_0000_0000 | 0x2000),
    ("tlbelo0", -1, 7 << 61 | 0xFFFF_FFFF_F000 | 0x7F), ("save3", -5, -5), ("cpuid", 7, 0), ("prcfg3", 0, 2 | 63 << 4 | 7 << 12 | 8 << 20),
    ("estat", -1, 3), ("dmw1", -1, 0xF << 60 | 0x3F), (0x7FF, 5, 0),
])  # fmt: skip
def test_registers_keep_what_they_have(bench: Bench, name: str | int, value: int, kept: int) -> None:
    """A write changes the fields that there are; csrwr gives the old value, and csrrd what was kept."""
    bench.r[A0] = value
    bench.run(csrwr(name), csrrd(name, A1))
    assert bench.r[A1] == kept & (1 << 64) - 1


def test_exchange_under_a_mask(bench: Bench) -> None:
    """csrxchg writes the bits that its mask has; rd gets all of the old value."""
    bench.state.era = 0xFF00
    bench.r[A0], bench.r[A1] = 0x1234, 0x0FF0
    bench.run(csrxchg("era"))
    assert (bench.state.era, bench.r[A0]) == (0xF230, 0xFF00)


@pytest.mark.parametrize("word", [csrrd("crmd"), csrwr("save0"), ERTN, IDLE, TLBFILL, 0x0648_08A4, 0x0600_0000])
def test_privileged_instructions(bench: Bench, word: int) -> None:
    """Below level 0 they raise IPE, with the instruction in BADI."""
    bench.state.crmd = DA | 3
    bench.cpu.call("mode_update")
    bench.run(word)
    assert (bench.state.pc, bench.cause, bench.state.badi) == (HANDLER, Cause.PRIVILEGED, word)
    assert (bench.state.crmd & 3, bench.state.prmd & 3, bench.state.era) == (0, 3, CODE)


def test_exception_and_return(bench: Bench) -> None:
    """An exception keeps level and interrupt enable, and ertn brings them back."""
    bench.state.crmd = DA | IE
    bench.run(NOP, SYSCALL)
    assert (bench.state.pc, bench.cause, bench.state.era) == (HANDLER, Cause.SYSTEM_CALL, CODE + 4)
    assert (bench.state.crmd, bench.state.prmd) == (DA, IE)
    bench.state.era = CODE + 0x100
    bench.memory.write(CODE + 0x100, 4, jump(0xA000 - CODE - 0x100))
    bench.run(ERTN, at=CODE + 0x40)
    assert bench.state.crmd == DA | IE


def test_vectors(bench: Bench) -> None:
    """With ECFG.VS each exception has its own entry, 4 << VS bytes apart, and interrupts follow the 64 exceptions."""
    bench.state.ecfg = 2 << 16 | 1 << 3
    bench.cpu.stops |= {HANDLER + 16 * Cause.BREAKPOINT, HANDLER + 16 * (64 + 3)}
    bench.run(BREAK)
    assert bench.state.pc == HANDLER + 16 * Cause.BREAKPOINT
    bench.state.irq_lines, bench.r[A0] = 1 << 3, DA | IE
    bench.run(csrwr("crmd"), NOP)
    assert (bench.state.pc, bench.cause) == (HANDLER + 16 * (64 + 3), 0)


def test_interrupts(bench: Bench) -> None:
    """The highest enabled number is taken, before the next instruction once CRMD.IE allows it."""
    bench.state.ecfg = 1 << 2 | 1 << TI
    bench.state.irq_lines, bench.state.timer_fired = 1 << 2 | 1 << IPI, 1
    bench.r[A0] = DA | IE
    bench.run(csrwr("crmd"), NOP)
    assert (bench.state.pc, bench.state.era, bench.state.crmd) == (HANDLER, CODE + 4, DA)
    bench.run(csrrd("estat", A1))
    assert bench.r[A1] == 1 << 2 | 1 << TI | 1 << IPI


def test_waiting(bench: Bench) -> None:
    """idle waits unless an enabled interrupt is there, be it held back by CRMD.IE."""
    bench.state.ecfg = 1 << IPI
    bench.memory.write(CODE, 4, IDLE)
    bench.state.next_pc = CODE
    event = bench.cpu.run() if bench.native else bench.cpu.step()
    assert event is not None and event.kind == "halt" and bench.state.pc == CODE + 4
    assert not bench.cpu.call("wakeup")
    bench.state.irq_lines = 1 << IPI
    assert bench.cpu.call("wakeup")
    bench.run(IDLE, NOP)
    assert bench.state.pc == CODE + 8


def test_floating_point_can_be_off(bench: Bench) -> None:
    """EUEN.FPE off: FPD; on: the instruction runs."""
    bench.run(FADD_D)
    assert (bench.state.pc, bench.cause) == (HANDLER, Cause.FP_DISABLED)
    bench.state.euen = 1
    bench.run(FADD_D)
    assert bench.state.pc == CODE + 4


def ring(bench: Bench, time: int) -> None:
    """The alarm rings, and the core looks for interrupts."""
    bench.state.clock_frozen = time
    bench.cpu.ring()
    bench.cpu.poll()


def test_timer(bench: Bench) -> None:
    """TCFG starts it, TVAL counts ticks of 10 ns, the end raises the interrupt until TICLR, and a periodic one goes on."""
    bench.r[A0] = 100 | clock.ENABLED
    bench.run(csrwr("tcfg"), csrrd("tval", A1))
    assert (bench.deadlines, bench.r[A1]) == ([2000], 100)
    ring(bench, 2000)
    assert (bench.state.timer_fired, bench.state.tcfg & clock.ENABLED) == (1, 0)
    bench.r[A0], bench.r[A2] = 1, 4000 | clock.ENABLED | clock.PERIODIC
    bench.run(csrwr("ticlr"), csrwr("tcfg", A2))
    assert bench.state.timer_fired == 0
    ring(bench, 42_000 - 1000)    # too early: it is set again
    assert (bench.state.timer_fired, bench.deadlines) == (0, [2000, 42_000, 42_000])
    ring(bench, 42_000)
    assert bench.state.timer_fired
    assert bench.deadlines == [2000, 42_000, 42_000, 82_000]


def test_stable_counter(bench: Bench) -> None:
    """rdtime counts at CPUCFG.CC_FREQ, moved by CNTC, and names the counter by TID."""
    bench.state.tid, bench.state.cntc = 9, 5
    bench.run(RDTIME)
    assert (bench.r[A0], bench.r[A1]) == (1000 // 10 + 5, 9)


@pytest.mark.parametrize(("code", "bits"), [(0, 8), (1, 16), (2, 32), (3, 64)])
def test_registers_of_the_surroundings(bench: Bench, code: int, bits: int) -> None:
    """iocsrwr and iocsrrd reach the owner of the vCPU; reads extend the sign."""
    bench.r[A0], bench.r[A1] = -2, 0x1040
    bench.run(0x0648_1000 | code << 10 | A1 << 5 | A0, 0x0648_0000 | code << 10 | A1 << 5 | A2)
    assert bench.owner.iocsr == {0x1040: (1 << bits) - 2}
    assert bench.r[A2] == (1 << 64) - 2


@pytest.mark.parametrize(("kept", "lost"), [(0, True), (4, False)])
def test_return_and_the_load_reservation(bench: Bench, kept: int, lost: bool) -> None:
    """ertn gives the reservation up, unless LLBCTL.KLO asks once to keep it."""
    bench.state.era, bench.state.llbctl, bench.state.reserve_addr = 0xA000, kept, 0x100
    bench.run(ERTN)
    assert (bench.state.reserve_addr != 0x100) == lost
    assert bench.state.llbctl == 0


def test_addresses_without_memory(bench: Bench) -> None:
    """A load that nothing answers raises ADEM."""
    bench.r[A1] = 0x1234_5678_0000
    bench.run(ld_d())
    assert (bench.state.pc, bench.cause, bench.state.badv) == (HANDLER, Cause.MEMORY_ADDRESS, 0x1234_5678_0000)


def test_refill_is_no_ordinary_exception(bench: Bench) -> None:
    """A missing translation goes to TLBRENTRY with direct addresses, and leaves ERA and ESTAT alone."""
    bench.translated()
    bench.state.era, bench.r[A1] = 0x42, 0x7FFF_1234_5678
    bench.state.crmd = PG | IE
    bench.run(ld_d())
    s = bench.state
    assert (s.pc, s.era, s.estat_code, s.crmd) == (0x9000, 0x42, 0, DA)
    assert (s.tlbrera, s.tlbrbadv, s.tlbrehi & -0x2000, s.tlbrprmd) == (WINDOW | CODE | 1, 0x7FFF_1234_5678, 0x7FFF_1234_4000, IE)


def test_saved_state_has_the_tlb(bench: Bench) -> None:
    """A state that was saved and taken over translates as before, from the TLB of the vCPU that took it."""
    bench.translated(space=3)
    bench.entry(2048, 0x7FFF_0000_0000, 0x20_0001, 0x20_0001, space=3)
    bench.state.saved[2] = 5
    saved, place = bench.state.save(), bench.state.tlb_table
    bench.reset()
    bench.state.load(saved)
    assert (bench.look(0x7FFF_0000_0123), bench.state.saved[2], bench.state.tlb_table) == (0x20_0123, 5, place)


@pytest.mark.parametrize("word", [0x6000, 0x6400, 0x6800])
def test_rdtime_can_be_forbidden(bench: Bench, word: int) -> None:
    """By MISC.DRDTL to each level but 0; the others keep it."""
    for level, forbidden in ((0, 7), (1, 1), (2, 2), (3, 4), (3, 3)):
        bench.reset()
        bench.state.misc, bench.state.crmd = forbidden << 5, DA | level
        bench.cpu.call("mode_update")
        bench.run(word | A1 << 5 | A0)
        refused = level > 0 and bool(forbidden >> level - 1 & 1)
        assert (bench.state.pc == HANDLER, bench.cause == Cause.PRIVILEGED) == (refused, refused)


def test_a_branch_to_nowhere(bench: Bench) -> None:
    """A fetch that is not aligned is at fault itself, not the branch: ERA and BADV have its address (7.4.7, 7.4.8)."""
    bench.r[A1] = CODE + 0x102
    bench.run(0x4C00_0000 | A1 << 5)
    assert (bench.state.pc, bench.cause, bench.state.era, bench.state.badv) == (HANDLER, Cause.FETCH_ADDRESS, CODE + 0x102, CODE + 0x102)


@pytest.mark.parametrize(("name", "value", "kept"), [
    ("badi", -1, 0), ("merrctl", -1, 0x1FCE), ("misc", -1, 0x7_0EE0), ("pwcl", -1, -1), ("pwch", -1, 0xFF_FFFF), ("tid", 1 << 31, -1 << 31),
    ("prcfg2", 0, 0x3FFF_F000), ("pgdl", 0x9000_0000_8123_4567, 0x9000_0000_8123_4000), ("tlbrera", 0x9000_0000_8123_4567, 0x9000_0000_8123_4565),
    ("pmcfg1", -1, 0x1F_03FF), ("pmcnt3", 5, 5), ("llbctl", -1, 4),
])  # fmt: skip
def test_fields_that_there_are(bench: Bench, name: str, value: int, kept: int) -> None:
    """Reserved bits read zero, what is not modelled can not be asked for, and 32 bits are extended (7.2.2)."""
    bench.r[A0] = value
    bench.run(csrwr(name), csrrd(name, A1))
    assert bench.r[A1] == kept & (1 << 64) - 1


def test_what_a_core_does_not_have(benches: Benches) -> None:
    """Without performance monitors their registers read zero; the walk's switch is there where the walk is."""
    bench = benches.get("la464,pmu=off", native=True)
    bench.r[A0] = -1
    bench.run(csrwr("pmcfg0"), csrrd("pmcfg0", A1))
    assert bench.r[A1] == 0
    bench = benches.get("la464,hptw=on", native=True)
    bench.r[A0] = -1
    bench.run(csrwr("pwch"), csrrd("pwch", A1))
    assert bench.r[A1] == 0x1FF_FFFF


COUNT, AT_0, AT_3, INTERRUPT = 1, 1 << 16, 1 << 19, 1 << 20


def configure(bench: Bench, n: int, config: int, count: int) -> None:
    """Set a performance monitor up, by instructions."""
    bench.r[A0], bench.r[A2] = config, count
    bench.run(csrwr(f"pmcfg{n}"), csrwr(f"pmcnt{n}", A2))


def test_monitors_count_by_level(bench: Bench) -> None:
    """One of level 0 and one of level 3 share the time; one of an event that is not modelled stands still."""
    for n, config in enumerate((COUNT | AT_0, COUNT | AT_3, 9 | AT_0)):
        configure(bench, n, config, 10)
    bench.state.clock_frozen = 1500
    bench.r[A0] = DA | 3
    bench.run(csrwr("crmd"))
    bench.state.clock_frozen = 1800
    bench.run(SYSCALL)
    bench.state.clock_frozen = 1801
    for n, count in enumerate((511, 310, 10)):
        bench.run(csrrd(f"pmcnt{n}", A1))
        assert bench.r[A1] == count


def test_monitors_that_run_over(bench: Bench) -> None:
    """The owner is asked to come back at the earliest moment, looks again until it has happened, and the interrupt stays until
    the count's highest bit is gone.
    """
    configure(bench, 1, COUNT | AT_0 | INTERRUPT, (1 << 63) - 100_000)
    assert bench.owner.overflow_deadline == 101_000
    bench.owner.time = bench.state.clock_frozen = 61_000
    assert not counters.expired(bench.cpu)
    assert (bench.state.pm_due, bench.owner.overflow_deadline) == (0, 101_000)
    bench.owner.time = bench.state.clock_frozen = 101_000
    assert counters.expired(bench.cpu)
    bench.state.ecfg, bench.state.attention = 1 << PMI, 1
    bench.r[A0] = DA | IE
    bench.run(csrwr("crmd"), NOP)
    assert (bench.state.pc, bench.cause) == (HANDLER, 0)
    bench.run(csrrd("estat", A1))
    assert bench.r[A1] == 1 << PMI
    configure(bench, 1, COUNT | AT_0 | INTERRUPT, 0)
    bench.run(csrrd("estat", A1))
    assert (bench.r[A1], bench.owner.overflow_deadline) == (0, 0)


def test_counts_for_lower_levels(bench: Bench) -> None:
    """MISC.RPCNTL opens counts, but not their configuration."""
    configure(bench, 0, 9, 1234)
    bench.state.misc, bench.state.crmd = 1 << 11, DA | 3
    bench.cpu.call("mode_update")
    bench.run(csrrd("pmcnt0", A1))
    assert bench.r[A1] == 1234
    bench.run(csrrd("pmcfg0", A1))
    assert bench.cause == Cause.PRIVILEGED


@pytest.mark.parametrize(("word", "cause"), [(0x0107_0000, Cause.FLOATING_POINT), (0x713B_0000, Cause.VECTOR_FLOATING_POINT)])
def test_floating_point_exceptions_by_kind(bench: Bench, word: int, cause: Cause) -> None:
    """0 / 0 in fdiv.d and in vfdiv.d: the same code, and the subcode tells them apart."""
    bench.state.euen, bench.state.fcsr_enables = 3, 31
    bench.run(word)
    assert (bench.state.pc, bench.cause) == (HANDLER, cause)
