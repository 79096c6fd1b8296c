"""Registers: field modes, arrays, partial and wide accesses, windows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratite.errors import DefinitionError
from ratite.hw.model import RC, RO, RW, UINT8, W0C, W1C, W1S, WO, Device, Property, Register, Window
from ratite.testing import DeviceBench


class Sample(Device, name="test-registers", size=0x1000, abstract=True):
    """One register of each sort."""

    rows = Property(UINT8, 2, "rows of the table")

    class modes(Register, offset=0x00):
        rw, ro, wo = RW(3, 0, reset=5), RO(7, 4, reset=6), WO(11, 8)
        w1c, w0c, w1s, rc = W1C(15, 12, reset=15), W0C(19, 16, reset=15), W1S(23, 20), RC(27, 24, reset=9)

    class plain(Register, offset=0x04, reset=0x1234):
        def on_write(self, dev: Sample) -> None:
            dev.writes.append(self.written)

    class wide(Register, offset=0x08, width=8):
        pass

    class byte(Register, offset=0x10, width=1):
        pass

    class counter(Register, offset=0x18, live=True):
        def on_read(self, dev: Sample) -> None:
            self.value = dev.count

        def on_write(self, dev: Sample) -> None:
            dev.count = self.value

    class table(Register, offset=0x100, count=("rows", 3), stride=(0x40, 8)):
        pass

    class port(Window, offset=0x200, length=0x10):
        def read(self, dev: Sample, offset: int, size: int) -> int:
            return offset << 4 | size

        def write(self, dev: Sample, offset: int, size: int, value: int) -> None:
            dev.writes.append((offset, size, value))

    def setup(self) -> None:
        self.writes: list[object] = []
        self.count = 0x11223344


class Narrow(Sample, access=(2, 4), abstract=True):
    """The same on a bus of 32 bits that knows no single bytes."""


@pytest.fixture
def bench() -> DeviceBench[Sample]:
    return DeviceBench(Sample)


def test_each_field_mode(bench: DeviceBench[Sample]) -> None:
    """Reset values, what a write of ones and zeros does, what a read shows and clears."""
    assert bench.read(0) == 0x090F_F065
    assert bench.read(0) == 0x000F_F065     # rc is clear now
    bench.write(0, 0x0055_5AAA)
    assert bench.device.modes.value == 0x0055_AA6A
    assert bench.read(0) == 0x0055_A06A    # wo reads as zero
    assert bench.device.modes.wo == 0xA and bench.device.modes.w1s == 5


def test_device_code_is_not_bound_by_modes(bench: DeviceBench[Sample]) -> None:
    """The author writes any field; bits that do not fit are cut."""
    bench.device.modes.ro = 0x1F
    assert bench.device.modes.ro == 0xF and bench.device.modes.rw == 5


@given(st.integers(0, 7), st.sampled_from([1, 2, 4, 8]), st.integers(0, (1 << 64) - 1))
def test_partial_accesses_of_a_wide_register(offset: int, size: int, value: int) -> None:
    """Any access within and over the edges of a register is the same as on memory, as far as there are registers."""
    bench = DeviceBench(Sample)
    bench.write(8, 0x8877665544332211, 8)
    memory = bytearray.fromhex("1122334455667788") + bytearray(9)
    value &= (1 << 8 * size) - 1
    memory[offset:offset + size] = value.to_bytes(size, "little")
    bench.write(8 + offset, value, size)
    assert bench.read(8, 8) == int.from_bytes(memory[:8], "little")
    present = memory[:9] + bytes(8)    # the wide register and the byte behind it
    assert bench.read(8 + offset, size) == int.from_bytes(present[offset:offset + size], "little")
    bench.close()


def test_accesses_wider_than_the_bus_are_split_low_half_first() -> None:
    """Two writes of 4 bytes reach the window in order; single bytes are refused."""
    bench = DeviceBench(Narrow)
    bench.write(0x200, 0x1122334455667788, 8)
    assert bench.device.writes == [(0, 4, 0x55667788), (4, 4, 0x11223344)]
    bench.write(8, 0x1122334455667788, 8)
    assert bench.read(8, 8) == 0x1122334455667788
    assert bench.read(8, 2) == 0x7788 and bench.read(8, 1) == 0
    bench.write(8, 0, 1)
    assert bench.read(8) == 0x55667788


def test_a_write_to_part_of_a_live_register(bench: DeviceBench[Sample]) -> None:
    """The rest is what the register holds at that moment."""
    bench.write(0x1A, 0xAAAA, 2)
    assert bench.device.count == 0xAAAA3344


def test_tables_are_placed_row_by_row(bench: DeviceBench[Sample]) -> None:
    """count=("rows", 3), stride=(0x40, 8)."""
    bench.write(0x100 + 0x40 + 2 * 8, 77)
    assert [register.value for register in bench.device.table] == [0, 0, 0, 0, 0, 77]
    assert len(Sample(rows=4).table) == 12


def test_windows_see_every_size(bench: DeviceBench[Sample]) -> None:
    """Offset counted from the window."""
    assert [bench.read(0x204, size) for size in (1, 2, 4, 8)] == [0x41, 0x42, 0x44, 0x48]


def test_the_raw_word_is_there_for_hooks(bench: DeviceBench[Sample]) -> None:
    """`written` is what the guest wrote, only the lanes of the access."""
    bench.write(4, 0xFFFFFFFF)
    bench.write(5, 0xAB, 1)
    assert bench.device.writes == [0xFFFFFFFF, 0xAB00]


def test_contradictions_are_found_at_import() -> None:
    """Overlapping fields, fields that do not fit, overlapping registers, a count without a stride."""
    with pytest.raises(DefinitionError, match="overlaps another field"):
        class twice(Register, offset=0):
            one, two = RW(3, 0), RW(3)
    with pytest.raises(DefinitionError, match="one stride for each count"):
        class row(Register, offset=0, count=3):
            pass
    with pytest.raises(DefinitionError, match="does not fit"):
        class TooWide(Device, abstract=True):
            class byte(Register, offset=0, width=1):
                high = RW(8)

    class Crowded(Device, abstract=True):
        class first(Register, offset=0):
            pass

        class second(Register, offset=2):
            pass

    with pytest.raises(DefinitionError, match="overlap at 0x2"):
        Crowded()


def test_a_layout_is_shared_by_inheritance() -> None:
    """A class without an offset is no register, but registers inherit its fields and hooks."""
    class Pair(Device, abstract=True, size=8):
        class layout(Register):
            low = RW(3, 0, reset=2)

        class a(layout, offset=0):
            pass

        class b(layout, offset=4):
            high = RW(7, 4)

    bench = DeviceBench(Pair)
    bench.write(4, 0xFF)
    assert (bench.read(0), bench.read(4)) == (2, 0xFF)
    assert set(Pair.registers) == {"a", "b"}
