"""Debian's drivers on Ratite's virtio devices: disk, network, entropy, console."""

from __future__ import annotations

import hashlib
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from ratite.fetch import guest
from tests.boot.conftest import drivers
from tests.boot.session import Shell, boot, linux

pytestmark = [pytest.mark.boot, pytest.mark.slow]

# In the order in which they need each other.
MODULES = (
    "virtio_mmio", "virtio_blk", "failover", "net_failover", "virtio_net", "virtio-rng",
    "crc16", "crc32c_generic", "libcrc32c", "mbcache", "jbd2", "ext4",
)  # fmt: skip
LEASE = """\
#!/bin/sh
[ "$1" = bound ] || exit 0
ifconfig $interface $ip netmask $subnet
route add default gw $router
echo lease $ip from $router names $dns
"""
PORT = 7
DATA = bytes(n * n * 17 >> 7 & 0xFF for n in range(1_000_000))


class Machine(NamedTuple):
    """A running machine with a device of each kind, and their other ends on the host."""

    shell: Shell
    disk: Path
    port: int
    """On the host, leads to PORT in the guest."""
    output: Path
    """What the guest prints on its second console."""


@pytest.fixture(scope="module")
def machine(debian: guest.Guest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Booted, with the drivers loaded."""
    folder = tmp_path_factory.mktemp("virtio")
    initrd, disk, output = folder / "initrd.gz", folder / "disk", folder / "console"
    extra = drivers(debian, MODULES)
    extra |= {"root/lease": LEASE.encode(), "root/load": _load_script()}
    initrd.write_bytes(guest.initrd(debian.busybox.read_bytes(), extra))
    with disk.open("wb") as f:
        f.truncate(64 << 20)
    port = _free_port()
    devices = [
        "-drive", f"file={disk},format=raw,if=none,id=d", "-device", "virtio-blk-device,drive=d",
        "-netdev", f"user,id=n,hostfwd=tcp:127.0.0.1:{port}-:{PORT}", "-device", "virtio-net-device,netdev=n",
        "-device", "virtio-rng-device",
        "-chardev", f"file,id=c,path={output}", "-device", "virtio-serial-device", "-device", "virtconsole,chardev=c",
    ]  # fmt: skip
    shell = boot([*linux(debian, initrd), *devices])
    with shell.console:
        shell.run("./load")
        yield Machine(shell, disk, port, output)


def _load_script() -> bytes:
    return "\n".join(["#!/bin/sh -e", *(f"insmod /root/{name}.ko" for name in MODULES), ""]).encode()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_console_and_entropy(machine: Machine) -> None:
    """What the guest prints on hvc0 arrives; the hardware random number generator is ours, and gives bytes that do not compress."""
    machine.shell.run("echo second console >/dev/hvc0")
    assert machine.output.read_bytes() == b"second console\r\n"
    machine.shell.run("grep virtio_rng /sys/class/misc/hw_random/rng_current")
    assert machine.shell.number("echo =$(dd if=/dev/hwrng bs=512 count=8 2>/dev/null | gzip | wc -c)=") > 4096


def test_network(machine: Machine) -> None:
    """An address by DHCP; a million bytes each way, by a connection out of the guest and by one into it."""
    shell = machine.shell
    shell.run("ifconfig eth0 up")
    assert "lease 10.0.2.15 from 10.0.2.2 names 10.0.2.3" in shell.run("udhcpc -i eth0 -n -q -s /root/lease")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        sender = threading.Thread(target=_send_to_first, args=(server,))
        sender.start()
        shell.run(f"nc 10.0.2.2 {server.getsockname()[1]} </dev/null >data")
        sender.join()
    assert hashlib.sha256(DATA).hexdigest() in shell.run("sha256sum data")

    shell.run(f"{{ nc -l -p {PORT} <data >back & }}")
    shell.run(f"until netstat -ltn | grep -q :{PORT}; do usleep 50000; done")
    with socket.create_connection(("127.0.0.1", machine.port), 60) as connection:
        writer = threading.Thread(target=_send, args=(connection,))
        writer.start()
        assert connection.makefile("rb").read() == DATA
        writer.join()
    shell.run("wait; cmp data back")


def _send_to_first(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        _send(connection)


def _send(connection: socket.socket) -> None:
    connection.sendall(DATA)
    connection.shutdown(socket.SHUT_WR)


def test_disk_across_a_reboot(machine: Machine) -> None:
    """A file system made, filled and synced in the guest is whole after a reset, and for the host's tools after power-off."""
    shell, numbers = machine.shell, "".join(f"{n}\n" for n in range(1, 2_000_001)).encode()
    digest = hashlib.sha256(numbers).hexdigest()
    shell.run("mke2fs /dev/vda >/dev/null && mkdir /mnt && mount -t ext4 /dev/vda /mnt")
    shell.run("seq 1 2000000 >/mnt/numbers && mkdir /mnt/small && cd /mnt/small && for n in $(seq 200); do echo $n >$n; done; cd; sync")
    shell.console.send("reboot -f")
    shell.wait_until_up()
    shell.run("./load && mkdir /mnt && mount -t ext4 /dev/vda /mnt")
    assert digest in shell.run("sha256sum /mnt/numbers")
    assert shell.number("echo =$(cat /mnt/small/* | awk '{ s += $1 } END { print s }')=") == 200 * 201 / 2
    shell.run("umount /mnt")
    assert shell.power_off() == 0
    if e2fsck := shutil.which("e2fsck", path="/sbin:/usr/sbin:/bin:/usr/bin"):
        subprocess.run([e2fsck, "-fn", str(machine.disk)], check=True, capture_output=True)
