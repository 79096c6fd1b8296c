"""Power management without fixed ACPI hardware: sleep, power-off, reset."""

from __future__ import annotations

from ratite.hw.model import RW, WO, Device, Output, Register

#: Sleep type that powers the machine off, as the `_S5` object has to say; the word that resets it.
POWER_OFF, RESET = 5, 0x42


class AcpiGed(Device, name="acpi-ged", size=0x1F, width=1):
    """Sleep registers of a hardware-reduced ACPI machine (ACPI specification 6.4, chapter 4.8.3.7), and the selector of a
    generic event device (chapter 5.6.9): bit 1 asks the guest to power down. Memory hot-plug is not modelled: its
    registers say that there is no slot.
    """

    irq = Output("event")
    state = ("events",)

    class selector(Register, offset=0x00, width=4, live=True):
        """What has happened; a read clears it."""

        def on_read(self, dev: AcpiGed) -> None:
            self.value, dev.events = dev.events, 0

    class sleep_control(Register, offset=0x1C):
        type, enable = RW(4, 2), WO(5)

        def on_write(self, dev: AcpiGed) -> None:
            if self.written >> 5 & 1:
                dev.sleep(self.type)

    class sleep_status(Register, offset=0x1D):
        """Nothing has woken the machine."""

    class reset_register(Register, offset=0x1E, mode="wo"):
        def on_write(self, dev: AcpiGed) -> None:
            if self.written == RESET:
                dev.platform.request_reset()

    def setup(self) -> None:
        self.events = 0

    def reset(self) -> None:
        super().reset()
        self.events = 0

    def sleep(self, kind: int) -> None:
        """Enter a sleep state; only power-off is one."""
        if kind == POWER_OFF:
            self.platform.request_shutdown(0)
        else:
            self.guest_error(f"there is no sleep type {kind}")

    def power_button(self) -> None:
        """Ask the guest to power down."""
        self.events |= 1 << 1
        self.irq.pulse()
