"""Timers on processor time, whose signals go to one thread (timer_create(2) on Linux): one that waits sleeps as long as nothing is executed.

The signal is SIGSTKFLT, for which Linux has no use. A thread that has it blocked, as those of `ratite.cpu.threads` have, waits for it, whatever
others in the process do with that signal.
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading

SIGNAL = 16  # SIGSTKFLT
#: Numbers of clocks (clock_gettime(2)): processor time of the calling process and of the calling thread.
PROCESS_CPU_CLOCK, THREAD_CPU_CLOCK = 2, 3

_SIGEV_THREAD_ID = 4


class _Event(ctypes.Structure):
    """struct sigevent of the C library on 64-bit Linux."""

    _fields_ = [
        ("value", ctypes.c_uint64), ("signo", ctypes.c_int), ("notify", ctypes.c_int), ("thread", ctypes.c_int), ("unused", ctypes.c_int * 11),
    ]  # fmt: skip


class CpuTimer:
    """A timer on a clock that sends `SIGNAL` with a number to the thread that makes it. Raises OSError where the host gives none."""

    def __init__(self, clock: int, number: int = 0) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._timer = ctypes.c_void_p()
        event = _Event(number, SIGNAL, _SIGEV_THREAD_ID, threading.get_native_id())
        if self._libc.timer_create(clock, ctypes.byref(event), ctypes.byref(self._timer)):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def set(self, first: int, period: int = 0) -> None:
        """Have it ring after some nanoseconds, and again after each period; once, where that is 0."""
        times = (ctypes.c_long * 4)(*divmod(period, 10**9), *divmod(first, 10**9))
        self._libc.timer_settime(self._timer, 0, ctypes.byref(times), None)

    def close(self) -> None:
        """Give it back."""
        self._libc.timer_delete(self._timer)


class ProcessSleep:
    """Sleeping while this process uses some processor time; for a thread that has the signal blocked, and makes this itself. Where the host gives
    no such timer, time goes by the clock instead."""

    def __init__(self) -> None:
        try:
            self._timer: CpuTimer | None = CpuTimer(PROCESS_CPU_CLOCK)
        except OSError:
            self._timer = None

    def sleep(self, seconds: float, longest: float | None = None) -> None:
        """Return when the process has used so much processor time, after `longest` by the clock, or when somebody calls `wake`."""
        if self._timer is None:
            longest = seconds
        else:
            self._timer.set(max(int(seconds * 1e9), 1))
        if longest is None:
            signal.sigwait((SIGNAL,))
        else:
            signal.sigtimedwait((SIGNAL,), longest)

    def close(self) -> None:
        """Give the timer back."""
        if self._timer is not None:
            self._timer.close()


def wake(thread: threading.Thread) -> None:
    """End the sleep of a thread that uses `ProcessSleep`, or the next one."""
    if thread.is_alive() and thread.ident is not None:
        signal.pthread_kill(thread.ident, SIGNAL)
