"""guest-get-disks, guest-get-fsinfo, guest-get-devices: every kind of hardware, in folders as sysfs has them."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from ratite.agent.linux import blocks, nvme
from ratite.agent.linux.blocks import Block

from .conftest import Client, RecordedLinux

PCI = "/sys/devices/pci0000:00/0000:00:"


def add_disk(system: RecordedLinux, folder: str, numbers: str, size: int = 2048, **files: str) -> Block:
    """A disk's folder, and the links to it."""
    name = os.path.basename(folder)
    system.add(f"{folder}/size", f"{size}\n")
    system.add(f"{folder}/dev", f"{numbers}\n")
    for file, text in files.items():
        system.add(f"{folder}/{file.replace('__', '/')}", text)
    if not os.path.exists(system.path(f"{folder}/partition")):
        system.link(f"/sys/block/{name}", folder)
    system.link(f"/sys/dev/block/{numbers}", folder)
    return Block(system, folder)


def add_driver(system: RecordedLinux, device: str, driver: str) -> None:
    os.makedirs(system.path(f"/sys/bus/pci/drivers/{driver}"), exist_ok=True)
    system.link(f"{PCI}{device}/driver", f"/sys/bus/pci/drivers/{driver}")


def address(client: Client, disk: Block) -> dict[str, Any]:
    """A disk's address, checked against the schema, without what is 0."""
    found = blocks.address(disk)
    client.schema.check(found, "GuestDiskAddress")
    pci = found.pop("pci-controller")
    return {"pci": tuple(pci.values()), **{key: value for key, value in found.items() if value != 0}}


def test_virtio(client: Client, system: RecordedLinux) -> None:
    """On PCI with the controller's address, behind a bridge too; on a board's own bus without."""
    disk = add_disk(system, f"{PCI}04.0/virtio1/block/vda", "254:0", serial="D0\n")
    assert address(client, disk) == {"pci": (0, 0, 4, 0), "bus-type": "virtio", "dev": "/dev/vda", "serial": "D0"}
    disk = add_disk(system, f"{PCI}1c.0/0000:01:02.3/virtio7/block/vdb", "254:16")
    assert address(client, disk) == {"pci": (0, 1, 2, 3), "bus-type": "virtio", "dev": "/dev/vdb"}
    disk = add_disk(system, "/sys/devices/platform/soc/10008000.virtio_mmio/virtio0/block/vdc", "254:32")
    assert address(client, disk) == {"pci": (-1, -1, -1, -1), "bus-type": "virtio", "dev": "/dev/vdc"}


def test_ide(client: Client, system: RecordedLinux) -> None:
    """The second disk of the second channel; the kernel counts ports of all controllers, the answer those of this one."""
    add_driver(system, "01.1", "ata_piix")
    for port in (9, 10):
        os.makedirs(system.path(f"{PCI}01.1/ata{port}"), exist_ok=True)
    disk = add_disk(system, f"{PCI}01.1/ata10/host5/target5:0:1/5:0:1:0/block/sdc", "8:32")
    assert address(client, disk) == {"pci": (0, 0, 1, 1), "bus-type": "ide", "bus": 1, "unit": 1, "dev": "/dev/sdc"}


def test_sata(client: Client, system: RecordedLinux) -> None:
    """The port is the unit."""
    add_driver(system, "1f.2", "ahci")
    for port in (3, 4, 10):
        os.makedirs(system.path(f"{PCI}1f.2/ata{port}"), exist_ok=True)
    disk = add_disk(system, f"{PCI}1f.2/ata10/host9/target9:0:0/9:0:0:0/block/sda", "8:0")
    system.add(f"{disk.folder}/device/vpd_pg80", b"\0\x80\0\x06QM0001")
    assert address(client, disk) == {"pci": (0, 0, 0x1F, 2), "bus-type": "sata", "unit": 2, "dev": "/dev/sda", "serial": "QM0001"}


def test_scsi(client: Client, system: RecordedLinux) -> None:
    """virtio-scsi with channel, target, unit; parallel SCSI, where the target is the unit; USB."""
    add_driver(system, "05.0", "virtio-pci")
    add_driver(system, "06.0", "sym53c8xx")
    disk = add_disk(system, f"{PCI}05.0/virtio2/host2/target2:0:3/2:0:3:4/block/sda", "8:0")
    assert address(client, disk) == {"pci": (0, 0, 5, 0), "bus-type": "scsi", "target": 3, "unit": 4, "dev": "/dev/sda"}
    disk = add_disk(system, f"{PCI}06.0/host3/target3:0:6/3:0:6:0/block/sdb", "8:16")
    assert address(client, disk) == {"pci": (0, 0, 6, 0), "bus-type": "scsi", "unit": 6, "dev": "/dev/sdb"}
    disk = add_disk(system, f"{PCI}07.0/usb1/1-1/1-1:1.0/host4/target4:0:0/4:0:0:1/block/sdd", "8:48")
    assert address(client, disk) == {"pci": (0, 0, 7, 0), "bus-type": "usb", "unit": 1, "dev": "/dev/sdd"}


def test_others(client: Client, system: RecordedLinux) -> None:
    """SD cards; channel devices of s390; what nobody knows. A serial number that udev has recorded comes first."""
    disk = add_disk(system, "/sys/devices/platform/mmc/mmc_host/mmc0/mmc0:0001/block/mmcblk0", "179:0")
    assert address(client, disk)["bus-type"] == "sd"
    disk = add_disk(system, "/sys/devices/css0/0.0.0001/0.1.0abc/virtio1/block/vda", "254:0", serial="kernel")
    system.add("/run/udev/data/b254:0", "S:disk/by-id/x\nE:ID_SERIAL=recorded\n")
    found = address(client, disk)
    assert found["ccw-address"] == {"cssid": 0, "ssid": 0, "subchno": 1, "devno": 0xABC}
    assert found["bus-type"] == "virtio" and found["serial"] == "recorded"
    disk = add_disk(system, "/sys/devices/platform/floppy.0/block/fd0", "2:0")
    assert address(client, disk)["bus-type"] == "unknown"


def test_the_list(client: Client, system: RecordedLinux) -> None:
    """Disks, each followed by its partitions, and virtual disks with what they are made of; empty drives are left out."""
    disk = add_disk(system, f"{PCI}04.0/virtio1/block/vda", "254:0")
    for number in (1, 2, 10):
        add_disk(system, f"{disk.folder}/vda{number}", f"254:{number}", partition=f"{number}")
    add_disk(system, "/sys/devices/virtual/block/loop0", "7:0", size=0)
    mapped = add_disk(system, "/sys/devices/virtual/block/dm-0", "253:0", dm__name="vg-root\n")
    system.link(f"{mapped.folder}/slaves/vda2", f"{disk.folder}/vda2")
    rows = client.ask("guest-get-disks")
    assert [(row["name"], row["partition"], row["dependencies"]) for row in rows] == [
        ("/dev/dm-0", False, ["/dev/vda2"]),
        ("/dev/vda", False, []),
        ("/dev/vda1", True, ["/dev/vda"]),
        ("/dev/vda2", True, ["/dev/vda"]),
        ("/dev/vda10", True, ["/dev/vda"]),
    ]
    assert rows[0]["alias"] == "vg-root" and "address" not in rows[0]
    assert rows[1]["address"]["bus-type"] == "virtio"

    system.add("/proc/self/mountinfo", "26 1 253:0 / / rw - ext4 /dev/mapper/vg-root rw\n30 26 254:1 / /boot rw - ext2 /dev/vda1 rw\n")
    os.makedirs(system.path("/boot"))
    root, boot = client.ask("guest-get-fsinfo")
    assert (root["name"], root["mountpoint"], [disk["dev"] for disk in root["disk"]]) == ("dm-0", "/", ["/dev/vda"])
    assert (boot["name"], boot["type"], [disk["dev"] for disk in boot["disk"]]) == ("vda1", "ext2", ["/dev/vda"])


def test_file_systems_with_odd_names(client: Client, system: RecordedLinux) -> None:
    """Spaces, bytes that are no UTF-8, a device that sysfs does not know, a mount point that is gone."""
    system.add("/proc/self/mountinfo", b"26 1 8:1 / /a\\040b\\134\xff rw - ext4 /dev/sda1 rw\n27 26 8:2 / /gone rw - xfs /dev/sda2 rw\n")
    os.makedirs(system.path("/").encode() + b"a b\\\xff")
    first, second = client.ask("guest-get-fsinfo")
    assert (first["mountpoint"], first["name"], first["disk"]) == ("/a b\\?", "sda1", [])
    assert first["total-bytes"] > 0
    assert "total-bytes" not in second


def test_loops_in_sysfs(system: RecordedLinux) -> None:
    """Virtual devices that are made of each other do not hang the agent."""
    first = add_disk(system, "/sys/devices/virtual/block/dm-0", "253:0")
    second = add_disk(system, "/sys/devices/virtual/block/dm-1", "253:1")
    system.link(f"{first.folder}/slaves/dm-1", second.folder)
    system.link(f"{second.folder}/slaves/dm-0", first.folder)
    assert list(first.hardware()) == []


# --- NVMe

# A health log page as a disk gives it: 512 bytes, little endian (figure 208 of the specification).
PAGE = bytearray(512)
PAGE[0:6] = bytes([0x04]) + struct.pack("<H", 311) + bytes([100, 10, 3])    # warning, 38 degrees Celsius, spare, threshold, used
LONG = {
    32: "data-units-read", 48: "data-units-written", 64: "host-read-commands", 80: "host-write-commands",
    96: "controller-busy-time", 112: "power-cycles", 128: "power-on-hours", 144: "unsafe-shutdowns",
    160: "media-errors", 176: "number-of-error-log-entries",
}    # fmt: skip
for _offset in LONG:
    PAGE[_offset : _offset + 16] = (0x1000_0000_0000_0000_0000 * _offset + 7 * _offset).to_bytes(16, "little")
PAGE[192:512] = bytes(range(256)) + bytes(64)    # what belongs to no field


def test_health_log(client: Client, system: RecordedLinux) -> None:
    """The command that the disk gets, field by field, and the fields of its answer."""
    disk = add_disk(system, f"{PCI}08.0/nvme/nvme0/nvme0n1", "259:0", device__serial="N1\n")
    system.add("/dev/nvme0n1")
    commands = []

    def call(descriptor: int, request: int, argument: Any) -> int:
        assert request == 0xC0484E41    # NVME_IOCTL_ADMIN_CMD
        commands.append(bytes(argument))
        ctypes.memmove(struct.unpack_from("=Q", argument, 24)[0], bytes(PAGE), 512)
        return 0

    system.on_ioctl = call
    (row,) = client.ask("guest-get-disks")
    assert row["address"]["bus-type"] == "nvme" and row["address"]["serial"] == "N1" and disk.node == row["name"]
    (command,) = commands
    opcode, flags, _, namespace = struct.unpack_from("=BBHI", command)
    assert (opcode, flags, namespace) == (2, 0, 0xFFFFFFFF)
    assert struct.unpack_from("=I", command, 36) == (512,)
    (dword10,) = struct.unpack_from("=I", command, 40)
    assert (dword10 & 0xFF, dword10 >> 15 & 1, dword10 >> 16) == (2, 1, 127)

    expected = {
        "type": "nvme", "critical-warning": 4, "temperature": 311, "available-spare": 100,
        "available-spare-threshold": 10, "percentage-used": 3,
    }    # fmt: skip
    for offset, name in LONG.items():
        expected[f"{name}-lo"] = 7 * offset
        expected[f"{name}-hi"] = 0x1000 * offset
    assert row["smart"] == expected


# Which field of the answer each entry of the other program's list is; those from 06 on have 16 bytes.
SHOWN = {
    "01": "critical-warning", "02": "temperature", "03": "available-spare", "04": "available-spare-threshold", "05": "percentage-used",
    **{f"{6 + number:02X}": name for number, name in enumerate(LONG.values())},
}    # fmt: skip


def recorded_pages() -> list[tuple[str, bytes, dict[str, int]]]:
    """Disks, their pages, and what another program has shown for the fields."""
    disks: list[tuple[str, bytearray, dict[str, int]]] = []
    for line in (Path(__file__).parents[1] / "data" / "recorded" / "nvme-health.txt").read_text().splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "disk":
            disks.append((rest, bytearray(512), {}))
        elif kind == "page":
            offset, _, data = rest.partition(" ")
            start, data_bytes = int(offset, 16), bytes.fromhex(data)
            disks[-1][1][start : start + len(data_bytes)] = data_bytes
        elif kind == "shown":
            number, _, value = rest.partition(" ")
            disks[-1][2][SHOWN[number]] = int(value, 16)
    return [(name, bytes(page), shown) for name, page, shown in disks]


@pytest.mark.parametrize(("name", "page", "shown"), recorded_pages(), ids=lambda value: value if isinstance(value, str) else "")
def test_recorded_health_logs(client: Client, name: str, page: bytes, shown: dict[str, int]) -> None:
    """Pages of real disks: every field is what CrystalDiskInfo has shown for the same page."""
    found = nvme.decode(page)
    client.schema.check({"type": "nvme", **found}, "GuestDiskSmart")
    assert set(shown) == set(SHOWN.values()) and len(page) == 512
    joined = {field: found[field] if field in found else found[f"{field}-lo"] | found[f"{field}-hi"] << 64 for field in shown}
    assert joined == shown


def test_disks_that_give_no_health_log(client: Client, system: RecordedLinux) -> None:
    """No device file, an error of the call, an error of the disk: the disk is in the list without."""
    add_disk(system, f"{PCI}08.0/nvme/nvme0/nvme0n1", "259:0")
    assert "smart" not in client.ask("guest-get-disks")[0]
    system.add("/dev/nvme0n1")
    system.on_ioctl = lambda descriptor, request, argument: 0x4002
    assert "smart" not in client.ask("guest-get-disks")[0]

    def fail(descriptor: int, request: int, argument: Any) -> int:
        raise PermissionError(13, "Permission denied")

    system.on_ioctl = fail
    assert "smart" not in client.ask("guest-get-disks")[0]
    assert nvme.decode(bytes(512))["media-errors-lo"] == 0


def test_devices(client: Client, system: RecordedLinux) -> None:
    """PCI devices with a driver; the driver's version where its module has one."""
    assert client.ask("guest-get-devices") == []
    for number, ids in (("00.0", ("0x8086", "0x1237")), ("04.0", ("0x1af4", "0x1042"))):
        for name, value in zip(("vendor", "device"), ids, strict=True):
            system.add(f"{PCI}{number}/{name}", f"{value}\n")
        system.link(f"/sys/bus/pci/devices/0000:00:{number}", f"{PCI}{number}")
    add_driver(system, "04.0", "virtio-pci")
    expected: dict[str, Any] = {"driver-name": "virtio-pci", "id": {"type": "pci", "vendor-id": 0x1AF4, "device-id": 0x1042}}
    assert client.ask("guest-get-devices") == [expected]
    system.add("/sys/module/virtio_pci/version", "1.2\n")
    system.link("/sys/bus/pci/drivers/virtio-pci/module", "/sys/module/virtio_pci")
    assert client.ask("guest-get-devices") == [{**expected, "driver-version": "1.2"}]
