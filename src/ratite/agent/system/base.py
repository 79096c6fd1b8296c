"""What commands need of the operating system, in one place, so that a test can put another root folder, recorded
output and recorded calls in its place."""

from __future__ import annotations

import fcntl
import os
import pwd
import subprocess
import time
import tty
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, ClassVar, NamedTuple

from ratite.agent.errors import AgentError, Unsupported, system_error

PROGRAM_FOLDERS = ("sbin", "usr/sbin", "bin", "usr/bin", "usr/local/sbin", "usr/local/bin")
PROGRAM_SECONDS = 300.0
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin", "LC_ALL": "C"}
_LARGEST_FILE = 16 << 20    # bytes of a system's text file; none comes near it


class Method(Enum):
    """Kinds of channel to the host."""

    VIRTIO_SERIAL = "virtio-serial"
    ISA_SERIAL = "isa-serial"
    UNIX_LISTEN = "unix-listen"
    VSOCK_LISTEN = "vsock-listen"


class Power(Enum):
    """Ways to shut down."""

    POWERDOWN = "powerdown"
    HALT = "halt"
    REBOOT = "reboot"


class Sleep(Enum):
    """Ways to suspend."""

    DISK = "disk"
    RAM = "ram"
    HYBRID = "hybrid"


class Outcome(NamedTuple):
    """How a program ended."""

    status: int
    output: str
    error: str


class Counters(NamedTuple):
    """Statistics of a network interface, since it came up."""

    rx_bytes: int
    rx_packets: int
    rx_errs: int
    rx_dropped: int
    tx_bytes: int
    tx_packets: int
    tx_errs: int
    tx_dropped: int


class Interface:
    """A network interface: name, hardware address in xx:xx form, addresses with prefix lengths, counters."""

    def __init__(self, name: str, hardware: str = "") -> None:
        self.name = name
        self.hardware = hardware
        self.addresses: list[tuple[str, int]] = []
        self.counters: Counters | None = None


class System:
    """Base of the systems. A system names in `offers` what it can do; the rest raises Unsupported, and commands that
    need it are shown as disabled.
    """

    offers: ClassVar[frozenset[str]] = frozenset()
    channels: ClassVar[Mapping[Method, str]] = {}
    """Default paths of the devices."""
    echoing_channels: ClassVar[frozenset[Method]] = frozenset({Method.ISA_SERIAL})
    """Devices that are terminals, and have to be made raw."""
    state_folder = "/var/run"
    config_file = "/etc/qemu/qemu-ga.conf"
    hook = "/etc/qemu/fsfreeze-hook"

    def __init__(self, root: str = "/") -> None:
        self.root = root

    # --- files and programs

    def path(self, name: str) -> str:
        """Where an absolute path of the system is: below `root`."""
        return name if self.root == "/" else os.path.join(self.root, name.lstrip("/"))

    def read_bytes(self, name: str) -> bytes:
        """A file's content. Raises OSError."""
        with open(self.path(name), "rb") as file:
            return file.read(_LARGEST_FILE)

    def read(self, name: str) -> str:
        """A file's text; bytes that are no UTF-8 are replaced. Raises OSError."""
        return self.read_bytes(name).decode(errors="replace")

    def read_line(self, name: str) -> str:
        """The text of a file of one line, such as those of sysfs; empty when it cannot be read."""
        try:
            return self.read(name).strip()
        except OSError:
            return ""

    def write(self, name: str, text: str) -> None:
        """Write into a file that exists, in one call, as sysfs wants it. Raises OSError."""
        descriptor = os.open(self.path(name), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)

    def find(self, program: str) -> str | None:
        """The path of an administrator's program, or None."""
        for folder in PROGRAM_FOLDERS:
            path = f"/{folder}/{program}"
            if os.access(self.path(path), os.X_OK):
                return path
        return None

    def need(self, program: str) -> str:
        """The path of a program. Raises Unsupported when it is not installed."""
        path = self.find(program)
        if path is None:
            raise Unsupported(f"the program '{program}' is not installed")
        return path

    def run(self, words: Sequence[str], text: bytes = b"", seconds: float | None = PROGRAM_SECONDS) -> Outcome:
        """Run a program with `text` as its input, and wait for it. Raises AgentError when it cannot be run, or does not
        end in time.
        """
        try:
            done = subprocess.run(words, input=text, capture_output=True, env=_ENVIRONMENT, timeout=seconds, check=False)
        except OSError as error:
            raise system_error(f"cannot run {words[0]}", error) from None
        except subprocess.TimeoutExpired:
            raise AgentError(f"{words[0]} did not end in {seconds:.0f} seconds") from None
        return Outcome(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def user(self, name: str) -> pwd.struct_passwd | None:
        """An account, or None."""
        try:
            return pwd.getpwnam(name)
        except (KeyError, ValueError):
            return None

    # --- calls of the kernel

    def ioctl(self, descriptor: int, request: int, argument: Any = 0) -> int:
        """ioctl(2). Raises OSError."""
        result: int = fcntl.ioctl(descriptor, request, argument)
        return result

    def is_mounted(self, descriptor: int, device: tuple[int, int], kind: str) -> bool:
        """Whether an open folder is on the file system of a block device; btrfs gives its files numbers of their own."""
        number = os.fstat(descriptor).st_dev
        return kind == "btrfs" or (os.major(number), os.minor(number)) == device

    def time(self) -> int:
        """Nanoseconds since 1970."""
        return time.time_ns()

    def set_clock(self, nanoseconds: int) -> None:
        """Set the system's clock. Raises OSError."""
        time.clock_settime_ns(time.CLOCK_REALTIME, nanoseconds)

    def make_raw(self, descriptor: int) -> None:
        """Turn off what a terminal does with characters: echo, lines, signals. Raises OSError."""
        tty.setraw(descriptor)

    # --- what systems do differently

    def channel(self, method: Method) -> str:
        """The default path of the device of a channel; empty when there is none."""
        return self.channels.get(method, "")

    def shutdown(self, mode: Power) -> None:
        """Power off, halt or reboot. Raises AgentError when it cannot be begun."""
        raise Unsupported

    def suspend(self, mode: Sleep) -> None:
        """Suspend; returns after the system has woken up. Raises AgentError."""
        raise Unsupported

    def write_hardware_clock(self, nanoseconds: int) -> None:
        """Set the clock that runs while the machine is off. Raises AgentError."""
        raise Unsupported

    def read_hardware_clock(self) -> int:
        """The time of that clock, in nanoseconds since 1970. Raises AgentError."""
        raise Unsupported

    def interfaces(self) -> list[Interface]:
        """The network interfaces. Raises AgentError."""
        raise Unsupported

    def set_password(self, user: str, password: str, crypted: bool) -> None:
        """Change a user's password; `crypted`: it is a hash as the password file has it. Raises AgentError."""
        raise Unsupported
