"""Interrupt controllers of Loongson machines: raw offsets, no guest."""

from __future__ import annotations

import pytest

from ratite.hw.intc.loongarch_extioi import LoongArchExtioi
from ratite.hw.intc.loongarch_ipi import LoongArchIpi
from ratite.hw.intc.loongarch_pch_pic import LoongArchPchMsi, LoongArchPchPic
from ratite.memory import AddressSpace, RamBlock
from ratite.testing import DeviceBench

# --- IPI --------------------------------------------------------------------------------------------------------------------

STATUS, ENABLE, SET, CLEAR, MAIL = 0, 4, 8, 12, 0x20
SECOND_CORE, IPI_SEND, MAIL_SEND, ANY_SEND = 0x100, 0x1_0000, 0x1_0008, 0x1_0118


@pytest.fixture
def ipi(restoring: bool) -> DeviceBench[LoongArchIpi]:
    return DeviceBench(lambda: LoongArchIpi(num_cpu=2), restoring=restoring)


def test_actions(ipi: DeviceBench[LoongArchIpi]) -> None:
    """A core's line follows the actions that are asked for and enabled, until the core clears them."""
    ipi.write(SECOND_CORE + ENABLE, 0b100)
    ipi.write(IPI_SEND, 1 << 16 | 1)
    assert (ipi.read(SECOND_CORE + STATUS), ipi.level("irqs[1]")) == (0b10, False)
    ipi.write(IPI_SEND, 1 << 16 | 2)
    assert (ipi.read(SECOND_CORE + STATUS), ipi.level("irqs[1]"), ipi.level("irqs[0]")) == (0b110, True, False)
    ipi.write(SECOND_CORE + CLEAR, 0b100)
    assert (ipi.read(SECOND_CORE + STATUS), ipi.level("irqs[1]")) == (0b10, False)
    ipi.write(SET, 1)
    assert (ipi.read(STATUS), ipi.read(SET)) == (1, 0)
    ipi.write(IPI_SEND, 0x3FF << 16)    # a core that there is not


def test_words_for_other_cores() -> None:
    """Mail and other writes go to the register that the other core has at this IOCSR address, byte by byte."""
    bench: DeviceBench[LoongArchIpi] = DeviceBench(lambda: LoongArchIpi(num_cpu=2))
    space = AddressSpace()
    space.add_ram(0x1000, RamBlock("registers", 0x1000))
    bench.device.cores = [AddressSpace(), space]
    bench.write(MAIL_SEND, 0x1234_5678 << 32 | 1 << 16 | 1 << 2, 8)
    assert space.read(0x1024, 4) == 0x1234_5678
    bench.write(ANY_SEND, 0xAABB_CCDD << 32 | 0b0101 << 27 | 1 << 16 | 0x1C10, 8)
    assert space.read(0x1C10, 4) == 0xAA00_CC00
    bench.write(ANY_SEND, 1 << 32 | 1 << 16 | 0x8000, 8)
    bench.write(MAIL_SEND, 7 << 16, 8)    # neither of the two is there


# --- EXTIOI -----------------------------------------------------------------------------------------------------------------

NODES, PIN_MAP, EXTIOI_ENABLE, EXTIOI_STATUS, CORE_STATUS, ROUTE = 0xA0, 0xC0, 0x200, 0x300, 0x400, 0x800


@pytest.fixture
def extioi(restoring: bool) -> DeviceBench[LoongArchExtioi]:
    return DeviceBench(lambda: LoongArchExtioi(num_cpu=4), restoring=restoring)


def test_vectors_go_to_cores_and_pins(extioi: DeviceBench[LoongArchExtioi]) -> None:
    """Vector 66 of group 2, routed to core 3, comes out at the pin of its group, and only while it is enabled."""
    extioi.write(PIN_MAP, 0x02_02_02_02 & ~0xFF_0000 | 0x04_0000)
    extioi.write(ROUTE + 66, 1 << 3, 1)
    extioi.device.input(66)(True)
    assert not extioi.level(f"irqs[{3 * 8 + 2}]")
    extioi.write(EXTIOI_ENABLE + 8, 1 << 2)
    assert extioi.level(f"irqs[{3 * 8 + 2}]")
    assert extioi.read(CORE_STATUS + 3 * 0x100 + 8) == 1 << 2
    assert extioi.read(CORE_STATUS + 8) == 0
    extioi.write(ROUTE + 64, 0x01_01_01_01)    # all four of them to core 0
    assert extioi.level("irqs[2]") and not extioi.level(f"irqs[{3 * 8 + 2}]")


def test_vectors_stay_until_they_are_written(extioi: DeviceBench[LoongArchExtioi]) -> None:
    """The fall of an input changes nothing; a core can clear its own vectors alone, 64 at a time too."""
    extioi.write(EXTIOI_ENABLE, 0xFFFF_FFFF)
    extioi.device.input(5)(True)
    extioi.device.input(5)(False)
    assert extioi.read(EXTIOI_STATUS, 8) == 1 << 5
    extioi.write(CORE_STATUS + 0x100, 1 << 5)
    assert extioi.level("irqs[0]")
    extioi.write(CORE_STATUS, 1 << 5, 8)
    assert not extioi.level("irqs[0]") and extioi.read(EXTIOI_STATUS) == 0
    with pytest.raises(ValueError, match="vector"):
        extioi.device.input(256)


# --- PCH-PIC and its messages ---------------------------------------------------------------------------------------------------

MASK, MESSAGE_ENABLE, EDGE, EDGE_CLEAR, VECTOR, REQUEST, PIC_STATUS = 0x20, 0x40, 0x60, 0x80, 0x200, 0x380, 0x3A0


@pytest.fixture
def pic(restoring: bool) -> DeviceBench[LoongArchPchPic]:
    return DeviceBench(LoongArchPchPic, restoring=restoring)


def test_identity(pic: DeviceBench[LoongArchPchPic]) -> None:
    """64 inputs."""
    assert pic.read(4) >> 16 & 0xFF == 63


def test_levels(pic: DeviceBench[LoongArchPchPic]) -> None:
    """A level goes out as the message of its vector while it is high and not masked; masking and unmasking sends it again."""
    pic.write(VECTOR + 2, 66, 1)
    pic.device.input(2)(True)
    assert (pic.read(REQUEST), pic.read(PIC_STATUS), pic.level("irqs[66]")) == (4, 0, False)
    pic.write(MASK, ~(1 << 2) & (1 << 64) - 1, 8)
    assert (pic.read(PIC_STATUS), pic.level("irqs[66]")) == (4, True)
    pic.write(MASK, (1 << 64) - 1, 8)
    pic.write(MASK, 0, 8)
    assert [level for name, level in pic.changes if name == "irqs[66]"] == [True, False, True]
    pic.device.input(2)(False)
    assert not pic.level("irqs[66]")


def test_edges(pic: DeviceBench[LoongArchPchPic]) -> None:
    """An edge stays until it is cleared."""
    pic.write(EDGE + 4, 1)
    pic.write(MASK, 0, 8)
    pic.write(VECTOR + 32, 9, 1)
    pic.device.input(32)(True)
    pic.device.input(32)(False)
    assert pic.read(REQUEST, 8) == 1 << 32 and pic.level("irqs[9]")
    pic.write(EDGE_CLEAR + 4, 1)
    assert pic.read(REQUEST, 8) == 0 and not pic.level("irqs[9]")
    with pytest.raises(ValueError, match="input"):
        pic.device.input(64)


def test_messages(restoring: bool) -> None:
    """A word written to the port is a pulse of its vector; those below the first are not taken."""
    msi = DeviceBench(lambda: LoongArchPchMsi(msi_irq_base=64), restoring=restoring)
    msi.write(0, 70)
    msi.write(0, 63)
    assert msi.changes == [("irqs[70]", True), ("irqs[70]", False)]
