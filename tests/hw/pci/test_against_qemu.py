"""Configuration space against QEMU's, byte for byte: what guests find, what they can write, how large everything is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ratite.block.drive import Drives
from ratite.block.worker import WorkerPool
from ratite.hw.net.e1000 import E1000
from ratite.hw.nvme.controller import Nvme
from ratite.hw.pci.bridge import PciBridge, PcieRootPort
from ratite.hw.pci.device import PciDevice
from ratite.hw.virtio.pci import VirtioBlkPci, VirtioNetPci, VirtioRngPci, VirtioSerialPci
from ratite.testing.pci import ECAM, PciBench
from tests.hw.virtio.qtest import QEMU, QtestMemory

pytestmark = pytest.mark.skipif(not QEMU, reason="no qemu-system-riscv64 to compare with")

BARS = range(0x10, 0x28, 4)
ONES = 0xFFFF_FFFF
OPTIONS = [
    "-drive", "file={disk},format=raw,if=none,id=d,file.locking=off", "-device", "virtio-blk-pci,drive=d,addr=1",
    "-device", "virtio-net-pci,addr=2,romfile=", "-device", "virtio-rng-pci,addr=3", "-device", "virtio-serial-pci,addr=4",
    "-device", "e1000,addr=5,romfile=",
    "-drive", "file={disk},format=raw,if=none,id=e,file.locking=off", "-device", "nvme,drive=e,serial=x,addr=6",
    "-device", "pcie-root-port,id=rp,addr=7", "-device", "pci-bridge,shpc=off,chassis_nr=1,addr=8",
]  # fmt: skip

# By device number: what is ours, and offsets at which it may differ, each with its reason.
KINDS: dict[int, tuple[Callable[[Any], PciDevice] | None, dict[int, str]]] = {
    0: (None, {}),
    1: (lambda drive: VirtioBlkPci(drive=drive), {}),
    2: (lambda drive: VirtioNetPci(), {0x10: "the size of ports: our card's configuration is longer"}),
    3: (lambda drive: VirtioRngPci(), {}),
    4: (lambda drive: VirtioSerialPci(), {}),
    5: (lambda drive: E1000(), {}),
    6: (lambda drive: Nvme(drive=drive, serial="x"), {0xA4: "device capabilities 2: prefixes of packets"}),
    7: (lambda drive: PcieRootPort(), {}),
    8: (lambda drive: PciBridge(chassis_nr=1), {}),
}


class Space:
    """Configuration space of a function, in either machine."""

    def __init__(self, memory: Any, number: int) -> None:
        self.memory, self.at = memory, ECAM + (number << 15)

    def get(self, offset: int) -> int:
        return int(self.memory.read(self.at + offset, 4))

    def writable(self, offset: int) -> tuple[int, int]:
        """What the word is after all bits were set, and after they were cleared."""
        before, found = self.get(offset), []
        for value in (ONES, 0):
            self.memory.write(self.at + offset, 4, value)
            found.append(self.get(offset))
        self.memory.write(self.at + offset, 4, before)
        return found[0], found[1]


@pytest.fixture(scope="module")
def spaces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], tuple[Space, Space]]]:
    """For a device number: our function and QEMU's."""
    folder = tmp_path_factory.mktemp("qemu")
    disk: Path = folder / "disk"
    disk.write_bytes(bytes(1 << 20))
    qemu = QtestMemory(folder, *(option.format(disk=disk) for option in OPTIONS), legacy=False)
    bench = PciBench()
    pool = WorkerPool(bench.lock)
    drives = Drives(pool)
    for name in "de":
        drives.add(f"file={disk},format=raw,if=none,id={name},file.locking=off")
    for number, (make, _) in KINDS.items():
        if make is not None:
            device = make(drives["d" if number == 1 else "e"])
            device.addr = number << 3
            bench.put(device)
    yield lambda number: (Space(bench.memory, number), Space(qemu, number))
    qemu.close()
    drives.close()
    pool.close()
    bench.close()


@pytest.mark.parametrize("number", KINDS)
def test_header(spaces: Callable[[int], tuple[Space, Space]], number: int) -> None:
    """Everything in the first 64 bytes: identity, class, kinds of registers, the pin, the first capability."""
    ours, theirs = spaces(number)
    for offset in range(0, 0x40, 4):
        assert f"{offset:02x}:{ours.get(offset):08x}" == f"{offset:02x}:{theirs.get(offset):08x}"


@pytest.mark.parametrize("number", [number for number in KINDS if number != 7])
def test_capabilities(spaces: Callable[[int], tuple[Space, Space]], number: int) -> None:
    """The same list in the same order at the same places, with the same content."""
    ours, theirs = spaces(number)
    for offset in range(0x40, 0x100, 4):
        if offset not in KINDS[number][1]:
            assert f"{offset:02x}:{ours.get(offset):08x}" == f"{offset:02x}:{theirs.get(offset):08x}"


@pytest.mark.parametrize("number", KINDS)
def test_sizes_of_registers(spaces: Callable[[int], tuple[Space, Space]], number: int) -> None:
    """What base address registers and a bridge's windows read after ones and after zeroes."""
    ours, theirs = spaces(number)
    for offset in BARS:
        if offset not in KINDS[number][1]:
            assert (offset, *ours.writable(offset)) == (offset, *theirs.writable(offset))


@pytest.mark.parametrize("number", KINDS)
def test_command_register(spaces: Callable[[int], tuple[Space, Space]], number: int) -> None:
    """Which bits of command, line and message control can be written."""
    ours, theirs = spaces(number)
    for offset in (0x04, 0x3C) if number in (7, 8) else (0x04, 0x3C, 0x40, 0x98):
        if offset in (0x40, 0x98) and theirs.get(offset) & 0xFF != 0x11:
            continue
        mine, other = ours.writable(offset), theirs.writable(offset)
        if number in (7, 8) and offset == 0x3C:    # bridges' control: bits without a meaning in our model
            mine, other = (mine[0] & 0xFFFF, mine[1] & 0xFFFF), (other[0] & 0xFFFF, other[1] & 0xFFFF)
        assert (offset, *(f"{value:08x}" for value in mine)) == (offset, *(f"{value:08x}" for value in other))
