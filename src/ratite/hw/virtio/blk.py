"""virtio-blk-device: a disk (Virtual I/O Device 1.2, chapter 5.2)."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from ratite.errors import UsageError
from ratite.hw.model import SIZE, STR, UINT16, UINT32, Link, Property, Register, one_of
from ratite.hw.virtio.device import VirtioDevice
from ratite.hw.virtio.features import FeatureProperty, unsupported
from ratite.hw.virtio.queue import Chain, Queue

if TYPE_CHECKING:
    from ratite.block.drive import Drive

SECTOR = 512
_HEADER = struct.Struct("<IIQ")    # type, reserved, sector
_SEGMENT = struct.Struct("<QII")   # of a discard or write-zeroes request: sector, sectors, flags
_SERIAL_BYTES = 20
_LARGEST = 1 << 30                 # bytes of a request
_UNMAP = 1                         # segment flag


class BlkFeature(IntEnum):
    """Feature bits (5.2.3)."""

    SEG_MAX = 2
    GEOMETRY = 4
    RO = 5
    BLK_SIZE = 6
    FLUSH = 9
    TOPOLOGY = 10
    CONFIG_WCE = 11
    DISCARD = 13
    WRITE_ZEROES = 14


class Request(IntEnum):
    """Request types (5.2.6)."""

    IN = 0
    OUT = 1
    FLUSH = 4
    GET_ID = 8
    DISCARD = 11
    WRITE_ZEROES = 13


class Result(IntEnum):
    """The status byte of a request."""

    OK = 0
    IOERR = 1
    UNSUPP = 2


class VirtioBlk(VirtioDevice, name="virtio-blk-device", size=0x3C):
    """A disk. Reads and writes go straight between the image and guest memory, in worker threads.

    Not modelled: several queues, request lifetime and zone commands, secure erase, SCSI passthrough, encryption.
    """

    virtio_id = 2

    drive = Property(Link("drive"), None, "the disk's content")
    serial = Property(STR, "", "serial number, of up to 20 bytes")
    logical_block_size = Property(SIZE, 0, "smallest unit of a request; 512 by default").named("logical_block_size")
    physical_block_size = Property(SIZE, 0, "unit of the disk; 512 by default").named("physical_block_size")
    min_io_size = Property(SIZE, 0, "smallest request that is efficient").named("min_io_size")
    opt_io_size = Property(SIZE, 0, "request that is most efficient").named("opt_io_size")
    discard_granularity = Property(SIZE, 0xFFFF_FFFF, "unit of discards; default: a block").named("discard_granularity")
    cyls = Property(UINT32, 0, "cylinders of the geometry; guessed by default")
    heads = Property(UINT32, 0, "heads of the geometry")
    secs = Property(UINT32, 0, "sectors of a track")
    queue_size = Property(UINT16, 256, "descriptors of the queue")
    num_queues = Property(one_of("1"), "1", "number of queues; there is one")
    rerror = Property(one_of("auto", "report", "ignore"), "auto", "what a failed read does; auto: as the drive says")
    werror = Property(one_of("auto", "report", "ignore"), "auto", "what a failed write does; auto: as the drive says")
    write_cache = Property(one_of("auto", "on", "off"), "auto", "whether written data may stay in a cache")
    max_discard_sectors = Property(UINT32, 0x3F_FFFF, "sectors of one discard request")
    max_write_zeroes_sectors = Property(UINT32, 0x3F_FFFF, "sectors of one write-zeroes request")
    config_wce = FeatureProperty(BlkFeature.CONFIG_WCE, True, "the guest switches the write cache").named("config-wce")
    discard = FeatureProperty(BlkFeature.DISCARD, True, "the guest may discard")
    write_zeroes = FeatureProperty(BlkFeature.WRITE_ZEROES, True, "the guest may ask for zeroes").named("write-zeroes")
    share_rw = unsupported("share-rw")
    scsi = unsupported("scsi")

    # --- configuration space (5.2.4)

    class capacity(Register, offset=0x00, width=8, mode="ro"):
        """Sectors of 512 bytes."""

    class size_max(Register, offset=0x08, mode="ro"):
        """Most bytes of a buffer; not limited."""

    class seg_max(Register, offset=0x0C, mode="ro"):
        """Most buffers of a request's data."""

    class cylinders(Register, offset=0x10, width=2, mode="ro"):
        """Geometry: cylinders."""

    class head_count(Register, offset=0x12, width=1, mode="ro"):
        """Geometry: heads."""

    class track_sectors(Register, offset=0x13, width=1, mode="ro"):
        """Geometry: sectors of a track."""

    class blk_size(Register, offset=0x14, mode="ro"):
        """Bytes of a logical block."""

    class physical_block_exponent(Register, offset=0x18, width=1, mode="ro"):
        """Logical blocks of a physical one, as a power of two."""

    class alignment_offset(Register, offset=0x19, width=1, mode="ro"):
        """Logical blocks before the first whole physical one; none."""

    class min_io_blocks(Register, offset=0x1A, width=2, mode="ro"):
        """Smallest efficient request, in logical blocks."""

    class opt_io_blocks(Register, offset=0x1C, mode="ro"):
        """Most efficient request, in logical blocks."""

    class writeback(Register, offset=0x20, width=1):
        def on_write(self, dev: VirtioBlk) -> None:
            self.value &= 1
            if dev.has(BlkFeature.CONFIG_WCE):
                dev.write_back(bool(self.value))
            else:
                self.value = int(not dev.image.write_through)

    class queue_count(Register, offset=0x22, width=2, mode="ro", reset=1):
        """Request queues."""

    class discard_sectors(Register, offset=0x24, mode="ro"):
        """Most sectors of a discard."""

    class discard_segments(Register, offset=0x28, mode="ro", reset=1):
        """Most segments of a discard."""

    class discard_alignment(Register, offset=0x2C, mode="ro"):
        """Unit of discards in sectors."""

    class zeroes_sectors(Register, offset=0x30, mode="ro"):
        """Most sectors of a write of zeroes."""

    class zeroes_segments(Register, offset=0x34, mode="ro", reset=1):
        """Most segments of a write of zeroes."""

    class zeroes_may_unmap(Register, offset=0x38, width=1, mode="ro", reset=1):
        """Whether a write of zeroes may give the space back."""

    # --- the life of the device

    image: Drive

    def setup(self) -> None:
        super().setup()
        self.block = self._block_size("logical_block_size", self.logical_block_size)
        physical = self._block_size("physical_block_size", max(self.physical_block_size, self.block))
        self._physical_exponent = (physical // self.block).bit_length() - 1
        if len(self.serial.encode()) > _SERIAL_BYTES:
            raise UsageError(f"{self.name}: serial '{self.serial}' is longer than {_SERIAL_BYTES} bytes")
        if not 4 <= self.queue_size <= 1024 or self.queue_size & (self.queue_size - 1):
            raise UsageError(f"{self.name}: queue-size is a power of two from 4 to 1024, not {self.queue_size}")
        self._batch = False

    def make_queues(self) -> list[int]:
        return [self.queue_size]

    def realized(self) -> None:
        super().realized()
        if self.drive is None:
            raise UsageError(f"{self.name}: property 'drive' is missing: it names the disk's content")
        self.image = self.drive
        me = self.id or self.path or self.name
        if self.image.user not in ("", me):
            raise UsageError(f"{self.name}: drive '{self.image.name}' is already in use by {self.image.user}")
        self.image.user = me
        self.image.set_policies(self.rerror, self.werror)
        through = self.image.options.cache.write_through if self.write_cache == "auto" else self.write_cache == "off"
        self._initially_cached = not through

    def reset(self) -> None:
        self.image.drain()
        super().reset()
        self.write_back(self._initially_cached)
        self._fill_config()

    def reset_queue(self, queue: Queue) -> None:
        self.image.drain()
        super().reset_queue(queue)

    def save(self) -> dict[str, Any]:
        self.image.drain()
        return super().save()

    def loaded(self) -> None:
        super().loaded()
        self.write_back(bool(self.writeback.value))

    def started(self) -> None:
        """A driver that cannot flush gets a disk without a cache (5.2.5.2)."""
        if not self.has(BlkFeature.CONFIG_WCE):
            self.write_back(self._initially_cached and self.has(BlkFeature.FLUSH))

    def adjust_features(self, features: int) -> int:
        for feature in (BlkFeature.SEG_MAX, BlkFeature.GEOMETRY, BlkFeature.BLK_SIZE, BlkFeature.TOPOLOGY,
                        BlkFeature.FLUSH):
            features |= 1 << feature
        return features | 1 << BlkFeature.RO if self.image.readonly else features

    def write_back(self, cached: bool) -> None:
        """Let written data stay in a cache until a flush, or make every write last at once."""
        self.writeback.value = int(cached)
        self.image.write_through = not cached

    # --- requests

    def handle_queue(self, queue: Queue) -> None:
        self._batch = True    # what is done at once is announced at once
        for chain in queue.take():
            self._begin(queue, chain)
        self._batch = False
        queue.notify()

    def _begin(self, queue: Queue, chain: Chain) -> None:
        header, data = _split_header(chain.readable)
        if header is None or not chain.writable:
            self.fail("a request without a header or a status byte")
            return
        status = chain.writable[-1][-1:]
        room = chain.writable[:-1]
        if len(chain.writable[-1]) > 1:
            room = [*room, chain.writable[-1][:-1]]
        kind, _, sector = _HEADER.unpack(header)
        _Running(self, queue, chain, status).begin(kind, sector, data, room)

    def finish(self, queue: Queue, chain: Chain, written: int) -> None:
        """Give a request back."""
        queue.push(chain, written)
        if not self._batch:
            queue.notify()

    def span(self, sector: int, size: int) -> tuple[int, int] | None:
        """Offset and size in bytes of a request; None when it does not fit the disk or its blocks."""
        offset = sector * SECTOR
        if (offset | size) % self.block or size > _LARGEST or not self.image.contains(offset, size):
            return None
        return offset, size

    # --- inside

    def _fill_config(self) -> None:
        sectors = self.image.size // SECTOR
        heads, secs = self.heads or 16, self.secs or 63
        self.capacity.value = sectors
        self.seg_max.value = self.queue_size - 2
        self.cylinders.value = (self.cyls or min(max(sectors // (heads * secs), 2), 16383)) & 0xFFFF
        whole_blocks = secs & -(self.block // SECTOR)
        self.head_count.value, self.track_sectors.value = heads & 0xFF, whole_blocks & 0xFF
        self.blk_size.value = self.block
        self.physical_block_exponent.value = self._physical_exponent
        self.min_io_blocks.value = self.min_io_size // self.block & 0xFFFF
        self.opt_io_blocks.value = self.opt_io_size // self.block & 0xFFFF_FFFF
        self.discard_sectors.value = self.max_discard_sectors
        granularity = self.block if self.discard_granularity == 0xFFFF_FFFF else self.discard_granularity
        self.discard_alignment.value = granularity // SECTOR & 0xFFFF_FFFF
        self.zeroes_sectors.value = self.max_write_zeroes_sectors

    def _block_size(self, name: str, size: int) -> int:
        size = size or SECTOR
        if not SECTOR <= size <= 2 << 20 or size & (size - 1):
            raise UsageError(f"{self.name}: {name} is a power of two from 512 to 2M, not {size}")
        return size


class _Running:
    """A request under way."""

    __slots__ = ("chain", "disk", "queue", "status", "written")

    def __init__(self, disk: VirtioBlk, queue: Queue, chain: Chain, status: memoryview) -> None:
        self.disk, self.queue, self.chain, self.status = disk, queue, chain, status
        self.written = 0

    def begin(self, kind: int, sector: int, data: list[memoryview], room: list[memoryview]) -> None:
        """Check the request and start it."""
        if kind == Request.IN:
            self._read(sector, room)
        elif kind == Request.OUT:
            self._write(sector, data)
        elif kind == Request.FLUSH:
            self.disk.image.flush(self.done)
        elif kind == Request.GET_ID:
            self._get_id(room)
        elif kind in (Request.DISCARD, Request.WRITE_ZEROES):
            self._segment(Request(kind), b"".join(view[: _SEGMENT.size + 1] for view in data))
        else:
            self.end(Result.UNSUPP)

    def _read(self, sector: int, room: list[memoryview]) -> None:
        size = sum(map(len, room))
        span = self.disk.span(sector, size)
        if span is None:
            self.end(Result.IOERR)
        else:
            self.written = size
            self.disk.image.read(room, span[0], self.done)

    def _write(self, sector: int, data: list[memoryview]) -> None:
        span = self.disk.span(sector, sum(map(len, data)))
        if span is None or self.disk.image.readonly:
            self.end(Result.IOERR)
        else:
            self.disk.image.write(data, span[0], self.done)

    def _get_id(self, room: list[memoryview]) -> None:
        self.written = self.chain.fill(self.disk.serial.encode().ljust(_SERIAL_BYTES, b"\0")[: sum(map(len, room))])
        self.end(Result.OK)

    def _segment(self, kind: Request, data: bytes) -> None:
        zero = kind is Request.WRITE_ZEROES
        disk = self.disk
        if not disk.has(BlkFeature.WRITE_ZEROES if zero else BlkFeature.DISCARD) or len(data) != _SEGMENT.size:
            self.end(Result.UNSUPP)
            return
        sector, sectors, flags = _SEGMENT.unpack(data)
        most = disk.max_write_zeroes_sectors if zero else disk.max_discard_sectors
        span = disk.span(sector, sectors * SECTOR)
        if flags & ~(_UNMAP if zero else 0):
            self.end(Result.UNSUPP)
        elif disk.image.readonly or span is None or sectors > most:
            self.end(Result.IOERR)
        elif zero:
            disk.image.write_zeroes(*span, bool(flags & _UNMAP), self.done)
        else:
            disk.image.discard(*span, self.done)

    def done(self, errno: int) -> None:
        """The drive has finished."""
        self.end(Result.IOERR if errno else Result.OK)

    def end(self, result: Result) -> None:
        """Write the status byte and give the chain back."""
        self.status[0] = result
        self.disk.finish(self.queue, self.chain, (self.written if result is Result.OK else 0) + 1)


def _split_header(readable: list[memoryview]) -> tuple[bytes | memoryview | None, list[memoryview]]:
    """The 16 bytes of the header, in however many buffers they are, and what follows them."""
    if readable and len(readable[0]) == _HEADER.size:    # what drivers do
        return readable[0], readable[1:]
    head = b"".join(view[: _HEADER.size] for view in readable[: _HEADER.size])[: _HEADER.size]
    if len(head) < _HEADER.size:
        return None, []
    rest, skip = [], _HEADER.size
    for view in readable:
        if len(view) > skip:
            rest.append(view[skip:])
        skip = max(0, skip - len(view))
    return head, rest
