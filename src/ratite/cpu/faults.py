"""User mode: host faults in generated code become events of the guest.

The handler is native code (`ratite.codegen.runtime`); here it is installed with sigaction(2), and told where generated code lies.
"""

from __future__ import annotations

import ctypes
import struct

from ratite.codegen import host_x86_64 as host
from ratite.cpu.hostmem import HostBuffer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ratite.cpu.engine import Engine

#: Of a region: start, end, landings.
_REGION = struct.Struct("<QQQ")

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


class Faults:
    """What the handler of SIGSEGV and SIGBUS knows of generated code, installed with this. Python's own faulthandler, if it is on, goes on getting
    what is not the guest's."""

    #: Most regions, and most vCPUs at a time of which the handler knows: signals that somebody sends to others' threads are lost.
    REGIONS, VCPUS = 1 << 15, 1 << 13

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._regions, self._states = HostBuffer(_REGION.size * self.REGIONS), HostBuffer(8 * self.VCPUS)
        self._words = self._states.view.cast("Q")
        self.count = 0
        libc = ctypes.CDLL(None)
        before = _SigAction()
        new = _SigAction(engine.symbols["on_fault"])
        new.flags = _SA_SIGINFO | _SA_NODEFER
        for number in (host.SIGSEGV, host.SIGBUS):
            libc.sigaction(int(number), ctypes.byref(new), ctypes.byref(before))
        functions = [ctypes.cast(f, ctypes.c_void_p).value or 0 for f in (libc.signal, getattr(libc, "raise"))]
        start = engine.memory.base
        table = struct.pack(
            "<9Q", start, start + engine.memory.size, before.handler or 0, *functions, self._regions.address, 0, self._states.address, self.VCPUS
        )
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

    def add_vcpu(self, state: int) -> None:
        """Take note of a vCPU by its state pointer."""
        free = next((n for n, known in enumerate(self._words) if not known), None)
        if free is not None:
            self._words[free] = state

    def remove_vcpu(self, state: int) -> None:
        """A vCPU is gone."""
        for n, known in enumerate(self._words):
            if known == state:
                self._words[n] = 0
                return
