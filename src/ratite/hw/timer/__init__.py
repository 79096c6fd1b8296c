"""Timers and clocks."""

from ratite.hw.timer import goldfish_rtc, ls7a_rtc

__all__ = ["goldfish_rtc", "ls7a_rtc"]
