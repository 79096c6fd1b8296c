"""User mode: host faults in generated code become events of the guest.

The handler is native code (`ratite.codegen.runtime`); here it is installed with sigaction(2), and told where generated code lies.
"""

from __future__ import annotations

import ctypes
import struct

from ratite.bits import mask
from ratite.codegen import host_x86_64 as host
from ratite.cpu.hostmem import HostBuffer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ratite.cpu.engine import Engine

#: Of a region: start, end, landings.
_REGION = struct.Struct("<QQQ")

_SA_SIGINFO, _SA_RESTART, _SA_NODEFER = 4, 0x10000000, 0x40000000

#: Signals that come in the middle of a handler of faults: those faults, and the C library's 33. The mask that such a handler returns to must not
#: undo what another one has blocked.
_NEVER_BLOCKED = 1 << host.SIGSEGV - 1 | 1 << host.SIGBUS - 1 | 1 << 33 - 1
_SENT = 56


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


class Faults:
    """What the handler of SIGSEGV and SIGBUS knows of generated code, installed with this. Python's own faulthandler, if it is on, goes on getting
    what is not the guest's."""

    #: Most regions.
    REGIONS = 1 << 15

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._regions = HostBuffer(_REGION.size * self.REGIONS)
        self.count = 0
        libc = ctypes.CDLL(None)
        before = _SigAction()
        new = _SigAction(engine.symbols["on_fault"])
        new.flags = _SA_SIGINFO | _SA_NODEFER
        new.mask[0] = mask(64) & ~_NEVER_BLOCKED
        for number in (host.SIGSEGV, host.SIGBUS):
            libc.sigaction(int(number), ctypes.byref(new), ctypes.byref(before))
        functions = [ctypes.cast(f, ctypes.c_void_p).value or 0 for f in (libc.signal, getattr(libc, "raise"))]
        start = engine.memory.base
        table = struct.pack("<8Q", start, start + engine.memory.size, before.handler or 0, *functions, self._regions.address, 0, 0)
        engine.memory.patch(engine.symbols["code_range"], table)

    def add_region(self, start: int, size: int, landings: bytes) -> None:
        """Take note of a region; MemoryError where there are too many."""
        if self.count == self.REGIONS:
            raise MemoryError
        table = self._engine.memory.put(landings + b"\xff" * 8)
        _REGION.pack_into(self._regions.view, _REGION.size * self.count, start, start + size, table)
        self._tell(self.count + 1)

    def forget_regions(self) -> None:
        """All code is gone."""
        self._tell(0)

    def _tell(self, count: int) -> None:
        self.count = count
        self._engine.memory.patch(self._engine.symbols["code_range"] + 48, struct.pack("<Q", count))

    def leave_sent_to(self, handler: int) -> None:
        """Have a native handler get SIGSEGV and SIGBUS that somebody sends; until then the process dies of them."""
        self._engine.memory.patch(self._engine.symbols["code_range"] + _SENT, struct.pack("<Q", handler))
