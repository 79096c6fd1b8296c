"""The log of system calls that `-strace` asks for: one line each, `PID name(arguments) = result`."""

from __future__ import annotations

import errno
import os

from ratite.user.failure import SyscallError
from ratite.user.host import TURNED_BACK
from ratite.user.syscalls import CALLS
from ratite.user.table import slots
from ratite.user.thread import DONE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ratite.user.thread import Thread

_SHOWN_PATH = 64


class Tracer:
    """Writes lines to wherever the log goes."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def begin(self, t: Thread) -> str:
        """The line of a call that is about to be made; written at once if it may not come back."""
        number = t.abi.number(t.registers)
        name = t.abi.numbers.get(number, f"syscall_{number}")
        registers = t.abi.arguments(t.registers)
        call = CALLS.get(name)
        if call is None:
            shown = [f"{register:#x}" for register in registers]
        else:
            shown = [self._show(t, kind, registers[slot], registers[slot + 1:])
                     for kind, slot in zip(call.kinds, slots(t.abi, call.kinds), strict=True)]
        line = f"{os.getpid()} {name}({', '.join(shown)})"
        if name in ("exit", "exit_group", "execve", "execveat"):
            self._write(line)
        return line

    def end(self, line: str, result: int) -> None:
        """Write a line with the call's result."""
        if result == DONE:
            return
        if result == TURNED_BACK:
            shown = "? (a signal came first)"
        elif -4096 < result < 0:
            shown = f"-1 errno={-result} ({errno.errorcode.get(-result, '?')}: {os.strerror(-result)})"
        else:
            shown = str(result) if abs(result) < 1 << 20 else f"{result:#x}"
        self._write(f"{line} = {shown}")

    def note(self, t: Thread, text: str) -> None:
        """Write something else that happened to a thread."""
        self._write(f"{os.getpid()} --- {text} ---")

    def _show(self, t: Thread, kind: str, value: int, following: tuple[int, ...]) -> str:
        if kind in ("Int", "Fd"):
            return str((value & 0xFFFF_FFFF ^ 1 << 31) - (1 << 31))
        if kind == "Off" and t.abi.bits == 32:
            value |= following[0] << 32
        if kind in ("Off", "Long"):
            return str(value - (1 << 64) if value >> 63 else value)
        if kind in ("UInt", "Size"):
            return str(value)
        if kind == "Path" and value:
            try:
                text = t.raw_path(value)
            except SyscallError:
                return f"{value:#x}"
            tail = '"...' if len(text) > _SHOWN_PATH else '"'
            return '"' + os.fsdecode(text[:_SHOWN_PATH]).encode("ascii", "backslashreplace").decode() + tail
        return f"{value:#x}" if value else "NULL"
