"""The transport: its registers with the numbers of the specification, its reset, its empty slot."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from ratite.errors import UsageError
from ratite.hw.virtio.console import VirtioSerial
from ratite.hw.virtio.device import VirtioDevice
from ratite.hw.virtio.mmio import VirtioMmio
from ratite.hw.virtio.net import VirtioNet
from ratite.hw.virtio.rng import VirtioRng
from ratite.testing import DeviceBench
from ratite.testing.virtio_driver import FEATURES_OK, DriverQueue, VirtioBench, VirtioDriver

from .conftest import LEGACY, Way, make_way


@pytest.fixture(params=[*LEGACY, "v2-fresh", "v2-restored"])
def way(request: pytest.FixtureRequest) -> Iterator[Way]:
    """Through slots alone."""
    yield from make_way(request.param)


@pytest.mark.parametrize("legacy", [True, False])
def test_empty_slot(legacy: bool) -> None:
    """Magic and version are there, the device ID is 0, and nothing else happens."""
    bench = DeviceBench(lambda: VirtioMmio(force_legacy=legacy))
    assert [bench.read(offset) for offset in (0, 4, 8, 12)] == [0x74726976, 1 if legacy else 2, 0, 0x554D4551]
    for offset in range(0x10, 0x200, 4):
        bench.write(offset, 0xFFFF_FFFF)
    assert bench.read(0x10) == bench.read(0x34) == bench.read(0x60) == bench.read(0x70) == bench.read(0x100) == 0
    bench.close()


def test_identification(way: Way) -> None:
    """A slot with a device shows its ID and its features; VERSION_1 belongs to version 2 alone."""
    _, driver = way.bench(VirtioRng)
    assert driver.read(0x08) == 4
    offered = driver.offered()
    assert bool(offered >> 32 & 1) != way.legacy
    assert bool(offered >> 24 & 1) == way.legacy
    driver.write(0x14, 2)
    assert driver.read(0x10) == 0


def test_features_are_checked(modern_way: Way) -> None:
    """FEATURES_OK does not stay for what was not offered, nor without VERSION_1; later changes are ignored."""
    _, driver = modern_way.bench(VirtioRng)
    for features in (1 << 0, 1 << 32 | 1 << 50, 0):
        driver.write(0x70, 0)
        for word in range(2):
            driver.write(0x24, word)
            driver.write(0x20, features >> 32 * word & 0xFFFF_FFFF)
        driver.write(0x70, 3 | FEATURES_OK)
        assert not driver.status & FEATURES_OK
    driver.start(1 << 32)
    driver.write(0x24, 0)
    driver.write(0x20, 0xFFFF_FFFF)
    assert driver.status & FEATURES_OK


def test_legacy_driver_cannot_take_what_is_not_offered(legacy_way: Way) -> None:
    """What was not offered is dropped when the driver starts."""
    bench, driver = legacy_way.bench(VirtioRng)
    driver.write(0x20, 0xFFFF_FFFF)
    driver.write(0x70, 7)
    assert bench.device.driver_features == driver.offered()


def test_reset_clears_everything(way: Way) -> None:
    """Writing 0 to the status register forgets queues, features and interrupts."""
    bench, driver = way.bench(VirtioRng)
    (queue,) = driver.start(queues=[0])
    queue.request(room=[8])
    assert bench.slot.irq.level
    way.pause(bench)
    assert driver.read(0x60) == 1
    driver.write(0x70, 0)
    assert not bench.slot.irq.level
    assert driver.read(0x60) == driver.status == 0
    driver.write(0x30, 0)
    assert driver.read(0x40 if way.legacy else 0x44) == 0
    assert not bench.device.driver_features


def test_queue_selection(way: Way) -> None:
    """Queues that do not exist have size 0 and cannot be set up or notified."""
    bench, driver = way.bench(VirtioRng)
    driver.start()
    for index in (1, 0xFFFF_FFFF):
        driver.write(0x30, index)
        assert driver.read(0x34) == 0
        driver.write(0x40, 1)
        driver.write(0x44, 1)
        driver.write(0x50, index)
    assert driver.read(0x30) == 0xFFFF_FFFF
    assert not bench.device.broken


def test_one_queue_can_be_reset(modern_way: Way) -> None:
    """RING_RESET: a queue starts over while the device goes on."""
    way = modern_way
    bench, driver = way.bench(VirtioRng)
    (queue,) = driver.start(queues=[0])
    queue.request(room=[8])
    driver.write(0x30, 0)
    driver.write(0xC0, 1)
    assert driver.read(0xC0) == driver.read(0x44) == 0
    queue = DriverQueue(driver, 0, 4)
    way.pause(bench)
    assert queue.request(room=[8]).length == 8


def test_version_2_registers_in_version_1_and_the_reverse() -> None:
    """Registers of the other version do nothing."""
    bench, other = VirtioBench(VirtioRng, legacy=True), VirtioBench(VirtioRng)
    for one, offsets in ((bench, (0x44, 0x80, 0x84, 0x90, 0xA0, 0xC0)), (other, (0x40, 0x28, 0x3C))):
        driver = VirtioDriver.on(one)
        driver.start()
        before = one.device.save()
        for offset in offsets:
            driver.write(offset, 0x1000)
        assert one.device.save() == before


def test_config_access_sizes() -> None:
    """The configuration space takes bytes, half-words and words; beyond its end it reads 0."""
    driver = VirtioDriver.on(VirtioBench(lambda: VirtioSerial(max_ports=5)))
    assert driver.read(0x104) == 5
    assert driver.read(0x104, 2) == driver.read(0x104, 1) == 5
    assert driver.memory.read(driver.at + 0x104, 8) == 5
    assert driver.read(0x1F0) == 0


def test_shared_memory_does_not_exist() -> None:
    """Length and base of a shared memory region are all ones."""
    driver = VirtioDriver.on(VirtioBench(VirtioRng))
    assert {driver.read(offset) for offset in (0xB0, 0xB4, 0xB8, 0xBC)} == {0xFFFF_FFFF}


def test_random_accesses_with_a_device(way: Way) -> None:
    """Whatever is written to a slot, it does not raise, and its state survives being saved."""
    kinds: list[type[VirtioDevice]] = [VirtioRng, VirtioSerial, VirtioNet]
    for kind in kinds:
        bench, driver = way.bench(kind)
        dice = random.Random(kind.name)
        for _ in range(600):
            offset = dice.choice((0x14, 0x20, 0x24, 0x30, 0x38, 0x44, 0x50, 0x70, dice.randrange(0x1FC)))
            size = dice.choice((1, 2, 4))
            value = dice.choice((dice.getrandbits(8 * size), dice.getrandbits(3), 0))
            if dice.random() < 0.3:
                driver.read(offset, size)
            else:
                driver.write(offset, value, size)
            bench.clock.advance(dice.randrange(1000))
        before = bench.device.save(), bench.slot.save()
        bench.restart()
        assert (bench.device.save(), bench.slot.save()) == before


def test_a_slot_is_for_one_virtio_device() -> None:
    """A second device, or one of another kind, is refused."""
    bench = VirtioBench(VirtioRng)
    with pytest.raises(UsageError, match="no room"):
        bench.slot.buses[0].plug(VirtioRng())
    with pytest.raises(UsageError, match="needs a System"):
        VirtioBench(VirtioRng).slot.buses[0].plug(VirtioMmio())
