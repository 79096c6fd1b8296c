"""The memory of one guest process: a region of host memory in which guest address `a` lies at `base + a`.

The whole region is reserved at the start, without access, so that no host mapping can get between guest mappings and a
stray guest access faults. Guest mappings are made inside with MAP_FIXED; what the guest unmaps goes back to the
reserve. Pages that the guest may execute are readable on the host, never executable: the translator reads them.

Limits: huge pages (MAP_HUGETLB) are refused with ENOMEM, MAP_GROWSDOWN is an ordinary mapping (stacks have their full
size from the start), protection keys do not exist.
"""

from __future__ import annotations

import ctypes
import os
import struct
from _thread import RLock
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from errno import EEXIST, EINVAL, ENOMEM, EPERM

from ratite.bits import align_down, align_up
from ratite.errors import HostError
from ratite.user.areas import PROT_EXEC, PROT_READ, PROT_WRITE, Area, AreaMap
from ratite.user.failure import GuestFault, SyscallError, check
from ratite.user.host import NUMBERS, PAGE, native, pack_call, quick

MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE, MAP_TYPE = 1, 2, 3, 15
MAP_FIXED, MAP_ANONYMOUS, MAP_HUGETLB, MAP_FIXED_NOREPLACE = 0x10, 0x20, 0x4_0000, 0x10_0000
MAP_LOCKED, MAP_NORESERVE, MAP_POPULATE, MAP_NONBLOCK = 0x2000, 0x4000, 0x8000, 0x1_0000
# What of the guest's flags the host's mmap is told too.
_PASSED_FLAGS = MAP_TYPE | MAP_ANONYMOUS | MAP_LOCKED | MAP_NORESERVE | MAP_POPULATE | MAP_NONBLOCK
_RESERVE_FLAGS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE

MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP = 1, 2, 4
MADV_DONTFORK, MADV_DOFORK = 10, 11

LOWEST = 0x1000     # page 0 stays unmapped: address 0 means "no pointer"
GUARD = 0x1_0000    # behind the highest address, so that the kernel runs into it when it copies upwards
BELOW = 1 << 31     # before address 0, so that an access at a negative distance from a null pointer faults
OWN_CODE = -1       # stands for the inode of code that comes from no file
HOMES_TOP, HOMES_BOTTOM, HOME_UNIT = 0x30_0000_0000, 0x2C_0000_0000, 0x1_0000    # where files are mapped (64 bits)
_BUFFER = 0x1_0000  # bytes copied at a time between Python and the guest

_IOVECS = struct.Struct("4Q")


class GuestSpace:
    """The mappings of a guest process of 32 or 64 bits. All methods may be called from any thread."""

    def __init__(self, bits: int = 64) -> None:
        self.bits = bits
        self.base, self.limit = _reserve(bits)
        """Host address of guest address 0; the first guest address that can not exist."""
        self.stack_top = min(self.limit, 1 << 38 if bits == 64 else 0xC000_0000) - GUARD
        """Where the main stack ends: below what a CPU with 39-bit addresses reaches, as most programs know it."""
        self.top = self.stack_top
        """Where mappings start to be placed, downwards, when the guest does not say where."""
        self.areas = AreaMap()
        self.lock = RLock()
        """Held across fork, so that a child finds the map in order."""
        self.brk_start = self.brk_end = 0
        self._homes: dict[tuple[int, int, int], int] = {}
        self._homes_bottom = HOMES_TOP
        self._pid = os.getpid()
        self._watchers: list[Callable[[int, int], None]] = []
        self._changing: AbstractContextManager[object] = nullcontext()
        self._buffer = ctypes.create_string_buffer(_BUFFER)
        self._buffer_address = ctypes.addressof(self._buffer)
        self._view = memoryview(self._buffer).cast("B")
        self._vectors = ctypes.create_string_buffer(_IOVECS.size)
        self._vectors_address = ctypes.addressof(self._vectors)

    def on_code_change(self, callback: Callable[[int, int], None], lock: AbstractContextManager[object] | None = None) -> None:
        """Have `callback(start, size)` called after executable guest memory was unmapped, mapped over or protected.

        `lock` is one that the callback takes. Who fetches code may hold it already, so whatever may end in the
        callback takes it before that of the space.
        """
        self._watchers.append(callback)
        if lock is not None:
            self._changing = lock

    def host(self, address: int) -> int:
        """Host address to hand to the kernel for a guest pointer; a null pointer stays one."""
        if address < self.limit:
            return self.base + address if address else 0
        raise GuestFault(address)

    def protection(self, address: int) -> int | None:
        """PROT_* bits of the mapping at an address; None where nothing is mapped."""
        with self.lock:
            area = self.areas.at(address)
        return None if area is None else area.prot

    def _range(self, address: int, length: int) -> int:
        """Check a page range that a guest gave; returns its end."""
        if address % PAGE:
            raise SyscallError(EINVAL)
        end = address + align_up(length, PAGE)
        if end > self.limit:
            raise SyscallError(ENOMEM)
        return end

    def home(self, fd: int, size: int) -> int:
        """An address for a file that is mapped from its start: always the same one in this process and its children.

        So the translations of a library that a shell has used are still right in a program that its child starts.
        Returns 0, for "anywhere", in 32-bit spaces, which have no room to spare, and for what is no file.
        """
        if self.bits == 32:
            return 0
        try:
            status = os.fstat(fd)
        except OSError:
            return 0
        key = (status.st_dev, status.st_ino, size)
        address = self._homes.get(key)
        if address is None:
            address = self._homes_bottom - align_up(size, HOME_UNIT)
            if address < HOMES_BOTTOM:
                return 0
            self._homes[key] = self._homes_bottom = address
        return address

    # System calls

    def mmap(self, address: int, length: int, prot: int, flags: int, fd: int = -1, offset: int = 0,
             name: bytes = b"") -> int:
        """Map memory as mmap(2) does and return its guest address. `name` is shown for anonymous memory."""
        if not length or offset % PAGE or flags & MAP_TYPE not in (MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE):
            raise SyscallError(EINVAL)
        if flags & MAP_HUGETLB:
            raise SyscallError(ENOMEM)
        size = align_up(length, PAGE)
        with self._changing, self.lock:
            if not address and not flags & MAP_ANONYMOUS and not offset:
                address = self.home(fd, size)
            start = self._place(address, size, flags)
            mapping = flags & _PASSED_FLAGS
            self._map(start, size, prot, mapping, fd, offset)
            shared = flags & MAP_TYPE != MAP_PRIVATE
            area = Area(start, start + size, prot, shared, name, lazy=bool(flags & MAP_NORESERVE))
            if not flags & MAP_ANONYMOUS:
                _describe_file(area, fd, offset)
            self._changed(self.areas.remove(start, start + size))
            self.areas.insert(area)
        return start

    def map_code(self, code: bytes, name: bytes) -> int:
        """Map a page of code of Ratite's own, above the main stack; it is always the same one. Returns its address."""
        with self._changing, self.lock:
            address = self.stack_top
            self._map(address, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
            area = Area(address, address + PAGE, PROT_READ | PROT_EXEC, False, name, inode=OWN_CODE)
            self.areas.insert(area)
            self.write(address, code)
            check(quick("mprotect", self.base + address, PAGE, PROT_READ))
        return address

    def munmap(self, address: int, length: int) -> None:
        """Unmap as munmap(2) does."""
        if not length or address + align_up(length, PAGE) > self.limit:
            raise SyscallError(EINVAL)
        with self._changing, self.lock:
            end = self._range(address, length)
            for area in self.areas.remove(address, end):
                self._to_reserve(area.start, area.end - area.start)
                self._changed([area])

    def mprotect(self, address: int, length: int, prot: int) -> None:
        """Change protection as mprotect(2) does; nothing is changed where part of the range is not mapped."""
        with self._changing, self.lock:
            end = self._range(address, length)
            if not self.areas.covered(address, end):
                raise SyscallError(ENOMEM)
            if end == address:
                return
            check(quick("mprotect", self.base + address, end - address, _host_prot(prot)))
            for area in self.areas.remove(address, end):
                self._changed([area])
                area.protect(prot)
                self.areas.insert(area)

    def mremap(self, old: int, old_size: int, new_size: int, flags: int, new: int = 0) -> int:
        """Resize or move a mapping as mremap(2) does; returns its address."""
        old_size, new_size = align_up(old_size, PAGE), align_up(new_size, PAGE)
        placed = flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)
        if flags & ~7 or not new_size or (placed and not flags & MREMAP_MAYMOVE):
            raise SyscallError(EINVAL)
        with self._changing, self.lock:
            self._range(old, max(old_size, PAGE))
            area = self.areas.at(old)
            if area is None or old + old_size > area.end:
                raise GuestFault(old)
            if placed or not old_size:
                return self._move(area, old, old_size, new_size, flags, new)
            if new_size <= old_size:
                if new_size < old_size:
                    self.munmap(old + new_size, old_size - new_size)
                return old
            if self._grow(area, old, old_size, new_size):
                return old
            if not flags & MREMAP_MAYMOVE:
                raise SyscallError(ENOMEM)
            return self._move(area, old, old_size, new_size, flags, new)

    def madvise(self, address: int, length: int, advice: int) -> None:
        """Pass on advice as madvise(2) does."""
        with self.lock:
            end = self._range(address, length)
            if advice in (MADV_DONTFORK, MADV_DOFORK):
                for area in self.areas.remove(address, end):
                    area.fork = advice == MADV_DOFORK
                    self.areas.insert(area)
            elif end > address:
                covered = self.areas.covered(address, end)
                for area in self.areas.overlapping(address, end):
                    start = max(address, area.start)
                    check(quick("madvise", self.base + start, min(end, area.end) - start, advice))
                if not covered:
                    raise SyscallError(ENOMEM)

    def set_brk(self, address: int) -> None:
        """Say where the heap starts; the loader does."""
        self.brk_start = self.brk_end = align_up(address, PAGE)

    def brk(self, address: int) -> int:
        """Move the end of the heap as the brk system call does; returns where it is now."""
        with self._changing, self.lock:
            old, new = align_up(self.brk_end, PAGE), align_up(address, PAGE)
            if address < self.brk_start or new > self.top:
                return self.brk_end
            if new > old:
                if not self.areas.free(old, new):
                    return self.brk_end
                try:
                    self.mmap(old, new - old, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
                              name=b"[heap]")
                except SyscallError:
                    return self.brk_end
            elif new < old:
                self.munmap(new, old - new)
            self.brk_end = address
            return address

    def attach(self, segment: int, size: int, address: int, prot: int, flags: int) -> int:
        """Map a System V shared memory segment as shmat(2) does; `flags` are the host's SHM_* flags."""
        shm_remap = 0o40000
        with self._changing, self.lock:
            start = self._place(address, align_up(size, PAGE), MAP_FIXED_NOREPLACE if address else 0)
            check(quick("shmat", segment, self.base + start, flags | shm_remap))
            end = start + align_up(size, PAGE)
            self.areas.insert(Area(start, end, prot, True, b"/SYSV%08x" % segment))
        return start

    def detach(self, address: int) -> None:
        """Unmap the shared memory segment that was attached at an address."""
        with self._changing, self.lock:
            area = self.areas.at(address)
            if area is None or area.start != address or not area.name.startswith(b"/SYSV"):
                raise SyscallError(EINVAL)
            self.munmap(area.start, area.end - area.start)

    def clear(self) -> list[Area]:
        """Unmap everything: the process starts another program. Returns the code there was.

        The watchers are not told of it: `forget_code` is to follow, before the guest runs again.
        """
        with self._changing, self.lock:
            areas = list(self.areas)
            if areas:
                self._to_reserve(areas[0].start, areas[-1].end - areas[0].start)
            self.areas = AreaMap()
            self.brk_start = self.brk_end = 0
            self.top = self.stack_top
        return [area for area in areas if area.prot & PROT_EXEC]

    def forget_code(self, areas: list[Area]) -> None:
        """Tell the watchers of code that was mapped before `clear`, but for what is mapped again just as it was.

        A shell script that runs one program many times translates it once.
        """
        with self._changing, self.lock:
            for area in areas:
                start = area.start
                for kept in self.areas.overlapping(area.start, area.end):
                    if kept.same_code(area):
                        if start < kept.start:
                            self._changed([area.part(start, kept.start)])
                        start = min(kept.end, area.end)
                if start < area.end:
                    self._changed([area.part(start, area.end)])

    def release(self) -> None:
        """Give the whole region back to the host. Nothing can be done with the space after that."""
        quick("munmap", self.base - BELOW, BELOW + self.limit + GUARD)

    def after_fork(self) -> None:
        """In a child process: reserve again what the parent did not want to be inherited."""
        self._pid = os.getpid()
        for area in [area for area in self.areas if not area.fork]:
            self._to_reserve(area.start, area.end - area.start)
            self._changed(self.areas.remove(area.start, area.end))

    # Reading and writing from Python

    def read(self, address: int, size: int) -> bytes:
        """Bytes of guest memory; raises GuestFault where any of them can not be read."""
        if not size:
            return b""
        if address + size > self.limit:
            raise GuestFault(address)
        if size > _BUFFER:
            return b"".join(self.read(address + at, min(_BUFFER, size - at)) for at in range(0, size, _BUFFER))
        with self.lock:
            if self._copy("process_vm_readv", address, size) != size:
                raise GuestFault(address)
            return bytes(self._view[:size])

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Put bytes into guest memory; raises GuestFault where that is not possible."""
        size = len(data)
        if not size:
            return
        if address + size > self.limit:
            raise GuestFault(address)
        if size > _BUFFER:
            for at in range(0, size, _BUFFER):
                self.write(address + at, data[at:at + _BUFFER])
            return
        with self.lock:
            self._view[:size] = data
            if self._copy("process_vm_writev", address, size) != size:
                raise GuestFault(address)

    def read_cstr(self, address: int, limit: int = 1 << 17) -> bytes:
        """A string that ends with a zero byte; at most `limit` bytes are looked at."""
        pieces = []
        step = 256
        while limit > 0:
            size = min(step, PAGE - address % PAGE, limit)
            piece = self.read(address, size)
            end = piece.find(0)
            if end >= 0:
                pieces.append(piece[:end])
                return b"".join(pieces)
            pieces.append(piece)
            address += size
            limit -= size
            step = PAGE
        raise GuestFault(address)

    def read_u32(self, address: int) -> int:
        """A 32-bit number in host byte order."""
        return int.from_bytes(self.read(address, 4), "little")

    def write_u32(self, address: int, value: int) -> None:
        """Put a 32-bit number in host byte order."""
        self.write(address, (value & 0xFFFF_FFFF).to_bytes(4, "little"))

    def readable_size(self, address: int, limit: int) -> int:
        """How many bytes from an address on lie in its mapping, at most `limit`; 0 for none."""
        with self.lock:
            area = self.areas.at(address)
        return min(limit, area.end - address) if area is not None and area.prot & PROT_READ else 0

    def writable(self, address: int, size: int) -> bool:
        """Whether the guest may write to all of a range."""
        with self.lock:
            return self._first_without(PROT_WRITE, address, size) is None

    def fetch(self, address: int, size: int) -> bytes:
        """Code for the translator; raises GuestFault at the first address that the guest may not execute."""
        with self.lock:
            refused = self._first_without(PROT_EXEC, address, size)
            if refused is not None:
                raise GuestFault(refused)
            return self.read(address, size)

    def _first_without(self, prot: int, address: int, size: int) -> int | None:
        """Where, in a range, the first mapping begins that lacks a permission, or the first hole; None where there is neither."""
        at = address
        while at < address + size:
            area = self.areas.at(at)
            if area is None or not area.prot & prot:
                return at
            at = area.end
        return None

    def maps(self) -> Iterator[bytes]:
        """The lines of /proc/self/maps."""
        with self.lock:
            areas = list(self.areas)
        for area in areas:
            rights = b"".join(letter if area.prot & bit else b"-"
                              for bit, letter in ((PROT_READ, b"r"), (PROT_WRITE, b"w"), (PROT_EXEC, b"x")))
            line = b"%08x-%08x %s%s %08x %02x:%02x %d" % (
                area.start, area.end, rights, b"s" if area.shared else b"p", area.offset,
                os.major(area.device), os.minor(area.device), max(area.inode, 0))
            yield (line.ljust(73) + area.name if area.name else line) + b"\n"

    # Inside

    def _copy(self, call: str, address: int, size: int) -> int:
        """Copy between the buffer and the guest through the kernel, which checks every page; returns how much."""
        _IOVECS.pack_into(self._vectors, 0, self._buffer_address, size, self.base + address, size)
        vectors = self._vectors_address
        return native.quick(pack_call(NUMBERS[call], self._pid, vectors, 1, vectors + 16, 1, 0, 0))

    def _place(self, address: int, size: int, flags: int) -> int:
        """Decide where a mapping goes."""
        if flags & (MAP_FIXED | MAP_FIXED_NOREPLACE):
            end = self._range(address, size)
            if address < LOWEST:
                raise SyscallError(EPERM)
            if flags & MAP_FIXED_NOREPLACE and not self.areas.free(address, end):
                raise SyscallError(EEXIST)
            return address
        hint = align_down(address, PAGE)
        if hint >= LOWEST and hint + size <= self.limit and self.areas.free(hint, hint + size):
            return hint
        start = self.areas.gap_below(self.top, size, LOWEST * 16)
        if start is None:
            raise SyscallError(ENOMEM)
        return start

    def _map(self, start: int, size: int, prot: int, flags: int, fd: int, offset: int) -> None:
        result = quick("mmap", self.base + start, size, _host_prot(prot), flags | MAP_FIXED, fd, offset)
        if result < 0:
            if self.areas.free(start, start + size):    # a failed mmap may leave a hole in the reserve
                quick("mmap", self.base + start, size, 0, _RESERVE_FLAGS | MAP_FIXED, -1, 0)
            raise SyscallError(-result)

    def _to_reserve(self, start: int, size: int) -> None:
        self._map(start, size, 0, _RESERVE_FLAGS, -1, 0)

    def _grow(self, area: Area, old: int, old_size: int, new_size: int) -> bool:
        """Extend private anonymous memory in place; other mappings have to move, for lack of their file."""
        end, new_end = old + old_size, old + new_size
        if area.inode or area.shared or area.end != end or new_end > self.limit or not self.areas.free(end, new_end):
            return False
        flags = MAP_PRIVATE | MAP_ANONYMOUS | (MAP_NORESERVE if area.lazy else 0)
        self._map(end, new_end - end, area.prot, flags, -1, 0)
        self.areas.insert(area.moved(end, new_end - end))
        return True

    def _move(self, area: Area, old: int, old_size: int, new_size: int, flags: int, new: int) -> int:
        start = self._place(new, new_size, MAP_FIXED if flags & MREMAP_FIXED else 0)
        if start < old + old_size and old < start + new_size:
            raise SyscallError(EINVAL)
        self._host_move(old, old_size, start, new_size, flags)
        part = area.part(old, old + old_size)
        self._changed(self.areas.remove(start, start + new_size))
        if old_size and not flags & MREMAP_DONTUNMAP:
            self._changed(self.areas.remove(old, old + old_size))
        self.areas.insert(part.moved(start, new_size))
        return start

    def _host_move(self, old: int, old_size: int, new: int, new_size: int, flags: int) -> None:
        """Move pages, so that the old place is never open to another host mapping where the kernel allows that."""
        place = MREMAP_MAYMOVE | MREMAP_FIXED
        keep = flags & MREMAP_DONTUNMAP
        if keep or old_size == new_size:
            result = quick("mremap", self.base + old, old_size, new_size, place | MREMAP_DONTUNMAP, self.base + new)
            if keep:
                check(result)
                return
            if result >= 0:
                self._to_reserve(old, old_size)
                return
        check(quick("mremap", self.base + old, old_size, new_size, place, self.base + new))
        if old_size:
            self._to_reserve(old, old_size)

    def _changed(self, areas: list[Area]) -> None:
        for area in areas:
            if area.prot & PROT_EXEC:
                for callback in self._watchers:
                    callback(area.start, area.end - area.start)


def _host_prot(prot: int) -> int:
    """Protection of the host pages: code is read by the translator, never run by the host."""
    readable = PROT_READ if prot & PROT_EXEC else 0
    return prot & (PROT_READ | PROT_WRITE) | readable


def _reserve(bits: int) -> tuple[int, int]:
    """Reserve host address space; returns its start and the guest's size."""
    for size in ([1 << n for n in range(46, 37, -1)] if bits == 64 else [1 << 32]):
        start = quick("mmap", 0, BELOW + size + GUARD, 0, _RESERVE_FLAGS, -1, 0)
        if start >= 0:
            return start + BELOW, size
    raise HostError("no room for the guest's address space; is it limited (ulimit -v)?")


def _describe_file(area: Area, fd: int, offset: int) -> None:
    """Note which file is mapped, for /proc/self/maps."""
    try:
        status = os.fstat(fd)
        area.name = os.readlink(b"/proc/self/fd/%d" % fd)
    except OSError:
        return
    area.device, area.inode, area.offset = status.st_dev, status.st_ino, offset
    area.stamp = max(status.st_mtime_ns, status.st_ctime_ns)
