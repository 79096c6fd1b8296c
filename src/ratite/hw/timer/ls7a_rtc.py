"""The real-time clock of the Loongson 7A1000 bridge chip."""

from __future__ import annotations

import datetime

from ratite.hw.model import RO, RW, SECOND, Device, Output, Register

#: Of the other counter, which counts since its start.
_FREQUENCY = 32768
#: It has 32 bits.
_ROUND = 1 << 32

_EPOCH = datetime.datetime(1970, 1, 1)


class Ls7aRtc(Device, name="ls7a_rtc", size=0x100, access=(4, 4)):
    """RTC (Loongson 7A1000 bridge user manual, v2.00, chapter 13): time of day by calendar ("TOY"), a counter at 32,768 Hz,
    and an alarm in each of the three comparators of either; one that holds zero is off.

    The time that a guest sets survives a reset, as in a chip with a battery. Not modelled: trimming.
    """

    irq = Output("alarm")
    state = ("offset", "counter_offset", "timer")

    class toy_trim(Register, offset=0x20):
        """Correction of the calendar."""

    class toy_write0(Register, offset=0x24, mode="wo"):
        """Set month, day, hour, minute, second and tenth."""

        def on_write(self, dev: Ls7aRtc) -> None:
            dev.set_time(self.written, dev.calendar()[1])

    class toy_write1(Register, offset=0x28, mode="wo"):
        """Set the year."""

        def on_write(self, dev: Ls7aRtc) -> None:
            dev.set_time(dev.calendar()[0], self.written)

    class toy_read0(Register, offset=0x2C, mode="ro", live=True):
        def on_read(self, dev: Ls7aRtc) -> None:
            self.value = dev.calendar()[0]

    class toy_read1(Register, offset=0x30, mode="ro", live=True):
        def on_read(self, dev: Ls7aRtc) -> None:
            self.value = dev.calendar()[1]

    class toy_match(Register, offset=0x34, count=3, stride=4):
        """Alarms: 31:26 year modulo 64, 25:22 month, 21:17 day, 16:12 hour, 11:6 minute, 5:0 second."""

        def on_write(self, dev: Ls7aRtc) -> None:
            dev.plan()

    class control(Register, offset=0x40):
        working = RO(5)
        oscillator, calendar_on, counter_on = RW(8), RW(11), RW(13)

        def on_write(self, dev: Ls7aRtc) -> None:
            self.working = self.oscillator
            dev.plan()

    class counter_trim(Register, offset=0x60):
        """Correction of the counter."""

    class counter_write(Register, offset=0x64, mode="wo"):
        def on_write(self, dev: Ls7aRtc) -> None:
            dev.counter_offset = self.written - dev.ticks()
            dev.plan()

    class counter_read(Register, offset=0x68, mode="ro", live=True):
        def on_read(self, dev: Ls7aRtc) -> None:
            self.value = dev.ticks() + dev.counter_offset & 0xFFFF_FFFF

    class counter_match(Register, offset=0x6C, count=3, stride=4):
        """Alarms of the counter."""

        def on_write(self, dev: Ls7aRtc) -> None:
            dev.plan()

    def setup(self) -> None:
        self.offset = 0    # nanoseconds that the guest's time of day is ahead of the machine's
        self.counter_offset = 0

    def realized(self) -> None:
        self.timer = self.clock.timer(self._fire)

    def reset(self) -> None:
        super().reset()
        self.timer.cancel()
        self.irq.lower()

    def ticks(self) -> int:
        """The counter, before it was set."""
        return self.clock.now() * _FREQUENCY // SECOND

    def moment(self) -> datetime.datetime:
        """Time of day."""
        microseconds = (self.clock.wall() + self.offset) // 1000
        try:
            return _EPOCH + datetime.timedelta(microseconds=microseconds)
        except OverflowError:
            return _EPOCH

    def calendar(self) -> tuple[int, int]:
        """Time of day as the two registers have it."""
        t = self.moment()
        first = t.month << 26 | t.day << 21 | t.hour << 16 | t.minute << 10 | t.second << 4 | t.microsecond // 100_000
        return first, t.year - 1900

    def set_time(self, first: int, second: int) -> None:
        """Set the time of day; a date that does not exist is ignored."""
        try:
            wanted = datetime.datetime(
                1900 + (second & 0x3FFF), first >> 26 & 0xF, first >> 21 & 31, first >> 16 & 31, first >> 10 & 63, first >> 4 & 63,
                (first & 0xF) * 100_000,
            )  # fmt: skip
        except ValueError:
            self.guest_error(f"there is no such date: {first:#x} {second:#x}")
            return
        self.offset = (wanted - _EPOCH) // datetime.timedelta(microseconds=1) * 1000 - self.clock.wall()
        self.plan()

    # --- alarms

    def plan(self) -> None:
        """Something that alarms depend on has changed."""
        self.irq.lower()
        self._wait()

    def _wait(self) -> None:
        """Come back at the next alarm."""
        self.timer.cancel()
        ahead = [*self._calendar_alarms(), *self._counter_alarms()] if self.control.oscillator else []
        if ahead:
            self.timer.after(min(ahead))

    def _calendar_alarms(self) -> list[int]:
        """Nanoseconds to each alarm of the calendar that is to come."""
        if not self.control.calendar_on:
            return []
        now = self.moment()
        ahead = [when - now for register in self.toy_match if register.value and (when := _alarm(register.value, now)) and when > now]
        return [distance // datetime.timedelta(microseconds=1) * 1000 for distance in ahead]

    def _counter_alarms(self) -> list[int]:
        """Nanoseconds to each alarm of the counter, which comes round again and again."""
        if not self.control.counter_on:
            return []
        now = self.ticks() + self.counter_offset
        ticks = [(register.value - now) % _ROUND or _ROUND for register in self.counter_match if register.value]
        return [-(-count * SECOND // _FREQUENCY) for count in ticks]

    def _fire(self) -> None:
        self.irq.raise_()
        self._wait()


def _alarm(word: int, now: datetime.datetime) -> datetime.datetime | None:
    """The moment that a comparator means; it knows the year modulo 64."""
    year = now.year - 1900
    year += ((word >> 26) - year) % 64
    try:
        return datetime.datetime(1900 + year, word >> 22 & 15, word >> 17 & 31, word >> 12 & 31, word >> 6 & 63, word & 63)
    except ValueError:
        return None
