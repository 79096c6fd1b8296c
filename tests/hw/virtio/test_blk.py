"""virtio-blk-device over a raw image: requests, configuration, errors, as chapter 5.2 of the specification has them."""

from __future__ import annotations

import errno
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratite.block.drive import Drive, Drives
from ratite.block.image import Views
from ratite.block.worker import WorkerPool
from ratite.errors import UsageError
from ratite.hw.virtio.blk import VirtioBlk
from ratite.testing.virtio_driver import DriverQueue, Used, VirtioBench

from .conftest import Way

SECTORS = 2048
IN, OUT, FLUSH, GET_ID, DISCARD, ZEROES = 0, 1, 4, 8, 11, 13
OK, IOERR, UNSUPP = 0, 1, 2
FLUSH_BIT, WCE_BIT = 9, 11


class Disk:
    """A device over a temporary image, its driver, and requests that are waited for."""

    def __init__(self, way: Way, path: Path, drive: str = "", **properties: object) -> None:
        self.pool = WorkerPool(threading.RLock())
        self.drives = Drives(self.pool, lambda text: None)
        self.drive: Drive = self.drives.add(f"file={path},format=raw,if=none,id=hd0{drive}")
        self.way, self.path = way, path
        self.bench, self.driver = way.bench(lambda: VirtioBlk(drive=self.drive, **properties))
        self.queue: DriverQueue
        self.start()

    def start(self, features: int = (1 << 64) - 1) -> None:
        (self.queue,) = self.driver.start(features, queues=[0])

    def pause(self) -> None:
        self.way.pause(self.bench)

    def raw(self, out: list[bytes], room: list[int], *, indirect: bool = False) -> Used:
        self.queue.add(out, room, indirect=indirect)
        self.queue.kick()
        self.drive.drain()
        (used,) = self.queue.used()
        self.driver.acknowledge()
        return used

    def request(self, kind: int, sector: int = 0, data: bytes = b"", room: int = 0) -> tuple[int, bytes]:
        """Status byte and data of a request."""
        out = [struct.pack("<IIQ", kind, 0, sector), data] if data else [struct.pack("<IIQ", kind, 0, sector)]
        used = self.raw(out, [room, 1] if room else [1])
        assert used.length in (1, room + 1)
        return used.data[-1], used.data[:-1]

    def close(self) -> None:
        self.drives.close()
        self.pool.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(b"".join(number.to_bytes(4, "big") * 128 for number in range(SECTORS)))
    return path


@pytest.fixture
def disk(way: Way, path: Path) -> Iterator[Disk]:
    disk = Disk(way, path)
    yield disk
    disk.close()


def sector(number: int) -> bytes:
    return number.to_bytes(4, "big") * 128


def test_reading_and_writing(disk: Disk) -> None:
    """Sectors go both ways; what was written is in the image."""
    assert disk.request(IN, 5, room=1024) == (OK, sector(5) + sector(6))
    disk.pause()
    assert disk.request(OUT, 7, b"w" * 512) == (OK, b"")
    assert disk.request(IN, 7, room=512) == (OK, b"w" * 512)
    assert disk.request(FLUSH) == (OK, b"")
    disk.pause()
    assert disk.path.read_bytes()[7 * 512 : 8 * 512] == b"w" * 512
    assert disk.request(IN, SECTORS - 1, room=512) == (OK, sector(SECTORS - 1))


def test_any_layout(disk: Disk) -> None:
    """Header, data and status may be cut into any buffers, direct or indirect."""
    header = struct.pack("<IIQ", OUT, 0, 3)
    for indirect in (False, True):
        data = bytes([65 + indirect]) * 512
        used = disk.raw([header[:1], header[1:7], header[7:] + data[:100], data[100:]], [1], indirect=indirect)
        assert used.data == bytes([OK])
        used = disk.raw([struct.pack("<IIQ", IN, 0, 3)], [1, 200, 311], indirect=indirect)
        assert used.data[-1] == IOERR, "511 bytes are no sector"
        used = disk.raw([struct.pack("<IIQ", IN, 0, 3)], [7, 193, 313], indirect=indirect)
        assert used.data == data + bytes([OK])
        assert used.length == 513


def test_interrupt_comes_from_a_worker(disk: Disk) -> None:
    """A write is finished by another thread, which raises the interrupt."""
    risen = disk.bench.interrupts
    disk.queue.add([struct.pack("<IIQ", OUT, 0, 0), b"x" * 512], [1])
    disk.queue.kick()
    disk.drive.drain()
    assert disk.bench.interrupts == risen + 1
    assert disk.driver.acknowledge() == 1


def test_identity(way: Way, path: Path) -> None:
    """GET_ID gives the serial number in 20 bytes."""
    disk = Disk(way, path, serial="RATITE-0001")
    assert disk.request(GET_ID, room=20) == (OK, b"RATITE-0001".ljust(20, b"\0"))
    assert disk.request(GET_ID, room=4) == (OK, b"RATI")
    disk.close()


def test_configuration(way: Way, path: Path) -> None:
    """Capacity, geometry, block sizes and limits, at the offsets of 5.2.4."""
    disk = Disk(
        way, path, logical_block_size=1024, physical_block_size="4K", min_io_size=4096, opt_io_size=65536,
        discard_granularity=8192, queue_size=64, max_discard_sectors=100, max_write_zeroes_sectors=200,
    )
    config = disk.driver.config
    disk.pause()
    assert config(0, 8) == SECTORS
    assert config(12, 4) == 62
    assert (config(16, 2), config(18, 1), config(19, 1)) == (2, 16, 62)
    assert (config(20, 4), config(24, 1), config(26, 2), config(28, 4)) == (1024, 2, 4, 64)
    assert config(32, 1) == 1
    assert (config(34, 2), config(36, 4), config(40, 4), config(44, 4)) == (1, 100, 1, 16)
    assert (config(48, 4), config(52, 4), config(56, 1)) == (200, 1, 1)
    assert disk.request(IN, 1, room=1024)[0] == IOERR, "not on a block"
    assert disk.request(IN, 2, room=512)[0] == IOERR, "half a block"
    assert disk.request(IN, 2, room=1024)[0] == OK
    disk.close()


def test_features(way: Way, path: Path) -> None:
    """What is offered follows the properties and the image."""
    disk = Disk(way, path, discard=False, write_zeroes=False, config_wce=False)
    offered = disk.driver.offered()
    assert [bool(offered >> bit & 1) for bit in (2, 4, 5, 6, 9, 10, 11, 13, 14)] == [
        True, True, False, True, True, True, False, False, False
    ]
    disk.close()
    disk = Disk(way, path, ",readonly=on")
    assert disk.driver.offered() >> 5 & 1
    assert disk.request(OUT, 0, b"x" * 512)[0] == IOERR
    assert disk.request(ZEROES, 0, struct.pack("<QII", 0, 8, 0))[0] == IOERR
    assert disk.request(IN, 0, room=512) == (OK, sector(0))
    disk.close()


def test_beyond_the_end(disk: Disk) -> None:
    """Requests that do not lie on the disk fail, at whatever sector they pretend to be."""
    for number in (SECTORS, SECTORS - 1, 1 << 40, (1 << 64) - 1):
        assert disk.request(IN, number, room=1024)[0] == IOERR
        assert disk.request(OUT, number, b"x" * 1024)[0] == IOERR


def test_unknown_requests(disk: Disk) -> None:
    """A type that does not exist is unsupported; the device goes on."""
    for kind in (2, 3, 5, 14, 0x8000_0000, 0xFFFF_FFFF):
        assert disk.request(kind, 0, room=512)[0] == UNSUPP
    assert disk.request(IN, 0, room=512)[0] == OK


def test_zeroes_and_discard(disk: Disk) -> None:
    """Zeroes are written; a discard succeeds; flags that do not exist are refused."""
    disk.pause()
    assert disk.request(ZEROES, 0, struct.pack("<QII", 8, 4, 0))[0] == OK
    assert disk.request(ZEROES, 0, struct.pack("<QII", 16, 4, 1))[0] == OK
    assert disk.request(IN, 7, room=2048)[1] == sector(7) + bytes(1536)
    assert disk.request(IN, 16, room=512)[1] == bytes(512)
    assert disk.request(DISCARD, 0, struct.pack("<QII", 100, 8, 0))[0] == OK
    assert disk.request(IN, 100, room=512)[1] == sector(100), "the drive has discard=ignore"
    assert disk.request(DISCARD, 0, struct.pack("<QII", 100, 8, 1))[0] == UNSUPP
    assert disk.request(ZEROES, 0, struct.pack("<QII", 100, 8, 2))[0] == UNSUPP
    assert disk.request(ZEROES, 0, struct.pack("<QII", SECTORS, 1, 0))[0] == IOERR
    assert disk.request(ZEROES, 0, b"short")[0] == UNSUPP
    assert disk.request(ZEROES, 0, bytes(48))[0] == UNSUPP, "one segment at a time"


@pytest.mark.parametrize(("out", "room"), [([], [1]), ([b"short"], [1]), ([bytes(16)], [])])
def test_malformed_requests_stop_the_device(way: Way, path: Path, out: list[bytes], room: list[int]) -> None:
    """Without a header or a place for the status the device needs a reset, and works after it."""
    disk = Disk(way, path)
    disk.queue.add(out, room)
    disk.queue.kick()
    assert disk.bench.device.broken
    disk.start()
    assert disk.request(IN, 0, room=512)[0] == OK
    disk.close()


class FailingImage:
    """An image that fails, and counts flushes."""

    size, readonly = SECTORS * 512, False
    number = errno.EIO
    flushes = 0

    def preadv(self, views: Views, offset: int) -> None:
        raise OSError(self.number, "on demand")

    def try_preadv(self, views: Views, offset: int) -> bool:
        return False

    def pwritev(self, views: Views, offset: int) -> None:
        if self.number:
            raise OSError(self.number, "on demand")

    def flush(self) -> None:
        self.flushes += 1

    def discard(self, offset: int, size: int) -> None:
        raise OSError(self.number, "on demand")

    def write_zeroes(self, offset: int, size: int, unmap: bool) -> None:
        raise OSError(self.number, "on demand")

    def close(self) -> None:
        pass


def failing(disk: Disk) -> FailingImage:
    disk.drive.image.close()
    disk.drive.image = image = FailingImage()
    return image


def test_host_errors_reach_the_guest(disk: Disk) -> None:
    """A failed read, write or zeroing is an I/O error."""
    failing(disk)
    assert disk.request(IN, 0, room=512)[0] == IOERR
    assert disk.request(OUT, 0, b"x" * 512)[0] == IOERR
    assert disk.request(ZEROES, 0, struct.pack("<QII", 0, 1, 0))[0] == IOERR


def test_ignored_errors(way: Way, path: Path) -> None:
    """werror=ignore hides them."""
    disk = Disk(way, path, werror="ignore")
    failing(disk)
    assert disk.request(OUT, 0, b"x" * 512)[0] == OK
    assert disk.request(IN, 0, room=512)[0] == IOERR
    disk.close()


def test_write_cache_modes(disk: Disk) -> None:
    """The guest's writeback field decides whether each write is flushed; without FLUSH they all are."""
    image = failing(disk)
    image.number = 0
    disk.request(OUT, 0, b"x" * 512)
    assert image.flushes == 0
    disk.driver.write(0x120, 0, 1)
    disk.pause()
    assert disk.driver.config(32, 1) == 0
    disk.request(OUT, 0, b"x" * 512)
    assert image.flushes == 1
    disk.start(~(1 << WCE_BIT | 1 << FLUSH_BIT))
    disk.request(OUT, 0, b"x" * 512)
    assert image.flushes == 2
    disk.driver.write(0x120, 1, 1)
    assert disk.driver.config(32, 1) == 0, "the field cannot be written without CONFIG_WCE"
    disk.start(~(1 << WCE_BIT))
    disk.request(OUT, 0, b"x" * 512)
    assert image.flushes == 2


def test_reset_waits_for_requests(disk: Disk) -> None:
    """A reset with requests under way leaves nothing behind that writes to the guest's memory later."""
    for number in range(2):
        disk.queue.add([struct.pack("<IIQ", OUT, 0, number), b"y" * 512], [1])
    disk.queue.kick()
    disk.driver.write(0x70, 0)
    assert not disk.drive._jobs._running
    assert disk.path.read_bytes()[:1024] == b"y" * 1024
    disk.start()
    assert disk.request(IN, 0, room=512)[1] == b"y" * 512


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({}, "property 'drive' is missing"),
        ({"logical_block_size": 1000}, "logical_block_size is a power of two"),
        ({"serial": "x" * 21}, "longer than 20 bytes"),
        ({"queue-size": 3}, "queue-size is a power of two"),
        ({"num-queues": "2"}, "property 'num-queues'"),
        ({"share-rw": "on"}, "property 'share-rw': 'on' is not accepted"),
        ({"drvie": "x"}, "property of virtio-blk-device 'drvie' is not known: did you mean 'drive'"),
        ({"drive": "x"}, "drive 'x' is not known"),
    ],
)
def test_refused_properties(properties: dict[str, object], message: str) -> None:
    """One line that names the property."""
    with pytest.raises(UsageError, match=message):
        VirtioBench(lambda: VirtioBlk.from_options(properties))


def test_one_drive_is_for_one_device(way: Way, path: Path) -> None:
    """A second device on the same drive is refused."""
    disk = Disk(way, path)

    def second() -> VirtioBlk:
        device = VirtioBlk(drive=disk.drive)
        device.id = "other"
        return device

    with pytest.raises(UsageError, match="'hd0' is already in use by virtio-blk-device"):
        way.bench(second)
    disk.close()


