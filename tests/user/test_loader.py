"""Program files and process images: what is refused and how it is said, and what a new program finds in memory."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratite.errors import ImageError
from ratite.user import loader
from ratite.user.abi import abi
from ratite.user.elf import Program, WrongFile
from ratite.user.failure import SyscallError
from ratite.user.paths import Paths
from ratite.user.run import find_program
from ratite.user.space import GuestSpace

RV64 = abi("riscv64")


def elf(segments: list[tuple[int, int, bytes, int]], kind: int = 2, machine: int = 243, entry: int = 0x10000,
        interpreter: bytes = b"", bits: int = 64, order: str = "<") -> bytes:
    """A program of (flags, address, content, size in memory) segments, each at a page of the file."""
    wide = bits == 64
    headers, body, offset = [], b"", 0x1000
    if interpreter:
        headers.append((3, 4, 0x800, 0, len(interpreter) + 1, len(interpreter) + 1))
    for flags, address, content, size in segments:
        at = offset + address % 0x1000
        headers.append((1, flags, at, address, len(content), size))
        body += (bytes(address % 0x1000) + content).ljust((len(content) // 0x1000 + 2) * 0x1000, b"\0")
        offset = 0x1000 + len(body)
    if wide:
        table = b"".join(struct.pack(order + "IIQQQQQQ", kind_, flags, at, address, address, length, size, 4096)
                         for kind_, flags, at, address, length, size in headers)
        head = struct.pack(order + "16sHHIQQQIHHHHHH", b"\x7fELF" + bytes([2, 1 if order == "<" else 2, 1]), kind,
                           machine, 1, entry, 64, 0, 0, 64, 56, len(headers), 0, 0, 0)
    else:
        table = b"".join(struct.pack(order + "IIIIIIII", kind_, at, address, address, length, size, flags, 4096)
                         for kind_, flags, at, address, length, size in headers)
        head = struct.pack(order + "16sHHIIIIIHHHHHH", b"\x7fELF" + bytes([1, 1 if order == "<" else 2, 1]), kind,
                           machine, 1, entry, 52, 0, 0, 52, 32, len(headers), 0, 0, 0)
    first = (head + table).ljust(0x800, b"\0") + interpreter + b"\0"
    return first.ljust(0x1000, b"\0") + body


def write(folder: Path, name: str, content: bytes, mode: int = 0o755) -> bytes:
    path = folder / name
    path.write_bytes(content)
    path.chmod(mode)
    return os.fsencode(path)


def simple() -> bytes:
    return elf([(5, 0x10000, b"code" * 100, 400), (6, 0x12345, b"data" * 50, 10000)])


def message(path: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        find_program(path, [path], RV64, Paths(b""))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_wrong_files_are_named_for_what_they_are(tmp_path: Path) -> None:
    """One line each: missing, not permitted, a folder, text, another machine or width, cut off, no interpreter."""
    assert "No such file" in message(os.fsencode(tmp_path / "absent"))
    assert "Permission denied" in message(write(tmp_path, "plain", simple(), 0o644))
    assert "Permission denied" in message(os.fsencode(tmp_path))
    assert "not an ELF program" in message(write(tmp_path, "text", b"hello"))
    assert "not an ELF program" in message(write(tmp_path, "empty", b""))
    assert "for x86-64, not for RISC-V 64-bit" in message(write(tmp_path, "x86", elf([(5, 0, b"x", 1)], machine=62)))
    assert "for AArch64" in message(write(tmp_path, "arm", elf([(5, 0, b"x", 1)], machine=183)))
    assert "RISC-V 32-bit, not for RISC-V 64-bit" in message(write(tmp_path, "rv32", elf([(5, 0, b"x", 1)], bits=32)))
    assert "other byte order" in message(write(tmp_path, "big", elf([(5, 0, b"x", 1)], order=">")))
    assert "object file" in message(write(tmp_path, "object", elf([(5, 0, b"x", 1)], kind=1)))
    assert "cut off" in message(write(tmp_path, "short", simple()[:0x1100]))
    assert "within its program headers" in message(write(tmp_path, "shorter", simple()[:70]))
    assert "nothing to load" in message(write(tmp_path, "bare", elf([], interpreter=b"/x")))
    wants = write(tmp_path, "dynamic", elf([(5, 0, b"x", 1)], kind=3, interpreter=b"/no/such/linker"))
    assert "needs /no/such/linker" in message(wants)


def test_scripts(tmp_path: Path) -> None:
    """The interpreter, its one argument, the script's name and the rest; loops and bad lines end."""
    program = write(tmp_path, "program", simple())
    script = write(tmp_path, "script", b"#!\t " + program + b" \t one argument \nrest")
    found = loader.find(script, [b"zero", b"first"], RV64, lambda path: path)
    assert found.argv == [program, b"one argument", script, b"first"]
    assert found.filename == program
    found.close()
    plain = write(tmp_path, "script2", b"#!" + script + b"\n")
    found = loader.find(plain, [b"zero"], RV64, lambda path: path)
    assert found.argv == [program, b"one argument", script, plain]
    found.close()
    loop = write(tmp_path, "loop", b"#!" + os.fsencode(tmp_path) + b"/loop\n")
    with pytest.raises(SyscallError) as caught:
        loader.find(loop, [b""], RV64, lambda path: path)
    assert caught.value.number == errno.ELOOP
    for line in (b"#!\n", b"#!   \n", b"#!"):
        with pytest.raises(SyscallError) as caught:
            loader.find(write(tmp_path, "bad", line), [b""], RV64, lambda path: path)
        assert caught.value.number == errno.ENOEXEC


def load(path: bytes, argv: list[bytes], env: list[bytes], space: GuestSpace) -> loader.Image:
    found = loader.find(path, argv, RV64, lambda path: path)
    image = loader.load(found, env, space, RV64, 1 << 20, 0x112D, b"0123456789abcdef")
    found.close()
    return image


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=40).map(lambda text: text.replace(b"\0", b"")), min_size=1, max_size=8),
       st.lists(st.binary(max_size=40).map(lambda text: text.replace(b"\0", b"")), max_size=8))
def test_the_stack_of_a_new_program(argv: list[bytes], env: list[bytes]) -> None:
    """From the stack pointer up: argc, words, variables, auxiliary vector, all strings where the pointers say."""
    space = SPACE
    space.clear()
    path = b"/tmp/ratite-test-program-%d" % os.getpid()
    Path(os.fsdecode(path)).write_bytes(simple())
    os.chmod(path, 0o755)
    try:
        image = load(path, argv, env, space)
    finally:
        os.unlink(path)

    def word(at: int) -> int:
        return int.from_bytes(space.read(at, 8), "little")
    at = image.sp
    assert at % 16 == 0
    assert word(at) == len(argv)
    for n, text in enumerate(argv):
        assert space.read_cstr(word(at + 8 + 8 * n)) == text
    at += 8 + 8 * len(argv)
    assert word(at) == 0
    for n, text in enumerate(env):
        assert space.read_cstr(word(at + 8 + 8 * n)) == text
    at += 8 + 8 * len(env)
    assert word(at) == 0
    at += 8
    vector = {}
    while word(at):
        vector[word(at)] = word(at + 8)
        at += 16
    assert space.read(at - 16 * len(vector), 16 * len(vector) + 16) == image.auxv
    assert vector[loader.AT_ENTRY] == 0x10000
    assert vector[loader.AT_PAGESZ] == 4096
    assert vector[loader.AT_HWCAP] == 0x112D
    assert space.read(vector[loader.AT_RANDOM], 16) == b"0123456789abcdef"
    assert space.read_cstr(vector[loader.AT_EXECFN]) == path
    start, end = image.arguments
    assert space.read(start, end - start) == b"".join(text + b"\0" for text in argv)


SPACE = GuestSpace(64)


def test_segments(tmp_path: Path) -> None:
    """Contents, zeroed rest of the last page and of bss, protection, the heap behind the program."""
    space = GuestSpace(64)
    load(write(tmp_path, "program", simple()), [b"x"], [], space)
    assert space.read(0x10000, 8) == b"codecode"
    assert space.read(0x12345, 200) == b"data" * 50
    assert space.read(0x12345 + 200, 9800) == bytes(9800)
    assert space.protection(0x10000) == 5
    assert space.protection(0x12345 + 9999) == 3
    assert space.brk(0) == 0x15000
    space.release()


def test_position_independent_programs_and_their_linker(tmp_path: Path) -> None:
    """Both get places of their own; the linker runs first and is told where the program is."""
    linker = write(tmp_path, "linker", elf([(5, 0, b"L" * 5000, 5000)], kind=3, entry=0x40))
    program = write(tmp_path, "program", elf([(5, 0, b"P" * 100, 100)], kind=3, entry=0x20, interpreter=linker))
    space = GuestSpace(64)
    image = load(program, [b"x"], [], space)
    values = dict(struct.iter_unpack("<QQ", image.auxv))
    base, entry = values[loader.AT_BASE], values[loader.AT_ENTRY]
    assert image.entry == base + 0x40
    assert space.read(base, 1) == b"L"
    assert space.read(entry - 0x20, 1) == b"P"
    assert entry - 0x20 == RV64.pie_base
    space.release()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 0x2FF), st.integers(0, 255)), min_size=1, max_size=6))
def test_damaged_headers_never_crash(changes: list[tuple[int, int]]) -> None:
    """Any bytes of the headers changed: the file is refused or described, with no other exception."""
    content = bytearray(DYNAMIC)
    for at, value in changes:
        content[at] = value
    fd = os.memfd_create("program")
    os.write(fd, content)
    try:
        program = Program(fd, RV64)
        assert program.segments
        assert program.header_address >= 0
    except WrongFile as error:
        assert str(error)
    finally:
        os.close(fd)


DYNAMIC = elf([(5, 0, b"x" * 100, 100), (6, 0x2000, b"y" * 10, 5000)], kind=3, interpreter=b"/lib/ld.so")
