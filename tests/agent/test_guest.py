"""The agent in an emulated riscv64 Debian guest, under that guest's Python, asked through a virtio-serial port."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ratite.agent import pack
from ratite.errors import HostError
from ratite.fetch import cpio, guest, modules, sysroot
from tests.boot.conftest import debian as debian
from tests.boot.session import Shell, boot, linux

from .schema import Schema

pytestmark = [pytest.mark.boot, pytest.mark.slow]

MODULES = ("virtio_mmio", "virtio_blk", "crc16", "crc32c_generic", "libcrc32c", "mbcache", "jbd2", "ext4")
PORT = "org.qemu.guest_agent.0"
SECONDS = 120.0
UNNEEDED = {"test", "idlelib", "tkinter", "__pycache__", "ensurepip", "pydoc_data", "perl", "perl-base"}
SCHEMA = Schema()


class Host:
    """A program of the host, connected to the other end of the port."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(SECONDS)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rb")

    def synchronize(self, number: int) -> None:
        """Skip what an earlier client has left: everything up to the byte 0xFF before the answer."""
        self.socket.sendall(b'\xff{"execute": "guest-sync-delimited", "arguments": {"id": %d}}' % number)
        while not (line := self.file.readline()).startswith(b"\xff"):
            assert line
        assert json.loads(line[1:]) == {"return": number}

    def request(self, name: str, **arguments: Any) -> dict[str, Any]:
        words = {key.replace("_", "-"): value for key, value in arguments.items()}
        self.socket.sendall(json.dumps({"execute": name, "arguments": words}).encode())
        answer: dict[str, Any] = json.loads(self.file.readline())
        return answer

    def ask(self, name: str, **arguments: Any) -> Any:
        answer = self.request(name, **arguments)
        SCHEMA.check(answer["return"], SCHEMA.commands[name].returns, name)
        return answer["return"]

    def close(self) -> None:
        self.file.close()
        self.socket.close()


class Machine(NamedTuple):
    """A running guest: its console, and where the port comes out."""

    shell: Shell
    path: Path


def python_files(root: Path) -> cpio.Archive:
    """Python and the libraries that it needs, of a folder of unpacked Debian packages."""
    archive, folders = cpio.Archive(), set[Path]()
    for path in sorted((root / "usr").rglob("*")):
        name = path.relative_to(root)
        wanted = ".so" in path.name or str(name) == "usr/sbin/chpasswd" or any(part.startswith("python3") for part in name.parts[2:3])
        if not wanted or UNNEEDED & set(name.parts) or (path.is_dir() and not path.is_symlink()):
            continue
        for folder in reversed([*name.parents][:-1]):
            if folder not in folders:
                folders.add(folder)
                archive.folder(str(folder))
        if path.is_symlink():
            archive.link(str(name), os.readlink(path))
        else:
            archive.file(str(name), path.read_bytes(), path.stat().st_mode & 0o777)
    archive.link("lib", "usr/lib")
    return archive


@pytest.fixture(scope="module")
def machine(debian: guest.Guest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Booted, with drivers, a mounted disk, and the agent in the background."""
    try:
        drivers, root = modules.fetch("riscv64", debian, MODULES), sysroot.make("riscv64", ("python3",))
    except HostError as error:
        pytest.skip(f"no Python for a riscv64 guest: {error}")
    folder = tmp_path_factory.mktemp("agent")
    initrd, disk, path = folder / "initrd", folder / "disk", folder / "agent"
    extra = {f"root/{name}.ko": data for name, data in drivers.items()} | {"root/ratite-ga.pyz": pack.archive()}
    initrd.write_bytes(guest.initrd(debian.busybox.read_bytes(), extra) + gzip.compress(python_files(root).to_bytes(), 1))
    with disk.open("wb") as file:
        file.truncate(64 << 20)
    devices = [
        "-drive", f"file={disk},format=raw,if=none,id=d", "-device", "virtio-blk-device,drive=d,serial=RATITE-1",
        "-chardev", f"socket,path={path},server=on,wait=off,id=agent",
        "-device", "virtio-serial-device", "-device", f"virtserialport,chardev=agent,name={PORT}",
    ]  # fmt: skip
    shell = boot([*linux(debian, initrd), *devices])
    with shell.console:
        shell.run(f"for name in {' '.join(MODULES)}; do insmod /root/$name.ko || exit 1; done")
        shell.run("mke2fs /dev/vda >/dev/null && mkdir -p /mnt /var/run && mount -t ext4 /dev/vda /mnt")
        shell.run("/usr/bin/python3 /root/ratite-ga.pyz -d -v -l /tmp/agent.log")
        yield Machine(shell, path)


@pytest.fixture
def host(machine: Machine) -> Iterator[Host]:
    """A client that has found its place in the stream."""
    client = Host(machine.path)
    client.synchronize(time.monotonic_ns() & 0xFFFF_FFFF)
    yield client
    client.close()


def execute(host: Host, script: str) -> str:
    """What a shell in the guest prints, through the agent."""
    pid = host.ask("guest-exec", path="/bin/sh", arg=["-c", script], capture_output=True)["pid"]
    while not (status := host.ask("guest-exec-status", pid=pid))["exited"]:
        pass
    assert status["exitcode"] == 0, status
    return base64.b64decode(status.get("out-data", "")).decode()


def test_the_guest_is_what_it_says(host: Host, machine: Machine) -> None:
    """Answers against what programs of the guest print, and what the machine was made with."""
    assert host.ask("guest-get-osinfo")["machine"] == execute(host, "uname -m").strip() == "riscv64"
    (row,) = host.ask("guest-get-fsinfo")
    assert (row["name"], row["mountpoint"], row["type"]) == ("vda", "/mnt", "ext4")
    assert row["disk"][0]["bus-type"] == "virtio" and row["disk"][0]["serial"] == "RATITE-1"
    assert [row["name"] for row in host.ask("guest-get-disks")] == ["/dev/vda"]
    assert [row["name"] for row in host.ask("guest-network-get-interfaces")] == ["lo"]
    assert len(host.ask("guest-get-vcpus")) == int(execute(host, "nproc"))
    assert host.ask("guest-get-host-name")["host-name"] == execute(host, "hostname").strip()
    assert len(host.ask("guest-info")["supported_commands"]) == 42
    before, now, after = int(execute(host, "date +%s")), host.ask("guest-get-time") / 1e9, int(execute(host, "date +%s"))
    assert before <= now < after + 1


def test_files_both_ways(host: Host) -> None:
    """300 KB into a file of the guest and back, in pieces; the guest's own checksum agrees."""
    data = b"".join(hashlib.sha256(bytes([number & 0xFF, number >> 8])).digest() for number in range(10_000))
    handle = host.ask("guest-file-open", path="/tmp/data", mode="w+")
    for start in range(0, len(data), 100_000):
        piece = data[start : start + 100_000]
        assert host.ask("guest-file-write", handle=handle, buf_b64=base64.b64encode(piece).decode())["count"] == len(piece)
    assert execute(host, "sha256sum </tmp/data").split()[0] == hashlib.sha256(data).hexdigest()
    host.ask("guest-file-seek", handle=handle, offset=0, whence="set")
    back = base64.b64decode(host.ask("guest-file-read", handle=handle, count=len(data))["buf-b64"])
    assert back == data
    host.ask("guest-file-close", handle=handle)


def test_freezing(host: Host, machine: Machine) -> None:
    """A program of the guest that writes waits until the file system is thawed."""
    assert host.ask("guest-fsfreeze-freeze") == 1
    machine.shell.run("{ (echo text >/mnt/file; echo >/tmp/written) & }")
    assert host.ask("guest-fsfreeze-status") == "frozen"
    assert host.request("guest-get-osinfo")["error"]["desc"].endswith("the agent is in frozen state")
    machine.shell.run("sleep 1; test ! -e /tmp/written")
    assert host.ask("guest-fsfreeze-thaw") == 1
    machine.shell.run("until test -e /tmp/written; do usleep 10000; done; grep text /mnt/file")
    (row,) = host.ask("guest-fstrim")["paths"]
    assert row["path"] == "/mnt"


def test_clocks(host: Host) -> None:
    """Set, then set again from the machine's real-time clock, which kept the first setting."""
    now = host.ask("guest-get-time")
    host.ask("guest-set-time", time=1_000_000_000 * 10**9)
    assert 1_000_000_000 <= int(execute(host, "date +%s")) < 1_000_000_100
    host.ask("guest-set-time")
    assert 1_000_000_000 <= host.ask("guest-get-time") / 1e9 < 1_000_000_200
    host.ask("guest-set-time", time=now)


def test_hosts_come_and_go(machine: Machine) -> None:
    """Clients that leave in the middle of a request or with answers on their way; garbage. The next one is served."""
    for number in range(5):
        rude = Host(machine.path)
        rude.socket.sendall(b'{"execute": "guest-info"}' * 50 + b'{"execute": "guest-pi'[: 5 * number])
        rude.close()
        polite = Host(machine.path)
        polite.synchronize(number)
        assert polite.request("guest-ping") == {"return": {}}
        polite.close()


def test_power_off(machine: Machine) -> None:
    """The last test. The guest's first process is a script that knows no signals, so its programs get the word to insist."""
    machine.shell.run("rm /bin/poweroff; printf '#!/bin/sh\\nexec busybox poweroff -f\\n' >/bin/poweroff; chmod +x /bin/poweroff")
    client = Host(machine.path)
    client.synchronize(99)
    client.socket.sendall(b'{"execute": "guest-shutdown", "arguments": {"mode": "powerdown"}}')
    assert machine.shell.console.finish(SECONDS) == 0
    client.close()
