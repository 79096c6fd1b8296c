"""The agent's log: lines in a file or on standard error, and none while file systems are frozen."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from ratite.agent.errors import SetupError


class Log:
    """Writes lines with a time and a level. `enabled` is off while a write could wait for a frozen file system."""

    def __init__(self, path: str = "", verbose: bool = False) -> None:
        self.enabled = True
        self.verbose = verbose
        self.path = path
        self._file: TextIO = sys.stderr
        if path:
            try:
                self._file = open(path, "a", encoding="utf-8", errors="backslashreplace")    # noqa: SIM115 - for the agent's life
            except OSError as error:
                raise SetupError(f"cannot open the log file {path}: {error.strerror}") from None

    def error(self, text: str) -> None:
        """Something failed."""
        self._write("error", text)

    def info(self, text: str) -> None:
        """Something that changes the guest was done."""
        self._write("info", text)

    def debug(self, text: str) -> None:
        """What is interesting with `-v` only."""
        if self.verbose:
            self._write("debug", text)

    def _write(self, level: str, text: str) -> None:
        if not self.enabled:
            return
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {level}: {' '.join(text.split())}"
        try:
            print(line, file=self._file, flush=True)
        except (OSError, ValueError):    # a full disk or a closed terminal must not end the agent
            pass
