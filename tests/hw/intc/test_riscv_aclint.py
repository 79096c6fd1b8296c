"""ACLINT by its specification (1.0-rc4): raw offsets, no guest."""

from __future__ import annotations

import pytest

from ratite.errors import UsageError
from ratite.hw.intc.riscv_aclint import AclintMtimer, AclintSwi
from ratite.testing import DeviceBench

MTIME = 0x7FF8
TICK = 100    # nanoseconds at 10 MHz
NEVER = (1 << 64) - 1
Timer = DeviceBench[AclintMtimer]


@pytest.fixture
def timer(restoring: bool) -> Timer:
    return DeviceBench(lambda: AclintMtimer(num_harts=2), restoring=restoring)


def test_msip_drives_each_hart(restoring: bool) -> None:
    """Bit 0 alone counts, and reads back."""
    swi = DeviceBench(lambda: AclintSwi(num_harts=3), restoring=restoring)
    swi.write(4, 0xFFFF_FFFF)
    assert swi.read(4) == 1 and swi.level("soft[1]") and not swi.level("soft[0]")
    swi.write(4, 0xFFFF_FFFE)
    assert swi.read(4) == 0 and not swi.level("soft[1]")
    swi.write(12, 1)    # there is no fourth hart
    assert swi.read(12) == 0 and swi.changes == [("soft[1]", True), ("soft[1]", False)]


def test_setssip_gives_a_pulse_and_reads_zero(restoring: bool) -> None:
    """The hart keeps the pending bit."""
    swi = DeviceBench(lambda: AclintSwi(num_harts=1, sswi=True), restoring=restoring)
    swi.write(0, 0)
    assert swi.changes == []
    swi.write(0, 1)
    assert swi.changes == [("soft[0]", True), ("soft[0]", False)] and swi.read(0) == 0


def test_reset_lowers_software_interrupts() -> None:
    """A reset while an interrupt is up."""
    swi = DeviceBench(AclintSwi)
    swi.write(0, 1)
    swi.device.reset()
    assert not swi.level("soft[0]") and swi.read(0) == 0


def test_mtime_counts_at_ten_megahertz(timer: Timer) -> None:
    """In whole and by halves."""
    timer.advance(TICK * 0x1_0000_0005 + 7)
    assert timer.read(MTIME, 8) == 0x1_0000_0005
    assert timer.read(MTIME, 4) == 5 and timer.read(MTIME + 4, 4) == 1


def test_the_comparator_interrupts_at_its_tick_and_not_before(timer: Timer) -> None:
    """Level: high as long as mtime >= mtimecmp."""
    timer.write(8, 1000, 8)
    timer.advance(1000 * TICK - 1)
    assert not timer.level("timer_irq[1]")
    timer.advance(1)
    assert timer.level("timer_irq[1]") and not timer.level("timer_irq[0]")
    timer.write(8, 2000, 8)
    assert not timer.level("timer_irq[1]")
    timer.advance(1000 * TICK)
    assert timer.level("timer_irq[1]")


def test_a_comparator_in_the_past_interrupts_at_once(timer: Timer) -> None:
    """Also when it is equal."""
    timer.advance(50 * TICK)
    timer.write(0, 50, 8)
    assert timer.level("timer_irq[0]")
    timer.write(0, NEVER, 8)
    assert not timer.level("timer_irq[0]")


def test_comparator_by_halves(timer: Timer) -> None:
    """What RV32 code does: high half to -1, low, high."""
    timer.write(4, 0xFFFF_FFFF)
    timer.write(0, 500)
    timer.write(4, 0)
    assert timer.read(0, 8) == 500 and not timer.level("timer_irq[0]")
    timer.advance(500 * TICK)
    assert timer.level("timer_irq[0]")


def test_writing_mtime_moves_all_comparators(timer: Timer) -> None:
    """Forwards raises, backwards lowers; a half written keeps the other half running."""
    timer.write(0, 1_000_000, 8)
    timer.write(MTIME, 999_999, 8)
    assert not timer.level("timer_irq[0]")
    timer.advance(TICK)
    assert timer.level("timer_irq[0]")
    timer.write(MTIME, 0, 8)
    assert not timer.level("timer_irq[0]")
    timer.advance(3 * TICK)
    timer.write(MTIME + 4, 1)
    assert timer.read(MTIME, 8) == 0x1_0000_0003 and timer.level("timer_irq[0]")


def test_reset_keeps_time_and_silences_comparators(timer: Timer) -> None:
    """No interrupt is pending after a reset."""
    timer.write(0, 1, 8)
    timer.advance(5 * TICK)
    assert timer.level("timer_irq[0]")
    timer.device.reset()
    assert not timer.level("timer_irq[0]") and timer.read(0, 8) == NEVER and timer.read(MTIME, 8) == 5


def test_other_layouts() -> None:
    """The ACLINT's own: mtime at 0 of its region, comparators elsewhere."""
    timer = DeviceBench(lambda: AclintMtimer(time_base=0, timecmp_base=0x10, aperture_size=0x1000, num_harts=2))
    timer.write(0x18, 3, 8)
    timer.advance(3 * TICK)
    assert timer.read(0, 8) == 3 and timer.level("timer_irq[1]") and timer.device.size == 0x1000


def test_odd_frequencies_never_fire_early() -> None:
    """32768 Hz does not divide a second into whole nanoseconds."""
    timer = DeviceBench(lambda: AclintMtimer(timebase_freq=32768))
    timer.write(0, 1, 8)
    timer.advance(30_517)
    assert not timer.level("timer_irq[0]") and timer.read(MTIME, 8) == 0
    timer.advance(1)
    assert timer.level("timer_irq[0]") and timer.read(MTIME, 8) == 1


@pytest.mark.parametrize("make", [
    lambda: AclintSwi(num_harts=0), lambda: AclintMtimer(num_harts=5000), lambda: AclintMtimer(timebase_freq=0),
])
def test_impossible_properties(make: object) -> None:
    """One line that names the property."""
    assert callable(make)
    with pytest.raises(UsageError, match=r"property '(num-harts|timebase-freq)'"):
        make()
