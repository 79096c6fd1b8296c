"""Small parts of Loongson machines: what the processor says about itself, and the bridge's power management."""

from __future__ import annotations

from ratite.hw.model import RW, STR, Device, Property, Register


class LoongsonIdentity(Device, name="loongson.identity", size=0x428, width=8):
    """Configuration registers at IOCSR 0 (Loongson 3A5000/3B5000 processor reference manual, v1.03, chapter 4): version,
    features, names, and a switch for the extended interrupt controller, which is always on here.
    """

    model = Property(STR, "3A5000", "name of the processor, up to eight characters")

    class version(Register, offset=0x00, mode="ro", reset=0x11):
        """Of the chip."""

    class features(Register, offset=0x08, mode="ro", reset=1 << 2 | 1 << 3 | 1 << 4):
        """Message-signalled interrupts, extended interrupts, interrupts between cores through IOCSR."""

    class vendor(Register, offset=0x10, mode="ro", reset=int.from_bytes(b"Loongson", "little")):
        """A text."""

    class cpu_name(Register, offset=0x20, mode="ro", live=True):
        """A text."""

        def on_read(self, dev: LoongsonIdentity) -> None:
            self.value = int.from_bytes(dev.model.encode("ascii", "replace")[:8], "little")

    class functions(Register, offset=0x420):
        extended_interrupts = RW(48, reset=1)


class LoongArchPm(Device, name="loongarch_virt_pm", size=0x100, access=(1, 8)):
    """The register of the 7A1000's power management that virtual machines use: 0 resets, 0xff powers off."""

    class mode(Register, offset=0x10, mode="wo"):
        def on_write(self, dev: LoongArchPm) -> None:
            if self.written == 0:
                dev.platform.request_reset()
            elif self.written == 0xFF:
                dev.platform.request_shutdown(0)
            else:
                dev.guest_error(f"there is no mode {self.written:#x}")
