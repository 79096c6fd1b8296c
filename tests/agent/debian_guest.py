"""A Debian guest with Python: its RAM disk, and a program of the host that talks to an agent in it."""

from __future__ import annotations

import base64
import gzip
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from ratite.agent import pack
from ratite.cli.console import ConsoleError
from ratite.errors import HostError
from ratite.fetch import cpio, guest, modules, sysroot
from tests.boot.session import PROMPT, Shell

from .connection import Connection
from .schema import Schema

MODULES = (
    "virtio_mmio", "virtio_blk", "crc16", "crc32c_generic", "libcrc32c", "mbcache", "jbd2", "ext4",
    "nvme-keyring", "nvme-auth", "nvme-core", "nvme", "vsock", "vmw_vsock_virtio_transport_common", "vsock_loopback",
)    # fmt: skip
SECONDS = 120.0
UNNEEDED = {"test", "idlelib", "tkinter", "__pycache__", "ensurepip", "pydoc_data", "perl", "perl-base"}
SCHEMA = Schema()

# What a RAM disk needs before an account of it can have a password: chpasswd is the one of Debian, with PAM.
ACCOUNTS = {
    "etc/passwd": "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n",
    "etc/shadow": "root:*:1:0:99999:7:::\nann:!:1:0:99999:7:::\n",
    "etc/nsswitch.conf": "passwd: files\n",
    "etc/pam.d/chpasswd": "password required pam_unix.so sha512\n",
}

class Host(Connection):
    """A program of the host, connected to the other end of the port."""

    def __init__(self, path: Path) -> None:
        """Connect and find the place in the stream."""
        super().__init__(path, SECONDS)
        self.synchronize()

    def synchronize(self) -> None:
        """Skip what an earlier client has left: everything up to the byte 0xFF before the answer."""
        number = time.monotonic_ns() & 0xFFFF_FFFF
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

    def send(self, name: str) -> None:
        """Ask for something that has no answer."""
        self.socket.sendall(json.dumps({"execute": name}).encode())

    def close(self) -> None:
        self.file.close()
        self.socket.close()


def execute(host: Host, script: str) -> str:
    """What a shell in the guest prints, through the agent."""
    pid = host.ask("guest-exec", path="/bin/sh", arg=["-c", script], capture_output=True)["pid"]
    while not (status := host.ask("guest-exec-status", pid=pid))["exited"]:
        pass
    assert status["exitcode"] == 0, status
    return base64.b64decode(status.get("out-data", "")).decode()


WAKE_BY_CONSOLE = "echo enabled >/sys/class/tty/ttyS0/power/wakeup"


def wake(shell: Shell, text: str) -> None:
    """Type at the console of a guest that sleeps, until it is awake and has printed `text`."""
    end = time.monotonic() + SECONDS
    while True:
        shell.console.send("")
        try:
            shell.console.wait_for(text, 1.0)
            break
        except ConsoleError:    # it was not asleep yet
            if time.monotonic() > end:
                raise
    shell.console.send("echo a'wake'")
    shell.console.wait_for("awake", SECONDS)
    shell.console.wait_for(PROMPT, SECONDS)


def make_initrd(debian: guest.Guest, path: Path) -> None:
    """Write a RAM disk with drivers, Python, the agent and accounts; skips the test where Debian cannot be reached."""
    try:
        drivers, root = modules.fetch("riscv64", debian, MODULES), sysroot.make("riscv64", ("python3", "passwd"))
    except HostError as error:
        pytest.skip(f"no Python for a riscv64 guest: {error}")
    extra = {f"root/{name}.ko": data for name, data in drivers.items()} | {"root/ratite-ga.pyz": pack.archive()}
    archive = programs(root)
    for folder in ("etc/pam.d", "home", "home/ann", "mnt", "var", "var/run"):
        archive.folder(folder)
    for name, text in ACCOUNTS.items():
        archive.file(name, text.encode(), 0o600 if name == "etc/shadow" else 0o644)
    path.write_bytes(guest.initrd(debian.busybox.read_bytes(), extra) + gzip.compress(archive.to_bytes(), 1))


LOAD_MODULES = f"for name in {' '.join(MODULES)}; do insmod /root/$name.ko || exit 1; done"


def programs(root: Path) -> cpio.Archive:
    """Python, chpasswd and the libraries that they need, of a folder of unpacked Debian packages."""
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
