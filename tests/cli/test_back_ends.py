"""What the command line puts around a machine: disks, flash, networks, entropy, firmware files, and devices."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ratite.boards.machine import Machine
from ratite.chardev.base import ChardevContext
from ratite.chardev.loop import IoLoop
from ratite.chardev.manager import Chardevs
from ratite.cli import machine_options
from ratite.cli.back_ends import BackEnds
from ratite.errors import ImageError, UsageError
from ratite.hw.model import VirtualClock, find_device
from ratite.hw.virtio.mmio import VirtioMmio
from tests.boards.conftest import FakeHart

Setup = Callable[..., tuple[BackEnds, Machine]]


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> Iterator[Setup]:
    """Back ends and machine of a command line; the harts run nothing."""
    closers: list[Callable[[], None]] = []
    for name in ("virtio-mmio", "virtio-blk-device"):
        device = find_device(name)
        monkeypatch.setattr(device, "properties", device.properties)  # -global changes defaults; put them back

    def make(*words: str) -> tuple[BackEnds, Machine]:
        config = machine_options.parse("riscv64", list(words))
        lock = threading.RLock()
        loop = IoLoop(lock)
        closers.append(loop.close)
        chardevs = Chardevs(ChardevContext(loop, lambda: None))
        closers.append(chardevs.close)
        for option in config.chardevs:
            chardevs.add(option)
        back_ends = BackEnds(config, loop, lock, chardevs)
        closers.append(back_ends.close)
        machine = Machine(
            "virt",
            arch="riscv64",
            make_cpu=FakeHart,
            ram_size=16 << 20,
            options={"firmware": "none"},
            flash=back_ends.flash(),
            fw_cfg=back_ends.fw_cfg(),
            lock=lock,
            clock=VirtualClock(),
        )
        closers.append(machine.close)
        back_ends.plug(machine)
        return back_ends, machine

    yield make
    for close in reversed(closers):
        close()


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(1 << 20))
    return path


def plugged(machine: Machine) -> list[str]:
    """Types of the devices on the virtio slots and on PCI, in the order of their making."""
    buses = {"virtio-bus", "PCI"}
    return [device.name for device in machine.devices.values() if device.bus in buses and device.name != "gpex-root"]


def test_devices_of_every_kind(setup: Setup, disk: Path) -> None:
    """Implied devices come first, then those of -device; each holds the back end that it names."""
    _, machine = setup(
        *("-device", "virtio-rng-device,rng=r0,id=rng"),
        *("-object", "rng-random,id=r0,filename=/dev/zero"),
        *("-drive", f"file={disk},format=raw,if=virtio,id=d0"),
        *("-nic", "user,mac=52:54:00:00:00:01"),
        *("-netdev", "user,id=n0", "-device", '{"driver":"virtio-net-device","netdev":"n0"}'),
        *("-chardev", "null,id=c0", "-device", "virtio-serial-device", "-device", "virtconsole,chardev=c0"),
    )
    assert plugged(machine) == [
        "virtio-blk-pci",
        "virtio-net-pci",
        "virtio-rng-device",
        "virtio-net-device",
        "virtio-serial-device",
    ]
    assert machine.device("rng").id == "rng"


def test_a_disk_named_alone(setup: Setup, disk: Path) -> None:
    """`ratite-system-riscv64 disk.img`, and -drive without an interface, make a virtio disk."""
    assert plugged(setup(str(disk))[1]) == ["virtio-blk-pci"]


def test_drives_without_interface(setup: Setup, disk: Path) -> None:
    """The same; if=none waits for a -device."""
    assert plugged(setup("-drive", f"file={disk},format=raw")[1]) == ["virtio-blk-pci"]


def test_names_of_cards_and_aliases(setup: Setup) -> None:
    """-nic takes QEMU's names of cards, -device its short names of virtio devices."""
    _, machine = setup("-nic", "user,model=e1000", "-nic", "user,model=virtio-net-device", "-device", "virtio-rng")
    assert plugged(machine) == ["e1000", "virtio-net-device", "virtio-rng-pci"]


def test_flash_chips(setup: Setup, disk: Path) -> None:
    """Drives take chips by index, others the free ones; a third chip does not exist."""
    with disk.open("r+b") as file:
        file.truncate(32 << 20)
    _, machine = setup("-drive", f"file={disk},format=raw,if=pflash,index=1")
    assert machine.flash(0) is None
    flash = machine.flash(1)
    assert flash is not None
    assert flash.size == 32 << 20
    with pytest.raises(UsageError, match="two flash chips, 0 and 1"):
        setup("-drive", f"file={disk},format=raw,if=pflash,index=2,readonly=on,file.locking=off")


def test_firmware_files(setup: Setup, tmp_path: Path) -> None:
    """Texts and file contents, with commas doubled."""
    (tmp_path / "blob").write_bytes(b"\0\1\2")
    back_ends, _ = setup("-fw_cfg", "opt/a,string=x,,y", "-fw_cfg", f"name=opt/b,file={tmp_path}/blob")
    assert back_ends.fw_cfg() == [("opt/a", b"x,y"), ("opt/b", b"\0\1\2")]
    with pytest.raises(ImageError, match=r"-fw_cfg opt/c: .*absent: No such file or directory"):
        setup("-fw_cfg", f"opt/c,file={tmp_path}/absent")


def test_global_defaults(setup: Setup) -> None:
    """-global reaches the devices that the board makes."""
    _, machine = setup("-global", "virtio-mmio.force-legacy=false")
    slots = [device for device in machine.devices.values() if isinstance(device, VirtioMmio)]
    assert len(slots) == 8
    assert not any(slot.force_legacy for slot in slots)


@pytest.mark.parametrize(
    "words, message",
    [
        (["-device", "virtio-blk-device,drive=d9"], "-device virtio-blk-device: .*'d9' is not known"),
        (
            ["-device", "virtio-blk-devise"],
            "-device virtio-blk-devise: device 'virtio-blk-devise' is not known: did you",
        ),
        (["-device", "virtio-rng-device,speed=9"], "-device virtio-rng-device: property of .*'speed' is not known"),
        (
            ["-global", "virtio-mmio.farce=1"],
            "-global virtio-mmio.farce: property 'farce' is not known: supported: force-legacy",
        ),
        (["-global", "virtio-mmio.force-legacy=often"], "-global virtio-mmio.force-legacy: .* expected on or off"),
        (["-global", "nothing.x=1"], "device 'nothing' is not known"),
        (["-nic", "user,model=ne2k_pci"], "-nic: model 'ne2k_pci' is not known"),
        (["-object", "rng-builtin,id=a", "-object", "rng-builtin,id=a"], "-object: id 'a' exists twice"),
        (["-device", "riscv.sifive.plic"], "-device riscv.sifive.plic: "),
    ],
)
def test_mistakes_name_their_option(setup: Setup, words: list[str], message: str) -> None:
    """Errors from deep inside begin with the option that caused them."""
    with pytest.raises(UsageError, match=message):
        setup(*words)


def test_one_drive_has_one_user(setup: Setup, disk: Path) -> None:
    """A second device that names the same drive is refused."""
    drive = ("-drive", f"file={disk},format=raw,if=none,id=d0")
    device = ("-device", "virtio-blk-device,drive=d0")
    with pytest.raises(UsageError, match="drive 'd0' is already in use by"):
        setup(*drive, *device, *device)
