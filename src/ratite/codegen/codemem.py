"""Memory for generated code, below 2 GiB.

A machine's is one memory file mapped twice, once to write and once to execute. A process's is one private mapping for both, because a fork
must give the child a copy of its own: two processes that append to one file would overwrite each other's code.
"""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import struct

from ratite.bits import align_up
from ratite.codegen import host_x86_64 as host
from ratite.codegen.elfobj import Object
from ratite.errors import DefinitionError, HostError

_MAP_32BIT = 0x40


class CodeMemory:
    """A bump allocator of executable memory. `base` is the executable address of byte 0; writes go through `view`. single: one mapping for
    both, which forks copy.
    """

    def __init__(self, size: int, single: bool = False) -> None:
        take = _map_once if single else _map_twice
        try:
            self._writable, self._executable = take(size)
        except OSError:
            gc.collect()  # machines that nobody uses any more may still have theirs
            try:
                self._writable, self._executable = take(size)
            except OSError as e:
                raise HostError(f"no executable memory of {size >> 20} MiB below 2 GiB: {e.strerror}") from e
        self.view = self._writable
        self.size = size
        self.base = _address(self._executable)
        self._to_writable = _address(self._writable) - self.base
        self.used = 0
        self.floor = 0
        self._before = 0  # the most that was used before a `clear`

    def put(self, code: bytes | bytearray, alignment: int = 16) -> int:
        """Append code and return its address; MemoryError when it does not fit."""
        at = align_up(self.used, alignment)
        if at + len(code) > self.size:
            raise MemoryError
        self._writable[at : at + len(code)] = code
        self.used = at + len(code)
        return self.base + at

    def patch(self, address: int, code: bytes) -> None:
        """Overwrite code that was put before."""
        at = address - self.base
        self._writable[at : at + len(code)] = code

    def writable(self, address: int) -> int:
        """Where the host lets code at `address` be written."""
        return address + self._to_writable

    def read(self, address: int, size: int) -> bytes:
        """Code that was put before."""
        at = address - self.base
        return self._writable[at : at + size]

    def release(self) -> None:
        """Give back what writing code has taken beside the code itself: the host counts both mappings."""
        if self._writable is not self._executable:
            self._writable.madvise(mmap.MADV_DONTNEED)

    def keep(self) -> None:
        """What has been put so far survives `clear`."""
        self.floor = self.used

    def clear(self) -> None:
        """Forget everything put after `keep`."""
        self._before = self.peak
        self.used = self.floor

    def close(self) -> None:
        """Give the memory back; no code in it is executed any more."""
        self._writable.close()
        self._executable.close()

    @property
    def peak(self) -> int:
        """The most bytes that have been used at a time."""
        return max(self._before, self.used)

    def load(self, obj: Object, symbols: dict[str, int]) -> dict[str, int]:
        """Place an object's sections, resolve its relocations with `symbols`, and return the addresses of its functions."""
        at = {}
        for i in obj.loaded():
            s = obj.sections[i]
            at[i] = self.put(obj.data[s[4] : s[4] + s[5]], max(16, s[8]))
        for section, relocs in obj.relocs.items():
            if section not in at:
                continue
            for r in relocs:
                target = at[r.section] + r.value if r.section else symbols[r.symbol]
                place = at[section] + r.offset
                value = target + r.addend
                if r.type in host.RELATIVE:
                    self.patch(place, struct.pack("<i", value - place))
                elif r.type == host.ABS64:
                    self.patch(place, struct.pack("<Q", value & (2**64 - 1)))
                elif r.type in (host.ABS32, host.ABS32S):
                    self.patch(place, struct.pack("<I", value & 0xFFFFFFFF))
                else:
                    raise DefinitionError(f"relocation of type {r.type} against {r.symbol}")
        return {f.name: at[f.section] + f.offset for f in obj.functions.values()}


def _map_once(size: int) -> tuple[mmap.mmap, mmap.mmap]:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_32BIT
    both = mmap.mmap(-1, size, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    return both, both


def _map_twice(size: int) -> tuple[mmap.mmap, mmap.mmap]:
    fd = os.memfd_create("ratite-code", os.MFD_CLOEXEC)
    try:
        os.ftruncate(fd, size)
        executable = mmap.mmap(fd, size, flags=mmap.MAP_SHARED | _MAP_32BIT, prot=mmap.PROT_READ | mmap.PROT_EXEC)
        return mmap.mmap(fd, size), executable
    finally:
        os.close(fd)


def _address(m: mmap.mmap) -> int:
    """Address of a mapping that Python may only read."""
    libc = ctypes.pythonapi
    view = _PyBuffer()
    if libc.PyObject_GetBuffer(ctypes.py_object(m), ctypes.byref(view), 0):
        raise HostError("the code mapping has no address")
    address = int(view.buf)
    libc.PyBuffer_Release(ctypes.byref(view))
    return address


class _PyBuffer(ctypes.Structure):
    """Py_buffer of CPython's C API."""

    _fields_ = [
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    ]
