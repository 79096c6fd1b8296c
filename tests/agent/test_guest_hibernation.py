"""guest-suspend-disk and -hybrid in an emulated Debian guest: its memory goes to a disk, the machine off, and another one goes on from there.

With Ratite's own SBI: OpenSBI reserves its memory without saying `no-map`, so Linux would want to save that, too, and faults.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ratite.fetch import guest
from tests.boot.conftest import debian as debian
from tests.boot.session import Shell, boot, linux

from .debian_guest import LOAD_MODULES, SECONDS, WAKE_BY_CONSOLE, Host, execute, make_initrd, wake

pytestmark = [pytest.mark.boot, pytest.mark.slow]


def start(debian: guest.Guest, folder: Path) -> Shell:
    """A machine with a disk for the image, and a port for the agent."""
    shell = boot([
        *linux(debian, folder / "initrd"), "-bios", "builtin",
        "-drive", f"file={folder / 'swap'},format=raw,if=none,id=s", "-device", "virtio-blk-device,drive=s",
        "-chardev", f"socket,path={folder / 'port'},server=on,wait=off,id=a", "-device", "virtio-serial-device",
        "-device", "virtserialport,chardev=a,name=org.qemu.guest_agent.0",
    ])    # fmt: skip
    shell.run(LOAD_MODULES)
    return shell


def test_suspend_to_disk(debian: guest.Guest, tmp_path: Path) -> None:
    """First to both, which a key wakes up; then to the disk alone, which switches the machine off. The agent that answers after
    the second start is the one of the first: it knows a handle and a program from before.
    """
    make_initrd(debian, tmp_path / "initrd")
    with (tmp_path / "swap").open("wb") as file:
        file.truncate(768 << 20)
    first = start(debian, tmp_path)
    with first.console:
        first.run("mkswap /dev/vda && swapon /dev/vda && /usr/bin/python3 /root/ratite-ga.pyz -d -v -l /tmp/agent.log")
        host = Host(tmp_path / "port")
        handle = host.ask("guest-file-open", path="/tmp/before", mode="w+")
        host.ask("guest-file-write", handle=handle, buf_b64="YmVmb3Jl")
        pid = host.ask("guest-exec", path="/bin/cat", input_data="", capture_output=True)["pid"]
        first.run(WAKE_BY_CONSOLE)
        host.send("guest-suspend-hybrid")
        first.console.wait_for("PM: Image saving done", SECONDS)
        wake(first, "hibernation exit")
        assert "[suspend]" not in execute(host, "cat /sys/power/disk")
        host.send("guest-suspend-disk")
        assert first.console.finish(SECONDS) == 0
        host.close()
    (tmp_path / "port").unlink(missing_ok=True)
    second = start(debian, tmp_path)
    with second.console:
        second.console.send("cat /sys/block/vda/dev >/sys/power/resume")
        second.console.wait_for("hibernation exit", SECONDS)
        host = Host(tmp_path / "port")
        host.ask("guest-file-seek", handle=handle, offset=0, whence="set")
        assert host.ask("guest-file-read", handle=handle)["buf-b64"] == "YmVmb3Jl"
        assert host.ask("guest-exec-status", pid=pid) == {"exited": True, "exitcode": 0}
        assert execute(host, "cat /tmp/before") == "before"
        host.close()
