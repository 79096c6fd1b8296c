"""guest-fsfreeze-* and guest-fstrim: order and errors on recorded calls, and real ones on a loop-mounted file system."""

from __future__ import annotations

import errno
import os
import shutil
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ratite.agent.linux.ioctls import both_code, read_code, write_code
from ratite.agent.state import FROZEN_FILE
from ratite.agent.system.base import Outcome
from ratite.agent.system.linux import Linux

from .conftest import Client, RecordedLinux

FREEZE, THAW, TRIM = 0xC0045877, 0xC0045878, 0xC0185879

MOUNTS = """\
21 26 0:20 / /proc rw,nosuid - proc proc rw
26 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
27 26 0:23 / /run rw,nosuid - tmpfs tmpfs rw
30 26 8:2 / /home rw shared:2 master:3 - xfs /dev/sda2 rw
31 30 7:0 / /home/my\\040files rw - ext4 /dev/loop0 rw
32 26 8:1 /srv /srv rw - ext4 /dev/sda1 rw
33 26 0:40 / /net rw - nfs4 server:/export rw
broken line
34 26 x:1 / /odd rw - ext4 /dev/odd rw
"""
POINTS = ["/", "/home", "/home/my files", "/srv"]


class Freezer:
    """The kernel's side: which folder was frozen how often."""

    def __init__(self, system: RecordedLinux) -> None:
        self.system = system
        self.depth: dict[str, int] = {}
        self.log: list[str] = []
        self.errors: dict[str, int] = {}
        system.add("/proc/self/mountinfo", MOUNTS)
        for point in POINTS:
            os.makedirs(system.path(point), exist_ok=True)
        system.on_ioctl = self.call

    def call(self, descriptor: int, request: int, argument: Any) -> int:
        point = "/" + os.path.relpath(os.readlink(f"/proc/self/fd/{descriptor}"), os.path.realpath(self.system.root)).replace(".", "", 1)
        if point in self.errors and request == FREEZE:
            raise OSError(self.errors[point], os.strerror(self.errors[point]))
        device = {"/srv": "/"}.get(point, point)
        depth = self.depth.get(device, 0)
        if request == THAW and not depth:
            raise OSError(errno.EINVAL, "not frozen")
        if request == FREEZE and depth:
            raise OSError(errno.EBUSY, "frozen already")
        self.depth[device] = depth + (1 if request == FREEZE else -1)
        self.log.append(("freeze " if request == FREEZE else "thaw ") + point)
        return 0


@pytest.fixture
def freezer(system: RecordedLinux) -> Freezer:
    return Freezer(system)


def test_numbers_of_the_ioctls() -> None:
    """As <linux/fs.h> and <linux/nvme_ioctl.h> have them, in both ways to make such numbers."""
    assert [both_code("X", number, size, "x86_64") for number, size in ((119, 4), (120, 4), (121, 24))] == [FREEZE, THAW, TRIM]
    assert both_code("N", 0x41, 72, "riscv64") == 0xC0484E41
    assert (read_code("p", 9, 36, "aarch64"), write_code("p", 10, 36, "aarch64")) == (0x80247009, 0x4024700A)
    assert (read_code("p", 9, 36, "ppc64le"), write_code("p", 10, 36, "mips64")) == (0x40247009, 0x8024700A)


def test_order_and_count(client: Client, freezer: Freezer) -> None:
    """Disks only, each once, the last mounted first; thawing goes the other way, however often one was frozen."""
    assert client.ask("guest-fsfreeze-status") == "thawed"
    assert client.ask("guest-fsfreeze-freeze") == 3
    assert freezer.log == ["freeze /home/my files", "freeze /home", "freeze /"]
    assert client.ask("guest-fsfreeze-status") == "frozen"
    freezer.depth["/home"] = 3
    freezer.log.clear()
    assert client.ask("guest-fsfreeze-thaw") == 3
    assert freezer.log == ["thaw /", "thaw /home", "thaw /home", "thaw /home", "thaw /home/my files"]
    assert client.ask("guest-fsfreeze-status") == "thawed"
    assert client.ask("guest-fsfreeze-thaw") == 0, "once more does no harm"


def test_lists(client: Client, freezer: Freezer) -> None:
    """Only the named points, also when a device is mounted elsewhere, too; unknown ones are passed over."""
    assert client.ask("guest-fsfreeze-freeze-list", mountpoints=["/srv", "/nowhere", "/home/my files"]) == 2
    assert freezer.log == ["freeze /srv", "freeze /home/my files"]
    assert client.ask("guest-fsfreeze-thaw") == 2
    assert freezer.log[2:] == ["thaw /", "thaw /home/my files"], "/srv and / are the same file system"
    assert client.ask("guest-fsfreeze-freeze-list", mountpoints=[]) == 0


def test_hidden_mount_points(client: Client, system: RecordedLinux, freezer: Freezer) -> None:
    """Where another file system is mounted over a point, the same one is reached through its other point, or not at all."""
    hidden = {os.path.realpath(system.path(point)) for point in ("/", "/home")}
    system.is_mounted = (    # type: ignore[method-assign]
        lambda descriptor, device, kind: os.readlink(f"/proc/self/fd/{descriptor}") not in hidden)
    assert client.ask("guest-fsfreeze-freeze") == 2
    assert freezer.log == ["freeze /home/my files", "freeze /srv"]
    assert client.ask("guest-fsfreeze-thaw") == 2
    system.on_ioctl = lambda descriptor, request, argument: argument.__setitem__(slice(8, 16), bytes(8)) or 0
    rows = client.ask("guest-fstrim")["paths"]
    assert [(row["path"], "error" in row) for row in rows] == [("/srv", False), ("/home", True), ("/home/my files", False)]


def test_a_failure_thaws_all(client: Client, freezer: Freezer) -> None:
    """No file system stays frozen after an error, and the agent goes on."""
    freezer.errors["/"] = errno.EIO
    assert client.error("guest-fsfreeze-freeze") == "failed to freeze /: Input/output error"
    assert set(freezer.depth.values()) == {0}
    assert client.ask("guest-fsfreeze-status") == "thawed"
    assert client.ask("guest-get-host-name")
    assert "thawed" in client.log.read_text()


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOTTY, errno.EBUSY])
def test_file_systems_that_cannot_freeze(client: Client, freezer: Freezer, number: int) -> None:
    """They are passed over, and not counted."""
    freezer.errors["/home"] = number
    assert client.ask("guest-fsfreeze-freeze") == 2


def test_the_log_is_silent_while_frozen(client: Client, freezer: Freezer) -> None:
    """A write to it could wait for ever."""
    client.ask("guest-fsfreeze-freeze")
    size = client.log.stat().st_size
    client.ask("guest-ping")
    client.error("guest-get-osinfo")
    assert client.log.stat().st_size == size
    client.ask("guest-fsfreeze-thaw")
    assert client.log.stat().st_size > size


def test_no_module_is_loaded_while_frozen() -> None:
    """Python would read, and might write, files for it: the six commands run with what is there."""
    code = (
        "import sys; from tests.agent.conftest import Client, RecordedLinux; from pathlib import Path; import tempfile\n"
        "folder = Path(tempfile.mkdtemp()); client = Client(RecordedLinux(str(folder)), folder / 'state')\n"
        "client.ask('guest-ping'); (folder / 'state' / 'qga.state.isfrozen').touch(); before = set(sys.modules)\n"
        "for name in ('ping', 'info', 'fsfreeze-status'): client.ask('guest-' + name)\n"
        "client.error('guest-get-disks'); client.request('guest-fsfreeze-thaw')\n"
        "print(*set(sys.modules) - before)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr


def test_state_that_cannot_be_kept(client: Client, freezer: Freezer) -> None:
    """Without a note that would survive a restart, nothing is frozen."""
    (client.state / FROZEN_FILE).parent.rename(client.state.parent / "gone")
    assert "cannot change" in client.error("guest-fsfreeze-freeze")
    assert freezer.log == []


def test_hooks(system: RecordedLinux, freezer: Freezer, connect: Callable[..., Client], tmp_path: Path) -> None:
    """freeze before, thaw after; when it fails or is not there nothing is frozen."""
    hook = tmp_path / "hook"
    hook.write_text("")
    hook.chmod(0o755)
    client = connect(system, hook=str(hook))
    client.ask("guest-fsfreeze-freeze")
    assert [words for words, _ in system.runs] == [[str(hook), "freeze"]]
    client.ask("guest-fsfreeze-thaw")
    assert [words[1] for words, _ in system.runs] == ["freeze", "thaw"]
    system.outcomes[str(hook)] = Outcome(7, "", "")
    freezer.log.clear()
    assert client.error("guest-fsfreeze-freeze").endswith("freeze has failed with status 7")
    assert [words[1] for words, _ in system.runs[2:]] == ["freeze", "thaw"], "what it has brought to rest goes on again"
    hook.chmod(0o644)
    assert client.error("guest-fsfreeze-freeze").startswith("can't access fsfreeze hook")
    assert freezer.log == [] and client.ask("guest-fsfreeze-status") == "thawed"


def test_trim_on_recorded_calls(client: Client, system: RecordedLinux, freezer: Freezer) -> None:
    """Each device once; the range is the whole file system, and both numbers come from the kernel's answer."""
    ranges = []

    def call(descriptor: int, request: int, argument: Any) -> int:
        assert request == TRIM
        ranges.append(struct.unpack("=QQQ", argument))
        if len(ranges) == 2:
            raise OSError(errno.EOPNOTSUPP, "no")
        if len(ranges) == 3:
            raise OSError(errno.EIO, "bad disk")
        argument[:] = struct.pack("=QQQ", 0, 12345, 8192)
        return 0

    system.on_ioctl = call
    assert client.ask("guest-fstrim", minimum=4096)["paths"] == [
        {"path": "/", "trimmed": 12345, "minimum": 8192},
        {"path": "/home", "error": "trim not supported"},
        {"path": "/home/my files", "error": "failed to trim: bad disk"},
    ]
    assert ranges == [(0, (1 << 64) - 1, 4096)] * 3
    assert client.error("guest-fstrim", minimum=-1) == "value '-1' is invalid for argument minimum"


# --- a real file system


class OneMount(Linux):
    """This machine, where the table of mounts has one line: no test may freeze the disk that it runs from."""

    def __init__(self, point: Path) -> None:
        super().__init__()
        self.point = point

    def read_bytes(self, name: str) -> bytes:
        data = super().read_bytes(name)
        if name != "/proc/self/mountinfo":
            return data
        return b"".join(line for line in data.splitlines(True) if line.split()[4] == os.fsencode(self.point))


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A small ext4 in a file, mounted."""
    if os.geteuid() or not shutil.which("mkfs.ext4"):
        pytest.skip("a file system can only be mounted by root, with mkfs.ext4")
    image, point = tmp_path / "image", tmp_path / "mounted"
    with image.open("wb") as file:
        file.truncate(8 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    point.mkdir()
    done = subprocess.run(["mount", "-o", "loop", image, point], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no loop mount here: {done.stderr.strip()}")
    yield point
    subprocess.run(["fsfreeze", "-u", point], capture_output=True)    # where a test has failed
    subprocess.run(["umount", point], check=True)


def test_a_real_file_system(mounted: Path, connect: Callable[..., Client]) -> None:
    """While frozen a write waits; after thawing, by an agent that was started since, it is done."""
    client = connect(OneMount(mounted))
    assert client.ask("guest-fsfreeze-freeze") == 1
    writer = threading.Thread(target=(mounted / "file").write_text, args=("text",))
    writer.start()
    writer.join(0.3)
    assert writer.is_alive(), "the write must wait"
    successor = connect(OneMount(mounted))
    assert successor.ask("guest-fsfreeze-status") == "frozen"
    assert successor.ask("guest-fsfreeze-thaw") == 1
    writer.join(30)
    assert not writer.is_alive() and (mounted / "file").read_text() == "text"
    assert successor.ask("guest-fsfreeze-freeze-list", mountpoints=[str(mounted)]) == 1
    assert successor.ask("guest-fsfreeze-thaw") == 1


def test_a_real_trim(mounted: Path, connect: Callable[..., Client]) -> None:
    """The loop device punches holes into its file: as many bytes as the file system said, about."""
    client = connect(OneMount(mounted))
    (mounted / "file").write_bytes(os.urandom(4 << 20))
    os.sync()
    (mounted / "file").unlink()
    os.sync()
    before = (mounted.parent / "image").stat().st_blocks * 512
    (row,) = client.ask("guest-fstrim")["paths"]
    if "error" in row:
        pytest.skip(f"the loop device cannot trim: {row['error']}")
    assert row["path"] == str(mounted) and row["trimmed"] >= 4 << 20
    assert before - (mounted.parent / "image").stat().st_blocks * 512 >= 3 << 20
    (info,) = client.ask("guest-get-fsinfo")
    space = os.statvfs(mounted)
    assert info["type"] == "ext4" and info["name"].startswith("loop") and info["disk"] == []
    assert info["used-bytes"] == (space.f_blocks - space.f_bfree) * space.f_frsize
