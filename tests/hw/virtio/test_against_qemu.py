"""The same driver before QEMU's virtio devices and before ours: what the guest sees must be equal."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ratite.block.drive import Drives
from ratite.block.worker import WorkerPool
from ratite.chardev.base import ChardevContext
from ratite.chardev.loop import IoLoop
from ratite.chardev.manager import Chardevs
from ratite.hw.virtio.blk import VirtioBlk
from ratite.hw.virtio.console import VirtConsole, VirtioSerial, VirtSerialPort
from ratite.hw.virtio.device import VirtioDevice
from ratite.hw.virtio.net import VirtioNet
from ratite.hw.virtio.rng import VirtioRng
from ratite.testing.virtio_driver import VirtioBench, VirtioDriver

from .qtest import QEMU, RAM, RAM_SIZE, SLOT, TRIES, QtestMemory

pytestmark = pytest.mark.skipif(QEMU is None, reason="qemu-system-riscv64 is not installed")

Story = Callable[[VirtioDriver], Any]

NET_OFFLOADS = sum(1 << bit for bit in (0, 1, 2, 6, 7, 8, 9, 10, 11, 12, 13, 14, 21))    # and announcements
BLK_IGNORED = 1 << 7 | 1 << 27    # legacy: QEMU shows SCSI, which it does not do, and hides ANY_LAYOUT
MAC = "52:54:00:00:00:11"
MISSING_ANYWHERE = 1 << 30    # legacy QEMU devices show BAD_FEATURE there


class Pair:
    """Runs a story on both sides."""

    def __init__(self, folder: Path, legacy: bool) -> None:
        self.folder, self.legacy = folder, legacy
        self.pool = WorkerPool(threading.RLock())
        self.drives = Drives(self.pool, lambda text: None)

    def compare(self, options: list[str], make: Callable[[], VirtioDevice], story: Story) -> None:
        theirs = QtestMemory(self.folder, *options, legacy=self.legacy)
        try:
            expected = story(VirtioDriver(theirs, SLOT, RAM + 4096, RAM_SIZE - 4096))
        finally:
            theirs.close()
        bench = VirtioBench(make, legacy=self.legacy, ram_size=RAM_SIZE)
        try:
            assert story(VirtioDriver.on(bench)) == expected
        finally:
            bench.close()

    def drive(self, name: str, options: str) -> Any:
        return self.drives.add(f"file={self.folder}/{name},format=raw,if=none,id={name}{options}")

    def close(self) -> None:
        self.drives.close()
        self.pool.close()


@pytest.fixture(params=["v1", "v2"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    for name in ("ours", "theirs"):
        (tmp_path / name).write_bytes(b"".join(number.to_bytes(4, "big") * 128 for number in range(4096)))
    pair = Pair(tmp_path, request.param == "v1")
    yield pair
    pair.close()


def identity(driver: VirtioDriver, config_size: int, ignored: int = 0) -> list[int]:
    """Registers that describe the device, its features, its queues, and the configuration space."""
    shown = [driver.read(offset) for offset in (0, 4, 8, 12, 0x60, 0x70)]
    shown.append(driver.offered() & ~ignored & ~MISSING_ANYWHERE)
    for index in range(5):
        driver.write(0x30, index)
        shown.append(driver.read(0x34))
    return shown + [driver.config(offset, 1) for offset in range(config_size)]


@pytest.mark.parametrize(
    ("drive", "device"),
    [
        ("", ""),
        ("", "serial=RATITE-1,logical_block_size=4096,physical_block_size=8192,min_io_size=8192,opt_io_size=65536"),
        (",readonly=on", "queue-size=64"),
        ("", "discard_granularity=4096,max-discard-sectors=64,max-write-zeroes-sectors=128,config-wce=off"),
        ("", "cyls=100,heads=10,secs=50,discard=off,write-zeroes=off"),
    ],
)
def test_disk(pair: Pair, drive: str, device: str) -> None:
    """Description, and the answer to every kind of right and wrong request."""
    requests: list[tuple[int, int, bytes, list[int]]] = [
        (0, 0, b"", [512]), (0, 5, b"", [100, 412]), (0, 8, b"", [4096]), (0, 4095, b"", [512]), (0, 4095, b"", [1024]),
        (0, 4096, b"", [512]), (0, 1 << 40, b"", [512]), (0, (1 << 64) - 1, b"", [512]), (0, 1, b"", [100]),
        (1, 8, b"w" * 4096, []), (1, 4096, b"w" * 512, []), (1, 3, b"w" * 100, []), (0, 8, b"", [4096]),
        (4, 0, b"", []), (4, 99, b"", []), (8, 0, b"", [20]), (8, 0, b"", [8]), (8, 0, b"", [30]),
        (99, 0, b"", [16]),
        (11, 0, struct.pack("<QII", 8, 8, 0), []), (11, 0, struct.pack("<QII", 8, 8, 1), []),
        (11, 0, struct.pack("<QII", 4096, 8, 0), []), (11, 0, struct.pack("<QII", 0, 80, 0), []),
        (13, 0, struct.pack("<QII", 16, 8, 0), []), (13, 0, struct.pack("<QII", 16, 8, 1), []),
        (13, 0, struct.pack("<QII", 16, 8, 2), []), (13, 0, struct.pack("<QII", 4090, 16, 0), []),
        (13, 0, struct.pack("<QII", 0, 160, 0), []), (0, 16, b"", [4096]),
    ]

    lenient = "readonly" in drive or "discard=off" in device    # there QEMU does what the specification forbids

    def story(driver: VirtioDriver) -> Any:
        config_size = 36 if "discard=off" in device else 57    # QEMU's ends with the last field in use
        told: list[Any] = [identity(driver, config_size, BLK_IGNORED if driver.legacy else 0)]
        (queue,) = driver.start(queues=[0], size=16)
        for kind, sector, data, room in requests:
            if kind in (11, 13) and lenient:
                continue
            header = struct.pack("<IIQ", kind, 0, sector)
            used = queue.request([header, data] if data else [header], [*room, 1], tries=TRIES)
            status = used.data[-1]
            told.append((kind, sector, status, used.data[:-1] if status == 0 else b""))
        return told

    options = dict(item.split("=") for item in device.split(",") if item)
    image = pair.drive("ours", drive)
    pair.compare(
        ["-drive", f"file={pair.folder}/theirs,format=raw,if=none,id=d{drive}",
         "-device", ",".join(part for part in ("virtio-blk-device,drive=d,bus=virtio-mmio-bus.0", device) if part)],
        lambda: VirtioBlk.from_options({"drive": image, **options}),
        story,
    )
    pair.drives.close()
    assert (pair.folder / "ours").read_bytes() == (pair.folder / "theirs").read_bytes()


@pytest.mark.parametrize("device", [f"mac={MAC}", f"mac={MAC},host_mtu=1400,speed=1000,duplex=full"])
def test_network_card(pair: Pair, device: str) -> None:
    """Description, control commands, and what happens to frames that are sent."""
    commands = [
        (0, 0, b"\0"), (0, 1, b"\1"), (0, 5, b"\1"), (0, 6, b"\1"), (0, 0, b""), (1, 0, bytes(8)), (1, 0, bytes(4)),
        (1, 0, (2).to_bytes(4, "little") + bytes(12) + bytes(4)), (1, 0, b"\xff" * 8), (1, 1, b"\x52\x54\0\0\0\x33"),
        (1, 1, b"x"), (1, 2, b"x"), (2, 0, b"\5\0"), (2, 1, b"\5\0"), (2, 0, b"\0\x10"), (2, 0, b"x"), (2, 7, b"\5\0"),
        (9, 0, b"x"),
    ]

    def story(driver: VirtioDriver) -> Any:
        told: list[Any] = [identity(driver, 17 if "speed" in device and not driver.legacy else 8, NET_OFFLOADS)]
        _, tx, control = driver.start(~NET_OFFLOADS, queues=[0, 1, 2], size=64)
        for group, number, data in commands:
            parts = [bytes([group, number]), data] if data else [bytes([group, number])]
            used = control.request(parts, [1], tries=TRIES)
            told.append((group, number, data, used.length, used.data))
        told.append(tx.request([bytes(12), b"\xff" * 60], tries=TRIES).length)
        told.append([driver.config(offset, 1) for offset in range(6)])
        return told

    options = dict(item.split("=") for item in device.split(","))
    pair.compare(
        ["-device", f"virtio-net-device,bus=virtio-mmio-bus.0,{device}"],
        lambda: VirtioNet.from_options(options),
        story,
    )


def test_serial_ports(pair: Pair) -> None:
    """Control messages of a console and a named channel, and output."""
    context = ChardevContext(IoLoop(threading.RLock()), lambda: None)
    chardevs = Chardevs(context)
    chardevs.add("ringbuf,id=c0")
    chardevs.add("ringbuf,id=c1")

    def make() -> VirtioDevice:
        serial = VirtioSerial(max_ports=5)
        plain_realize = serial.realize

        def realize(platform: Any) -> None:
            plain_realize(platform)
            for port in (VirtConsole(chardev=chardevs["c0"]), VirtSerialPort(chardev=chardevs["c1"], label="org.test")):
                port.realize(platform)
                serial.port_bus.plug(port)

        serial.realize = realize    # type: ignore[method-assign]
        return serial

    def story(driver: VirtioDriver) -> Any:
        told: list[Any] = [identity(driver, 12)]
        queues = driver.start(queues=range(6), size=32)
        control_in, control_out = queues[2:4]
        for _ in range(20):
            control_in.add(room=[40])
        control_in.kick()

        def tell(port: int, event: int, value: int) -> None:
            control_out.request([struct.pack("<IHH", port, event, value)], tries=TRIES)
            messages = [used.data[: used.length] for used in control_in.used()]
            told.extend(message[:8] + message[8:].rstrip(b"\0") for message in messages)    # QEMU ends names with a NUL

        messages = (0, 0, 1), (0, 3, 1), (1, 3, 1), (0, 6, 1), (1, 6, 1), (4, 3, 1), (0, 42, 1), (1, 6, 0)
        for port, event, value in messages:
            told.append((port, event, value))
            tell(port, event, value)
        told.append(queues[1].request([b"hello"], tries=TRIES).length)
        told.append(queues[5].request([b"hello"], tries=TRIES).length)
        return told

    pair.compare(
        ["-chardev", "ringbuf,id=c0", "-chardev", "ringbuf,id=c1",
         "-device", "virtio-serial-device,max_ports=5,id=s,bus=virtio-mmio-bus.0",
         "-device", "virtconsole,chardev=c0,bus=s.0", "-device", "virtserialport,chardev=c1,name=org.test,bus=s.0"],
        make,
        story,
    )
    context.loop.close()


def test_entropy(pair: Pair) -> None:
    """Description, and lengths of answers."""
    def story(driver: VirtioDriver) -> Any:
        told: list[Any] = [identity(driver, 0)]
        (queue,) = driver.start(queues=[0])
        told += [queue.request(room=room, tries=TRIES).length for room in ([8], [1, 2, 3], [4096])]
        return told

    pair.compare(["-device", "virtio-rng-device,bus=virtio-mmio-bus.0"], VirtioRng, story)
