"""guest-file-open, -close, -read, -write, -seek, -flush."""

from __future__ import annotations

import base64
import os
from enum import IntEnum
from typing import Any

from ratite.agent.agent import Agent
from ratite.agent.base64_text import decode
from ratite.agent.command import INT, TEXT, Argument, Kind, command
from ratite.agent.errors import AgentError, invalid_type, invalid_value, system_error

MOST_AT_ONCE = 48 << 20    # bytes of one read
DEFAULT_COUNT = 4096

_HANDLE = Argument("handle", INT)
_CREATE = os.O_CREAT | os.O_TRUNC
_APPEND = os.O_CREAT | os.O_APPEND
_MODES = {
    "r": os.O_RDONLY, "w": os.O_WRONLY | _CREATE, "a": os.O_WRONLY | _APPEND,
    "r+": os.O_RDWR, "w+": os.O_RDWR | _CREATE, "a+": os.O_RDWR | _APPEND,
}    # fmt: skip


class Whence(IntEnum):
    """From where a position counts."""

    SET = 0
    CUR = 1
    END = 2


class WhenceKind(Kind):
    """A number or a name."""

    def check(self, name: str, value: Any) -> Whence:
        if isinstance(value, str):
            found = next((whence for whence in Whence if whence.name.lower() == value), None)
            if found is None:
                raise AgentError(f"Parameter '{name}' does not accept value '{value[:100]}'")
            return found
        if not isinstance(value, int) or isinstance(value, bool):
            raise invalid_type(name, "GuestFileWhence")
        if value not in list(Whence):
            raise AgentError(f"invalid whence code {value}")
        return Whence(value)


@command("guest-file-open", Argument("path", TEXT), Argument("mode", TEXT, optional=True))
def open_file(agent: Agent, path: str, mode: str = "r") -> int:
    """Open a file, in a mode of fopen(3). It never waits: not for a writer of a pipe, not for a terminal."""
    flags = _MODES.get(mode.replace("b", "", 1)) if not mode.startswith("b") else None
    if flags is None:
        raise AgentError(f"invalid file open mode '{mode[:100]}'")
    agent.files.check_room()
    agent.check_room(1)
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK, 0o666)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise AgentError(f"failed to open file '{path}' (mode: '{mode}'): {reason}") from None
    handle = agent.files.add(descriptor)
    agent.log.info(f"guest-file-open: {path!r} mode {mode}: handle {handle}")
    return handle


@command("guest-file-close", _HANDLE)
def close_file(agent: Agent, handle: int) -> None:
    """Close the file."""
    try:
        agent.files.remove(handle)
    except OSError as error:
        raise system_error("failed to close handle", error) from None


@command("guest-file-read", _HANDLE, Argument("count", INT, optional=True))
def read_file(agent: Agent, handle: int, count: int = DEFAULT_COUNT) -> dict[str, Any]:
    """Read up to `count` bytes; `eof` says that the end was met."""
    descriptor = agent.files[handle]
    if not 0 <= count <= MOST_AT_ONCE:
        raise invalid_value("count", count)
    data, eof = bytearray(), False
    try:
        while len(data) < count and not eof:
            piece = os.read(descriptor, min(count - len(data), 1 << 20))
            data += piece
            eof = not piece
    except BlockingIOError:
        if not data:
            raise AgentError("failed to read file: Resource temporarily unavailable") from None
    except OSError as error:
        raise system_error("failed to read file", error) from None
    return {"count": len(data), "buf-b64": base64.b64encode(data).decode(), "eof": eof}


@command("guest-file-write", _HANDLE, Argument("buf-b64", TEXT), Argument("count", INT, optional=True))
def write_file(agent: Agent, handle: int, buf_b64: str, count: int | None = None) -> dict[str, Any]:
    """Write the first `count` of the given bytes, by default all. A pipe may take fewer."""
    descriptor = agent.files[handle]
    data = decode(buf_b64)
    if count is not None and not 0 <= count <= len(data):
        raise invalid_value("count", count)
    left = memoryview(data)[: len(data) if count is None else count]
    written = 0
    try:
        while left:
            done = os.write(descriptor, left)
            left, written = left[done:], written + done
    except OSError as error:
        if not (isinstance(error, BlockingIOError) and written):
            raise system_error("failed to write to file", error) from None
    return {"count": written, "eof": False}


@command("guest-file-seek", _HANDLE, Argument("offset", INT), Argument("whence", WhenceKind()))
def seek_file(agent: Agent, handle: int, offset: int, whence: Whence) -> dict[str, Any]:
    """Move to another position; tells which it is."""
    try:
        position = os.lseek(agent.files[handle], offset, (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END)[whence])
    except OSError as error:
        raise system_error("failed to seek file", error) from None
    return {"position": position, "eof": False}


@command("guest-file-flush", _HANDLE)
def flush_file(agent: Agent, handle: int) -> None:
    """Hand what was written to the kernel. The agent keeps nothing back, so that is done when guest-file-write answers."""
    assert agent.files[handle] >= 0
