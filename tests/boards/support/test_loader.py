"""Reading images: ELF files, gzip, sizes, damage."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratite.boards.support import elf
from ratite.boards.support.loader import Loader, elf_image, flat_image, read_file, unzip
from ratite.errors import ImageError
from ratite.memory import AddressSpace, RamBlock

RISCV = 243


def elf64(entry: int, segments: list[tuple[int, int, bytes, int]], machine: int = RISCV) -> bytes:
    """An ELF file by hand: segments as (virtual, physical, bytes, size in memory)."""
    table = 64
    offset = table + 56 * len(segments)
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, entry, table, 0, 0, 64, 56, len(segments), 0, 0, 0)
    rows, body = b"", b""
    for virtual, physical, data, size in segments:
        rows += struct.pack("<IIQQQQQQ", 1, 7, offset + len(body), virtual, physical, len(data), size, 0x1000)
        body += data
    return header + rows + body


def elf32(entry: int, address: int, data: bytes) -> bytes:
    """The same with one segment of 32 bits."""
    header = b"\x7fELF\x01\x01\x01" + bytes(9)
    header += struct.pack("<HHIIIIIHHHHHH", 2, RISCV, 1, entry, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    return header + struct.pack("<IIIIIIII", 1, 84, address, address, len(data), len(data), 7, 4) + data


def test_elf64_by_physical_address() -> None:
    """The entry point is translated as the segments are; zeros follow the file's bytes."""
    data = elf64(0xFFFF_FFFF_8000_0010, [(0xFFFF_FFFF_8000_0000, 0x8020_0000, b"code" * 8, 0x100), (0, 0, b"", 0)])
    image = elf_image("vmlinux", data, machine=RISCV, bits=(64,))
    assert image.entry == 0x8020_0010 and (image.start, image.end) == (0x8020_0000, 0x8020_0100)


def test_elf32() -> None:
    """And the other class is refused by name."""
    data = elf32(0x8000_0000, 0x8000_0000, b"xyz")
    assert elf_image("k", data, machine=RISCV, bits=(32,)).pieces == ((0x8000_0000, b"xyz", 3),)
    with pytest.raises(ImageError, match="'k' is an ELF file of 32 bits for machine 243, not for this CPU"):
        elf_image("k", data, machine=RISCV, bits=(64,))


def test_elf_for_another_machine() -> None:
    """x86-64 is machine 62."""
    with pytest.raises(ImageError, match="for machine 62"):
        elf_image("k", elf64(0, [(0, 0, b"x", 1)], machine=62), machine=RISCV, bits=(64,))


@pytest.mark.parametrize("data", [b"\x7fELF", b"\x7fELF\x02\x01" + bytes(20), b"\x7fELF\x02\x02" + bytes(100),
                                  b"\x7fELF\x07\x01" + bytes(100), elf64(0, []), elf64(0, [(0, 0, b"abc", 3)])[:-1],
                                  elf64(0, [(0, 0, b"abc", 2)])])
def test_damaged_elf_files(data: bytes) -> None:
    """Short, big-endian, of an unknown class, empty, cut off, inside out."""
    with pytest.raises(ImageError):
        elf.parse("broken", data)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_elf_reader(data: bytes) -> None:
    """Either a file or an ImageError."""
    try:
        elf.parse("random", b"\x7fELF\x02\x01" + data)
    except ImageError:
        pass


def test_loading_fills_zeros_and_repeats_after_reset(tmp_path: Path) -> None:
    """A second load brings the original bytes back."""
    path = tmp_path / "image"
    path.write_bytes(elf64(0x2000, [(0x2000, 0x2000, b"data", 64)]))
    ram, space = RamBlock("ram", 0x1000), AddressSpace()
    space.add_ram(0x2000, ram)
    loader = Loader(lambda: elf_image("i", read_file("image", str(path), 1 << 20), machine=RISCV, bits=(64,)))
    for _ in range(2):
        ram.view[:64] = b"\xff" * 64
        loader.load_into(space)
        assert bytes(ram.view[:65]) == b"data" + bytes(61)
    path.unlink()
    with pytest.raises(ImageError, match=r"image '.*' cannot be read: No such file"):
        loader.load_into(space)
    ram.close()


def test_an_image_outside_ram() -> None:
    """The error names the place."""
    space = AddressSpace()
    with pytest.raises(ImageError, match=r"'k' does not fit: there is no RAM for 0x3 bytes at 0x1000"):
        Loader(lambda: flat_image("k", b"abc", 0x1000)).load_into(space)


def test_gzip() -> None:
    """Expanded when it fits; bombs, cut ends and damage are refused."""
    packed = gzip.compress(bytes(10_000))
    assert unzip("kernel", "k", packed, 10_000) == bytes(10_000)
    assert unzip("kernel", "k", b"plain", 1) == b"plain"
    with pytest.raises(ImageError, match="expands to more than 9999 bytes"):
        unzip("kernel", "k", packed, 9_999)
    with pytest.raises(ImageError, match="ends early"):
        unzip("kernel", "k", packed[:-9], 10_000)
    with pytest.raises(ImageError, match="is damaged"):
        unzip("kernel", "k", packed[:12] + b"\xff\xff\xff" + packed[15:], 10_000)


def test_files(tmp_path: Path) -> None:
    """Absent, a folder, empty, too large."""
    for name, content in (("empty", b""), ("large", b"12345")):
        (tmp_path / name).write_bytes(content)
    for name, message in (("none", "No such file"), (".", "Is a directory"), ("empty", "is empty"),
                          ("large", "has 5 bytes, more than the 4")):
        with pytest.raises(ImageError, match=message):
            read_file("kernel", str(tmp_path / name), 4)
