"""Two writers are kept apart: drives of one process, and QEMU as the other program."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from ratite.block.raw import RawImage
from ratite.errors import ImageError

QEMU = shutil.which("qemu-system-riscv64")


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(1 << 20))
    return str(path)


def test_one_writer(image: str) -> None:
    """A second writer and a reader are refused until the first has closed; lock=False and sharing skip that."""
    first = RawImage(image)
    for readonly in (False, True):
        with pytest.raises(ImageError, match=r"cannot be locked for .*file\.locking=off"):
            RawImage(image, readonly=readonly)
    RawImage(image, lock=False).close()
    first.close()
    RawImage(image).close()


def test_many_readers(image: str) -> None:
    """Readers share an image and keep writers out."""
    readers = [RawImage(image, readonly=True) for _ in range(3)]
    with pytest.raises(ImageError, match="for writing"):
        RawImage(image)
    for reader in readers:
        reader.close()


def test_sharing_writers(image: str) -> None:
    """Writers that all agree to share may."""
    one, two = RawImage(image, share=True), RawImage(image, share=True)
    with pytest.raises(ImageError):
        RawImage(image)
    one.close()
    two.close()


def qemu(image: str, options: str = "") -> subprocess.Popen[bytes]:
    """QEMU with the image on a disk; it has opened it when its monitor answers."""
    assert QEMU
    process = subprocess.Popen(
        [
            QEMU, "-M", "virt", "-S", "-display", "none", "-serial", "none", "-monitor", "stdio", "-drive",
            f"file={image},format=raw,if=none,id=d{options}", "-device", "virtio-blk-device,drive=d",
        ],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    assert process.stdin is not None
    process.stdin.write(b"info status\n")
    process.stdin.flush()
    return process


def outcome(process: subprocess.Popen[bytes], until: bytes) -> bytes:
    assert process.stdout is not None
    output = b""
    while until not in output and (data := process.stdout.read1()):    # type: ignore[attr-defined]
        output += data
    return output


@pytest.mark.skipif(QEMU is None, reason="qemu-system-riscv64 is not installed")
def test_qemu_respects_us_and_we_respect_it(image: str) -> None:
    """Whichever emulator comes second is refused."""
    ours = RawImage(image)
    with qemu(image) as refused:
        assert b'Failed to get "write" lock' in outcome(refused, b'lock')
        refused.kill()
    ours.close()
    with qemu(image) as running:
        assert b"paused" in outcome(running, b"VM status: paused")
        with pytest.raises(ImageError, match="cannot be locked"):
            RawImage(image)
        running.kill()


@pytest.mark.skipif(QEMU is None, reason="qemu-system-riscv64 is not installed")
def test_readers_of_both_emulators_share(image: str) -> None:
    """A read-only QEMU and our reader get along; our writer does not."""
    with qemu(image, ",readonly=on") as running:
        assert b"paused" in outcome(running, b"VM status: paused")
        RawImage(image, readonly=True).close()
        with pytest.raises(ImageError):
            RawImage(image)
        running.kill()
