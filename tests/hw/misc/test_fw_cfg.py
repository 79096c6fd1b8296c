"""fw_cfg by its specification: selector and data port, directory, DMA with real memory."""

from __future__ import annotations

import struct

import pytest

from ratite.errors import UsageError
from ratite.hw.misc.fw_cfg import FwCfgMem, Key
from ratite.testing import DeviceBench

DATA, SELECTOR, DMA = 0, 8, 0x10
RAM = 0x8000_0000
ERROR, READ, SKIP, SELECT, WRITE = 1, 2, 4, 8, 16
Bench = DeviceBench[FwCfgMem]


def make() -> FwCfgMem:
    device = FwCfgMem()
    device.add_number(Key.CPUS, 4, 2)
    device.add_file("opt/org.example/text", b"hello, firmware")
    device.add_file("etc/answer", bytes(8), writable=True)
    return device


@pytest.fixture
def fw(restoring: bool) -> Bench:
    return DeviceBench(make, restoring=restoring)


def select(fw: Bench, key: int) -> None:
    fw.write(SELECTOR, int.from_bytes(key.to_bytes(2, "big"), "little"), 2)


def port(fw: Bench, count: int) -> bytes:
    return bytes(fw.read(DATA, 1) for _ in range(count))


def dma(fw: Bench, control: int, length: int, address: int, at: int = RAM + 0x100) -> int:
    fw.memory.dma_write(at, struct.pack(">IIQ", control, length, address))
    fw.write(DMA, int.from_bytes((at >> 32).to_bytes(4, "big"), "little"))
    fw.write(DMA + 4, int.from_bytes((at & 0xFFFF_FFFF).to_bytes(4, "big"), "little"))
    result: int = struct.unpack(">I", fw.memory.dma_read(at, 4))[0]
    return result


def directory(fw: Bench) -> dict[str, tuple[int, int]]:
    select(fw, 0x19)
    entries = {}
    for _ in range(int.from_bytes(port(fw, 4), "big")):
        size, key, _, name = struct.unpack(">IHH56s", port(fw, 64))
        entries[name.rstrip(b"\0").decode()] = (key, size)
    return entries


def test_signature_id_and_end_of_item(fw: Bench) -> None:
    """Items start over when selected, and give zeros after their end."""
    select(fw, 0)
    assert port(fw, 6) == b"QEMU\0\0"
    select(fw, 1)
    assert port(fw, 4) == b"\x03\0\0\0"
    select(fw, 5)
    assert fw.read(DATA, 2) == 4
    select(fw, 0x7777)
    assert port(fw, 3) == bytes(3)


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_the_data_port_keeps_the_order_of_bytes(fw: Bench, size: int) -> None:
    """A wide read gives the next bytes as they would lie in memory."""
    key, length = directory(fw)["opt/org.example/text"]
    select(fw, key)
    text = b"".join(fw.read(DATA, size).to_bytes(size, "little") for _ in range(16 // size))
    assert text[:length] == b"hello, firmware"


def test_directory_is_sorted_and_has_sizes(fw: Bench) -> None:
    """Names in order, sizes right."""
    entries = directory(fw)
    assert list(entries) == ["etc/answer", "opt/org.example/text"]
    assert entries["opt/org.example/text"][1] == 15 and entries["etc/answer"][0] != entries["opt/org.example/text"][0]


def test_dma_signature(fw: Bench) -> None:
    """The address register reads as the bytes "QEMU CFG"."""
    assert fw.read(DMA, 8).to_bytes(8, "little") == b"QEMU CFG"
    assert fw.read(DMA + 4, 4).to_bytes(4, "little") == b" CFG"


def test_dma_reads_skips_and_pads(fw: Bench) -> None:
    """Select and read in one request; skip; zeros after the end."""
    key, _ = directory(fw)["opt/org.example/text"]
    fw.memory.dma_write(RAM, b"\xff" * 32)
    assert dma(fw, key << 16 | SELECT | READ, 5, RAM) == 0
    assert dma(fw, SKIP, 2, 0) == 0
    assert dma(fw, READ, 20, RAM + 8) == 0
    assert fw.memory.dma_read(RAM, 32) == b"hello\xff\xff\xfffirmware" + bytes(12) + b"\xff\xff\xff\xff"


def test_dma_with_one_64_bit_write(fw: Bench) -> None:
    """The whole address at once starts the request, too."""
    fw.memory.dma_write(RAM, struct.pack(">IIQ", SELECT | READ, 4, RAM + 0x40))
    fw.write(DMA, int.from_bytes(RAM.to_bytes(8, "big"), "little"), 8)
    assert fw.memory.dma_read(RAM + 0x40, 4) == b"QEMU" and fw.memory.dma_read(RAM, 4) == bytes(4)


def test_dma_writes_only_where_it_may(fw: Bench) -> None:
    """Within a writable file; elsewhere the error bit."""
    entries = directory(fw)
    fw.memory.dma_write(RAM, b"ABCD")
    assert dma(fw, entries["etc/answer"][0] << 16 | SELECT | WRITE, 4, RAM) == 0
    assert dma(fw, WRITE, 5, RAM) == ERROR
    assert dma(fw, entries["opt/org.example/text"][0] << 16 | SELECT | WRITE, 4, RAM) == ERROR
    select(fw, entries["etc/answer"][0])
    assert port(fw, 8) == b"ABCD" + bytes(4)


@pytest.mark.parametrize("address", [0, RAM + (1 << 20) - 2, (1 << 64) - 1])
def test_hostile_dma_targets(fw: Bench, address: int) -> None:
    """Outside RAM: the error bit, and nothing else."""
    assert dma(fw, SELECT | READ, 4, address) == ERROR
    assert dma(fw, SELECT | READ, 0xFFFF_FFFF, RAM) == ERROR


def test_a_request_outside_ram_is_ignored(fw: Bench) -> None:
    """There is nowhere to report it."""
    fw.write(DMA, 0xFFFF_FFFF)
    fw.write(DMA + 4, 0xFFFF_FFFF)


def test_content_may_be_made_on_demand() -> None:
    """Large or late content."""
    device = FwCfgMem()
    device.add(Key.KERNEL_DATA, lambda: b"kernel")
    bench = DeviceBench(lambda: device)
    select(bench, Key.KERNEL_DATA)
    assert port(bench, 6) == b"kernel"


def test_without_dma() -> None:
    """The id item says so, and the register is dead."""
    bench = DeviceBench(lambda: FwCfgMem(dma_enabled=False))
    select(bench, 1)
    assert port(bench, 1) == b"\x01" and bench.read(DMA, 8) == 0


@pytest.mark.parametrize("name", ["", "x" * 56, "taken"])
def test_bad_file_names(name: str) -> None:
    """Empty, too long, or there already."""
    device = FwCfgMem()
    device.add_file("taken", b"")
    with pytest.raises(UsageError, match="fw_cfg file"):
        device.add_file(name, b"")


def test_slots_are_limited() -> None:
    """As `x-file-slots` says."""
    device = FwCfgMem(file_slots=1)
    device.add_file("one", b"")
    with pytest.raises(UsageError, match="slots are in use"):
        device.add_file("two", b"")
