"""Hostile guests: random rings, memory and traffic before every kind of device; and many threads at once."""

from __future__ import annotations

import random
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ratite.block.drive import Drive, Drives
from ratite.block.worker import WorkerPool
from ratite.chardev.base import ChardevEvent
from ratite.hw.virtio.blk import VirtioBlk
from ratite.hw.virtio.console import VirtConsole, VirtioSerial, VirtSerialPort
from ratite.hw.virtio.device import VirtioDevice
from ratite.hw.virtio.net import VirtioNet
from ratite.hw.virtio.rng import VirtioRng
from ratite.testing import FakeChardev
from ratite.testing.net import FakeNetdev
from ratite.testing.virtio_driver import DriverQueue, VirtioBench, VirtioDriver

RAM = VirtioBench.ram_base
RAM_SIZE = 1 << 16
SECTORS = 64


class Surroundings:
    """Back ends for all devices, and their own kind of disturbance."""

    def __init__(self, folder: Path) -> None:
        (folder / "disk").write_bytes(bytes(SECTORS * 512))
        self.lock = threading.RLock()
        self.pool = WorkerPool(self.lock)
        self.drives = Drives(self.pool, lambda text: None)
        self.drive: Drive = self.drives.add(f"file={folder}/disk,format=raw,id=d")
        self.cable, self.terminal = FakeNetdev(), FakeChardev()

    def make(self, kind: str) -> VirtioDevice:
        if kind == "blk":
            return VirtioBlk(drive=self.drive)
        if kind == "net":
            return VirtioNet(netdev=self.cable)
        if kind == "rng":
            return VirtioRng(max_bytes=1000, period=1)
        serial = VirtioSerial(max_ports=2)
        realize = serial.realize

        def with_ports(platform: Any) -> None:
            realize(platform)
            for port in (VirtConsole(chardev=self.terminal), VirtSerialPort(chardev=self.terminal, label="x")):
                port.realize(platform)
                serial.port_bus.plug(port)

        serial.realize = with_ports    # type: ignore[method-assign]
        return serial

    def disturb(self, dice: random.Random) -> None:
        self.cable.full = dice.random() < 0.3
        self.cable.deliver(dice.randbytes(dice.randrange(200)))
        self.cable.make_room()
        self.terminal.output_full = dice.random() < 0.3
        self.terminal.type(dice.randbytes(dice.randrange(200)))
        self.terminal.event(dice.choice(list(ChardevEvent)))
        self.terminal.make_room()
        self.drive.drain()
        self.cable.frames.clear()
        self.terminal.waiting.clear()

    def close(self) -> None:
        self.drives.close()
        self.pool.close()


@pytest.fixture
def around(tmp_path: Path) -> Iterator[Surroundings]:
    around = Surroundings(tmp_path)
    yield around
    around.close()


def plausible(dice: random.Random) -> bytes:
    """Something that some device may take for a request."""
    small = dice.choice((0, 1, 2, 3, 4, 6, 8, 11, 13, dice.getrandbits(32)))
    sector = dice.choice((0, 1, dice.randrange(SECTORS + 2), dice.getrandbits(64)))
    return dice.choice((
        struct.pack("<IIQ", small, 0, sector),                                          # a disk's header
        struct.pack("<QII", sector, dice.choice((1, 8, small)), dice.randrange(3)),     # a segment to discard
        struct.pack("<IHH", dice.randrange(3), small & 15, dice.randrange(2)),          # a port's message
        bytes([dice.randrange(4), dice.randrange(7)]),                                  # a card's command
        struct.pack("<I", dice.randrange(3)) + dice.randbytes(6),
        bytes(12), dice.randbytes(dice.choice((1, 6, 60, 512, 1024))),
    ))


def submit(queue: DriverQueue, dice: random.Random) -> None:
    """A chain that is right as a chain, whatever is in it."""
    out = [plausible(dice) for _ in range(dice.choice((0, 1, 1, 2, 3)))]
    room = [dice.choice((1, 1, 8, 20, 512, 600)) for _ in range(dice.choice((0, 1, 1, 2)))]
    if not out and not room:
        return
    indirect = dice.random() < 0.3
    if len(queue._descriptors) >= (1 if indirect else len(out) + len(room)):
        queue.add(out, room, indirect=indirect)


def corrupt(queue: DriverQueue, dice: random.Random) -> None:
    """Something in the rings is not as it should be."""
    address = dice.choice((RAM + dice.randrange(RAM_SIZE), dice.getrandbits(64)))
    size = dice.choice((dice.randrange(4096), dice.getrandbits(32)))
    queue.write_descriptor(queue.desc, dice.randrange(8), address, size, dice.randrange(8), dice.randrange(10))
    if dice.random() < 0.5:
        queue.publish(dice.choice((dice.randrange(8), dice.getrandbits(16))))


@pytest.mark.parametrize("kind", ["blk", "net", "console", "rng"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 32), legacy=st.booleans(), features=st.one_of(st.just(-1), st.integers(0, 1 << 64)))
def test_any_device_survives_any_guest(around: Surroundings, kind: str, seed: int, legacy: bool, features: int) -> None:
    """No exception, no write outside RAM, and after a reset the device is as good as new."""
    dice = random.Random(seed)
    bench = VirtioBench(lambda: around.make(kind), legacy=legacy, ram_size=RAM_SIZE)
    driver = VirtioDriver.on(bench)
    numbers = range(len(bench.device.queues))
    for _ in range(6):
        driver._free = RAM
        queues = driver.start(features & (1 << 64) - 1 | 1 << 32, queues=numbers)
        assert not bench.device.broken
        heap = driver._free
        for _ in range(4):
            driver._free = heap
            for queue in queues:
                for _ in range(dice.randrange(3)):
                    submit(queue, dice)
                if dice.random() < 0.03:
                    corrupt(queue, dice)
                queue.kick(force=dice.random() < 0.5)
            driver.write(0x100 + dice.randrange(64), dice.getrandbits(8), 1)
            around.disturb(dice)
            bench.clock.advance(1_000_000)
            if dice.random() < 0.1:
                bench.restart()
    bench.close()


def test_many_requests_from_many_threads(around: Surroundings) -> None:
    """Guest CPUs that submit while workers finish: every request comes back once, with the right data."""
    bench = VirtioBench(lambda: VirtioBlk(drive=around.drive), ram_size=8 << 20)
    driver = VirtioDriver.on(bench)
    (queue,) = driver.start(queues=[0], size=64)
    finished = threading.Semaphore(0)
    bench.slot.irq._sink = lambda level: finished.release() if level else None
    contents: dict[int, bytes] = {}
    results: list[int] = []
    failures: list[BaseException] = []

    def collect() -> None:
        driver.acknowledge()
        results.extend(used.data[-1] for used in queue.used())

    def cpu(first: int) -> None:
        try:
            for turn in range(60):
                number = first + 2 * (turn % 16)
                data = bytes([turn, first]) * 256
                with around.lock:
                    contents[number] = data
                    queue.add([struct.pack("<IIQ", 1, 0, number), data], [1])
                    queue.kick()
                    around.drive.drain() if turn % 16 == 15 else None    # no two writes to a sector at once
                while not queue._descriptors[6:]:
                    assert finished.acquire(timeout=20)
                    with around.lock:
                        collect()
        except BaseException as error:
            failures.append(error)

    cpus = [threading.Thread(target=cpu, args=(first,)) for first in range(2)]
    for thread in cpus:
        thread.start()
    for thread in cpus:
        thread.join()
    assert not failures
    with around.lock:
        around.drive.drain()
        collect()
    assert results == [0] * 120
    for number, data in contents.items():
        token = queue.add([struct.pack("<IIQ", 0, 0, number)], [512, 1])
        queue.kick()
        with around.lock:
            around.drive.drain()
        (used,) = queue.used()
        assert (used.token, used.data) == (token, data + b"\0")
    bench.close()


def test_every_kind_is_fuzzed() -> None:
    """The list above names every virtio device there is."""
    import ratite.hw
    from ratite.hw.model import DEVICES

    ratite.hw.load_all()
    kinds = {device for device in DEVICES.values() if issubclass(device, VirtioDevice)}
    assert kinds == {VirtioBlk, VirtioNet, VirtioSerial, VirtioRng}


