"""Block devices in sysfs: which hardware they are on, what they are made of (Documentation/ABI/*/sysfs-block)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

from ratite.agent.system.base import System

_PCI = re.compile(r"/([0-9a-f]{4,8}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])(?=/|$)")
_SCSI = re.compile(r"/host(\d+)/.*/(\d+):(\d+):(\d+):(\d+)(?=/|$)")
_ATA = re.compile(r"/ata(\d+)/")
_CCW = re.compile(r"/([0-9a-f]+)\.([0-9a-f])\.([0-9a-f]{4})/([0-9a-f]+)\.([0-9a-f])\.([0-9a-f]{4})(?=/|$)")
_VIRTUAL = "/devices/virtual/"

_IDE_DRIVERS = ("ata_piix", "pata_")
_SATA_DRIVERS = ("ahci", "sata_", "ata_generic")


class Block:
    """A whole disk or a partition. `name` is the kernel's (vda1), `folder` its place in sysfs (/sys/devices/...)."""

    def __init__(self, system: System, folder: str) -> None:
        self.system = system
        self.folder = folder
        self.name = os.path.basename(folder)

    @property
    def node(self) -> str:
        """The device's path; sysfs has ! where the path has /."""
        return "/dev/" + self.name.replace("!", "/")

    @property
    def is_partition(self) -> bool:
        return os.path.exists(self.system.path(f"{self.folder}/partition"))

    @property
    def size(self) -> int:
        """In sectors of 512 bytes."""
        text = self.attribute("size")
        return int(text) if text.isdigit() else 0

    @property
    def is_virtual(self) -> bool:
        """Made of software: device mapper, md, loop, zram."""
        return _VIRTUAL in self.folder

    def attribute(self, name: str) -> str:
        """A file in the device's folder; empty when there is none."""
        return self.system.read_line(f"{self.folder}/{name}")

    def disk(self) -> Block:
        """The disk that a partition is on; a disk itself."""
        return Block(self.system, os.path.dirname(self.folder)) if self.is_partition else self

    def partitions(self) -> list[Block]:
        """A disk's partitions, by number."""
        found = (Block(self.system, f"{self.folder}/{name}") for name in _names(self.system, self.folder))
        return [part for part in found if part.is_partition]

    def slaves(self) -> list[Block]:
        """What a virtual device is made of."""
        folder = f"{self.folder}/slaves"
        return [_resolved(self.system, f"{folder}/{name}") for name in _names(self.system, folder)]

    def hardware(self) -> Iterator[Block]:
        """The real disks below this device, through any number of virtual ones."""
        seen: set[str] = set()
        waiting = [self.disk()]
        while waiting:
            block = waiting.pop(0)
            if block.folder in seen:
                continue
            seen.add(block.folder)
            if block.is_virtual:
                waiting += [slave.disk() for slave in block.slaves()]
            else:
                yield block


def by_number(system: System, device: tuple[int, int]) -> Block | None:
    """The device with these numbers."""
    link = f"/sys/dev/block/{device[0]}:{device[1]}"
    return _resolved(system, link) if os.path.exists(system.path(link)) else None


def disks(system: System) -> list[Block]:
    """All whole disks that have a size, by name."""
    found = (_resolved(system, f"/sys/block/{name}") for name in _names(system, "/sys/block"))
    return [disk for disk in found if disk.size]


def address(block: Block) -> dict[str, Any]:
    """A real disk's GuestDiskAddress: the controller's PCI address (-1 where it is none), kind of bus, place on the bus."""
    domain, bus, slot, function = _pci_address(block.folder)
    found: dict[str, Any] = {
        "pci-controller": {"domain": domain, "bus": bus, "slot": slot, "function": function},
        "bus-type": "unknown", "bus": 0, "target": 0, "unit": 0, "dev": block.node,
    }    # fmt: skip
    found.update(_place(block))
    if serial := _serial(block):
        found["serial"] = serial
    if ccw := _CCW.search(block.folder):
        numbers = [int(text, 16) for text in ccw.groups()]
        found["ccw-address"] = {"cssid": numbers[0], "ssid": numbers[1], "subchno": numbers[2], "devno": numbers[5]}
    return found


def _place(block: Block) -> dict[str, Any]:
    """Kind of bus and numbers on it."""
    folder, driver = block.folder, _pci_driver(block)
    scsi = _SCSI.search(folder)
    channel, target, unit = (int(number) for number in scsi.groups()[2:]) if scsi else (0, 0, 0)
    on_bus = {"bus": channel, "target": target, "unit": unit}
    if block.name.startswith("nvme"):
        return {"bus-type": "nvme"}
    if "/mmc_host/" in folder:
        return {"bus-type": "sd"}
    if re.search(r"/usb\d+/", folder):
        return {"bus-type": "usb", **on_bus}
    if scsi is None:
        return {"bus-type": "virtio"} if "/virtio" in folder else {"bus-type": "unknown"}
    if driver.startswith(_IDE_DRIVERS):
        return {"bus-type": "ide", "bus": _port_index(block), "unit": target}
    if driver.startswith(_SATA_DRIVERS):
        return {"bus-type": "sata", "unit": _port_index(block)}
    if "/virtio" in folder:
        return {"bus-type": "scsi", **on_bus}
    # Parallel SCSI numbers its disks by target; our "unit" is that number, as host programs expect it.
    return {"bus-type": "scsi", "bus": channel, "unit": target} if driver.startswith("sym53c8xx") else {"bus-type": "scsi", **on_bus}


def _pci_address(folder: str) -> tuple[int, int, int, int]:
    """Domain, bus, slot, function of the nearest PCI device above a block device."""
    matches = _PCI.findall(folder)
    if not matches:
        return -1, -1, -1, -1
    domain, bus, slot, function = (int(text, 16) for text in matches[-1])
    return domain, bus, slot, function


def _pci_folder(folder: str) -> str:
    matches = list(_PCI.finditer(folder))
    return folder[: matches[-1].end()] if matches else ""


def _pci_driver(block: Block) -> str:
    folder = _pci_folder(block.folder)
    return os.path.basename(os.path.realpath(block.system.path(f"{folder}/driver"))) if folder else ""


def _port_index(block: Block) -> int:
    """Which of its controller's ATA ports a disk is on, from 0; the kernel's own numbers go on from controller to controller."""
    own = _ATA.search(block.folder)
    names = _names(block.system, _pci_folder(block.folder))
    ports = sorted(int(name[3:]) for name in names if name.startswith("ata") and name[3:].isdigit())
    return ports.index(int(own[1])) if own and int(own[1]) in ports else 0


def _serial(block: Block) -> str:
    """The serial number as udev has recorded it, else as the disk's driver shows it."""
    for line in block.system.read_line(f"/run/udev/data/b{block.attribute('dev')}").splitlines():
        if line.startswith("E:ID_SERIAL="):
            return line.partition("=")[2]
    return block.attribute("serial") or block.attribute("device/serial") or _scsi_serial(block)


def _scsi_serial(block: Block) -> str:
    """The unit serial number page (SPC-4, 7.8.15), which sysfs has as it came from the disk."""
    try:
        page = block.system.read_bytes(f"{block.folder}/device/vpd_pg80")
    except OSError:
        return ""
    return page[4 : 4 + page[3]].decode("ascii", "replace").strip() if len(page) > 4 else ""


def _resolved(system: System, link: str) -> Block:
    """The device that a link in sysfs leads to; what sysfs calls / stays so under a test's root."""
    path = os.path.realpath(system.path(link))
    root = os.path.realpath(system.root)
    return Block(system, path if root == "/" else path[len(root) :])


def _names(system: System, folder: str) -> list[str]:
    """A folder's entries, with numbers in numerical order; none when it does not exist."""
    try:
        names = os.listdir(system.path(folder))
    except OSError:
        return []
    return sorted(names, key=lambda name: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)])
