"""Virtio devices as PCI functions: identity, the parts of the interface, messages, the legacy interface, properties."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ratite.errors import UsageError
from ratite.hw.model import DEVICES
from ratite.hw.pci.bridge import PcieRootPort
from ratite.hw.virtio.pci import (
    VirtioBlkPci,
    VirtioBlkPciNonTransitional,
    VirtioBlkPciTransitional,
    VirtioNetPci,
    VirtioNetPciNonTransitional,
    VirtioNetPciTransitional,
    VirtioPci,
    VirtioRngPci,
    VirtioRngPciNonTransitional,
    VirtioRngPciTransitional,
    VirtioSerialPci,
    VirtioSerialPciNonTransitional,
    VirtioSerialPciTransitional,
)
from ratite.testing.pci import ECAM, IO, MASTER, MEMORY, RAM, Function, PciBench
from ratite.testing.virtio_driver import ACKNOWLEDGE, DRIVER, DRIVER_OK
from ratite.testing.virtio_pci_driver import VirtioPciDriver

NO_VECTOR = 0xFFFF
KINDS = [VirtioNetPci, VirtioRngPci, VirtioSerialPci]


@pytest.fixture
def bench() -> Iterator[PciBench]:
    bench = PciBench()
    yield bench
    bench.close()


def driver_of(bench: PciBench, function: VirtioPci) -> VirtioPciDriver:
    guest = bench.function(function)
    guest.enable()
    return VirtioPciDriver(bench.memory, guest, RAM, bench.ram.size, legacy=False)


@pytest.mark.parametrize(("kind", "device", "function_class", "vectors", "ports"), [
    (VirtioNetPci, 0x1000, 0x0200, 4, 64), (VirtioRngPci, 0x1005, 0x00FF, 2, 32), (VirtioSerialPci, 0x1003, 0x0780, 2, 64),
])
def test_identity(bench: PciBench, kind: type[VirtioPci], device: int, function_class: int, vectors: int, ports: int) -> None:
    """On the root bus as QEMU's: transitional, revision 0, the virtio number as subsystem; sizes of all registers."""
    guest = bench.function(bench.put(kind()))
    assert guest.get(0) == device << 16 | 0x1AF4
    assert guest.get(0x08, 1) == 0 and guest.get(0x0A, 2) == function_class
    assert guest.get(0x2C, 2) == 0x1AF4 and guest.get(0x2E, 2) == {0x1000: 1, 0x1003: 3, 0x1005: 4}[device]
    msix = guest.capability(0x11)
    assert guest.get(msix + 2, 2) == vectors - 1 and guest.get(msix + 4) == 1 and guest.get(msix + 8) == 0x801
    sizes = []
    for index in (0, 1, 4, 5):
        guest.set(0x10 + 4 * index, 0xFFFF_FFFF)
        sizes.append(guest.get(0x10 + 4 * index))
    assert sizes == [-ports & 0xFFFF_FFFF | 1, 0xFFFF_F000, 0xFFFF_C00C, 0xFFFF_FFFF]


def test_behind_a_port(bench: PciBench) -> None:
    """There it is modern alone, with the capabilities of PCI Express, unless the user wants it otherwise."""
    for slot, (options, device, revision) in enumerate([
        ({}, 0x1044, 1), ({"disable-legacy": "off"}, 0x1005, 0), ({"disable-legacy": "on"}, 0x1044, 1),
    ], 1):
        port = bench.put(PcieRootPort(addr=slot << 3))
        function: VirtioRngPci = VirtioRngPci.from_options(options)
        bench.put(function, port.secondary)
        bench.function(port).set(0x18, slot << 16 | slot << 8)
        guest = Function(bench, slot, 0)
        assert guest.get(2, 2) == device and guest.get(8, 1) == revision
        assert {0x10, 0x01} <= {number for number, _ in guest.capabilities()}
        assert guest.get(0x10) == (1 if device == 0x1005 else 0)


@pytest.mark.parametrize(("kind", "modern"), [
    (VirtioBlkPciTransitional, False), (VirtioNetPciTransitional, False), (VirtioSerialPciTransitional, False),
    (VirtioRngPciTransitional, False), (VirtioBlkPciNonTransitional, True), (VirtioNetPciNonTransitional, True),
    (VirtioSerialPciNonTransitional, True), (VirtioRngPciNonTransitional, True),
])
def test_names_that_choose_the_interface(kind: type[VirtioPci], modern: bool) -> None:
    """`-transitional` and `-non-transitional` say what disable-legacy would, and refuse to be told otherwise."""
    assert DEVICES[kind.name.replace("-non", "").removesuffix("-transitional")] in kind.__mro__
    assert kind.properties["disable-legacy"].default == ("on" if modern else "off")
    with pytest.raises(UsageError, match="disable-legacy"):
        kind.from_options({"disable-legacy": "off" if modern else "on"})


def test_properties_of_transport_and_device() -> None:
    """A function has both kinds, each reaches its owner, and no name means two things."""
    for name, kind in DEVICES.items():
        if issubclass(kind, VirtioPci):
            assert {*kind.backend_type.properties, "addr", "vectors"} <= set(kind.properties), name
            inner = {prop.attribute for prop in kind.backend_type.properties.values()}
            assert not inner & {*kind.registers, *kind.windows, *dir(VirtioPci)}, name
    card: Any = VirtioNetPci.from_options({"mac": "52:54:00:00:00:01", "addr": "3", "ctrl_vq": "off"})
    assert card.backend.own_address == bytes.fromhex("525400000001") and card.addr == 3 << 3
    assert card.message_count == 3
    for options, message in (
        ({"disable-legacy": "on", "disable-modern": "on"}, "neither"), ({"vectors": "3000"}, "vectors"),
        ({"mac": "x"}, "mac"), ({"speed": "x"}, "speed"), ({"ats": "on"}, "ats"),
    ):
        with pytest.raises(UsageError, match=message):
            VirtioNetPci.from_options(options)
    with pytest.raises(UsageError, match="drive"):
        PciBench().put(VirtioBlkPci())


def test_defaults_of_both_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `-global` changes for the function or for the device inside counts, and an explicit value wins over both."""
    from ratite.cli.back_ends import set_default
    from ratite.hw.virtio.rng import VirtioRng

    for kind in (VirtioRng, VirtioRngPci):
        monkeypatch.setattr(kind, "properties", dict(kind.properties))
    set_default("virtio-rng-device", "period", "10")
    assert VirtioRngPci().backend.__dict__["period"] == 10
    set_default("virtio-rng-pci", "period", "20")
    assert VirtioRngPci().backend.__dict__["period"] == 20
    assert VirtioRngPci(period=30).backend.__dict__["period"] == 30


def test_messages_for_queues(bench: PciBench) -> None:
    """Each queue interrupts with its vector; a vector that does not exist is refused by reading back as none."""
    function = bench.put(VirtioRngPci())
    driver = driver_of(bench, function)
    driver.guest.use_msix(2)
    common = driver.part(1)
    (queue,) = driver.start(queues=[0])
    for wanted, given in ((1, 1), (2, NO_VECTOR), (7, NO_VECTOR), (1, 1)):
        bench.memory.write(common + 0x16, 2, 0)
        bench.memory.write(common + 0x1A, 2, wanted)
        assert bench.memory.read(common + 0x1A, 2) == given
        bench.memory.write(common + 0x10, 2, wanted)
        assert bench.memory.read(common + 0x10, 2) == given
    assert len(queue.request(room=[16]).data) == 16
    assert bench.sink.messages == [(4, 1)]
    assert bench.levels == [False] * 4
    driver.write(0x70, 0)
    assert bench.memory.read(common + 0x1A, 2) == NO_VECTOR == bench.memory.read(common + 0x10, 2)


def test_no_dma_without_bus_mastering(bench: PciBench) -> None:
    """A driver that forgets it gets a device that needs a reset, and the device does not touch memory."""
    function = bench.put(VirtioRngPci())
    driver = driver_of(bench, function)
    (queue,) = driver.start(queues=[0])
    queue.request(room=[16])
    driver.guest.set(0x04, IO | MEMORY, 2)
    before = bytes(bench.ram.view)
    queue.add(room=[16])
    written = bytes(bench.ram.view)
    queue.kick(force=True)
    assert bytes(bench.ram.view) == written != before
    assert driver.status & 64
    driver.guest.set(0x04, MEMORY | MASTER, 2)
    (queue,) = driver.start(queues=[0])
    assert queue.request(room=[4]).length == 4


def test_config_access_capability(bench: PciBench) -> None:
    """The modern interface through configuration space alone; impossible accesses do nothing."""
    function = bench.put(VirtioRngPci())
    guest = bench.function(function)
    at = next(at for number, at in guest.capabilities() if number == 9 and guest.get(at + 3, 1) == 5)
    guest.set(at + 4, 4, 1)
    guest.set(at + 8, 0x14)
    guest.set(at + 12, 1)
    guest.set(at + 16, ACKNOWLEDGE)
    assert guest.get(at + 16) == ACKNOWLEDGE and function.backend.status == ACKNOWLEDGE
    for bar, start, size in ((0, 0x14, 1), (4, 0x14, 3), (4, 0x15, 2), (4, 0x4000, 4), (4, 0xFFFF_FFFC, 4)):
        guest.set(at + 4, bar, 1)
        guest.set(at + 8, start)
        guest.set(at + 12, size)
        guest.set(at + 16, 0)
        assert function.backend.status == ACKNOWLEDGE


class LegacyDriver:
    """A driver from before virtio 1.0: ports, page numbers, queues as large as the device wants."""

    def __init__(self, bench: PciBench, function: VirtioPci) -> None:
        self.bench, self.guest = bench, bench.function(function)
        self.guest.enable()

    def get(self, offset: int, size: int) -> int:
        return self.guest.read(0, offset, size)

    def set(self, offset: int, value: int, size: int) -> None:
        self.guest.write(0, offset, value, size)

    def start(self) -> int:
        """Bring the device up with queue 0 at RAM + 64 KiB; returns the queue's size."""
        for status in (0, ACKNOWLEDGE, ACKNOWLEDGE | DRIVER):
            self.set(0x12, status, 1)
        self.set(0x04, self.get(0x00, 4) & 0xFFFF, 4)
        self.set(0x0E, 0, 2)
        self.set(0x08, (RAM + 0x1_0000) >> 12, 4)
        self.set(0x12, ACKNOWLEDGE | DRIVER | DRIVER_OK, 1)
        return self.get(0x0C, 2)

    def request(self, size: int, room: int) -> bytes:
        """One buffer to write, in descriptor 0; the answer."""
        rings, buffer = RAM + 0x1_0000, RAM + 0x2_0000
        dma = self.bench.memory.dma_write
        dma(rings, struct.pack("<QIHH", buffer, room, 2, 0))
        dma(rings + 16 * size, struct.pack("<HHH", 0, 1, 0))
        self.set(0x10, 0, 2)
        used = (rings + 16 * size + 6 + 2 * size + 4095) & -4096
        assert self.bench.memory.dma_read(used + 2, 2) == b"\x01\0"
        head, length = struct.unpack("<II", self.bench.memory.dma_read(used + 4, 8))
        assert head == 0
        return self.bench.memory.dma_read(buffer, length)


def test_legacy_driver(bench: PciBench) -> None:
    """Through ports alone: features of 32 bits, the ring's place, an interrupt that reading its status takes away."""
    function = bench.put(VirtioRngPci())
    driver = LegacyDriver(bench, function)
    size = driver.start()
    assert size == 8 and driver.get(0x08, 4) == (RAM + 0x1_0000) >> 12
    assert len(driver.request(size, 24)) == 24
    assert bench.levels[1]
    saved = function.save()
    function.load(saved)
    assert function.save() == saved and function.legacy
    assert driver.get(0x13, 1) == 1 and driver.get(0x13, 1) == 0
    assert not bench.levels[1]
    driver.set(0x0E, 1, 2)
    assert driver.get(0x0C, 2) == 0
    driver.set(0x12, 0, 1)
    assert driver.get(0x12, 1) == 0


def test_legacy_driver_with_messages(bench: PciBench) -> None:
    """Two more registers appear, and the device's configuration moves behind them."""
    function = bench.put(VirtioNetPci(mac="52:54:00:12:34:56", disable_modern=True))
    driver = LegacyDriver(bench, function)
    assert [number for number, _ in driver.guest.capabilities()] == [0x11]
    assert driver.get(0x14, 4) == 0x12005452
    driver.guest.use_msix(4)
    assert driver.get(0x14, 4) == 0xFFFF_FFFF and driver.get(0x18, 4) == 0x12005452
    driver.set(0x14, 3, 2)
    driver.set(0x16, 4, 2)
    assert driver.get(0x14, 2) == 3 and driver.get(0x16, 2) == NO_VECTOR
    assert driver.get(0x18, 1) == 0x52


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_random_accesses(bench: PciBench, kind: type[VirtioPci], seed: int) -> None:
    """A hostile guest: any write to any register, with queues at any place. Nothing raises, state survives."""
    dice = random.Random(seed)
    function = bench.put(kind())
    guest = bench.function(function)
    guest.enable()
    bench.ram.view[:0x1_0000] = dice.randbytes(0x1_0000)
    if seed:
        guest.use_msix(2)
    offsets = {0: range(0x40), 1: [*range(0x40), 0x800], 4: [*range(0x40), 0x1000, *range(0x2000, 0x2010), 0x3000, 0x3004, 0x3008]}
    for _ in range(4000):
        bar = dice.choice((0, 1, 4, 4, 4))
        offset, size = dice.choice(offsets[bar]), dice.choice((1, 2, 4, 8))
        if dice.random() < 0.7:
            value = dice.choice((0, 1, 2, 3, 4, 7, 15, RAM, RAM + 0x400, RAM >> 12, dice.getrandbits(64), 1 << 32))
            guest.write(bar, offset, value & (1 << 8 * size) - 1, size)
        else:
            assert 0 <= guest.read(bar, offset, size) < 1 << 8 * size
        if dice.random() < 0.01:
            guest.set(0x04, dice.choice((0, IO | MEMORY, IO | MEMORY | MASTER)), 2)
            guest.set(0x04, IO | MEMORY | MASTER, 2)
        bench.clock.advance(dice.randrange(100_000))
    saved = function.save()
    function.load(saved)
    again = function.save()
    assert {**again, "backend": 0} == {**saved, "backend": 0}
    assert bench.memory.read(ECAM + (1 << 15), 2) == 0x1AF4


def test_a_disk(bench: PciBench, tmp_path: Path) -> None:
    """VirtioBlkPci passes its drive to the device inside."""
    from ratite.block.drive import Drives
    from ratite.block.worker import WorkerPool

    path = tmp_path / "disk"
    path.write_bytes(bytes(1 << 20))
    pool = WorkerPool(bench.lock)
    drives = Drives(pool)
    drives.add(f"file={path},format=raw,if=none,id=d")
    function: VirtioBlkPci = VirtioBlkPci.from_options({"drive": "d", "serial": "abc"}, {"drive": drives})
    bench.put(function)
    driver = driver_of(bench, function)
    assert driver.config(0, 8) == 2048
    assert driver.guest.get(0, 4) == 0x1001_1AF4
    drives.close()
    pool.close()
