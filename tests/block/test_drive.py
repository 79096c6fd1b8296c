"""`-drive`: its options, its requests in worker threads, its cache modes."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest

from ratite.block.drive import Cache, Drive, Interface
from ratite.block.image import Views
from ratite.block.overlay import OverlayImage
from ratite.errors import ImageError, UsageError

from .conftest import DriveBench


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(b"0123456789abcdef" * 4096)
    return path


class CountingImage:
    """An image in memory that counts flushes, fails on demand and waits for a signal before it reads."""

    readonly = False
    size = 4096

    def __init__(self) -> None:
        self.flushes = 0
        self.failure = 0
        self.gate = threading.Event()

    def preadv(self, views: Views, offset: int) -> None:
        self.gate.wait(20)
        self._fail()

    def try_preadv(self, views: Views, offset: int) -> bool:
        return False

    def pwritev(self, views: Views, offset: int) -> None:
        self._fail()

    def flush(self) -> None:
        self.flushes += 1
        self._fail()

    def discard(self, offset: int, size: int) -> None:
        self._fail()

    def write_zeroes(self, offset: int, size: int, unmap: bool) -> None:
        self._fail()

    def close(self) -> None:
        pass

    def _fail(self) -> None:
        if self.failure:
            raise OSError(self.failure, "on demand")


def counting(drives: DriveBench, path: Path, options: str = "") -> tuple[Drive, CountingImage]:
    drive = drives.add(f"file={path},format=raw{options}")
    drive.image.close()
    image = CountingImage()
    drive.image = image
    return drive, image


def test_requests(drives: DriveBench, path: Path) -> None:
    """Reading, writing, zeroing and flushing end up in the file."""
    drive = drives.add(f"file={path},format=raw,if=none,id=hd0")
    buffer = memoryview(bytearray(16))
    assert drives.wait(drive, lambda done: drive.read([buffer], 16, done)) == 0
    assert bytes(buffer) == b"0123456789abcdef"
    assert drives.wait(drive, lambda done: drive.write([memoryview(b"new")], 0, done)) == 0
    assert drives.wait(drive, lambda done: drive.write_zeroes(3, 5, True, done)) == 0
    assert drives.wait(drive, lambda done: drive.flush(done)) == 0
    assert drives.wait(drive, lambda done: drive.discard(4096, 4096, done)) == 0
    assert path.read_bytes()[:16] == b"new" + bytes(5) + b"89abcdef"
    assert path.read_bytes()[4096:4112] == b"0123456789abcdef", "discard=ignore is the default"
    assert drive.contains(0, drive.size) and not drive.contains(1, drive.size) and not drive.contains(-1, 1)


def test_completion_comes_holding_the_machine_lock(drives: DriveBench, path: Path) -> None:
    """A worker delivers only when it gets the machine's lock."""
    drive, image = counting(drives, path)
    done = threading.Event()
    with drives.lock:
        drive.read([memoryview(bytearray(1))], 0, lambda number: done.set())
        image.gate.set()
        assert not done.wait(0.02)
    assert done.wait(20)


def test_drain_delivers_itself(drives: DriveBench, path: Path) -> None:
    """Whoever holds the machine's lock can wait for requests without letting it go."""
    drive, image = counting(drives, path)
    results: list[int] = []
    with drives.lock:
        for _ in range(20):
            drive.read([memoryview(bytearray(1))], 0, results.append)
        image.gate.set()
        drive.drain()
        assert results == [0] * 20


def test_errors_reach_the_guest_or_not(drives: DriveBench, path: Path) -> None:
    """An errno of the host is delivered, unless the policy is to ignore it."""
    drive, image = counting(drives, path, ",id=a")
    image.failure = errno.ENOSPC
    image.gate.set()
    assert drives.wait(drive, lambda done: drive.write([memoryview(b"x")], 0, done)) == errno.ENOSPC
    assert drives.wait(drive, lambda done: drive.read([memoryview(bytearray(1))], 0, done)) == errno.ENOSPC
    drive, image = counting(drives, path, ",id=b,werror=ignore,rerror=ignore")
    image.failure = errno.EIO
    image.gate.set()
    assert drives.wait(drive, lambda done: drive.write([memoryview(b"x")], 0, done)) == 0
    assert drives.wait(drive, lambda done: drive.read([memoryview(bytearray(1))], 0, done)) == 0


@pytest.mark.parametrize(
    ("cache", "after_write", "after_flush"), [("writeback", 0, 1), ("writethrough", 1, 2), ("unsafe", 0, 0)]
)
def test_cache_modes(drives: DriveBench, path: Path, cache: str, after_write: int, after_flush: int) -> None:
    """writethrough makes every write last, unsafe none, writeback those before a flush."""
    drive, image = counting(drives, path, f",cache={cache}")
    drives.wait(drive, lambda done: drive.write([memoryview(b"x")], 0, done))
    assert image.flushes == after_write
    drives.wait(drive, lambda done: drive.flush(done))
    assert image.flushes == after_flush


def test_direct_modes() -> None:
    """none and directsync bypass the page cache."""
    assert {cache.value for cache in Cache if cache.direct} == {"none", "directsync"}


def test_snapshot(drives: DriveBench, path: Path) -> None:
    """snapshot=on can be written, and the file stays as it was."""
    before = path.read_bytes()
    drive = drives.add(f"file={path},format=raw,snapshot=on")
    assert isinstance(drive.image, OverlayImage) and not drive.readonly
    drives.wait(drive, lambda done: drive.write([memoryview(b"x" * 1000)], 100, done))
    assert path.read_bytes() == before


def test_guessed_format_warns(drives: DriveBench, path: Path) -> None:
    """Without a format there is a warning, and the first sector is guarded."""
    drive = drives.add(f"file={path}")
    assert "no format was given" in drives.warnings[0]
    assert drives.wait(drive, lambda done: drive.write([memoryview(b"QFI\xfb\0\0\0\2")], 0, done)) == errno.EPERM


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"QFI\xfb\0\0\0\3", "qcow2"), (b"QFI\xfb\0\0\0\1", "qcow"), (b"QED\0", "qed"), (b"KDMV", "vmdk"),
        (bytes(64) + b"\x7f\x10\xda\xbe", "vdi"), (b"vhdxfile", "vhdx"), (b"conectix", "vpc"),
        (b"LUKS\xba\xbe", "luks"), (b"WithouFreSpacExt", "parallels"),
    ],
)
def test_formats_that_are_not_there_yet(drives: DriveBench, tmp_path: Path, content: bytes, name: str) -> None:
    """Probing knows the other formats and says that they are not supported."""
    path = tmp_path / "image"
    path.write_bytes(content + bytes(4096))
    for option in (f"file={path}", f"file={path},format={name}"):
        with pytest.raises(ImageError, match=f"format {name} is not supported yet; supported: raw"):
            drives.add(option)
    drives.add(f"file={path},format=raw")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("format=raw", "'file' is missing"),
        ("file=/nowhere,format=raw", "cannot open image '/nowhere': No such file"),
        ("file={path},fromat=raw", "option 'fromat' is not known: did you mean 'format'"),
        ("file={path},format=rw", "image format 'rw' is not known: did you mean 'raw'"),
        ("file={path},if=ide", "if: 'ide' is not one of none, virtio, pflash"),
        ("file={path},cache=some", "cache: 'some' is not one of writeback"),
        ("file={path},aio=native", "aio: 'native' is not one of threads"),
        ("file={path},werror=stop", "werror: 'stop' is not one of report, ignore"),
        ("file={path},bps=1", "option 'bps' is not known"),
        ("file=nbd:localhost:1,format=raw", "images over nbd are not supported yet"),
        ("file={path},format=raw,readonly=perhaps", "neither 'on' nor 'off'"),
    ],
)
def test_refused_options(drives: DriveBench, path: Path, option: str, message: str) -> None:
    """One line each that names what was wrong."""
    with pytest.raises((UsageError, ImageError), match=message):
        drives.add(option.format(path=path))


def test_ids_and_order(drives: DriveBench, tmp_path: Path) -> None:
    """Ids are unique; a drive has one user; index puts drives of an interface in order."""
    for name in "abcd":
        (tmp_path / name).write_bytes(bytes(512))
    drives.add(f"file={tmp_path}/a,format=raw,if=virtio,index=1")
    drives.add(f"file={tmp_path}/b,format=raw,if=virtio")
    drives.add(f"file={tmp_path}/c,format=raw,id=hd0,readonly=on")
    assert [drive.name for drive in drives.of(Interface.VIRTIO)] == ["virtio1", "virtio0"]
    with pytest.raises(UsageError, match="id 'hd0' exists twice"):
        drives.add(f"file={tmp_path}/d,format=raw,id=hd0")
    assert drives.take("hd0", "disk0").readonly
    with pytest.raises(UsageError, match="'hd0' is already in use by disk0"):
        drives.take("hd0", "disk1")
    with pytest.raises(UsageError, match="drive 'hd1' is not known: did you mean 'hd0'"):
        drives.take("hd1", "disk1")
    drives.add(f"file={tmp_path}/d,format=raw,if=virtio,index=1,id=e")
    with pytest.raises(UsageError, match="both want if=virtio,index=1"):
        drives.of(Interface.VIRTIO)
