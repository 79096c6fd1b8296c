"""What survives a restart of the agent: that file systems are frozen, and which file handle comes next.

Two files in the state folder, named as QEMU's agent names them, so that either takes over from the other.
"""

from __future__ import annotations

import configparser
import os

from ratite.agent.errors import AgentError, system_error

FROZEN_FILE = "qga.state.isfrozen"
STATE_FILE = "qga.state"
FIRST_HANDLE = 1000
_SECTION, _KEY = "global", "fd_counter"
_HIGHEST = (1 << 63) - 1


class State:
    """The state folder."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._frozen_file = os.path.join(folder, FROZEN_FILE)
        self._state_file = os.path.join(folder, STATE_FILE)
        self._next_handle = self._read_handle()

    @property
    def frozen(self) -> bool:
        """Whether file systems were frozen, perhaps by an agent before this one."""
        return os.path.lexists(self._frozen_file)

    def set_frozen(self, frozen: bool) -> None:
        """Note it. Raises AgentError when the folder cannot be written."""
        try:
            if frozen:
                os.close(os.open(self._frozen_file, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            elif self.frozen:
                os.unlink(self._frozen_file)
        except OSError as error:
            raise system_error(f"cannot change {self._frozen_file}", error) from None

    def new_handle(self) -> int:
        """A number for a file handle that no client has seen, not even before a restart. Raises AgentError."""
        handle = self._next_handle
        if handle >= _HIGHEST:
            raise AgentError("no file handle is left")
        self._write_handle(handle + 1)
        self._next_handle = handle + 1
        return handle

    def _read_handle(self) -> int:
        parser = configparser.ConfigParser(interpolation=None)
        try:
            with open(self._state_file, encoding="utf-8") as file:
                parser.read_file(file)
            return max(FIRST_HANDLE, min(parser.getint(_SECTION, _KEY), _HIGHEST))
        except (OSError, ValueError, configparser.Error):
            return FIRST_HANDLE

    def _write_handle(self, handle: int) -> None:
        new = self._state_file + ".new"
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(f"[{_SECTION}]\n{_KEY}={handle}\n")
            os.replace(new, self._state_file)
        except OSError as error:
            raise system_error(f"cannot write {self._state_file}", error) from None
