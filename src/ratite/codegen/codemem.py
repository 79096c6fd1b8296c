"""Memory for generated code, below 2 GiB.

It is shared memory without a name, mapped twice, once to write and once to execute, so that no page can be written and executed. (CPython's ctypes
has one such page, for callbacks.) A fork must give the child code of its own: two processes that append to one memory would overwrite each
other's. So whoever forks makes a copy before (`Copy`), which the child puts in the place of both mappings. Pages that forks copy by themselves
would have to be writable where they are executed, or be made so and back while no other thread executes them.
"""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import struct

from ratite.bits import align_up
from ratite.codegen import host_x86_64 as host
from ratite.errors import DefinitionError, HostError

#: What of an object takes memory, in plain values that can be kept in a file: sections (number, content, alignment), relocations (section, offset,
#: type, symbol or number of a section, what to add), functions (name, section, offset).
Image = tuple[list[tuple[int, bytes, int]], list[tuple[int, int, int, str | int, int]], list[tuple[str, int, int]]]

# mmap(2), mremap(2)
_MAP_FAILED = ctypes.c_void_p(-1).value
_MAP_FIXED, _MAP_32BIT, _MAP_NORESERVE = 0x10, 0x40, 0x4000
_MREMAP_MAYMOVE = 1
_MADV_DONTNEED = 4
_READ, _WRITE, _EXECUTE = mmap.PROT_READ, mmap.PROT_WRITE, mmap.PROT_EXEC


class CodeMemory:
    """A bump allocator of executable memory. `base` is the executable address of byte 0. single: one private mapping for both, which can be written
    and executed: for Linux perf, which looks for code nowhere else.
    """

    def __init__(self, size: int, single: bool = False) -> None:
        self.size, self._single, self._open = size, single, False
        try:
            self._map()
        except OSError:
            gc.collect()  # machines that nobody uses any more may still have theirs
            try:
                self._map()
            except OSError as e:
                raise HostError(f"no executable memory of {size >> 20} MiB below 2 GiB: {e.strerror}") from e
        self._writable = memoryview((ctypes.c_ubyte * size).from_address(self.base + self._to_writable)).cast("B")
        self.used = 0
        self.floor = 0
        self._before = 0  # the most that was used before a `clear`
        self._open = True

    def _map(self) -> None:
        if self._single:
            self.base = _mmap(self.size, _READ | _WRITE | _EXECUTE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_32BIT)
            self._to_writable = 0
            return
        self.base = _mmap(self.size, _READ | _EXECUTE, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | _MAP_32BIT | _MAP_NORESERVE)
        try:
            writable = _map_again(self.base, self.size)
            _call("mprotect", writable, self.size, _READ | _WRITE)
        except OSError:
            _call("munmap", self.base, self.size)
            raise
        self._to_writable = writable - self.base

    def put(self, code: bytes | bytearray, alignment: int = 16) -> int:
        """Append code and return its address; MemoryError when it does not fit."""
        address = self.take(len(code), alignment)
        self.patch(address, code)
        return address

    def take(self, size: int, alignment: int = 16) -> int:
        """Room for code, which is to be written where `writable` says; MemoryError when there is none."""
        at = align_up(self.used, alignment)
        if at + size > self.size:
            raise MemoryError
        self.used = at + size
        return self.base + at

    def patch(self, address: int, code: bytes | bytearray) -> None:
        """Overwrite code that was put before."""
        at = address - self.base
        self._writable[at : at + len(code)] = code

    def writable(self, address: int) -> int:
        """Where the host lets code at `address` be written."""
        return address + self._to_writable

    def read(self, address: int, size: int) -> bytes:
        """Code that was put before."""
        at = address - self.base
        return bytes(self._writable[at : at + size])

    def release(self) -> None:
        """Give back what writing code has taken beside the code itself: the host counts both mappings."""
        if not self._single:
            _call("madvise", self.base + self._to_writable, self.size, _MADV_DONTNEED)

    def keep(self) -> None:
        """What has been put so far survives `clear`."""
        self.floor = self.used

    def clear(self) -> None:
        """Forget everything put after `keep`."""
        self._before = self.peak
        self.used = self.floor

    def close(self) -> None:
        """Give the memory back; no code in it is executed any more."""
        if self._open:
            self._open = False
            self._writable = memoryview(b"")
            for address in {self.base, self.base + self._to_writable}:
                _call("munmap", address, self.size)

    __del__ = close

    def copy(self) -> Copy:
        """What a child that is about to be forked will need. Raises OSError when there is no room for it."""
        return Copy(self)

    @property
    def peak(self) -> int:
        """The most bytes that have been used at a time."""
        return max(self._before, self.used)

    def load(self, image: Image, symbols: dict[str, int]) -> dict[str, int]:
        """Place an object's sections, resolve its relocations with `symbols`, and return the addresses of its functions."""
        sections, relocations, functions = image
        at = {number: self.put(content, alignment) for number, content, alignment in sections}
        for section, offset, kind, target, addend in relocations:
            place = at[section] + offset
            value = (symbols[target] if isinstance(target, str) else at[target]) + addend
            if kind in host.RELATIVE:
                self.patch(place, struct.pack("<i", value - place))
            elif kind == host.ABS64:
                self.patch(place, struct.pack("<Q", value & (2**64 - 1)))
            elif kind in (host.ABS32, host.ABS32S):
                self.patch(place, struct.pack("<I", value & 0xFFFFFFFF))
            else:
                raise DefinitionError(f"relocation of type {kind} against {target}")
        return {name: at[section] + offset for name, section, offset in functions}


class Copy:
    """A copy of code memory, made by a process that forks. Afterwards the child calls `adopt` and its parent `discard`. It is a file meanwhile,
    because the host writes new pages of a file in half the time that it takes to write to new memory.
    """

    def __init__(self, memory: CodeMemory) -> None:
        self._memory, self._file = memory, -1
        if not memory._single:
            self._file = os.memfd_create("ratite-code", os.MFD_CLOEXEC)
            try:
                os.ftruncate(self._file, memory.size)
                done = 0
                while done < memory.used:
                    done += os.write(self._file, memory._writable[done : memory.used])
            except OSError:
                self.discard()
                raise

    def adopt(self) -> None:
        """Put the copy where the code is, in a child that has no other thread."""
        if self._file >= 0:
            memory = self._memory
            for address, protection in ((memory.base, _READ | _EXECUTE), (memory.writable(memory.base), _READ | _WRITE)):
                _mmap(memory.size, protection, mmap.MAP_SHARED | _MAP_FIXED | _MAP_NORESERVE, address, self._file)
            self.discard()

    def discard(self) -> None:
        """The child has it, or there is no child."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.mremap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int]
_libc.mmap.restype = _libc.mremap.restype = ctypes.c_void_p
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.mprotect.argtypes = _libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def _checked(result: int | None) -> int:
    if result in (-1, _MAP_FAILED):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result or 0


def _mmap(size: int, protection: int, flags: int, address: int | None = None, file: int = -1) -> int:
    return _checked(_libc.mmap(address, size, protection, flags, file, 0))


def _map_again(address: int, size: int) -> int:
    """Another mapping of shared memory: an old size of 0 means that."""
    return _checked(_libc.mremap(address, 0, size, _MREMAP_MAYMOVE))


def _call(name: str, *arguments: int) -> None:
    _checked(getattr(_libc, name)(*arguments))
