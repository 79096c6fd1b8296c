"""Software interrupts and the timer of RISC-V harts: ACLINT, and the older CLINT as a pair of its parts."""

from __future__ import annotations

from functools import partial

from ratite.errors import UsageError
from ratite.hw.model import BOOL, SECOND, UINT32, Device, Outputs, Property, Register

HART_LIMIT = 4095


class AclintSwi(Device, name="riscv.aclint.swi", size=0x4000, access=(4, 4)):
    """MSWI or SSWI (RISC-V ACLINT Specification 1.0-rc4, chapters 3 and 4): interrupts from hart to hart.

    With `sswi` a write of 1 gives a pulse, which the hart keeps as its pending bit, and reads give 0.
    """

    hartid_base = Property(UINT32, 0, "number of the first hart")
    num_harts = Property(UINT32, 1, "number of harts")
    sswi = Property(BOOL, False, "interrupts for supervisor mode instead of machine mode")
    soft = Outputs("software interrupt of each hart", "num_harts")

    class swip(Register, offset=0, count="num_harts", stride=4):
        """MSIP or SETSSIP."""

        def on_write(self, dev: AclintSwi) -> None:
            self.value &= 1
            dev.interrupt(self.index, bool(self.value))
            if dev.sswi:
                self.value = 0

    def setup(self) -> None:
        _check_harts(self, self.num_harts)

    def reset(self) -> None:
        super().reset()
        for line in self.soft:
            line.lower()

    def interrupt(self, hart: int, level: bool) -> None:
        """Drive a hart's line."""
        if not self.sswi:
            self.soft[hart].set(level)
        elif level:
            self.soft[hart].pulse()


class AclintMtimer(Device, name="riscv.aclint.mtimer", size=0x8000, width=8):
    """MTIMER (RISC-V ACLINT Specification 1.0-rc4, chapter 2): `mtime`, and one comparator a hart.

    The comparators start at their highest value, so that no timer interrupt is pending after a reset. `mtime` goes on
    through a reset of the machine.
    """

    hartid_base = Property(UINT32, 0, "number of the first hart")
    num_harts = Property(UINT32, 1, "number of harts")
    timecmp_base = Property(UINT32, 0, "offset of the first comparator")
    time_base = Property(UINT32, 0x7FF8, "offset of mtime")
    aperture_size = Property(UINT32, 0x8000, "bytes of address space")
    timebase_freq = Property(UINT32, 10_000_000, "ticks a second")
    timer_irq = Outputs("timer interrupt of each hart", "num_harts")
    state = ("time_offset",)

    class mtimecmp(Register, offset=0, count="num_harts", stride=8, reset=(1 << 64) - 1):
        def on_write(self, dev: AclintMtimer) -> None:
            dev.compare(self.index)

    class mtime(Register, offset=0x7FF8, live=True):
        def on_read(self, dev: AclintMtimer) -> None:
            self.value = dev.ticks()

        def on_write(self, dev: AclintMtimer) -> None:
            dev.set_ticks(self.value)

    def setup(self) -> None:
        _check_harts(self, self.num_harts)
        if self.timebase_freq == 0:
            raise UsageError(f"{self.name}: property 'timebase-freq' must not be 0")
        self.size = self.aperture_size
        self.time_offset = 0

    def place(self, offset: int) -> int:
        if offset == self.mtime.offset:
            return self.time_base
        return self.timecmp_base + offset

    def realized(self) -> None:
        self._timers = [self.clock.timer(partial(self.compare, hart)) for hart in range(self.num_harts)]

    def reset(self) -> None:
        super().reset()
        self._compare_all()

    def loaded(self) -> None:
        self._compare_all()

    def ticks(self) -> int:
        """`mtime` now."""
        return self.clock.now() * self.timebase_freq // SECOND + self.time_offset & (1 << 64) - 1

    def set_ticks(self, ticks: int) -> None:
        """Set `mtime`."""
        self.time_offset = ticks - self.clock.now() * self.timebase_freq // SECOND
        self._compare_all()

    def compare(self, hart: int) -> None:
        """Drive a hart's line, and come back when `mtime` reaches its comparator."""
        wanted = self.mtimecmp[hart].value
        reached = self.ticks() >= wanted
        if reached:
            self._timers[hart].cancel()
        else:
            self._timers[hart].at(-(-(wanted - self.time_offset) * SECOND // self.timebase_freq))
        self.timer_irq[hart].set(reached)

    def _compare_all(self) -> None:
        for hart in range(self.num_harts):
            self.compare(hart)


def _check_harts(device: Device, harts: int) -> None:
    if not 0 < harts <= HART_LIMIT:
        raise UsageError(f"{device.name}: property 'num-harts': {harts} is not within 1 to {HART_LIMIT}")
