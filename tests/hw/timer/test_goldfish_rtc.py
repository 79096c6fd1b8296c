"""The goldfish RTC: raw offsets, no guest."""

from __future__ import annotations

import pytest

from ratite.hw.model import SECOND
from ratite.hw.timer.goldfish_rtc import GoldfishRtc
from ratite.testing import DeviceBench

TIME_LOW, TIME_HIGH, ALARM_LOW, ALARM_HIGH, IRQ_ENABLED, CLEAR_ALARM, ALARM_STATUS, CLEAR_INTERRUPT = range(0, 0x20, 4)
START = 1_000_000_000 * SECOND    # the bench's time of day
Bench = DeviceBench[GoldfishRtc]


@pytest.fixture
def rtc(restoring: bool) -> Bench:
    return DeviceBench(GoldfishRtc, restoring=restoring)


def time_of(rtc: Bench) -> int:
    return rtc.read(TIME_LOW) | rtc.read(TIME_HIGH) << 32


def set_alarm(rtc: Bench, when: int) -> None:
    rtc.write(ALARM_HIGH, when >> 32)
    rtc.write(ALARM_LOW, when & 0xFFFF_FFFF)


def test_time_of_day_in_nanoseconds(rtc: Bench) -> None:
    """The low half latches the high half."""
    rtc.advance(5)
    assert time_of(rtc) == START + 5
    rtc.read(TIME_LOW)
    high = rtc.read(TIME_HIGH)
    rtc.advance(1 << 33)
    assert rtc.read(TIME_HIGH) == high


def test_setting_the_time(rtc: Bench) -> None:
    """High half first; it survives a reset, as with a battery."""
    rtc.write(TIME_HIGH, 1)
    rtc.write(TIME_LOW, 2)
    rtc.advance(10)
    rtc.device.reset()
    assert time_of(rtc) == (1 << 32) + 12


def test_alarm(rtc: Bench) -> None:
    """Fires at its time, holds the line until cleared."""
    rtc.write(IRQ_ENABLED, 1)
    set_alarm(rtc, START + 1000)
    assert rtc.read(ALARM_STATUS) == 1
    rtc.advance(999)
    assert not rtc.level()
    rtc.advance(1)
    assert rtc.level() and rtc.read(ALARM_STATUS) == 0
    rtc.write(CLEAR_INTERRUPT, 1)
    assert not rtc.level()


def test_alarm_in_the_past_masked_and_cancelled(rtc: Bench) -> None:
    """At once; enabling later shows it; a cancelled one never comes."""
    set_alarm(rtc, START - 1)
    assert not rtc.level()
    rtc.write(IRQ_ENABLED, 1)
    assert rtc.level()
    rtc.write(CLEAR_INTERRUPT, 0)
    set_alarm(rtc, START + 100)
    rtc.write(CLEAR_ALARM, 1)
    assert rtc.read(ALARM_STATUS) == 0
    rtc.advance(1000)
    assert not rtc.level()


def test_an_alarm_moves_with_the_time(rtc: Bench) -> None:
    """It is a time of day, not a delay."""
    rtc.write(IRQ_ENABLED, 1)
    set_alarm(rtc, START + 1000)
    ahead = START + 990
    rtc.write(TIME_HIGH, ahead >> 32)
    rtc.write(TIME_LOW, ahead & 0xFFFF_FFFF)
    rtc.advance(10)
    assert rtc.level()
