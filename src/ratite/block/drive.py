"""`-drive`: an image, how it is cached, and requests to it that do not keep the guest waiting."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from enum import Enum

from ratite import keyval
from ratite.block.image import BlockImage, Views
from ratite.block.overlay import OverlayImage
from ratite.block.probe import probe, require_supported
from ratite.block.raw import RawImage
from ratite.block.worker import Done, Jobs, WorkerPool
from ratite.errors import ImageError, UsageError, unknown
from ratite.settings import fill, setting, settings

_PROBED_BYTES = 2048
_PROTOCOL = re.compile(r"(nbd|nbd\+\w+|https?|ftps?|ssh|iscsi|rbd|nfs|gluster\S*|fat|json|blkdebug|fd):")


class Interface(Enum):
    """What a drive is plugged into without a -device of its own."""

    NONE = "none"
    VIRTIO = "virtio"
    PFLASH = "pflash"


class Cache(Enum):
    """How writes reach the disk, as QEMU names it."""

    WRITEBACK = "writeback"
    WRITETHROUGH = "writethrough"
    NONE = "none"
    DIRECTSYNC = "directsync"
    UNSAFE = "unsafe"

    @property
    def direct(self) -> bool:
        return self in (Cache.NONE, Cache.DIRECTSYNC)

    @property
    def write_through(self) -> bool:
        return self in (Cache.WRITETHROUGH, Cache.DIRECTSYNC)


class Discard(Enum):
    """Whether discards of the guest reach the host."""

    IGNORE = "ignore"
    OFF = "off"
    UNMAP = "unmap"
    ON = "on"


class Media(Enum):
    """A cdrom is a disk that cannot be written."""

    DISK = "disk"
    CDROM = "cdrom"


class Aio(Enum):
    """How requests run."""

    THREADS = "threads"


class OnError(Enum):
    """What a failed request does."""

    REPORT = "report"
    IGNORE = "ignore"


class Locking(Enum):
    """Whether the image is locked against other programs."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


@settings
class DriveOptions:
    file: str = setting("the image: a file or a block device", default="")
    format: str = setting("its format; guessed, with a warning, when it is left out", default="")
    interface: Interface | None = setting("none (for a -device), virtio or pflash", default=None, name="if")
    id: str = setting("the name that a -device refers to", default="")
    index: int | None = setting("which of several drives of one interface this is", default=None)
    unit: int | None = setting("the same as index", default=None)
    media: Media = setting("disk or cdrom", default=Media.DISK)
    snapshot: bool = setting("forget what is written at the end", default=False)
    cache: Cache = setting("writeback, writethrough, none, directsync or unsafe", default=Cache.WRITEBACK)
    aio: Aio = setting("threads", default=Aio.THREADS)
    discard: Discard = setting("whether discarded space is given back to the host", default=Discard.IGNORE)
    readonly: bool = setting("the guest cannot write", default=False, aliases=("read-only",))
    rerror: OnError = setting("what a failed read does: the guest sees the error, or nothing", default=OnError.REPORT)
    werror: OnError = setting("what a failed write does: the guest sees the error, or nothing", default=OnError.REPORT)
    locking: Locking = setting("lock the image against other programs", default=Locking.AUTO, name="file.locking")


class Drive:
    """An image in use. A device calls `read`, `write` and so on; `done(errno)` is called holding the machine's lock,
    possibly before they return.

    Requests run in worker threads in no particular order; a flush covers the writes that were done when it was asked
    for. Not supported: stopping the machine on an error (werror=stop, enospc), throttling.
    """

    def __init__(self, name: str, image: BlockImage, options: DriveOptions, pool: WorkerPool) -> None:
        self.name, self.image, self.options = name, image, options
        self.write_through = options.cache.write_through
        self.user = ""    # the device that has it
        self._jobs, self._lock = Jobs(pool), pool.machine_lock

    @property
    def size(self) -> int:
        """Bytes."""
        return self.image.size

    @property
    def readonly(self) -> bool:
        return self.image.readonly

    def set_policies(self, rerror: str, werror: str) -> None:
        """A device's choice of what failed reads and writes do; `auto` leaves the drive's."""
        if rerror != "auto":
            self.options.rerror = OnError(rerror)
        if werror != "auto":
            self.options.werror = OnError(werror)

    def read(self, views: Views, offset: int, done: Done) -> None:
        """Fill the views from `offset`. What the host has in its page cache is there at once."""
        if self.image.try_preadv(views, offset):
            done(0)
        else:
            self._jobs.submit(lambda: self.image.preadv(views, offset), self._tolerant(self.options.rerror, done))

    def write(self, views: Views, offset: int, done: Done) -> None:
        """Write the views at `offset`."""
        work = self._durable(lambda: self.image.pwritev(views, offset))
        self._jobs.submit(work, self._tolerant(self.options.werror, done))

    def write_zeroes(self, offset: int, size: int, unmap: bool, done: Done) -> None:
        """Write zeroes; with `unmap` the space may go back to the host if the drive has discard=unmap."""
        unmap = unmap and self._discards
        work = self._durable(lambda: self.image.write_zeroes(offset, size, unmap))
        self._jobs.submit(work, self._tolerant(self.options.werror, done))

    def discard(self, offset: int, size: int, done: Done) -> None:
        """The range is not needed any more; ignored unless the drive has discard=unmap."""
        if self._discards:
            self._jobs.submit(lambda: self.image.discard(offset, size), self._tolerant(self.options.werror, done))
        else:
            done(0)

    def flush(self, done: Done) -> None:
        """Make what was written last."""
        if self.options.cache is Cache.UNSAFE or self.readonly:
            done(0)
        else:
            self._jobs.submit(self.image.flush, self._tolerant(self.options.werror, done))

    def drain(self) -> None:
        """Wait until nothing is under way; the caller holds the machine's lock."""
        self._jobs.drain()

    def contains(self, offset: int, size: int) -> bool:
        """Whether the range lies on the disk."""
        return offset >= 0 and size >= 0 and offset + size <= self.image.size

    def close(self) -> None:
        """Finish what is under way, flush, and close the image."""
        with self._lock:
            self.drain()
        if not self.readonly and self.options.cache is not Cache.UNSAFE:
            try:
                self.image.flush()
            except OSError:
                pass    # the guest was told of its own flushes
        self.image.close()

    @property
    def _discards(self) -> bool:
        return self.options.discard in (Discard.UNMAP, Discard.ON)

    def _durable(self, work: Callable[[], None]) -> Callable[[], None]:
        if not self.write_through:
            return work

        def both() -> None:
            work()
            self.image.flush()

        return both

    @staticmethod
    def _tolerant(policy: OnError, done: Done) -> Done:
        return done if policy is OnError.REPORT else lambda _: done(0)


class Drives(Mapping[str, Drive]):
    """All drives of a machine, by id."""

    def __init__(self, pool: WorkerPool, warn: Callable[[str], None] = print) -> None:
        self._pool, self._warn = pool, warn
        self._drives: dict[str, Drive] = {}

    def __getitem__(self, name: str) -> Drive:
        return self._drives[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._drives)

    def __len__(self) -> int:
        return len(self._drives)

    def add(self, option: str) -> Drive:
        """`-drive file=...,...`. Raises UsageError or ImageError."""
        options = fill(DriveOptions, keyval.parse(option, implied="file"), "-drive")
        name = options.id or self._free_name(options)
        if name in self._drives:
            raise UsageError(f"-drive: id '{name}' exists twice")
        drive = Drive(name, open_image(options, self._warn), options, self._pool)
        self._drives[name] = drive
        return drive

    def take(self, name: str, user: str) -> Drive:
        """The drive for a device, which is then the only one to use it. Raises UsageError when there is none or it is
        taken.
        """
        drive = self._drives.get(name)
        if drive is None:
            raise unknown("drive", name, self._drives)
        if drive.user:
            raise UsageError(f"drive '{name}' is already in use by {drive.user}")
        drive.user = user
        return drive

    def of(self, interface: Interface) -> list[Drive]:
        """The drives of an interface in the order of their index; those without one come in the free places."""
        return [drive for _, drive in sorted(self._placed(interface).items())]

    def close(self) -> None:
        for drive in self.values():
            drive.close()
        self._drives.clear()

    def _placed(self, interface: Interface) -> dict[int, Drive]:
        placed: dict[int, Drive] = {}
        floating = []
        for drive in self.values():
            if drive.options.interface is not interface:
                continue
            index = drive.options.index if drive.options.index is not None else drive.options.unit
            if index is None:
                floating.append(drive)
            elif index in placed:
                place = f"if={interface.value},index={index}"
                raise UsageError(f"-drive: '{drive.name}' and '{placed[index].name}' both want {place}")
            else:
                placed[index] = drive
        for drive in floating:
            placed[next(n for n in range(len(placed) + 1) if n not in placed)] = drive
        return placed

    def _free_name(self, options: DriveOptions) -> str:
        kind = options.interface.value if options.interface else "drive"
        return next(name for n in range(len(self._drives) + 1) if (name := f"{kind}{n}") not in self._drives)


def open_image(options: DriveOptions, warn: Callable[[str], None]) -> BlockImage:
    """Open what `-drive` describes: lock it, find its format, put an overlay on it. Raises UsageError or ImageError."""
    path = _local_path(options.file)
    if options.format:
        require_supported(options.format, path)
    image = RawImage(
        path,
        readonly=options.readonly or options.snapshot or options.media is Media.CDROM,
        direct=options.cache.direct,
        guarded=not options.format,
        lock=options.locking is not Locking.OFF,
    )
    if not options.format:
        _guess(image, path, warn)
    if options.snapshot and not options.readonly and options.media is Media.DISK:
        return OverlayImage(image)
    return image


def _guess(image: RawImage, path: str, warn: Callable[[str], None]) -> None:
    found = probe(image.head(_PROBED_BYTES))
    try:
        require_supported(found, path)
    except ImageError:
        image.close()
        raise
    warn(
        f"warning: -drive file={path}: no format was given, and it looks like a raw image. A guest could make it look "
        "like another one, so that writes of this kind to its first sector fail; format=raw lifts this."
    )


def _local_path(file: str) -> str:
    if not file:
        raise UsageError("-drive: 'file' is missing")
    if not os.path.exists(file):
        file = file.removeprefix("file:")
        if protocol := _PROTOCOL.match(file):
            supported = "supported: files and block devices"
            raise ImageError(f"'{file}': images over {protocol[1]} are not supported yet; {supported}")
    return file


