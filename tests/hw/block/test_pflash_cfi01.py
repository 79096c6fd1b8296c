"""The flash by the Intel command set and CFI: two 16-bit chips on a 32-bit bus, no guest."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ratite.errors import ImageError, UsageError
from ratite.hw.block.pflash_cfi01 import Pflash
from ratite.testing import DeviceBench

SECTOR, SECTORS = 0x2_0000, 4
BOTH = 0x0001_0001    # a value in the lanes of both chips
READY = 0x80 * BOTH
Bench = DeviceBench[Pflash]


class Drive:
    """A file in memory."""

    def __init__(self, size: int = SECTOR * SECTORS, readonly: bool = False) -> None:
        self.content = bytearray(b"\xff" * size)
        self.size, self.readonly = size, readonly

    def preadv(self, views: Sequence[memoryview], offset: int) -> None:
        for view in views:
            view[:] = self.content[offset:offset + len(view)]
            offset += len(view)

    def pwritev(self, views: Sequence[memoryview], offset: int) -> None:
        for view in views:
            self.content[offset:offset + len(view)] = view
            offset += len(view)


@pytest.fixture
def drive() -> Drive:
    return Drive()


@pytest.fixture
def flash(drive: Drive, restoring: bool) -> Bench:
    return DeviceBench(lambda: Pflash(drive=drive, num_blocks=SECTORS, sector_length=SECTOR), restoring=restoring,
                       at=0x2000_0000)


def command(flash: Bench, code: int, offset: int = 0) -> None:
    flash.write(offset, code * BOTH)


def test_reads_of_the_array_are_memory(flash: Bench, drive: Drive) -> None:
    """The translator may map it; other modes take it away, 0xFF brings it back."""
    def region() -> bool:
        found = flash.memory.find(0x2000_0000)
        assert found is not None
        return found.direct_read

    assert region() and flash.read(0x40) == 0xFFFF_FFFF
    command(flash, 0x90)
    assert not region()
    command(flash, 0xFF)
    assert region() and flash.memory.dma_read(0x2000_0000, 4) == b"\xff" * 4


def test_identification(flash: Bench) -> None:
    """Manufacturer and device in each lane; lock status at word 2 of each block."""
    command(flash, 0x90)
    assert flash.read(0) == 0x89 * BOTH and flash.read(4) == 0x18 * BOTH
    assert flash.read(SECTOR + 8) == 0
    assert flash.read(0, 1) == 0x89 and flash.read(2, 2) == 0x89


def test_cfi_query(flash: Bench) -> None:
    """QRY, Intel command set, geometry of one chip."""
    command(flash, 0x98, 0x55 * 4)
    byte = [flash.read(4 * word) & 0xFFFF for word in range(0x40)]
    assert bytes(byte[0x10:0x13]) == b"QRY" and byte[0x13] | byte[0x14] << 8 == 1
    assert flash.read(4 * 0x10) == ord("Q") * BOTH
    assert 1 << byte[0x27] == SECTOR * SECTORS // 2
    assert byte[0x2C] == 1 and byte[0x2D] | byte[0x2E] << 8 == SECTORS - 1
    assert (byte[0x2F] | byte[0x30] << 8) * 256 == SECTOR // 2
    table = byte[0x15] | byte[0x16] << 8
    assert bytes(byte[table:table + 3]) == b"PRI" and 1 << byte[0x2A] == 2048


def test_program_a_word(flash: Bench, drive: Drive) -> None:
    """Ready at once, only clears bits, written through to the file."""
    command(flash, 0x40, 0x100)
    flash.write(0x100, 0x1234_5678)
    assert flash.read(0) == READY
    command(flash, 0x10, 0x100)
    flash.write(0x100, 0xFF00_FFFF)
    command(flash, 0xFF)
    assert flash.read(0x100) == 0x1200_5678
    assert drive.content[0x100:0x104] == bytes.fromhex("78560012")


def test_erase_a_block(flash: Bench, drive: Drive) -> None:
    """One sector over both chips; its neighbours stay."""
    for offset in (SECTOR - 4, SECTOR, 2 * SECTOR - 4, 2 * SECTOR):
        command(flash, 0x40, offset)
        flash.write(offset, 0)
    command(flash, 0x20, SECTOR + 0x40)
    command(flash, 0xD0, SECTOR + 0x40)
    assert flash.read(0) == READY
    command(flash, 0xFF)
    seen = [flash.read(offset) for offset in (SECTOR - 4, SECTOR, 2 * SECTOR - 4, 2 * SECTOR)]
    assert seen == [0, 0xFFFF_FFFF, 0xFFFF_FFFF, 0]
    assert drive.content[SECTOR:2 * SECTOR] == b"\xff" * SECTOR


def test_a_wrong_sequence_sets_the_error_bits(flash: Bench) -> None:
    """Status keeps them until it is cleared."""
    command(flash, 0x20)
    command(flash, 0xFF)
    assert flash.read(0) == 0xB0 * BOTH
    command(flash, 0x50)
    command(flash, 0x70)
    assert flash.read(0) == READY


def test_buffered_program(flash: Bench, drive: Drive) -> None:
    """Count less one, data, confirmation."""
    command(flash, 0xE8, SECTOR)
    assert flash.read(SECTOR) == READY
    command(flash, 3, SECTOR)
    for word in range(4):
        flash.write(SECTOR + 4 * word, 0x01010101 * (word + 1))
    command(flash, 0xD0, SECTOR)
    assert flash.read(0) == READY
    assert drive.content[SECTOR:SECTOR + 20] == bytes.fromhex("01010101020202020303030304040404ffffffff")


def test_buffered_program_that_is_not_confirmed_or_too_long(flash: Bench, drive: Drive) -> None:
    """Nothing is programmed."""
    command(flash, 0xE8)
    command(flash, 0)
    flash.write(0, 0)
    command(flash, 0xFF)
    assert flash.read(0) == 0xB0 * BOTH and drive.content[0] == 0xFF
    command(flash, 0x50)
    command(flash, 0xE8)
    command(flash, 1024)
    assert flash.read(0) == 0xB0 * BOTH
    command(flash, 0x50)
    command(flash, 0xE8)
    command(flash, 1)
    flash.write(0x1000, 0)
    flash.write(0, 0)    # below the first word
    command(flash, 0xD0)
    assert flash.read(0) == 0xB0 * BOTH and drive.content[0x1000] == 0xFF


def test_locked_blocks_cannot_change(flash: Bench, drive: Drive) -> None:
    """Lock, try, unlock; the lock bit shows under identification."""
    command(flash, 0x60, SECTOR)
    command(flash, 0x01, SECTOR)
    command(flash, 0x90, SECTOR)
    assert flash.read(SECTOR + 8) == BOTH and flash.read(8) == 0
    command(flash, 0x40, SECTOR)
    flash.write(SECTOR, 0)
    assert flash.read(0) == 0x92 * BOTH
    command(flash, 0x50)
    command(flash, 0x20, SECTOR)
    command(flash, 0xD0, SECTOR)
    assert flash.read(0) == 0xA2 * BOTH and drive.content[SECTOR] == 0xFF
    command(flash, 0x60, SECTOR)
    command(flash, 0xD0, SECTOR)
    command(flash, 0x50)
    command(flash, 0x40, SECTOR)
    flash.write(SECTOR, 0)
    assert flash.read(0) == READY and drive.content[SECTOR] == 0


def test_a_file_that_is_read_only() -> None:
    """Programming fails with its error bit."""
    drive = Drive(readonly=True)
    flash = DeviceBench(lambda: Pflash(drive=drive, num_blocks=SECTORS, sector_length=SECTOR))
    command(flash, 0x40)
    flash.write(0, 0)
    assert flash.read(0) == 0x90 * BOTH and drive.content[0] == 0xFF


def test_code_in_the_flash_is_invalidated() -> None:
    """The translator hears of programming."""
    heard: list[tuple[int, int]] = []
    flash = DeviceBench(lambda: Pflash(num_blocks=SECTORS, sector_length=SECTOR))
    flash.memory.on_ram_write(lambda ram, offset, size: heard.append((offset, size)))
    command(flash, 0x40, 0x80)
    flash.write(0x80, 0)
    assert heard == [(0x80, 4)]


def test_one_chip_of_8_bits() -> None:
    """Other widths: bytes are the bus words."""
    flash = DeviceBench(lambda: Pflash(num_blocks=4, sector_length=0x1000, width=1, device_width=1))
    flash.write(0, 0x98, 1)
    assert bytes(flash.read(word, 1) for word in (0x10, 0x11, 0x12)) == b"QRY"


@pytest.mark.parametrize(("properties", "error", "message"), [
    ({"sector_length": 1000}, UsageError, "sector-length"), ({"width": 3}, UsageError, "width"),
    ({"num_blocks": 0}, UsageError, "sectors"),
])
def test_impossible_geometry(properties: dict[str, int], error: type[Exception], message: str) -> None:
    """One line that names the property."""
    with pytest.raises(error, match=message):
        Pflash(**properties)


def test_a_file_of_the_wrong_size() -> None:
    """Both sizes are in the error."""
    drive = Drive(size=SECTOR)
    with pytest.raises(ImageError, match=f"has {SECTOR} bytes, but the flash has {SECTOR * SECTORS}"):
        DeviceBench(lambda: Pflash(drive=drive, num_blocks=SECTORS, sector_length=SECTOR))


def test_a_file_that_cannot_be_read() -> None:
    """An error of the host's, in one line."""
    class Broken(Drive):
        def preadv(self, views: Sequence[memoryview], offset: int) -> None:
            raise OSError(5, "Input/output error")

    with pytest.raises(ImageError, match="cannot be read: Input/output error"):
        DeviceBench(lambda: Pflash(drive=Broken(), num_blocks=SECTORS, sector_length=SECTOR))
