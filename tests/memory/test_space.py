"""The address space: map, accesses, DMA, listeners."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratite.errors import DefinitionError, MemoryAccessError
from ratite.memory import AddressSpace, BusError, RamBlock, Region


class Recorder:
    """A device that notes accesses and answers with the offset."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int, int | None]] = []

    def mmio_read(self, offset: int, size: int) -> int:
        self.seen.append((offset, size, None))
        return offset

    def mmio_write(self, offset: int, size: int, value: int) -> None:
        self.seen.append((offset, size, value))


@pytest.fixture
def ram() -> Iterator[RamBlock]:
    block = RamBlock("ram", 0x4000)
    yield block
    block.close()


def test_ram_reads_back_in_all_sizes(ram: RamBlock) -> None:
    """Little-endian, unaligned too."""
    space = AddressSpace()
    space.add_ram(0x8000, ram)
    space.write(0x8001, 8, 0x1122334455667788)
    assert [space.read(0x8001, n) for n in (1, 2, 4, 8)] == [0x88, 0x7788, 0x55667788, 0x1122334455667788]
    assert bytes(ram.view[1:9]) == bytes.fromhex("8877665544332211")


def test_big_endian_space(ram: RamBlock) -> None:
    """The byte order is the space's."""
    space = AddressSpace(byteorder="big")
    space.add_ram(0, ram)
    space.write(0, 4, 0x11223344)
    assert bytes(ram.view[:4]) == bytes.fromhex("11223344")


def test_part_of_a_block_and_rom(ram: RamBlock) -> None:
    """A region may show a part of a block, and refuse writes silently, as ROM does."""
    ram.view[0x1000:0x1004] = b"abcd"
    space = AddressSpace()
    region = space.add_ram(0x100, ram, readonly=True, offset=0x1000, size=0x1000)
    assert space.read(0x100, 4) == int.from_bytes(b"abcd", "little")
    space.write(0x100, 4, 0)
    assert space.read(0x100, 1) == ord("a")
    assert region.host_address(0x102) == ram.host + 0x1002
    with pytest.raises(MemoryAccessError):
        space.dma_write(0x100, b"x")
    with pytest.raises(DefinitionError):
        space.add_ram(0x9000, ram, offset=0x3000, size=0x1001)


def test_devices_get_offset_size_and_value() -> None:
    """Exactly what the guest did."""
    device = Recorder()
    space = AddressSpace()
    space.add_io(0x1000, 0x100, device, "dev")
    assert space.read(0x1010, 2) == 0x10
    space.write(0x10FC, 4, 0xAABBCCDD)
    assert device.seen == [(0x10, 2, None), (0xFC, 4, 0xAABBCCDD)]


@pytest.mark.parametrize("address", [0, 0xFFF, 0x10FD, 0x1100, (1 << 64) - 1])
def test_unassigned_and_crossing_accesses_are_bus_errors(address: int) -> None:
    """Before, after, and over the end of a region; the error carries the address."""
    space = AddressSpace()
    space.add_io(0x1000, 0x100, Recorder(), "dev")
    with pytest.raises(BusError) as caught:
        space.read(address, 4)
    assert (caught.value.address, caught.value.write) == (address, False)
    with pytest.raises(BusError) as caught:
        space.write(address, 4, 0)
    assert caught.value.write


@pytest.mark.parametrize("base", [0xFFF, 0x1000, 0x1080, 0x10FF, 0x800])
def test_overlaps_name_both_sides(base: int) -> None:
    """A board that puts two things in one place is told which."""
    space = AddressSpace()
    space.add_io(0x1000, 0x100, Recorder(), "first")
    with pytest.raises(DefinitionError, match=r"second at .* overlaps first at 0x1000"):
        space.add_io(base, 0x900, Recorder(), "second")


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 40)), max_size=12), st.integers(0, 260))
def test_find_agrees_with_a_linear_search(spans: list[tuple[int, int]], address: int) -> None:
    """Whatever the map, `find` names the one region that holds the address."""
    space = AddressSpace()
    taken: list[tuple[int, int]] = []
    for base, size in spans:
        if all(base >= b + s or b >= base + size for b, s in taken):
            space.add_io(base, size, Recorder(), "dev")
            taken.append((base, size))
        else:
            with pytest.raises(DefinitionError):
                space.add_io(base, size, Recorder(), "dev")
    found = space.find(address)
    expected = [(b, s) for b, s in taken if b <= address < b + s]
    assert [(found.base, found.size)] == expected if found else expected == []
    assert [r.base for r in space.regions()] == sorted(b for b, _ in taken)


def test_romd_reads_memory_or_device_and_tells_listeners(ram: RamBlock) -> None:
    """Flash: writes always go to the device, reads only while it is not in array mode."""
    device, changes = Recorder(), [0]
    space = AddressSpace()
    space.on_change(lambda: changes.append(1))
    region = space.add_romd(0x1000, ram, device, "flash")
    ram.view[4] = 9
    assert space.read(0x1004, 1) == 9 and region.direct_read and not region.direct_write
    space.write(0x1004, 1, 5)
    assert ram.view[4] == 9 and device.seen == [(4, 1, 5)]
    space.set_romd(region, False)
    space.set_romd(region, False)
    assert space.read(0x1004, 1) == 4 and sum(changes) == 2
    with pytest.raises(MemoryAccessError):
        space.dma_read(0x1000, 4)


def test_dma_over_neighbouring_regions_and_its_limits(ram: RamBlock) -> None:
    """A copy may cross regions of RAM; a view may not; nothing is written when a part is missing."""
    space = AddressSpace()
    space.add_ram(0x2000, ram, offset=0x2000, size=0x1000, name="high")
    space.add_ram(0x3000, ram, offset=0, size=0x1000, name="low")
    space.dma_write(0x2FFE, b"abcd")
    assert bytes(ram.view[0x2FFE:0x3000]) == b"ab" and bytes(ram.view[:2]) == b"cd"
    assert space.dma_read(0x2FFE, 4) == b"abcd"
    with pytest.raises(MemoryAccessError):
        space.dma_view(0x2FFE, 4)
    with pytest.raises(MemoryAccessError):
        space.dma_write(0x3FFE, b"wxyz")
    assert bytes(ram.view[0xFFE:0x1000]) == bytes(2)
    space.dma_view(0x3000, 2)[:] = b"zz"
    assert bytes(ram.view[:2]) == b"zz"


@pytest.mark.parametrize(("address", "size"), [(0x2000, -1), (-5, 4), (1 << 64, 8), (0x2000, 1 << 70), (0x1FFF, 2)])
def test_hostile_dma_is_an_error_and_no_more(ram: RamBlock, address: int, size: int) -> None:
    """Addresses and lengths come from guests."""
    space = AddressSpace()
    space.add_ram(0x2000, ram)
    for access in (space.dma_read, space.dma_view):
        with pytest.raises(MemoryAccessError):
            access(address, size)


def test_write_listeners_hear_of_wanted_writes_only(ram: RamBlock) -> None:
    """The translator asks only about pages that hold code; offsets are within the RAM block."""
    heard: list[tuple[int, int]] = []
    space = AddressSpace()
    space.add_ram(0x8000, ram, offset=0x1000, size=0x3000)
    space.on_ram_write(lambda block, offset, size: heard.append((offset, size)),
                       lambda block, offset, size: offset >> 12 == 2)
    space.dma_write(0x8000, b"abc")
    space.dma_write(0x9004, b"abc")
    space.note_write(0x9010, 4)
    space.note_write(0x8010, 4)
    space.write(0x9020, 8, 0)
    assert heard == [(0x2004, 3), (0x2010, 4), (0x2020, 8)]


def test_remove_and_mtree(ram: RamBlock) -> None:
    """The text has the layout of `info mtree`."""
    space = AddressSpace()
    space.add_ram(0x8000_0000, ram)
    region: Region = space.add_io(0x1000, 0x100, Recorder(), "dev")
    assert space.mtree() == (
        "address-space: memory\n"
        "  0000000000001000-00000000000010ff (prio 0, i/o): dev\n"
        "  0000000080000000-0000000080003fff (prio 0, ram): ram\n"
    )
    space.remove(region)
    assert space.find(0x1000) is None
