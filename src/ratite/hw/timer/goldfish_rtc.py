"""The real-time clock of Android's virtual "goldfish" hardware, which some virtual boards use."""

from __future__ import annotations

from ratite.hw.model import RW, Device, Output, Register

ONES = (1 << 64) - 1


class GoldfishRtc(Device, name="goldfish_rtc", size=0x24, access=(4, 4)):
    """Goldfish RTC (Android "goldfish virtual hardware" documentation): time of day in nanoseconds, and one alarm.

    A read of `time_low` latches `time_high`; a write of the high half takes effect with the low half. The time that a
    guest sets and a pending alarm survive a reset of the machine, as in a chip with a battery.
    """

    irq = Output("alarm")
    state = ("offset", "alarm", "fired", "timer")

    class time_low(Register, offset=0x00):
        def on_read(self, dev: GoldfishRtc) -> None:
            now = dev.now()
            self.value, dev.time_high.value = now & 0xFFFF_FFFF, now >> 32

        def on_write(self, dev: GoldfishRtc) -> None:
            dev.set_time(dev.time_high.value << 32 | self.value)

    class time_high(Register, offset=0x04):
        """Latched by a read of the low half."""

    class alarm_low(Register, offset=0x08):
        def on_write(self, dev: GoldfishRtc) -> None:
            dev.set_alarm(dev.alarm_high.value << 32 | self.value)

    class alarm_high(Register, offset=0x0C):
        """Takes effect with the low half."""

    class irq_enabled(Register, offset=0x10):
        enabled = RW(0)

        def on_write(self, dev: GoldfishRtc) -> None:
            dev.update_irq()

    class clear_alarm(Register, offset=0x14, mode="wo"):
        def on_write(self, dev: GoldfishRtc) -> None:
            dev.timer.cancel()

    class alarm_status(Register, offset=0x18, mode="ro"):
        def on_read(self, dev: GoldfishRtc) -> None:
            self.value = int(dev.timer.pending)

    class clear_interrupt(Register, offset=0x1C, mode="wo"):
        def on_write(self, dev: GoldfishRtc) -> None:
            dev.fired = False
            dev.update_irq()

    def setup(self) -> None:
        self.offset = 0    # nanoseconds that the guest's time is ahead of the machine's
        self.alarm = 0
        self.fired = False

    def realized(self) -> None:
        self.timer = self.clock.timer(self._fire)

    def reset(self) -> None:
        super().reset()
        self.fired = False
        self.update_irq()

    def now(self) -> int:
        """Time of day as the guest sees it, in nanoseconds."""
        return self.clock.wall() + self.offset & ONES

    def set_time(self, now: int) -> None:
        """Set the time of day; a pending alarm moves with it."""
        self.offset = now - self.clock.wall()
        if self.timer.pending:
            self.set_alarm(self.alarm)

    def set_alarm(self, alarm: int) -> None:
        """Interrupt at this time of day, at once when it is gone by."""
        self.alarm = alarm
        ahead = alarm - self.now()
        if ahead > 0:
            self.timer.after(ahead)
        else:
            self.timer.cancel()
            self._fire()

    def _fire(self) -> None:
        self.fired = True
        self.update_irq()

    def update_irq(self) -> None:
        """Drive the interrupt line."""
        self.irq.set(self.fired and bool(self.irq_enabled.enabled))
