"""Memory mappings. The work is done in `ratite.user.space`."""

from __future__ import annotations

from ratite.user.table import Fd, Int, Ptr, Size, UInt, forward, syscall
from ratite.user.thread import Thread

_MAP_GUEST_FLAGS = 0x1F_FFFF


@syscall
def brk(t: Thread, address: Ptr) -> int:
    """Move the end of the heap."""
    return t.space.brk(address)


@syscall
def mmap(t: Thread, address: Ptr, length: Size, prot: Int, flags: Int, fd: Fd, offset: Size) -> int:
    """Map memory."""
    return t.space.mmap(address, length, prot, flags & _MAP_GUEST_FLAGS, fd, offset)


@syscall
def mmap2(t: Thread, address: Ptr, length: Size, prot: Int, flags: Int, fd: Fd, pages: UInt) -> int:
    """Map memory, the file offset in pages."""
    return t.space.mmap(address, length, prot, flags & _MAP_GUEST_FLAGS, fd, pages << 12)


@syscall
def munmap(t: Thread, address: Ptr, length: Size) -> int:
    """Unmap memory."""
    t.space.munmap(address, length)
    return 0


@syscall
def mprotect(t: Thread, address: Ptr, length: Size, prot: Int) -> int:
    """Change what may be done with memory."""
    t.space.mprotect(address, length, prot)
    return 0


@syscall
def mremap(t: Thread, old: Ptr, old_size: Size, new_size: Size, flags: Int, new: Ptr) -> int:
    """Resize or move a mapping."""
    return t.space.mremap(old, old_size, new_size, flags, new)


@syscall
def madvise(t: Thread, address: Ptr, length: Size, advice: Int) -> int:
    """Tell what memory will be used for."""
    t.space.madvise(address, length, advice)
    return 0


@syscall
def riscv_flush_icache(t: Thread, start: Ptr, end: Ptr, flags: Size) -> int:
    """Make written code visible; an empty range means all of it."""
    if start < end <= t.space.limit:
        t.vcpu.invalidate(start, end - start)
    elif start == end:
        t.vcpu.invalidate(0, t.space.limit)
    return 0


forward("msync", "Ptr, Size, Int")
forward("mincore", "Ptr, Size, Ptr")
forward("mlock", "Ptr, Size")
forward("mlock2", "Ptr, Size, Int")
forward("munlock", "Ptr, Size")
