"""Guest memory: mappings as the kernel makes them, and reading and writing that never touches anything else."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratite.user.failure import GuestFault, SyscallError
from ratite.user.space import (
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_PRIVATE,
    MAP_SHARED,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    GuestSpace,
)

PAGE = 4096
ANONYMOUS = MAP_PRIVATE | MAP_ANONYMOUS
READ, WRITE, EXEC = 1, 2, 4


@pytest.fixture
def space() -> Iterator[GuestSpace]:
    made = GuestSpace(64)
    yield made
    made.release()


def fails(number: int) -> pytest.RaisesExc[SyscallError]:
    return pytest.raises(SyscallError, check=lambda error: error.number == number)


@pytest.mark.parametrize("bits", [32, 64])
def test_room_for_what_programs_expect(bits: int) -> None:
    """A 64-bit space holds Go's arena at 0xc0_0000_0000, a 32-bit one ends at 4 GiB."""
    space = GuestSpace(bits)
    if bits == 64:
        assert space.mmap(0xC0_0000_0000, PAGE, READ | WRITE, ANONYMOUS) == 0xC0_0000_0000
        space.write(0xC0_0000_0000, b"arena")
        assert space.read(0xC0_0000_0000, 5) == b"arena"
    else:
        assert space.limit == 1 << 32
        address = space.mmap(0, PAGE, READ, ANONYMOUS)
        assert address < space.limit
    space.release()


def test_nothing_of_the_host_lies_just_below_address_0(space: GuestSpace) -> None:
    """A guest's access at a negative distance from a null pointer faults, whatever the host has mapped before the guest was there."""
    with open("/proc/self/maps") as maps:
        near = [line for line in maps if int(line.split("-")[0], 16) < space.base < int(line.split("-")[1].split()[0], 16) + 1]
    (start, permissions), = [(int(line.split("-")[0], 16), line.split()[1]) for line in near]
    assert start <= space.base - (1 << 31)
    assert permissions == "---p"


def test_placement(space: GuestSpace) -> None:
    """Mappings go downwards from the top; a free hint is taken, a taken one is not; fixed ones replace or fail."""
    first = space.mmap(0, PAGE, READ | WRITE, ANONYMOUS)
    second = space.mmap(0, PAGE, READ | WRITE, ANONYMOUS)
    assert second == first - PAGE
    assert space.mmap(0x5000_0123, PAGE, READ, ANONYMOUS) == 0x5000_0000
    assert space.mmap(0x5000_0000, PAGE, READ, ANONYMOUS) == second - PAGE
    space.write(first, b"old")
    assert space.mmap(first, PAGE, READ, ANONYMOUS | MAP_FIXED) == first
    assert space.read(first, 3) == bytes(3)
    with fails(errno.EEXIST):
        space.mmap(first, PAGE, READ, ANONYMOUS | MAP_FIXED_NOREPLACE)


@pytest.mark.parametrize(("arguments", "number"), [
    ((0, 0, READ, ANONYMOUS), errno.EINVAL),
    ((0, PAGE, READ, MAP_ANONYMOUS), errno.EINVAL),
    ((1, PAGE, READ, ANONYMOUS | MAP_FIXED), errno.EINVAL),
    ((0, PAGE, READ, ANONYMOUS | MAP_FIXED), errno.EPERM),
    ((0, PAGE, READ, MAP_PRIVATE, 999), errno.EBADF),
    ((0, PAGE, READ, MAP_PRIVATE, 0, 12), errno.EINVAL),
    ((1 << 62, PAGE, READ, ANONYMOUS | MAP_FIXED), errno.ENOMEM),
    ((0, 1 << 62, READ, ANONYMOUS), errno.ENOMEM),
    ((0, PAGE, READ, ANONYMOUS | 0x4_0000), errno.ENOMEM),
])
def test_wrong_mappings(space: GuestSpace, arguments: tuple[int, ...], number: int) -> None:
    """Each mistake has the kernel's error number, and leaves nothing mapped."""
    with fails(number):
        space.mmap(*arguments)
    assert not list(space.areas)


def test_unmapped_memory_is_reserved_again(space: GuestSpace) -> None:
    """After munmap the host still has the range, without access: nothing else of the host can get there."""
    address = space.mmap(0, 4 * PAGE, READ | WRITE, ANONYMOUS)
    space.munmap(address + PAGE, PAGE)
    host = space.base + address + PAGE
    with open("/proc/self/maps") as maps:
        lines = [line.split() for line in maps]
    inside = [rights for span, rights, *_ in lines
              if int(span.split("-")[0], 16) <= host < int(span.split("-")[1], 16)]
    assert inside == ["---p"]
    with pytest.raises(GuestFault):
        space.read(address + PAGE, 1)
    with pytest.raises(GuestFault):
        space.read(address, 2 * PAGE)
    assert space.read(address + 2 * PAGE, 1) == b"\0"


def test_protection_is_the_guests(space: GuestSpace) -> None:
    """Reading and writing from Python obey the guest's protection; code is readable by the translator alone ..."""
    address = space.mmap(0, 3 * PAGE, READ | WRITE, ANONYMOUS)
    space.write(address, b"data")
    space.mprotect(address, PAGE, READ)
    with pytest.raises(GuestFault):
        space.write(address, b"x")
    space.mprotect(address, PAGE, 0)
    with pytest.raises(GuestFault):
        space.read(address, 1)
    with fails(errno.ENOMEM):
        space.mprotect(address + 2 * PAGE, 2 * PAGE, READ)
    assert space.protection(address) == 0
    assert space.protection(address + PAGE) == READ | WRITE
    assert space.protection(address + 3 * PAGE) is None


def test_guest_code_is_never_executable_on_the_host(space: GuestSpace) -> None:
    """No mapping of the region has the host's execute permission."""
    space.mmap(0, PAGE, READ | WRITE | EXEC, ANONYMOUS)
    other = space.mmap(0, PAGE, READ | WRITE, ANONYMOUS)
    space.mprotect(other, PAGE, READ | EXEC)
    with open("/proc/self/maps") as maps:
        for line in maps:
            span, rights = line.split()[:2]
            start = int(span.split("-")[0], 16)
            if space.base <= start < space.base + space.limit:
                assert "x" not in rights


def test_fetch_reads_executable_memory_only(space: GuestSpace) -> None:
    """The translator gets code across neighbouring areas, and the address of the first byte that is none."""
    address = space.mmap(0, 3 * PAGE, READ | WRITE, ANONYMOUS)
    space.write(address + PAGE - 2, b"\x13\0\x93\0")
    space.mprotect(address, PAGE, READ | EXEC)
    with pytest.raises(GuestFault) as caught:
        space.fetch(address + PAGE - 2, 4)
    assert caught.value.address == address + PAGE
    space.mprotect(address + PAGE, PAGE, EXEC)
    assert space.fetch(address + PAGE - 2, 4) == b"\x13\0\x93\0"
    with pytest.raises(GuestFault):
        space.fetch(space.limit - 2, 4)


def test_code_changes_are_told(space: GuestSpace) -> None:
    """The translator hears of code that is unmapped, protected or mapped over, and of nothing else."""
    told: list[tuple[int, int]] = []
    space.on_code_change(lambda start, size: told.append((start, size)))
    code = space.mmap(0, 4 * PAGE, READ | EXEC, ANONYMOUS)
    data = space.mmap(0, 4 * PAGE, READ | WRITE, ANONYMOUS)
    space.munmap(data, PAGE)
    space.mprotect(data + PAGE, PAGE, READ)
    assert told == []
    space.munmap(code, PAGE)
    space.mprotect(code + PAGE, PAGE, READ | WRITE)
    space.mmap(code + 2 * PAGE, PAGE, READ, ANONYMOUS | MAP_FIXED)
    space.forget_code(space.clear())
    assert told == [(code, PAGE), (code + PAGE, PAGE), (code + 2 * PAGE, PAGE), (code + 3 * PAGE, PAGE)]


class _Outer:
    """A lock that is always taken before that of a space."""

    def __init__(self, space: GuestSpace) -> None:
        self.space, self.depth, self.taken = space, 0, 0    # how often it is held, and how often it was taken

    def __enter__(self) -> None:
        assert self.depth or not self.space.lock._is_owned()    # type: ignore[attr-defined]
        self.depth += 1
        self.taken += 1

    def __exit__(self, *_: object) -> None:
        self.depth -= 1


def test_the_translators_lock_is_taken_first(space: GuestSpace) -> None:
    """A thread that changes code and one that fetches some while it translates do not wait for each other: both take the translator's lock first."""
    lock = _Outer(space)
    told = []

    def changed(start: int, size: int) -> None:
        assert lock.depth
        told.append(start)

    space.on_code_change(changed, lock)
    code = space.mmap(0, 8 * PAGE, READ | WRITE | EXEC, ANONYMOUS)
    space.mprotect(code, PAGE, READ)
    space.mmap(code + PAGE, PAGE, READ | EXEC, ANONYMOUS | MAP_FIXED)
    space.munmap(code + 2 * PAGE, PAGE)
    space.mremap(code + 3 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, code + 4 * PAGE)
    space.set_brk(0x1000_0000)
    space.brk(0x1000_2000)
    space.mprotect(0x1000_0000, 2 * PAGE, READ | EXEC)
    space.brk(0x1000_0000)
    space.forget_code(space.clear())
    assert {code, code + PAGE, code + 2 * PAGE, code + 3 * PAGE, code + 4 * PAGE, 0x1000_0000} <= set(told)
    assert lock.taken and not lock.depth


def test_code_that_comes_back_unchanged_is_kept(space: GuestSpace, tmp_path: os.PathLike[str]) -> None:
    """After execve only code is told of that is not mapped again, from the same unchanged file, at the same place."""
    path = os.path.join(tmp_path, "program")
    with open(path, "wb") as file:
        file.write(b"c" * 8 * PAGE)
    told: list[tuple[int, int]] = []
    space.on_code_change(lambda start, size: told.append((start, size)))
    at = 0x1000_0000

    def load(pages: int, prot: int = READ | EXEC, offset: int = 0) -> None:
        fd = os.open(path, os.O_RDONLY)
        space.mmap(at, pages * PAGE, prot, MAP_PRIVATE | MAP_FIXED, fd, offset)
        os.close(fd)

    def again(pages: int, prot: int = READ | EXEC, offset: int = 0) -> list[tuple[int, int]]:
        told.clear()
        code = space.clear()
        load(pages, prot, offset)
        space.forget_code(code)
        return list(told)
    load(8)
    assert again(8) == []
    assert again(5) == [(at + 5 * PAGE, 3 * PAGE)]
    assert again(5, offset=PAGE) == [(at, 5 * PAGE)]
    assert again(5, READ) == [(at, 5 * PAGE)]
    load(8)
    space.mprotect(at + PAGE, PAGE, READ | WRITE)
    space.mprotect(at + PAGE, PAGE, READ | EXEC)
    assert again(8) == [(at + PAGE, PAGE)]
    os.utime(path, (1, 1))
    assert again(8) == [(at, 8 * PAGE)]


def test_files(space: GuestSpace, tmp_path: os.PathLike[str]) -> None:
    """Private mappings keep changes to themselves, shared ones write to the file; maps names the file."""
    path = os.path.join(tmp_path, "file")
    with open(path, "wb+") as file:
        file.write(b"a" * 5000)
        file.flush()
        private = space.mmap(0, 5000, READ | WRITE, MAP_PRIVATE, file.fileno())
        shared = space.mmap(0, 5000, READ | WRITE, MAP_SHARED, file.fileno())
        space.write(private, b"P")
        space.write(shared + 4096, b"S")
        assert os.pread(file.fileno(), 1, 0) == b"a"
        assert os.pread(file.fileno(), 1, 4096) == b"S"
    lines = b"".join(space.maps()).decode()
    assert lines.count(path) == 2
    assert "rw-s" in lines and "rw-p" in lines
    os.truncate(path, 0)
    with pytest.raises(GuestFault):    # the host would get SIGBUS here
        space.read(shared, 1)


def test_mremap(space: GuestSpace) -> None:
    """Growing in place where there is room, moving where not, to a given place when asked; contents come along."""
    address = space.mmap(0x6000_0000, 2 * PAGE, READ | WRITE, ANONYMOUS)
    space.write(address, b"begin")
    assert space.mremap(address, 2 * PAGE, 4 * PAGE, 0) == address
    space.write(address + 3 * PAGE, b"end")
    space.mmap(address + 4 * PAGE, PAGE, READ, ANONYMOUS)
    with fails(errno.ENOMEM):
        space.mremap(address, 4 * PAGE, 5 * PAGE, 0)
    moved = space.mremap(address, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE)
    assert moved != address
    assert (space.read(moved, 5), space.read(moved + 3 * PAGE, 3), space.read(moved + 7 * PAGE, 1)) == (
        b"begin", b"end", b"\0")
    with pytest.raises(GuestFault):
        space.read(address, 1)
    assert space.mremap(moved, 8 * PAGE, PAGE, 0) == moved
    with pytest.raises(GuestFault):
        space.read(moved + PAGE, 1)
    target = space.mmap(0, 4 * PAGE, READ | WRITE, ANONYMOUS)
    assert space.mremap(moved, PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target + PAGE) == target + PAGE
    assert space.read(target + PAGE, 5) == b"begin"
    with fails(errno.EFAULT):
        space.mremap(moved, PAGE, PAGE, MREMAP_MAYMOVE)


def test_shared_memory_moves_with_its_object(space: GuestSpace) -> None:
    """A shared mapping that moves still shows the same file."""
    fd = os.memfd_create("shared")
    os.ftruncate(fd, 8 * PAGE)
    address = space.mmap(0, PAGE, READ | WRITE, MAP_SHARED, fd)
    moved = space.mremap(address, PAGE, 4 * PAGE, MREMAP_MAYMOVE)
    space.write(moved + 2 * PAGE, b"third page")
    assert os.pread(fd, 10, 2 * PAGE) == b"third page"
    os.close(fd)


def test_brk(space: GuestSpace) -> None:
    """The heap grows and shrinks by the byte, is zero when it grows again, and stops at another mapping."""
    space.set_brk(0x1_2345)
    start = space.brk(0)
    assert start == 0x1_3000
    assert space.brk(start + 100) == start + 100
    space.write(start, b"heap")
    assert space.brk(start) == start
    assert space.brk(start + PAGE) == start + PAGE
    assert space.read(start, 4) == bytes(4)
    space.mmap(start + 4 * PAGE, PAGE, READ, ANONYMOUS | MAP_FIXED)
    assert space.brk(start + 8 * PAGE) == start + PAGE
    assert space.brk(5) == start + PAGE
    assert b"[heap]" in b"".join(space.maps())


def test_strings(space: GuestSpace) -> None:
    """read_cstr crosses pages, stops at the zero byte, and fails at the end of memory and at its limit."""
    address = space.mmap(0, 2 * PAGE, READ | WRITE, ANONYMOUS)
    space.write(address + PAGE - 3, b"abcdef\0")
    assert space.read_cstr(address + PAGE - 3) == b"abcdef"
    space.write(address + 2 * PAGE - 3, b"xyz")
    with pytest.raises(GuestFault):
        space.read_cstr(address + 2 * PAGE - 3)
    with pytest.raises(GuestFault):
        space.read_cstr(address + PAGE - 3, limit=6)


@settings(max_examples=200)
@given(st.integers(0, (1 << 64) - 1), st.integers(1, 1 << 17))
def test_no_address_reaches_the_host(address: int, size: int) -> None:
    """Any address in an empty space faults, for reading and writing; one too big is no pointer for the kernel."""
    space = SPACE
    with pytest.raises(GuestFault):
        space.read(address, size)
    with pytest.raises(GuestFault):
        space.write(address, bytes(size))
    if address >= space.limit:
        with pytest.raises(GuestFault):
            space.host(address)


SPACE = GuestSpace(64)


def test_advice(space: GuestSpace) -> None:
    """MADV_DONTNEED empties pages; a range with holes is advised as far as it is mapped, and ENOMEM told."""
    address = space.mmap(0, 2 * PAGE, READ | WRITE, ANONYMOUS)
    space.write(address, b"x")
    with fails(errno.ENOMEM):
        space.madvise(address, 3 * PAGE, 4)
    assert space.read(address, 1) == b"\0"
    with fails(errno.EINVAL):
        space.madvise(address, PAGE, 12345)
