"""The ACPI tables of the LoongArch board (ACPI specification 6.5, chapters 5.2.12.20 to 5.2.12.26 for interrupt controllers)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from ratite.boards.support import aml
from ratite.boards.support.acpi import AcpiTables, configuration_space, reduced_hardware_fadt
from ratite.hw.misc.acpi_ged import POWER_OFF, RESET
from ratite.hw.pci.bus import DEVICES, PINS
from ratite.hw.pci.gpex import BUS_SHIFT, GpexHost

#: The number that operating systems give the first input of PCH-PIC.
GSI = 64


@dataclass(frozen=True)
class Places:
    """Where the board has what the tables describe: addresses, and inputs of PCH-PIC."""

    cores: int
    memory: Sequence[tuple[int, int]]
    pch_pic: int
    extioi_interrupt: int
    msi: int
    msi_vector: int
    msi_vectors: int
    ged: int
    ged_input: int
    sleep: int
    uart: int
    uart_input: int
    uart_clock: int
    rtc: int
    rtc_input: int
    ecam: int
    pci_input: int


def acpi_tables(host: GpexHost, at: Places) -> AcpiTables:
    """All tables, to be linked."""
    tables = AcpiTables()
    dsdt = tables.add("DSDT", 2, _dsdt(host, at), listed=False)
    reduced_hardware_fadt(tables, dsdt, sleep_control=at.sleep, sleep_status=at.sleep + 1, reset=at.sleep + 2, reset_value=RESET)
    tables.add("APIC", 5, _interrupt_controllers(at))
    tables.add("SRAT", 3, _affinity(at))
    configuration_space(tables, at.ecam, host.ecam_size >> BUS_SHIFT)
    return tables


def _interrupt_controllers(at: Places) -> bytes:
    """The body of the MADT: cores, EXTIOI, PCH-MSI, PCH-PIC."""
    parts = [struct.pack("<II", 0, 1)]
    parts += [struct.pack("<BBBIII", 0x11, 15, 1, n, n, 1) for n in range(at.cores)]
    parts.append(struct.pack("<BBBBBQ", 0x14, 13, 1, at.extioi_interrupt, 0, 0xFFFF))
    parts.append(struct.pack("<BBBQII", 0x15, 19, 1, at.msi, at.msi_vector, at.msi_vectors))
    parts.append(struct.pack("<BBBQHHH", 0x16, 17, 1, at.pch_pic, 0x1000, 0, GSI))
    return b"".join(parts)


def _affinity(at: Places) -> bytes:
    """The body of the SRAT (chapter 5.2.16): all cores and all memory are of one node. Linux does not do without."""
    parts = [struct.pack("<IQ", 1, 0)]
    parts += [struct.pack("<BBBBIB3xI", 0, 16, 0, n, 1, 0, 0) for n in range(at.cores)]
    parts += [struct.pack("<BBIHQQIIQ", 1, 40, 0, 0, base, size, 0, 1, 0) for base, size in at.memory]
    return b"".join(parts)


def _dsdt(host: GpexHost, at: Places) -> bytes:
    processors = [
        aml.device(f"C{n:03X}", aml.name("_HID", "ACPI0007"), aml.name("_UID", n)) for n in range(at.cores)
    ]
    return aml.scope("\\_SB", *processors, _uart(at), _rtc(at), *_events(at), _pci(host, at)) + aml.name(
        "\\_S5", [POWER_OFF, 0, 0, 0]
    )


def _uart(at: Places) -> bytes:
    properties = aml.name("_DSD", [
        # ToUUID("daffd814-6eba-4d8c-8a91-bc9bbf4aa301"): properties follow
        aml.buffer(bytes.fromhex("14d8ffdaba6e8c4d8a91bc9bbf4aa301")), [["clock-frequency", at.uart_clock]],
    ])  # fmt: skip
    return aml.device(
        "COMA", aml.name("_HID", aml.eisa_id("PNP0501")), aml.name("_UID", 0), aml.name("_CCA", 1),
        aml.name("_CRS", aml.resources(aml.memory32(at.uart, 8), aml.interrupt(GSI + at.uart_input))), properties,
    )  # fmt: skip


def _rtc(at: Places) -> bytes:
    return aml.device(
        "RTC", aml.name("_HID", "LOON0001"),
        aml.name("_CRS", aml.resources(aml.memory32(at.rtc, 0x100), aml.interrupt(GSI + at.rtc_input))),
    )  # fmt: skip


def _events(at: Places) -> tuple[bytes, ...]:
    """The power button, and the device that says when it was pressed."""
    button = aml.device("PWRB", aml.name("_HID", aml.eisa_id("PNP0C0C")), aml.name("_UID", 0))
    selector = aml.path("ESEL")
    events = aml.device(
        "GED", aml.name("_HID", "ACPI0013"), aml.name("_UID", "GED"),
        aml.name("_CRS", aml.resources(aml.interrupt(GSI + at.ged_input, edge=True))),
        aml.region("EREG", at.ged, 4), aml.field("EREG", 4, ESEL=32),
        aml.method(
            "_EVT", 1, aml.store(selector, aml.LOCAL0), aml.if_(aml.and_(aml.LOCAL0, aml.data(2)), aml.notify("PWRB", 0x80)),
        ),
    )  # fmt: skip
    return button, events


def _pci(host: GpexHost, at: Places) -> bytes:
    buses = host.ecam_size >> BUS_SHIFT
    routes = [
        [device << 16 | 0xFFFF, pin, 0, GSI + at.pci_input + (device + pin) % PINS] for device in range(DEVICES) for pin in range(PINS)
    ]
    reserved = aml.device(
        "RES0", aml.name("_HID", aml.eisa_id("PNP0C02")), aml.name("_CRS", aml.resources(aml.memory32(at.ecam, host.ecam_size)))
    )
    return aml.device(
        "PCI0", aml.name("_HID", aml.eisa_id("PNP0A08")), aml.name("_CID", aml.eisa_id("PNP0A03")), aml.name("_SEG", 0),
        aml.name("_BBN", 0), aml.name("_UID", 0), aml.name("_CCA", 1),
        aml.name("_CRS", aml.resources(
            aml.bus_numbers(0, buses - 1), aml.io_window(0, host.pio_size, host.pio_base), aml.memory_window(host.mmio_base, host.mmio_size),
        )),
        aml.name("_PRT", routes), reserved,
    )  # fmt: skip
