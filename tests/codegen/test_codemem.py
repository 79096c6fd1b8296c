"""Memory for generated code: what may be written is not executed, and a fork has code of its own."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import pytest

from ratite.codegen.codemem import CodeMemory

SIZE = 1 << 20


def returning(number: int) -> bytes:
    """mov eax, number; ret."""
    return b"\xb8" + number.to_bytes(4, "little") + b"\xc3"


def call(address: int) -> int:
    return int(ctypes.CFUNCTYPE(ctypes.c_int)(address)())


def protections(memory: CodeMemory) -> set[str]:
    """How the two mappings of a memory may be used."""
    found = set()
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, end = (int(word, 16) for word in line.split()[0].split("-"))
        if any(start <= address < end for address in (memory.base, memory.writable(memory.base))):
            found.add(line.split()[1])
    return found


def in_child(check: object) -> int:
    """What a function says in a fork of this process, as an exit status."""
    assert callable(check)
    child = os.fork()
    if not child:
        try:
            os._exit(int(check()))
        finally:
            os._exit(255)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_no_page_is_writable_and_executable() -> None:
    """There are two mappings, one for each; the executable one lies below 2 GiB."""
    memory = CodeMemory(SIZE)
    assert protections(memory) == {"r-xs", "rw-s"}
    assert memory.base + SIZE <= 1 << 31
    memory.close()


def test_code_can_be_changed() -> None:
    """What is put or patched through one mapping is what the other executes, also after `release`."""
    memory = CodeMemory(SIZE)
    at = memory.put(returning(1))
    assert call(at) == 1
    memory.patch(at, returning(2))
    memory.release()
    assert call(at) == 2
    assert memory.read(at, 6) == returning(2)
    memory.close()


def test_a_fork_has_code_of_its_own() -> None:
    """Parent and child change and append code without seeing the other's; in the child, too, nothing is writable and executable."""
    memory = CodeMemory(SIZE)
    first = memory.put(returning(1))
    copy = memory.copy()

    def child() -> bool:
        copy.adopt()
        memory.patch(first, returning(3))
        return protections(memory) == {"r-xs", "rw-s"} and call(first) == 3 and call(memory.put(returning(4))) == 4

    assert in_child(child) == 1
    copy.discard()
    assert call(first) == 1
    assert call(memory.put(returning(5))) == 5
    memory.close()


def test_a_copy_holds_what_was_there_before_the_fork() -> None:
    """What the parent changes between the copy and the fork is the parent's alone: the child's code is of one piece."""
    memory = CodeMemory(SIZE)
    first = memory.put(returning(1))
    copy = memory.copy()
    memory.patch(first, returning(2))
    assert in_child(lambda: copy.adopt() or call(first)) == 1
    copy.discard()
    memory.close()


def test_a_second_end_is_none() -> None:
    """Closing gives the addresses back, once: what is mapped there later stays."""
    memory = CodeMemory(SIZE)
    memory.close()
    other = CodeMemory(SIZE)
    memory.close()
    assert call(other.put(returning(7))) == 7
    other.close()


def test_no_room() -> None:
    """Memory that can not be had is an error of the host."""
    from ratite.errors import HostError

    with pytest.raises(HostError, match="below 2 GiB"):
        CodeMemory(1 << 32)
