"""A client's end of an agent's Unix socket."""

from __future__ import annotations

import socket
from pathlib import Path

SECONDS = 30.0


class Connection:
    """Connected; `file` has the lines that come."""

    def __init__(self, path: Path, seconds: float = SECONDS) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(seconds)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rb")
