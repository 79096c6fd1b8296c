"""Debian's drivers on Ratite's PCI Express: what the guest finds, and disks, network, entropy and console as functions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from ratite.fetch import guest
from tests.boot.conftest import drivers
from tests.boot.session import Shell, boot, linux
from tests.boot.test_virtio import LEASE

pytestmark = [pytest.mark.boot, pytest.mark.slow]

# In the order in which they need each other; virtio_pci is in the kernel.
MODULES = (
    "virtio_blk", "failover", "net_failover", "virtio_net", "virtio-rng", "e1000",
    "nvme-keyring", "nvme-auth", "nvme-core", "nvme",
)  # fmt: skip
LIST = """\
#!/bin/sh
for d in /sys/bus/pci/devices/*; do
    driver=none
    [ -e $d/driver ] && driver=$(basename $(readlink $d/driver))
    echo "${d##*/}" $(cat $d/vendor) $(cat $d/device) $(cat $d/class) $driver
done
"""
DISK = 48 << 20

# As the guest's /sys/bus/pci lists them: address, vendor, device, class, driver.
FUNCTIONS = """\
0000:00:00.0 0x1b36 0x0008 0x060000 none
0000:00:01.0 0x1b36 0x000c 0x060400 pcieport
0000:00:02.0 0x1b36 0x0001 0x060400 none
0000:00:03.0 0x1af4 0x1001 0x010000 virtio-pci
0000:00:04.0 0x1af4 0x1000 0x020000 virtio-pci
0000:00:05.0 0x1af4 0x1005 0x00ff00 virtio-pci
0000:00:06.0 0x1af4 0x1003 0x078000 virtio-pci
0000:00:07.0 0x1b36 0x0010 0x010802 nvme
0000:01:00.0 0x1af4 0x1042 0x010000 virtio-pci
0000:02:05.0 0x8086 0x100e 0x020000 e1000
"""


class Machine(NamedTuple):
    """A running machine, and the files behind its disks and its second console."""

    shell: Shell
    disks: dict[str, Path]
    output: Path


@pytest.fixture(scope="module")
def machine(debian: guest.Guest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Booted, with the drivers loaded: functions on the root bus, behind a root port, and behind a bridge."""
    folder = tmp_path_factory.mktemp("pci")
    initrd, output = folder / "initrd.gz", folder / "console"
    load = "\n".join(["#!/bin/sh -e", *(f"insmod /root/{name}.ko" for name in MODULES), ""])
    extra = drivers(debian, MODULES)
    extra |= {"root/lease": LEASE.encode(), "root/load": load.encode(), "root/list": LIST.encode()}
    initrd.write_bytes(guest.initrd(debian.busybox.read_bytes(), extra))
    disks = {name: folder / name for name in ("vda", "vdb", "nvme0n1")}
    for path in disks.values():
        with path.open("wb") as file:
            file.truncate(DISK)
    devices = [
        "-device", "pcie-root-port,id=rp,slot=1", "-device", "pci-bridge,id=br,chassis_nr=1",
        *_disk(disks["vda"], "d0"), "-device", "virtio-blk-pci,drive=d0",
        "-netdev", "user,id=n0", "-device", "virtio-net-pci,netdev=n0",
        "-device", "virtio-rng-pci",
        "-chardev", f"file,id=c,path={output}", "-device", "virtio-serial-pci", "-device", "virtconsole,chardev=c",
        *_disk(disks["nvme0n1"], "d2,discard=unmap"), "-device", "nvme,drive=d2,serial=SN12345",
        *_disk(disks["vdb"], "d1"), "-device", "virtio-blk-pci,drive=d1,bus=rp,serial=behind-port",
        "-netdev", "user,id=n1,net=10.0.3.0/24", "-device", "e1000,netdev=n1,bus=br,addr=5",
    ]  # fmt: skip
    shell = boot([*linux(debian, initrd), *devices])
    with shell.console:
        shell.run("./load")
        yield Machine(shell, disks, output)


def _disk(path: Path, name: str) -> list[str]:
    return ["-drive", f"file={path},format=raw,if=none,id={name}"]


def test_functions_and_their_drivers(machine: Machine) -> None:
    """The guest finds every function at its address, and its driver takes it; interrupts come through pins."""
    assert FUNCTIONS in machine.shell.run("./list").replace("\r", "")
    interrupts = machine.shell.run("cat /proc/interrupts")
    assert len(re.findall(r"SiFive PLIC +(3[2-5]) ", interrupts)) == 4


@pytest.mark.parametrize("disk", ["vda", "vdb", "nvme0n1"])
def test_disks(machine: Machine, disk: str) -> None:
    """What the guest writes and flushes is in the file; what it reads after dropping its caches is the same."""
    shell = machine.shell
    shell.run("dd if=/dev/urandom of=/root/data bs=64k count=100 2>/dev/null")
    shell.run(f"cat /root/data >/dev/{disk} && sync && echo 1 >/proc/sys/vm/drop_caches")
    digest = hashlib.sha256(machine.disks[disk].read_bytes()[: 6400 << 10]).hexdigest()
    assert digest in shell.run(f"dd if=/dev/{disk} bs=64k count=100 2>/dev/null | sha256sum")
    shell.run(f"dd if=/dev/{disk} bs=64k count=100 2>/dev/null | cmp - /root/data")
    assert shell.number(f"echo =$(cat /sys/block/{disk}/size)=") == DISK // 512


def test_names_of_disks(machine: Machine) -> None:
    """Serial numbers reach the guest."""
    assert "behind-port" in machine.shell.run("cat /sys/block/vdb/serial")
    assert "SN12345" in machine.shell.run("cat /sys/class/nvme/nvme0/serial")


def test_discard_on_nvme(machine: Machine) -> None:
    """`blkdiscard` gives space back to the file, and no more than it was told."""
    shell, path = machine.shell, machine.disks["nvme0n1"]
    shell.run("dd if=/dev/urandom of=/dev/nvme0n1 bs=1M count=4 seek=16 2>/dev/null && sync")
    shell.run("blkdiscard -o 16777216 -l 2097152 /dev/nvme0n1")
    content = path.read_bytes()[16 << 20 : 20 << 20]
    assert not any(content[: 2 << 20]) and any(content[2 << 20 : (2 << 20) + 512]) and any(content[-512:])


@pytest.mark.parametrize(("driver", "net"), [("virtio_net", "10.0.2"), ("e1000", "10.0.3")])
def test_networks(machine: Machine, driver: str, net: str) -> None:
    """An address by DHCP, and an answer from the gateway, through each card."""
    shell = machine.shell
    card = {"virtio_net": "0000:00:04.0", "e1000": "0000:02:05.0"}[driver]
    shell.run(f"n=$(basename $(ls -d /sys/bus/pci/devices/{card}/net/* /sys/bus/pci/devices/{card}/virtio*/net/* 2>/dev/null))")
    shell.run("ifconfig $n up")
    assert f"lease {net}.15 from {net}.2" in shell.run("udhcpc -i $n -n -q -s /root/lease")
    assert "1 packets received" in shell.run(f"ping -c 1 -s 1400 {net}.2")
    shell.run("ifconfig $n 0.0.0.0 down")


def test_console_and_entropy(machine: Machine) -> None:
    """What the guest prints on hvc0 arrives; the random number generator is ours."""
    machine.shell.run("echo second console >/dev/hvc0")
    assert machine.output.read_bytes() == b"second console\r\n"
    machine.shell.run("grep virtio_rng /sys/class/misc/hw_random/rng_current")
    assert machine.shell.number("echo =$(dd if=/dev/hwrng bs=512 count=2 2>/dev/null | wc -c)=") == 1024


def test_power_off(machine: Machine) -> None:
    """Drivers let go of their functions, and the machine ends."""
    assert machine.shell.power_off() == 0
