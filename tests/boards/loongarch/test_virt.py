"""The board `virt` of LoongArch: addresses, interrupts, what a kernel finds at its start."""

from __future__ import annotations

import gzip
import struct
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import libfdt
import pytest

from ratite.boards.loongarch.boot import BOOT_CODE
from ratite.boards.machine import Machine
from ratite.errors import ImageError, UsageError
from ratite.hw.model import VirtualClock
from ratite.isa.loongarch.arch import make_arch, register_name
from ratite.isa.loongarch.cpus import parse_cpu
from ratite.memory import AddressSpace
from tests.boards.support.test_loader import elf64

MiB = 1 << 20
BIOS = 0x1C00_0000

# As `info mtree` of QEMU 7.1 with 1 GiB of RAM, where the parts of PCH-PIC and GED are regions of their own.
MAP = [
    (0x0000_0000, 0x0FFF_FFFF, "ram"), (0x1000_0000, 0x1000_0FFF, "i/o"), (0x1001_041C, 0x1001_041F, "i/o"), (0x1008_0000, 0x1008_00FF, "i/o"),
    (0x100D_0100, 0x100D_01FF, "i/o"), (0x100E_0000, 0x100E_001E, "i/o"), (0x1800_0000, 0x1800_FFFF, "i/o"), (0x1C00_0000, 0x1C00_FFFF, "rom"),
    (0x1E02_0000, 0x1E02_0017, "i/o"), (0x1FE0_01E0, 0x1FE0_01E7, "i/o"), (0x2000_0000, 0x27FF_FFFF, "i/o"),
    (0x2FF0_0000, 0x2FF0_0007, "i/o"), (0x4000_0000, 0x7FFF_FFFF, "i/o"), (0x9000_0000, 0xBFFF_FFFF, "ram"),
]  # fmt: skip


class FakeCore:
    """A core that records its inputs and runs nothing."""

    def __init__(self, machine: Machine, index: int) -> None:
        self.iocsr = AddressSpace()
        self.inputs: dict[int | str, bool] = {}

    def reset(self) -> None:
        pass

    def hardware(self, pin: int) -> Callable[[bool], None]:
        return partial(self.inputs.__setitem__, pin)

    def ipi(self, level: bool) -> None:
        self.inputs["ipi"] = level


Build = Callable[..., Machine]


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    """Makes machines with a kernel that is given as bytes."""
    made: list[Machine] = []

    def make(kernel: bytes = b"", **arguments: Any) -> Machine:
        path = tmp_path / "kernel"
        path.write_bytes(kernel or image())
        options = {"kernel": str(path), **arguments.pop("options", {})}
        arguments = {"ram_size": 1024 * MiB, "clock": VirtualClock(), **arguments}
        made.append(Machine("virt", arch="loongarch64", make_cpu=FakeCore, options=options, **arguments))
        return made[-1]

    yield make
    for machine in made:
        machine.close()


def image(text: bytes = b"kernel", entry: int = 0x9000_0000_0020_1000) -> bytes:
    """A kernel with Linux's header, linked for the window at 9 << 60."""
    return struct.pack("<8sQQQ24sI4x", b"MZ", entry, 0x10_0000, 0x20_0000, b"", 0x8182_23CD) + text


def wrapped(content: bytes, compression: bytes) -> bytes:
    """An EFI program that unpacks a kernel."""
    return struct.pack("<2s2x4sII8x32s8x", b"MZ", b"zimg", 64, len(content), compression) + content


def test_memory_map(build: Build) -> None:
    """Addresses are those of QEMU's board."""
    assert [(r.base, r.end - 1, r.kind) for r in build().memory.regions()] == MAP


@pytest.mark.parametrize("pack", [
    lambda data: data, gzip.compress, lambda data: wrapped(gzip.compress(data), b"gzip"),
    lambda data: wrapped(__import__("zstandard").compress(data), b"zstd"),
], ids=["plain", "gzip", "efi-gzip", "efi-zstd"])  # fmt: skip
def test_kernel_images(build: Build, pack: Callable[[bytes], bytes]) -> None:
    """A kernel goes to its place by physical addresses, however it is packed."""
    m = build(pack(image()))
    assert m.boot.kernel_entry == 0x20_1000
    assert m.memory.dma_read(0x20_0040, 6) == b"kernel"


def test_elf_kernel(build: Build) -> None:
    """ELF kernels are linked for the window, too."""
    m = build(elf64(0x9000_0000_0020_0010, [(0x9000_0000_0020_0000, 0x9000_0000_0020_0000, b"hello", 0x100)], machine=258))
    assert (m.boot.kernel_entry, m.memory.dma_read(0x20_0000, 5)) == (0x20_0010, b"hello")


@pytest.mark.parametrize("kernel", [
    b"no kernel at all" * 10, wrapped(b"x", b"lzma"), wrapped(b"x", b"zstd"), wrapped(b"", b"gzip")[:40] + b"zz",
    struct.pack("<2s2x4sII8x32s8x", b"MZ", b"zimg", 64, 1000, b"gzip"), elf64(0, [(0, 0, b"x", 1)]), image()[:28],
])  # fmt: skip
def test_bad_kernels(build: Build, kernel: bytes) -> None:
    """One line says what is wrong with them."""
    with pytest.raises(ImageError):
        build(kernel)


def test_machines_that_can_not_be(build: Build) -> None:
    """Too little memory, too many cores, nothing to run."""
    for arguments in ({"ram_size": 128 * MiB}, {"cpus": 17}, {"options": {"kernel": ""}}):
        with pytest.raises(UsageError):
            build(**arguments)


def test_boot_information(build: Build, tmp_path: Path) -> None:
    """What the boot ROM passes is an EFI system table whose tables hold memory map, RAM disk and device tree."""
    (tmp_path / "initrd").write_bytes(b"RAM disk")
    m = build(options={"append": "console=ttyS0", "initrd": str(tmp_path / "initrd")})
    code = m.memory.dma_read(BIOS, 4 * len(BOOT_CODE) + 32)
    efi, line, system, entry = struct.unpack_from("<4Q", code, 4 * len(BOOT_CODE))
    assert (efi, entry) == (1, 0x20_1000)
    assert m.memory.dma_read(line, 14) == b"console=ttyS0\0"
    table = struct.unpack("<QIIIIQI4x10Q", m.memory.dma_read(system, 120))
    assert table[0].to_bytes(8, "little") == b"IBI SYST"
    count, at = table[-2:]
    found = {}
    for n in range(count):
        guid, address = struct.unpack("<16sQ", m.memory.dma_read(at + 24 * n, 24))
        found[str(uuid.UUID(bytes_le=guid))] = address
    size, step = struct.unpack("<QQ", m.memory.dma_read(found["800f683f-d08b-423a-a293-965c3c6fe2b4"], 16))
    pieces = []
    for n in range(size // step):
        row = m.memory.dma_read(found["800f683f-d08b-423a-a293-965c3c6fe2b4"] + 40 + step * n, step)
        kind, base, _, pages, _ = struct.unpack("<I4xQQQQ", row)
        pieces.append((kind, base, pages << 12))
    assert pieces == [(7, 0, 256 * MiB), (7, 0x9000_0000, 768 * MiB)]
    start, length = struct.unpack("<QQ", m.memory.dma_read(found["5568e427-68fc-4f3d-ac74-ca555231cc68"], 16))
    assert m.memory.dma_read(start, length) == b"RAM disk"
    tree = found["b1b621d5-f19c-41a5-830b-d9152c69aae0"]
    fdt = libfdt.Fdt(m.memory.dma_read(tree, int.from_bytes(m.memory.dma_read(tree + 4, 4), "big")))
    assert fdt.getprop(fdt.path_offset("/chosen"), "bootargs").as_str() == "console=ttyS0"


def test_boot_code_is_what_its_comments_say() -> None:
    """The words in the boot ROM, by the disassembler that follows from the instruction texts."""
    decoder = make_arch(parse_cpu("la464")).decoder
    text = []
    for word in BOOT_CODE:
        insn = decoder.decode(word, 4)
        assert insn is not None
        text.append(insn.assembly(word, register_name))
    assert text == [
        "csrrd $t0, 32", "bnez $t0, 28", "pcaddi $t1, 22", "ld.d $a0, $t1, 0", "ld.d $a1, $t1, 8", "ld.d $a2, $t1, 16", "ld.d $t2, $t1, 24",
        "jirl $zero, $t2, 0", "lu12i.w $t1, 1", "csrwr $t1, 4", "lu12i.w $t1, 1", "addi.d $t2, $zero, -1", "ori $t3, $t1, 4",
        "iocsrwr.w $t2, $t3", "idle 0", "iocsrrd.w $t2, $t1", "ori $t3, $t1, 12", "iocsrwr.w $t2, $t3", "ori $t3, $t1, 32",
        "iocsrrd.d $t2, $t3", "beqz $t2, -24", "iocsrwr.d $zero, $t3", "csrwr $zero, 4", "jirl $zero, $t2, 0",
    ]  # fmt: skip


def test_interrupts_reach_cores(build: Build) -> None:
    """From a device's input by PCH-PIC and EXTIOI to the pin of a core, and from core to core; each core sees its own part."""
    m = build(cpus=2)
    cores: list[Any] = m.cpus
    first, second = cores[0].iocsr, cores[1].iocsr
    pic = m.device("pch_pic")
    assert pic is not None
    m.memory.write(0x1000_0020, 8, 0)           # nothing masked
    m.memory.write(0x1000_0202, 1, 77)          # input 2: vector 77
    first.write(0x14C0, 4, 0x0202_0202)         # pin 1
    first.write(0x1600 + 8, 4, 1 << 13)         # enable
    first.write(0x1C00 + 77, 1, 1 << 1)         # to core 1
    m.memory.write(0x1FE0_01E0 + 3, 1, 0)
    m.memory.write(0x1FE0_01E0 + 1, 1, 2)       # the UART asks for data to send
    assert cores[1].inputs[1] and not cores[0].inputs.get(1)
    assert (first.read(0x1808, 4), second.read(0x1808, 4)) == (0, 1 << 13)
    second.write(0x1808, 4, 1 << 13)
    assert not cores[1].inputs[1]
    m.memory.write(0x2FF0_0000, 4, 77)          # the same vector as a message
    assert cores[1].inputs[1]
    second.write(0x1808, 4, 1 << 13)
    assert not cores[1].inputs[1]
    first.write(0x1140, 4, 77)                  # and by the register for tests
    assert cores[1].inputs[1]
    second.write(0x1004, 4, 1)
    first.write(0x1040, 4, 1 << 16)
    assert cores[1].inputs["ipi"] and second.read(0x1000, 4) == 1
    first.write(0x1048, 8, 0xABCD << 32 | 1 << 16)
    assert second.read(0x1020, 8) == 0xABCD


def test_interrupts_reach_other_nodes(build: Build) -> None:
    """The first node's controller passes a vector on to the node that its route names, which has routes of its own."""
    m = build(cpus=6)
    cores: list[Any] = m.cpus
    first, fifth = cores[0].iocsr, cores[4].iocsr
    for node in (first, fifth):
        node.write(0x14A0, 4, 0x0002_0001)      # entry n: node n
        node.write(0x14C0, 4, 0x0202_0202)      # pin 1
        node.write(0x1600 + 8, 4, 1 << 13)      # vector 77
    first.write(0x1C00 + 77, 1, 1 << 4 | 1)     # by entry 1
    fifth.write(0x1C00 + 77, 1, 1 << 4 | 2)     # the second core there
    m.memory.write(0x2FF0_0000, 4, 77)
    assert [core.inputs.get(1, False) for core in cores] == [False] * 5 + [True]
    assert (first.read(0x1808, 4), cores[5].iocsr.read(0x1808, 4)) == (0, 1 << 13)
    cores[5].iocsr.write(0x1808, 4, 1 << 13)
    assert not cores[5].inputs[1]
    first.write(0x1C00 + 77, 1, 15 << 4)        # an entry that names no node: this one
    m.memory.write(0x2FF0_0000, 4, 77)
    assert cores[0].inputs[1]
