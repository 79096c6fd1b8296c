"""The agent in an emulated riscv64 Debian guest, under that guest's Python, asked through virtio-serial ports."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from ratite.fetch import guest
from tests.boot.conftest import debian as debian
from tests.boot.session import Shell, boot, linux

from .debian_guest import LOAD_MODULES, SECONDS, WAKE_BY_CONSOLE, Host, execute, make_initrd, wake

pytestmark = [pytest.mark.boot, pytest.mark.slow]

# The controller, and the name of its port. Without udev the agent finds the first by itself, and needs -p for the other.
PORTS = {"virtio-serial-device": "org.qemu.guest_agent.0", "virtio-serial-pci": "org.qemu.guest_agent.1"}
AGENT = "/usr/bin/python3 /root/ratite-ga.pyz -d -v"
DISKS = {"vda": ("virtio-blk-device", "RATITE-1"), "nvme0n1": ("nvme", "RATITE-2")}
MIB = 1 << 20


class Machine(NamedTuple):
    """A running guest: its console, and where the ports come out, by controller."""

    shell: Shell
    paths: dict[str, Path]


@pytest.fixture(scope="module")
def machine(debian: guest.Guest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Booted with two processors, drivers, two mounted disks, and an agent for each port in the background."""
    folder = tmp_path_factory.mktemp("agent")
    make_initrd(debian, folder / "initrd")
    devices = ["-smp", "2"]
    for name, (device, serial) in DISKS.items():
        with (folder / name).open("wb") as file:
            file.truncate(64 * MIB)
        devices += ["-drive", f"file={folder / name},format=raw,if=none,id={name}", "-device", f"{device},drive={name},serial={serial}"]
    for controller, port in PORTS.items():
        devices += ["-chardev", f"socket,path={folder / controller},server=on,wait=off,id={controller}"]
        devices += ["-device", f"{controller},id=bus-{controller}"]
        devices += ["-device", f"virtserialport,bus=bus-{controller}.0,chardev={controller},name={port}"]
    shell = boot([*linux(debian, folder / "initrd"), *devices])
    with shell.console:
        shell.run(LOAD_MODULES)
        for name in DISKS:
            shell.run(f"mke2fs /dev/{name} >/dev/null && mkdir -p /mnt/{name} && mount -t ext4 /dev/{name} /mnt/{name}")
        shell.run(f"{AGENT} -l /tmp/agent.log")
        shell.run(f"port=$(grep -lx {PORTS['virtio-serial-pci']} /sys/class/virtio-ports/*/name | cut -d/ -f5); mkdir /tmp/pci")
        shell.run(f"{AGENT} -l /tmp/pci/log -p /dev/$port -t /tmp/pci -f /tmp/pci/pid")
        shell.run("case $(readlink -f /sys/class/virtio-ports/$port) in *pci0000*) true;; *) false;; esac")
        yield Machine(shell, {controller: folder / controller for controller in PORTS})


@pytest.fixture(params=PORTS)
def host(machine: Machine, request: pytest.FixtureRequest) -> Iterator[Host]:
    """A client of either agent that has found its place in the stream."""
    client = Host(machine.paths[request.param])
    yield client
    client.close()


def test_the_guest_is_what_it_says(host: Host) -> None:
    """Answers against what programs of the guest print, and what the machine was made with."""
    assert host.ask("guest-get-osinfo")["machine"] == execute(host, "uname -m").strip() == "riscv64"
    assert len(host.ask("guest-get-vcpus")) == int(execute(host, "nproc")) == 2
    assert host.ask("guest-get-host-name")["host-name"] == execute(host, "hostname").strip()
    assert len(host.ask("guest-info")["supported_commands"]) == 42
    before, now, after = int(execute(host, "date +%s")), host.ask("guest-get-time") / 1e9, int(execute(host, "date +%s"))
    assert before <= now < after + 1
    assert {row["driver-name"] for row in host.ask("guest-get-devices")} == {"nvme", "virtio-pci"}


def test_disks(host: Host) -> None:
    """Both kinds of bus, with the serial numbers that the machine was made with; the NVMe disk counts what is done to it."""
    rows = {row["name"]: row for row in host.ask("guest-get-disks")}
    assert {name: row["address"]["serial"] for name, row in rows.items()} == {f"/dev/{name}": serial for name, (_, serial) in DISKS.items()}
    assert rows["/dev/vda"]["address"]["bus-type"] == "virtio" and "smart" not in rows["/dev/vda"]
    nvme = rows["/dev/nvme0n1"]
    place = execute(host, "basename $(readlink -f /sys/block/nvme0n1/device/device)").strip()
    pci = nvme["address"]["pci-controller"]
    assert (nvme["address"]["bus-type"], f"{pci['domain']:04x}:{pci['bus']:02x}:{pci['slot']:02x}.{pci['function']}") == ("nvme", place)
    degrees = int(execute(host, "cat /sys/class/nvme/nvme0/hwmon*/temp1_input || echo -1"))
    assert degrees in (-1, nvme["smart"]["temperature"] * 1000 - 273_150)
    execute(host, "dd if=/dev/zero of=/mnt/nvme0n1/file bs=1M count=8 && sync")
    (later,) = (row["smart"] for row in host.ask("guest-get-disks") if "smart" in row)
    units = later["data-units-written-lo"] - nvme["smart"]["data-units-written-lo"]
    assert 8 * MIB <= (units + 1) * 512_000 < 12 * MIB and later["host-write-commands-lo"] > nvme["smart"]["host-write-commands-lo"]
    mounted = {row["name"]: row for row in host.ask("guest-get-fsinfo")}
    for name in DISKS:
        row = mounted[name]
        assert (row["mountpoint"], row["type"], row["disk"]) == (f"/mnt/{name}", "ext4", [rows[f"/dev/{name}"]["address"]])
        size, used = map(int, execute(host, f"df -k /mnt/{name} | tail -1 | awk '{{print $3 + $4, $3}}'").split())
        assert (row["total-bytes"], row["used-bytes"]) == (size * 1024, used * 1024)
    for row in host.ask("guest-get-diskstats"):
        if row["name"] in DISKS:
            reads, _, _, _, writes, *_ = map(int, execute(host, f"cat /sys/block/{row['name']}/stat").split())
            assert (row["stats"]["read-ios"], row["stats"]["write-ios"]) == (reads, writes)


def test_network(host: Host) -> None:
    """The loopback interface, up: its addresses, and counters that a ping of three packets moves by six."""
    execute(host, "ip link set lo up && ping -c 1 127.0.0.1")
    (before,) = host.ask("guest-network-get-interfaces")
    assert [(row["ip-address"], row["prefix"]) for row in before["ip-addresses"]] == [("127.0.0.1", 8), ("::1", 128)]
    execute(host, "ping -c 3 127.0.0.1")
    (after,) = host.ask("guest-network-get-interfaces")
    assert after["statistics"]["rx-packets"] - before["statistics"]["rx-packets"] == 6
    count = int(execute(host, "awk '/lo:/ {print $3}' /proc/net/dev"))
    assert count == after["statistics"]["rx-packets"] == after["statistics"]["tx-packets"]


def test_files_both_ways(host: Host) -> None:
    """300 KB into a file of the guest and back, in pieces; the guest's own checksum agrees."""
    data = b"".join(hashlib.sha256(bytes([number & 0xFF, number >> 8])).digest() for number in range(10_000))
    handle = host.ask("guest-file-open", path="/tmp/data", mode="w+")
    for start in range(0, len(data), 100_000):
        piece = data[start : start + 100_000]
        assert host.ask("guest-file-write", handle=handle, buf_b64=base64.b64encode(piece).decode())["count"] == len(piece)
    host.ask("guest-file-flush", handle=handle)
    assert execute(host, "sha256sum </tmp/data").split()[0] == hashlib.sha256(data).hexdigest()
    host.ask("guest-file-seek", handle=handle, offset=0, whence="set")
    back = base64.b64decode(host.ask("guest-file-read", handle=handle, count=len(data))["buf-b64"])
    assert back == data
    host.ask("guest-file-close", handle=handle)


def test_freezing(host: Host, machine: Machine) -> None:
    """A program of the guest that writes to either disk waits until the file systems are thawed."""
    assert host.ask("guest-fsfreeze-freeze") == 2
    for name in DISKS:
        machine.shell.run(f"{{ (echo text >/mnt/{name}/note; echo >/tmp/written-{name}) & }}")
    assert host.ask("guest-fsfreeze-status") == "frozen"
    assert host.request("guest-get-osinfo")["error"]["desc"].endswith("the agent is in frozen state")
    machine.shell.run("sleep 1; test ! -e /tmp/written-vda -a ! -e /tmp/written-nvme0n1")
    assert host.ask("guest-fsfreeze-thaw") == 2
    for name in DISKS:
        machine.shell.run(f"until test -e /tmp/written-{name}; do usleep 10000; done; rm /tmp/written-{name}; grep text /mnt/{name}/note")
    assert host.ask("guest-fsfreeze-freeze-list", mountpoints=["/mnt/vda"]) == 1
    execute_after_thaw = host.ask("guest-fsfreeze-thaw")
    assert execute_after_thaw == 1
    assert {row["path"] for row in host.ask("guest-fstrim")["paths"]} == {f"/mnt/{name}" for name in DISKS}


def test_clocks(host: Host) -> None:
    """Set, then set again from the machine's real-time clock, which kept the first setting."""
    now = host.ask("guest-get-time")
    host.ask("guest-set-time", time=1_000_000_000 * 10**9)
    assert 1_000_000_000 <= int(execute(host, "date +%s")) < 1_000_000_100
    assert 1_000_000_000 <= int(execute(host, "cat /sys/class/rtc/rtc0/since_epoch")) < 1_000_000_100
    execute(host, "date -s '2010-01-01 00:00:00'")
    host.ask("guest-set-time")
    assert 1_000_000_000 <= host.ask("guest-get-time") / 1e9 < 1_000_000_200
    host.ask("guest-set-time", time=now)


def test_processors_are_switched(host: Host) -> None:
    """The kernel runs on one processor meanwhile, and on both again."""
    assert host.ask("guest-set-vcpus", vcpus=[{"logical-id": 1, "online": False}]) == 1
    assert execute(host, "cat /sys/devices/system/cpu/online").strip() == "0"
    assert [row["online"] for row in host.ask("guest-get-vcpus")] == [True, False]
    assert [row["cpu"] for row in host.ask("guest-get-cpustats")] == [0]
    assert host.ask("guest-set-vcpus", vcpus=[{"logical-id": 1, "online": True}]) == 1
    assert int(execute(host, "nproc")) == 2 and len(host.ask("guest-get-cpustats")) == 2


def test_memory_is_switched(host: Host) -> None:
    """Blocks that the kernel can empty go, and with them that much of MemTotal; the others say why not."""
    def total() -> int:
        return int(execute(host, "awk '/MemTotal/ {print $2}' /proc/meminfo")) * 1024

    size, before = host.ask("guest-get-memory-block-info")["size"], total()
    numbers = [row["phys-index"] for row in host.ask("guest-get-memory-blocks")]
    assert size == 128 * MIB and len(numbers) == 4
    last = numbers[-2]
    (row,) = host.ask("guest-set-memory-blocks", mem_blks=[{"phys-index": last, "online": False}])
    left = size if row["response"] == "success" else 0
    assert left or row == {"phys-index": last, "response": "operation-failed", "error-code": 16}, row
    assert before - total() == left
    state = execute(host, f"cat /sys/devices/system/memory/memory{last}/state").strip()
    assert state == ("offline" if left else "online")
    assert host.ask("guest-set-memory-blocks", mem_blks=[{"phys-index": last, "online": True}])[0]["response"] == "success"
    assert total() == before


def test_passwords(host: Host) -> None:
    """Plain ones are hashed by the guest, ready hashes are taken as they are; other accounts stay as they were."""
    host.ask("guest-set-user-password", username="ann", password=base64.b64encode(b"s3cret: x").decode(), crypted=False)
    root, ann = execute(host, "cat /etc/shadow").splitlines()
    assert root.startswith("root:*:1:") and ann.startswith("ann:$6$")
    host.ask("guest-set-user-password", username="ann", password=base64.b64encode(b"$6$salt$hash").decode(), crypted=True)
    assert execute(host, "grep ann: /etc/shadow").startswith("ann:$6$salt$hash:")
    answer = host.request("guest-set-user-password", username="eve", password="YQ==", crypted=False)
    assert answer["error"]["desc"] == "child process has failed to set user password"
    assert len(execute(host, "cat /etc/shadow").splitlines()) == 2


def test_ssh_keys(host: Host) -> None:
    """Keys come into the guest's file, with its owner and rights."""
    host.ask("guest-ssh-add-authorized-keys", username="ann", keys=["ssh-ed25519 AAAA one", "ssh-rsa BBBB two"], reset=True)
    host.ask("guest-ssh-remove-authorized-keys", username="ann", keys=["ssh-rsa BBBB two"])
    assert host.ask("guest-ssh-get-authorized-keys", username="ann") == {"keys": ["ssh-ed25519 AAAA one"]}
    assert execute(host, "cd /home/ann; cat .ssh/authorized_keys; stat -c '%u %a' .ssh .ssh/authorized_keys") == (
        "ssh-ed25519 AAAA one\n1000 700\n1000 600\n")


def test_suspend_to_memory(host: Host, machine: Machine) -> None:
    """The guest sleeps until somebody types at its console. The command has no answer; the next one is served after that."""
    before = int(execute(host, "cat /sys/power/suspend_stats/success"))
    machine.shell.run(WAKE_BY_CONSOLE)
    host.send("guest-suspend-ram")
    machine.shell.console.wait_for("PM: suspend entry", SECONDS)
    wake(machine.shell, "PM: suspend exit")
    assert int(execute(host, "cat /sys/power/suspend_stats/success")) == before + 1


CLIENT = """
import json, socket
for request in (b'{"execute": "gue', b'\\xff{"execute": "guest-sync-delimited", "arguments": {"id": 77}}{"execute": "guest-info"}'):
    peer = socket.socket(socket.AF_VSOCK)
    peer.settimeout(100)
    peer.connect((1, 1234))    # VMADDR_CID_LOCAL, which Python 3.13 has no name for
    peer.sendall(request)
    if b"sync" in request:
        lines = peer.makefile("rb")
        while not (line := lines.readline()).startswith(b"\\xff"):
            pass
        print(line[1:].decode().strip(), len(json.loads(lines.readline())["return"]["supported_commands"]))
    peer.close()
"""


@pytest.mark.parametrize("host", ["virtio-serial-pci"], indirect=True)
def test_vsock(host: Host) -> None:
    """An agent of the guest that listens on a vsock port, and a program that comes through the kernel's vsock loopback."""
    execute(host, f"mkdir /tmp/vsock && {AGENT} -m vsock-listen -p :1234 -t /tmp/vsock -f /tmp/vsock/pid -l /tmp/vsock/log")
    handle = host.ask("guest-file-open", path="/tmp/vsock/client.py", mode="w")
    host.ask("guest-file-write", handle=handle, buf_b64=base64.b64encode(CLIENT.encode()).decode())
    host.ask("guest-file-close", handle=handle)
    assert execute(host, "/usr/bin/python3 /tmp/vsock/client.py 2>&1") == '{"return": 77} 42\n'
    execute(host, "kill $(cat /tmp/vsock/pid); while test -e /tmp/vsock/pid; do usleep 10000; done")


@pytest.mark.parametrize("controller", PORTS)
def test_hosts_come_and_go(machine: Machine, controller: str) -> None:
    """Clients that leave in the middle of a request or with answers on their way; garbage. The next one is served."""
    for number in range(5):
        rude = Host(machine.paths[controller])
        rude.socket.sendall(b'{"execute": "guest-info"}' * 50 + b'{"execute": "guest-pi'[: 5 * number])
        rude.close()
        polite = Host(machine.paths[controller])
        assert polite.request("guest-ping") == {"return": {}}
        polite.close()


def test_power_off(machine: Machine) -> None:
    """The last test. The guest's first process is a script that knows no signals, so its programs get the word to insist."""
    machine.shell.run("rm /bin/poweroff; printf '#!/bin/sh\\nexec busybox poweroff -f\\n' >/bin/poweroff; chmod +x /bin/poweroff")
    client = Host(machine.paths["virtio-serial-pci"])
    client.send("guest-shutdown")
    assert machine.shell.console.finish(SECONDS) == 0
    client.close()
