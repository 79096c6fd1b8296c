"""User mode: host faults in generated code become events of the guest.

The handler is native code (`ratite.codegen.runtime`); here it is installed with sigaction(2), and told where generated code lies.
"""

from __future__ import annotations

import ctypes
import signal
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ratite.cpu.engine import Engine

_SA_SIGINFO, _SA_RESTART, _SA_NODEFER = 4, 0x10000000, 0x40000000


class _SigAction(ctypes.Structure):
    """struct sigaction of the C library on x86-64 Linux."""

    _fields_ = [
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_uint64 * 16),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    ]


def install(number: int, handler: int) -> None:
    """Let native code at an address handle a signal. Host calls that it interrupts are begun again, as far as the kernel does that."""
    action = _SigAction(handler)
    action.flags = _SA_SIGINFO | _SA_RESTART
    ctypes.CDLL(None).sigaction(number, ctypes.byref(action), None)


def catch_faults(engine: Engine) -> None:
    """Install the handler for SIGSEGV and SIGBUS. Python's own faulthandler, if it is on, goes on getting what is not the guest's."""
    libc = ctypes.CDLL(None)
    before = _SigAction()
    new = _SigAction(engine.symbols["on_fault"])
    new.flags = _SA_SIGINFO | _SA_NODEFER
    for number in (signal.SIGSEGV, signal.SIGBUS):
        libc.sigaction(int(number), ctypes.byref(new), ctypes.byref(before))
    functions = [ctypes.cast(f, ctypes.c_void_p).value or 0 for f in (libc.signal, getattr(libc, "raise"))]
    start = engine.memory.base
    table = struct.pack("<5Q", start, start + engine.memory.size, before.handler or 0, *functions)
    engine.memory.patch(engine.symbols["code_range"], table)
