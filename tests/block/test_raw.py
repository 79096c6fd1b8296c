"""Raw images and their overlay against a plain model of bytes."""

from __future__ import annotations

import errno
import mmap
import os
import random
from pathlib import Path

import pytest

from ratite.block import raw
from ratite.block.image import BlockImage, Views, advance, total
from ratite.block.overlay import OverlayImage
from ratite.block.raw import RawImage
from ratite.errors import ImageError

SIZE = 256 << 10


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(random.Random(1).randbytes(SIZE))
    return path


def views(*sizes: int) -> list[memoryview]:
    return [memoryview(bytearray(size)) for size in sizes]


def read(image: BlockImage, offset: int, size: int) -> bytes:
    buffers = views(*[1] * min(size, 3), max(0, size - 3))
    image.preadv([view for view in buffers if len(view)], offset)
    return b"".join(buffers)


def images(path: Path) -> dict[str, BlockImage]:
    return {
        "raw": RawImage(str(path), lock=False),
        "overlay": OverlayImage(RawImage(str(path), readonly=True, lock=False)),
    }


@pytest.mark.parametrize("kind", ["raw", "overlay"])
def test_random_requests_match_a_model(path: Path, kind: str) -> None:
    """Reads, writes and zeroes of random places and shapes leave what they would leave in a bytearray."""
    image = images(path)[kind]
    model = bytearray(path.read_bytes())
    generator = random.Random(2)
    for _ in range(300):
        offset = generator.randrange(SIZE)
        size = generator.randrange(1, min(20000, SIZE - offset) + 1)
        match generator.randrange(4):
            case 0:
                assert read(image, offset, size) == model[offset : offset + size]
            case 1:
                image.write_zeroes(offset, size, unmap=bool(size & 1))
                model[offset : offset + size] = bytes(size)
            case 2 | 3:
                data = generator.randbytes(size)
                cut = generator.randrange(size + 1)
                parts = [memoryview(data)[:cut], memoryview(data)[cut:]]
                image.pwritev([part for part in parts if len(part)], offset)
                model[offset : offset + size] = data
    assert read(image, 0, SIZE) == model
    image.flush()
    image.close()
    image.close()


def test_overlay_leaves_the_image_alone(path: Path) -> None:
    """Writes through an overlay never reach the file."""
    before = path.read_bytes()
    image = images(path)["overlay"]
    image.pwritev([memoryview(b"x" * 10000)], 4000)
    image.write_zeroes(50000, 100, unmap=True)
    image.discard(0, SIZE)
    assert read(image, 4000, 10000) == b"x" * 10000
    image.close()
    assert path.read_bytes() == before


def test_more_views_than_the_kernel_takes(path: Path) -> None:
    """Requests with thousands of pieces are cut into calls that the host accepts."""
    image = images(path)["raw"]
    buffers = views(*[16] * 5000)
    image.preadv(buffers, 512)
    assert b"".join(buffers) == path.read_bytes()[512 : 512 + 80000]
    image.pwritev(buffers, 0)
    assert path.read_bytes()[:80000] == b"".join(buffers)
    image.close()


def test_odd_size_is_padded(tmp_path: Path) -> None:
    """The last sector of a file of 700 bytes reads as zeroes behind its end and can be written."""
    path = tmp_path / "odd"
    path.write_bytes(b"a" * 700)
    image = RawImage(str(path))
    assert image.size == 1024
    assert read(image, 512, 512) == b"a" * 188 + bytes(324)
    image.pwritev([memoryview(b"b" * 512)], 512)
    assert path.stat().st_size == 1024
    image.close()


def test_cached_read_needs_no_waiting(path: Path) -> None:
    """What is in the page cache is read at once."""
    image = RawImage(str(path))
    buffers = views(100, 200)
    image.preadv(buffers, 1000)
    buffers = views(100, 200)
    if not image.try_preadv(buffers, 1000):
        pytest.skip("the file system of the temporary folder does not support RWF_NOWAIT")
    assert b"".join(buffers) == path.read_bytes()[1000:1300]
    image.close()


def test_direct_access_of_any_alignment(path: Path) -> None:
    """With O_DIRECT, aligned and unaligned requests see the same bytes."""
    try:
        image = RawImage(str(path), direct=True)
    except ImageError as error:
        pytest.skip(str(error))
    buffer = memoryview(mmap.mmap(-1, 16384))    # page aligned
    buffer[:] = b"d" * 16384
    image.pwritev([buffer[:8192]], 4096)
    assert read(image, 4096, 8192) == b"d" * 8192
    image.pwritev([memoryview(b"u" * 100)], 5000)
    image.preadv([buffer], 0)
    assert buffer[5000:5100] == b"u" * 100
    assert buffer[4096:5000] == b"d" * 904
    assert image.try_preadv([buffer], 0) is False
    image.close()


def test_discard_gives_space_back(path: Path) -> None:
    """Discarded space of the file is released by the host."""
    image = RawImage(str(path))
    image.flush()
    before = os.stat(path).st_blocks
    image.discard(0, SIZE)
    image.discard(0, 0)
    if os.stat(path).st_blocks == before:
        pytest.skip("the file system of the temporary folder cannot punch holes")
    assert os.stat(path).st_blocks == 0
    assert path.stat().st_size == SIZE
    image.close()


def test_zeroes_without_help_of_the_host(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where fallocate does not work zeroes are written."""
    monkeypatch.setattr(raw, "_fallocate", lambda *_: False)
    image = RawImage(str(path))
    image.write_zeroes(1000, 100000, unmap=True)
    assert path.read_bytes()[1000:101000] == bytes(100000)
    image.close()


def test_guarded_first_sector(path: Path) -> None:
    """An image whose format was guessed cannot be turned into another format by its guest, in no number of steps."""
    image = RawImage(str(path), guarded=True)
    image.pwritev([memoryview(b"QF")], 0)
    with pytest.raises(OSError) as caught:
        image.pwritev([memoryview(b"I"), memoryview(b"\xfb\0\0\0\3")], 2)
    assert caught.value.errno == errno.EPERM
    image.pwritev([memoryview(b"QFI\xfb\0\0\0\3")], 512)
    image.close()


@pytest.mark.parametrize(
    ("name", "message"),
    [("absent", "No such file"), ("folder", "Is a directory|neither a file"), ("fifo", "neither a file")],
)
def test_what_is_no_image(tmp_path: Path, name: str, message: str) -> None:
    """One line that names the path."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ImageError, match=message):
        RawImage(str(tmp_path / name))


def test_view_helpers() -> None:
    """Totals and what is left after a partial transfer."""
    parts: Views = views(3, 0, 4)
    assert total(parts) == 7
    assert [len(view) for view in advance(parts, 0)] == [3, 0, 4]
    assert [len(view) for view in advance(parts, 3)] == [4]
    assert [len(view) for view in advance(parts, 5)] == [2]
    assert advance(parts, 7) == []
