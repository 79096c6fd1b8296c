"""Identity of the processor, and the ways out of a Loongson machine: raw offsets, no guest."""

from __future__ import annotations

from ratite.hw.misc.acpi_ged import AcpiGed
from ratite.hw.misc.loongson import LoongArchPm, LoongsonIdentity
from ratite.testing import DeviceBench


def test_names_and_features() -> None:
    """Texts fill their registers from the lowest byte on; features can be read by words."""
    bench = DeviceBench(LoongsonIdentity)
    assert bench.read(0x10, 8).to_bytes(8, "little") == b"Loongson"
    assert bench.read(0x20, 8).to_bytes(8, "little") == b"3A5000\0\0"
    assert bench.read(0x08) == 0b1_1100
    assert bench.read(0x420, 8) == 1 << 48


def test_bridge_power_management() -> None:
    """0 resets, 0xff powers off, other words do nothing."""
    bench = DeviceBench(LoongArchPm)
    bench.write(0x10, 1)
    assert (bench.resets, bench.shutdowns) == (0, [])
    bench.write(0x10, 0, 1)
    bench.write(0x10, 0xFF, 1)
    assert (bench.resets, bench.shutdowns) == (1, [0])


def test_sleep_registers() -> None:
    """Sleep type 5 with the enable bit powers off; the reset register takes 0x42 alone."""
    bench = DeviceBench(AcpiGed)
    bench.write(0x1C, 5 << 2, 1)
    bench.write(0x1C, 1 << 5 | 3 << 2, 1)
    bench.write(0x1E, 1, 1)
    assert (bench.resets, bench.shutdowns) == (0, [])
    bench.write(0x1C, 1 << 5 | 5 << 2, 1)
    bench.write(0x1E, 0x42, 1)
    assert (bench.resets, bench.shutdowns) == (1, [0])


def test_power_button() -> None:
    """The selector tells the event once."""
    bench = DeviceBench(AcpiGed)
    bench.device.power_button()
    assert bench.changes == [("irq", True), ("irq", False)]
    assert (bench.read(0), bench.read(0)) == (2, 0)
