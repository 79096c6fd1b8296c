"""The clock of the 7A1000: raw offsets, no guest."""

from __future__ import annotations

import pytest

from ratite.hw.model import SECOND
from ratite.hw.timer.ls7a_rtc import Ls7aRtc
from ratite.testing import DeviceBench

WRITE0, WRITE1, READ0, READ1, MATCH0, CONTROL, COUNTER_WRITE, COUNTER_READ, COUNTER_MATCH = 0x24, 0x28, 0x2C, 0x30, 0x34, 0x40, 0x64, 0x68, 0x6C
RUNNING = 1 << 8 | 1 << 11 | 1 << 13
Bench = DeviceBench[Ls7aRtc]

#: 2021-03-04 05:06:07 as the registers have it.
MOMENT, YEAR = 3 << 26 | 4 << 21 | 5 << 16 | 6 << 10 | 7 << 4, 121


@pytest.fixture
def rtc(restoring: bool) -> Bench:
    return DeviceBench(Ls7aRtc, restoring=restoring)


def test_time_of_day(rtc: Bench) -> None:
    """The bench begins at 10**9 seconds after 1970, which was 2001-09-09 01:46:40; tenths of seconds count."""
    rtc.advance(3 * SECOND + 500_000_000)
    assert (rtc.read(READ0), rtc.read(READ1)) == (9 << 26 | 9 << 21 | 1 << 16 | 46 << 10 | 43 << 4 | 5, 101)


def test_setting_the_time(rtc: Bench) -> None:
    """The time goes on from what was set; a date that does not exist changes nothing."""
    rtc.write(WRITE1, YEAR)
    rtc.write(WRITE0, MOMENT)
    rtc.advance(2 * SECOND)
    assert (rtc.read(READ0) >> 4, rtc.read(READ1)) == ((MOMENT >> 4) + 2, YEAR)
    rtc.write(WRITE0, 13 << 26)
    assert rtc.read(READ0) >> 4 == (MOMENT >> 4) + 2


def test_alarm(rtc: Bench) -> None:
    """A comparator of the calendar raises the line at its moment; writing it lowers the line."""
    rtc.write(CONTROL, RUNNING)
    rtc.write(WRITE1, YEAR)
    rtc.write(WRITE0, MOMENT)
    rtc.write(MATCH0, (YEAR & 63) << 26 | 3 << 22 | 4 << 17 | 5 << 12 | 6 << 6 | 9)
    rtc.advance(1_999_000_000)
    assert not rtc.level()
    rtc.advance(2_000_000)
    assert rtc.level()
    rtc.write(MATCH0, 0)
    assert not rtc.level()


def test_counter(rtc: Bench) -> None:
    """32,768 Hz, from the number that was set."""
    rtc.write(COUNTER_WRITE, 100)
    rtc.advance(SECOND)
    assert rtc.read(COUNTER_READ) == 100 + 32768


def test_alarms_of_the_counter(rtc: Bench) -> None:
    """Its comparators raise the line, one after the other and beyond the counter's end; writing one lowers it."""
    rtc.write(CONTROL, RUNNING)
    rtc.write(COUNTER_WRITE, 0xFFFF_C000)
    rtc.write(COUNTER_MATCH, 0xFFFF_E000)
    rtc.write(COUNTER_MATCH + 8, 0x4000)
    rtc.advance(SECOND // 4 - 1000)
    assert not rtc.level()
    rtc.advance(2000)
    assert rtc.level()
    rtc.write(COUNTER_MATCH, 0)
    assert not rtc.level()
    rtc.advance(3 * SECOND // 4 - 2000)
    assert not rtc.level()
    rtc.advance(2000)
    assert rtc.level() and rtc.read(COUNTER_READ) == 0x4000


def test_tenths_and_the_oscillator(rtc: Bench) -> None:
    """Tenths of seconds can be set, and bit 5 of the control register says whether the oscillator runs."""
    rtc.write(WRITE1, YEAR)
    rtc.write(WRITE0, MOMENT | 7)
    assert rtc.read(READ0) == MOMENT | 7
    rtc.write(CONTROL, 1 << 5)
    assert rtc.read(CONTROL) == 0
    rtc.write(CONTROL, 1 << 8)
    assert rtc.read(CONTROL) == 1 << 8 | 1 << 5
