"""A guest's console as a conversation: start an emulator, wait for a text, type a line."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Sequence
from types import TracebackType
from typing import IO

from ratite.errors import RatiteError

_MOST_KEPT = 1 << 20


class ConsoleError(RatiteError):
    """The guest did not say in time what was waited for."""


class Console:
    """A running emulator whose terminal is a pair of pipes. `log` gets a copy of all output."""

    def __init__(self, command: Sequence[str], log: IO[bytes] | None = None) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
        )
        self._log = log
        self._pending = b""

    def __enter__(self) -> Console:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    @property
    def process_number(self) -> int:
        """The emulator's process, for measurements."""
        return self._process.pid

    def wait_for(self, text: str, seconds: float) -> str:
        """Read until `text` appears and return the output up to its end. Raises ConsoleError with the last lines."""
        wanted = text.encode()
        deadline = time.monotonic() + seconds
        while (at := self._pending.find(wanted)) < 0:
            if not self._read(deadline):
                raise ConsoleError(f"the guest did not print '{text}' within {seconds:g} s{self._tail()}")
        end = at + len(wanted)
        seen, self._pending = self._pending[:end], self._pending[end:]
        return seen.decode(errors="replace")

    def send(self, line: str) -> None:
        """Type a line and the return key."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\r")
        except BrokenPipeError:
            raise ConsoleError(f"the emulator ended before '{line}' was typed{self._tail()}") from None

    def finish(self, seconds: float) -> int:
        """Wait for the emulator's end and return its exit status."""
        deadline = time.monotonic() + seconds
        while self._read(deadline):
            pass
        try:
            return self._process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise ConsoleError(f"the emulator did not end within {seconds:g} s{self._tail()}") from None

    def _read(self, deadline: float) -> bool:
        """Take in what there is; False at the end of the output or at the deadline."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        data = os.read(self._process.stdout.fileno(), 65536) if ready else b""
        if self._log is not None and data:
            self._log.write(data)
            self._log.flush()
        self._pending = (self._pending + data)[-_MOST_KEPT:]
        return bool(data)

    def _tail(self) -> str:
        lines = self._pending.decode(errors="replace").replace("\r", "").rstrip().splitlines()[-3:]
        return "; its last lines: " + " | ".join(lines) if lines else "; it printed nothing more"
