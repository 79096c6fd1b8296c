"""Making a process image: the segments of a program and its interpreter, and the stack with what execve passes on.

Finding the file and putting it in memory are two steps, because execve must be able to fail until the old image goes.

Sources: System V gABI, chapter 5; execve(2), getauxval(3); the psABI documents for the stack at entry.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from errno import E2BIG, EACCES, ELOOP, ENOENT, ENOEXEC
from stat import S_ISREG

from ratite.bits import align_down, align_up
from ratite.user.abi.base import Abi
from ratite.user.areas import PROT_EXEC, PROT_READ, PROT_WRITE
from ratite.user.elf import PF_R, PF_W, PF_X, Program, Segment, WrongFile
from ratite.user.failure import SyscallError
from ratite.user.host import PAGE
from ratite.user.space import MAP_ANONYMOUS, MAP_FIXED, MAP_NORESERVE, MAP_PRIVATE, GuestSpace

AT_NULL, AT_PHDR, AT_PHENT, AT_PHNUM, AT_PAGESZ, AT_BASE, AT_FLAGS, AT_ENTRY = 0, 3, 4, 5, 6, 7, 8, 9
AT_UID, AT_EUID, AT_GID, AT_EGID, AT_HWCAP, AT_CLKTCK, AT_SECURE, AT_RANDOM = 11, 12, 13, 14, 16, 17, 23, 25
AT_EXECFN, AT_MINSIGSTKSZ = 31, 51
_PRIVATE = MAP_PRIVATE | MAP_FIXED
_ANONYMOUS = _PRIVATE | MAP_ANONYMOUS
_PROTECTION = ((PF_R, PROT_READ), (PF_W, PROT_WRITE), (PF_X, PROT_EXEC))
_LINE_LIMIT = 256        # of a "#!" line
_SCRIPT_LEVELS = 5
_STACK_GUARD = 1 << 20   # kept free below the stack

Resolve = Callable[[bytes], bytes]
"""Turns a guest path into the host's, the sysroot applied."""


class Executable:
    """A program that can be started: its open file, headers, interpreter, and the words it gets."""

    def __init__(self, path: bytes, fd: int, program: Program, argv: list[bytes], filename: bytes) -> None:
        self.path = path
        """The file on the host."""
        self.fd = fd
        self.program = program
        self.argv = argv
        self.filename = filename
        """The name that execve was given, or that of a script's interpreter."""
        self.interpreter: Program | None = None
        self.interpreter_fd = -1

    def close(self) -> None:
        """Close the files."""
        for fd in (self.fd, self.interpreter_fd):
            if fd >= 0:
                os.close(fd)


def find(filename: bytes, argv: Sequence[bytes], abi: Abi, resolve: Resolve,
         levels: int = _SCRIPT_LEVELS) -> Executable:
    """Open a program, or a script's interpreter, and check it.

    Raises OSError or SyscallError, WrongFile for a file that is no program of this architecture.
    """
    path = resolve(filename)
    fd = _open(path)
    try:
        start = os.pread(fd, _LINE_LIMIT, 0)
        if start.startswith(b"#!"):
            if not levels:
                raise SyscallError(ELOOP)
            words = script_words(start)
            os.close(fd)
            fd = -1
            return find(words[0], [*words, filename, *argv[1:]], abi, resolve, levels - 1)
        try:
            program = Program(fd, abi)
        except WrongFile as error:
            error.filename, error.argv = path, list(argv)
            raise
        found = Executable(path, fd, program, list(argv), filename)
        _add_interpreter(found, abi, resolve)
        fd = -1
        return found
    finally:
        if fd >= 0:
            os.close(fd)


def script_words(start: bytes) -> list[bytes]:
    """Interpreter and its one argument, if any, from a script's first line."""
    line = start[2:].partition(b"\n")[0].strip(b" \t")
    interpreter, _, argument = line.replace(b"\t", b" ", 1).partition(b" ")
    if not interpreter or b"\0" in interpreter:
        raise SyscallError(ENOEXEC)
    return [interpreter, argument.strip(b" \t")] if argument.strip(b" \t") else [interpreter]


def _open(path: bytes) -> int:
    """Open a file that may be executed."""
    if not os.access(path, os.X_OK, effective_ids=True):
        os.stat(path)    # raises what is wrong, unless it is permission
        raise SyscallError(EACCES)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise SyscallError(EACCES)
    return fd


def _add_interpreter(found: Executable, abi: Abi, resolve: Resolve) -> None:
    name = found.program.interpreter
    if name is None:
        return
    try:
        found.interpreter_fd = _open(resolve(name))
        found.interpreter = Program(found.interpreter_fd, abi)
    except (OSError, SyscallError) as error:
        if found.interpreter_fd >= 0:
            os.close(found.interpreter_fd)
        if isinstance(error, OSError):
            raise MissingInterpreter(name) from None
        raise


class MissingInterpreter(SyscallError):
    """The program's dynamic linker is not there."""

    def __init__(self, name: bytes) -> None:
        super().__init__(ENOENT)
        self.name = name


class Image:
    """Where a loaded program is: what the first thread's registers and the auxiliary vector need."""

    def __init__(self, entry: int, sp: int, auxv: bytes, arguments: tuple[int, int],
                 environment: tuple[int, int]) -> None:
        self.entry = entry
        self.sp = sp
        self.auxv = auxv
        self.arguments = arguments
        """Guest addresses between which the words of the command line lie."""
        self.environment = environment


def load(found: Executable, env: Sequence[bytes], space: GuestSpace, abi: Abi, stack_size: int, hwcap: int,
         seed: bytes) -> Image:
    """Put a program into an empty space. `seed` are the 16 bytes of AT_RANDOM."""
    program = found.program
    bias = abi.pie_base - align_down(program.segments[0].address, PAGE) if program.movable else 0
    end = _map_program(program, found.fd, bias, space)
    space.set_brk(end)
    stack_top, stack_start = _map_stack(program, stack_size, space)
    entry, base = program.entry + bias, 0
    if found.interpreter is not None:
        linker = found.interpreter
        size = linker.segments[-1].address + linker.segments[-1].size - align_down(linker.segments[0].address, PAGE)
        room = _find_room(space, found.interpreter_fd, size) if linker.movable else 0
        base = room - align_down(linker.segments[0].address, PAGE) if linker.movable else 0
        _map_program(linker, found.interpreter_fd, base, space)
        entry = linker.entry + base
    values = {
        AT_PHDR: program.header_address + bias if program.header_address else 0, AT_PHENT: program.header_size,
        AT_PHNUM: program.header_count, AT_PAGESZ: PAGE, AT_BASE: base, AT_FLAGS: 0, AT_ENTRY: program.entry + bias,
        AT_UID: os.getuid(), AT_EUID: os.geteuid(), AT_GID: os.getgid(), AT_EGID: os.getegid(), AT_HWCAP: hwcap,
        AT_CLKTCK: 100, AT_SECURE: 0, AT_MINSIGSTKSZ: abi.signal_stack_minimum,
    }
    return _fill_stack(found, env, values, seed, stack_top, stack_start, entry, space, abi)


def _find_room(space: GuestSpace, fd: int, size: int) -> int:
    return space.mmap(space.home(fd, size), size, 0, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)


def _map_program(program: Program, fd: int, bias: int, space: GuestSpace) -> int:
    """Map all segments; returns the end of the last one."""
    end = 0
    for segment in program.segments:
        end = max(end, _map_segment(segment, fd, bias, space))
    return end


def _map_segment(segment: Segment, fd: int, bias: int, space: GuestSpace) -> int:
    prot = sum(prot for flag, prot in _PROTECTION if segment.flags & flag)
    start = align_down(segment.address, PAGE) + bias
    file_end = segment.address + bias + segment.file_size
    end = segment.address + bias + segment.size
    mapped_end = align_up(file_end, PAGE) if segment.file_size else start
    if segment.file_size:
        space.mmap(start, file_end - start, prot, _PRIVATE, fd, align_down(segment.offset, PAGE))
        if end > file_end and mapped_end > file_end and prot & PROT_WRITE:
            space.write(file_end, bytes(mapped_end - file_end))
    if align_up(end, PAGE) > mapped_end:
        space.mmap(mapped_end, align_up(end, PAGE) - mapped_end, prot, _ANONYMOUS)
    return end


def _map_stack(program: Program, size: int, space: GuestSpace) -> tuple[int, int]:
    """Make the main stack at the top of the space; other mappings go below it. Returns its top and start."""
    size = align_up(size, PAGE)
    top = space.stack_top
    prot = PROT_READ | PROT_WRITE | (PROT_EXEC if program.executable_stack else 0)
    start = space.mmap(top - size, size, prot, _ANONYMOUS | MAP_NORESERVE, name=b"[stack]")
    space.top = start - _STACK_GUARD
    return top, start


def _fill_stack(found: Executable, env: Sequence[bytes], values: dict[int, int], seed: bytes, top: int, bottom: int,
                entry: int, space: GuestSpace, abi: Abi) -> Image:
    words = [word + b"\0" for word in found.argv]
    variables = [variable + b"\0" for variable in env]
    filename = found.filename + b"\0"
    text = b"".join(words) + b"".join(variables) + filename
    text_start = align_down(top - 8 - len(text), 16)
    pointer = struct.Struct(abi.model.order + ("Q" if abi.bits == 64 else "I"))
    word_starts, environment_start = _starts(words, text_start)
    variable_starts, filename_start = _starts(variables, environment_start)
    values[AT_EXECFN] = filename_start
    values[AT_RANDOM] = text_start - 16
    auxv = b"".join(pointer.pack(number) + pointer.pack(value & (1 << abi.bits) - 1)
                    for number, value in [*values.items(), (AT_NULL, 0)])
    vectors = b"".join(map(pointer.pack, [len(words), *word_starts, 0, *variable_starts, 0])) + auxv
    sp = align_down(text_start - 16 - len(vectors), 16)
    if top - sp > (top - bottom) // 2:
        raise SyscallError(E2BIG)
    block = vectors.ljust(text_start - 16 - sp, b"\0") + seed + text
    space.write(sp, block)
    return Image(entry, sp, auxv, (text_start, environment_start), (environment_start, filename_start))


def _starts(texts: list[bytes], at: int) -> tuple[list[int], int]:
    starts = []
    for text in texts:
        starts.append(at)
        at += len(text)
    return starts, at


__all__ = ["Executable", "Image", "MissingInterpreter", "WrongFile", "find", "load"]
