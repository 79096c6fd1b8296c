"""Timers and clocks."""

from ratite.hw.timer import goldfish_rtc

__all__ = ["goldfish_rtc"]
