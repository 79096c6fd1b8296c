"""Timers of the host that ring for vCPUs, and the thread that hears them; what happens then is native code (`ratite.codegen.alarms`).

The thread is one of Python's that spends its life in a native function, and so never needs the interpreter's lock.
"""

from __future__ import annotations

import ctypes
import os
import select
from typing import TYPE_CHECKING

from ratite.cpu.threads import quiet_thread
from ratite.errors import HostError

if TYPE_CHECKING:
    from ratite.cpu.engine import Engine
    from ratite.cpu.vcpu import Vcpu

_CLOCK_MONOTONIC = 1
#: EPOLLIN | EPOLLET: told once each time that a timer rings, so that nobody has to read its file.
_ONCE = 1 | 1 << 31
_ADD = 1  # EPOLL_CTL_ADD


class _Event(ctypes.Structure):
    """struct epoll_event of x86-64 Linux."""

    _pack_ = 1
    _fields_ = [("events", ctypes.c_uint32), ("data", ctypes.c_uint64)]


class Alarms:
    """The alarms of an engine's vCPUs. They follow the host's monotonic clock, so they are for machines whose time does."""

    def __init__(self, engine: Engine) -> None:
        self._poll, self._end = select.epoll(), os.eventfd(0)
        self._files: dict[Vcpu, int] = {}
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._add(self._end, 0)
        self._serve = engine.function("serve_alarms", None, ctypes.c_uint64)
        self._thread = quiet_thread(self._listen, "ratite-alarms")

    def _listen(self) -> None:
        self._serve(self._poll.fileno())

    def watch(self, vcpu: Vcpu) -> None:
        """Give a vCPU, which is not running, an alarm."""
        file = self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_CLOEXEC)
        if file < 0:
            raise HostError(f"the host gives no timer: {os.strerror(ctypes.get_errno())}")
        self._files[vcpu] = file
        self._add(file, vcpu.env)
        vcpu.state.alarm = file

    def _add(self, file: int, data: int) -> None:
        event = _Event(_ONCE, data)
        if self._libc.epoll_ctl(self._poll.fileno(), _ADD, file, ctypes.byref(event)):
            raise HostError(f"the host does not tell of timers: {os.strerror(ctypes.get_errno())}")

    def close(self) -> None:
        """The end of all alarms. No vCPU runs any more."""
        os.eventfd_write(self._end, 1)
        self._thread.join()
        for vcpu, file in self._files.items():
            vcpu.state.alarm = 0
            os.close(file)
        self._files.clear()
        self._poll.close()
        os.close(self._end)
