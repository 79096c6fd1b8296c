"""Parts of the machine that Linux can switch off and on: processors and blocks of memory. Each is a numbered folder below
/sys/devices/system (Documentation/ABI/stable/sysfs-devices-system-cpu, Documentation/ABI/testing/sysfs-devices-memory)."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from ratite.agent.errors import AgentError
from ratite.agent.system.base import System


class Missing(AgentError):
    """There is no part with this number."""


class Fixed(AgentError):
    """The part cannot be switched off."""


class Switches(NamedTuple):
    """A kind of parts: where their folders are, and how the kernel writes that one is on or off."""

    folder: str
    prefix: str
    """Of the names of the folders; a number follows."""
    state: str
    """The file that tells and takes the state; a part without it is always on."""
    on: str
    off: str
    removable: str = ""
    """A file that holds 0 where the part cannot be switched off; empty where there is no such file."""

    def numbers(self, system: System) -> list[int]:
        """The parts that there are. Raises OSError."""
        pattern = re.compile(rf"{self.prefix}(\d+)")
        return sorted(int(match[1]) for match in map(pattern.fullmatch, os.listdir(system.path(self.folder))) if match)

    def online(self, system: System, number: int) -> bool:
        """Whether the part is on."""
        return self._read(system, number, self.state) in (self.on, "")

    def can_go_offline(self, system: System, number: int) -> bool:
        """Whether the kernel would let go of it, as far as it knows before it tries."""
        if self.removable and self._read(system, number, self.removable) == "0":
            return False
        return self._read(system, number, self.state) != ""

    def switch(self, system: System, number: int, online: bool) -> None:
        """Switch a part. Raises Missing, Fixed, or OSError when the kernel fails to."""
        if number < 0 or not os.path.isdir(system.path(self._file(number))):
            raise Missing(f"{self.prefix}{number} does not exist")
        if self.online(system, number) == online:
            return
        if not online and not self.can_go_offline(system, number):
            raise Fixed(f"{self.prefix}{number} cannot be switched off")
        system.write(self._file(number, self.state), self.on if online else self.off)

    def _read(self, system: System, number: int, name: str) -> str:
        return system.read_line(self._file(number, name))

    def _file(self, number: int, name: str = "") -> str:
        return f"{self.folder}/{self.prefix}{number}/{name}".rstrip("/")


PROCESSORS = Switches("/sys/devices/system/cpu", "cpu", "online", "1", "0")
MEMORY = Switches("/sys/devices/system/memory", "memory", "state", "online", "offline", "removable")
