"""Floating-point instructions of foreign machines, run by QEMU's user-mode emulators.

One instruction is put in a loop over a table of cases, in a program of a few dozen words that is written here without
an assembler; the program writes the table back with results filled in.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ratite.fp.env import Flags, Rounding

_BASE = 0x10000000
_HEADERS = 0x78
_CASE = struct.Struct("6Q").size
_A, _B, _C, _RESULT, _CONTROL, _STATUS = range(0, _CASE, 8)

Words = list[int]


@dataclass(frozen=True, slots=True)
class Case:
    """Operands as they stand in 64-bit registers, and the value of the control register."""

    operands: tuple[int, ...]
    control: int


@dataclass(frozen=True, slots=True)
class Machine:
    """How to write the loop for one architecture; all its instructions but those of s390x are words."""

    qemu: str
    elf_machine: int
    order: str
    """`<` or `>`, the byte order in the notation of `struct`."""
    program: Callable[[Words, int, int], bytes]
    """The code for the tested instruction (a list of words), the address of the table, and the number of cases."""
    roundings: dict[Rounding, int]
    """The bits of the control register that select each direction."""
    flags: dict[int, Flags]
    """What bits of the status register mean, by number."""
    elf_flags: int = 0
    cpu: str = ""

    def emulator(self) -> str | None:
        """The path of the emulator, if there is one."""
        return shutil.which(f"qemu-{self.qemu}-static") or shutil.which(f"qemu-{self.qemu}")

    def run(self, folder: Path, instruction: Words, cases: Sequence[Case]) -> list[tuple[int, int]]:
        """The result register and the flags of each case."""
        emulator = self.emulator()
        assert emulator
        table = b"".join(
            struct.pack(f"{self.order}6Q", *(*case.operands, 0, 0, 0)[:3], 0, case.control, 0) for case in cases
        )
        size = len(self.program(instruction, _BASE, len(cases)))
        address = _BASE + _HEADERS + size + (-size % 16)
        code = self.program(instruction, address, len(cases)).ljust(address - _BASE - _HEADERS, b"\0")
        executable = folder / "program"
        executable.write_bytes(self._elf(code + table))
        executable.chmod(0o755)
        command = [emulator, *(["-cpu", self.cpu] if self.cpu else []), str(executable)]
        output = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
        assert len(output) == len(table)
        filled = struct.iter_unpack(f"{self.order}6Q", output)
        return [(result, self._flags(status)) for *_, result, _, status in filled]

    def _flags(self, status: int) -> int:
        return sum(int(flag) for bit, flag in self.flags.items() if status >> bit & 1)

    def _elf(self, contents: bytes) -> bytes:
        """A static executable with one segment that may be read, written and run."""
        size = _HEADERS + len(contents)
        ident = b"\x7fELF" + bytes([2, 1 if self.order == "<" else 2, 1]) + bytes(9)
        start = _BASE + _HEADERS
        header = (2, self.elf_machine, 1, start, 64, 0, self.elf_flags, 64, 56, 1, 0, 0, 0)
        segment = (1, 7, 0, _BASE, _BASE, size, size, 0x1000)
        return (
            ident
            + struct.pack(f"{self.order}HHIQQQIHHHHHH", *header)
            + struct.pack(f"{self.order}IIQQQQQQ", *segment)
            + contents
        )


def _aarch64(instruction: Words, table: int, count: int) -> bytes:
    def immediate(register: int, value: int) -> Words:
        return [0xD2800000 | (value & 0xFFFF) << 5 | register, 0xF2A00000 | (value >> 16) << 5 | register]

    base, temporary, counter = 8, 9, 10
    load_d, store_d, load_x, store_x = 0xFD400000, 0xFD000000, 0xF9400000, 0xF9000000

    def memory(operation: int, register: int, offset: int) -> int:
        return operation | (offset // 8) << 10 | base << 5 | register

    body = [
        memory(load_x, temporary, _CONTROL),
        0xD51B4400 | temporary,  # msr fpcr
        0xD51B443F,  # msr fpsr, xzr
        *(memory(load_d, register, offset) for register, offset in enumerate((_A, _B, _C))),
        memory(load_x, 0, _A),
        *instruction,
        # An instruction with an integer result leaves it in x0 and says so by a second word.
        *([] if len(instruction) > 1 else [memory(store_d, 0, _RESULT)]),
        0xD53B4420 | temporary,  # mrs fpsr
        memory(store_x, temporary, _STATUS),
        0x91000000 | _CASE << 10 | base << 5 | base,
        0xF1000400 | counter << 5 | counter,
    ]
    loop = 0x54000001 | (-len(body) & 0x7FFFF) << 5
    write = [0xD2800020, *immediate(1, table), *immediate(2, count * _CASE), *immediate(8, 64), 0xD4000001]
    leave = [0xD2800000, *immediate(8, 93), 0xD4000001]
    words = [*immediate(base, table), *immediate(counter, count), *body, loop, *write, *leave]
    return struct.pack(f"<{len(words)}I", *words)


AARCH64_STORE_X0 = 0xF9000000 | (_RESULT // 8) << 10 | 8 << 5
"""The second word of an AArch64 instruction with an integer result."""


def _ppc64le(instruction: Words, table: int, count: int) -> bytes:
    def immediate(register: int, value: int) -> Words:
        high = 0x3C000000 | register << 21 | value >> 16
        return [high, 0x60000000 | register << 21 | register << 16 | value & 0xFFFF]

    base = 8
    load, store = 0xC8000000, 0xD8000000

    def memory(operation: int, register: int, offset: int) -> int:
        return operation | register << 21 | base << 16 | offset

    body = [
        memory(load, 9, _CONTROL),
        0xFDFE4D8E,  # mtfsf 255, f9
        *(memory(load, register, offset) for register, offset in enumerate((_A, _B, _C))),
        *instruction,
        memory(store, 0, _RESULT),
        0xFD20048E,  # mffs f9
        memory(store, 9, _STATUS),
        0x38000000 | base << 21 | base << 16 | _CASE,
    ]
    loop = 0x42000000 | (-4 * len(body) & 0xFFFC)
    write = [*immediate(0, 4), *immediate(3, 1), *immediate(4, table), *immediate(5, count * _CASE), 0x44000002]
    leave = [*immediate(0, 1), *immediate(3, 0), 0x44000002]
    words = [*immediate(base, table), *immediate(7, count), 0x7CE903A6, *body, loop, *write, *leave]
    return struct.pack(f"<{len(words)}I", *words)


def _mips64(instruction: Words, table: int, count: int) -> bytes:
    def immediate(register: int, value: int) -> Words:
        high = 0x3C000000 | register << 16 | value >> 16
        return [high, 0x34000000 | register << 21 | register << 16 | value & 0xFFFF]

    base, temporary, counter = 16, 17, 18
    load_f, store_f, load_r, store_r = 0xD4000000, 0xF4000000, 0xDC000000, 0xFC000000

    def memory(operation: int, register: int, offset: int) -> int:
        return operation | base << 21 | register << 16 | offset

    body = [
        memory(load_r, temporary, _CONTROL),
        0x44C0F800 | temporary << 16,  # ctc1 $31
        *(memory(load_f, register, offset) for register, offset in enumerate((_A, _B, _C))),
        *instruction,
        memory(store_f, 0, _RESULT),
        0x4440F800 | temporary << 16,  # cfc1 $31
        memory(store_r, temporary, _STATUS),
        0x64000000 | base << 21 | base << 16 | _CASE,
        0x64000000 | counter << 21 | counter << 16 | 0xFFFF,
    ]
    loop = [0x14000000 | counter << 21 | (-(len(body) + 1) & 0xFFFF), 0]
    write = [*immediate(2, 5001), *immediate(4, 1), *immediate(5, table), *immediate(6, count * _CASE), 0xC]
    leave = [*immediate(2, 5058), *immediate(4, 0), 0xC]
    words = [*immediate(base, table), *immediate(counter, count), *body, *loop, *write, *leave]
    return struct.pack(f">{len(words)}I", *words)


def _s390x(instruction: Words, table: int, count: int) -> bytes:
    def immediate(register: int, value: int) -> bytes:
        return struct.pack(">HI", 0xC001 | register << 4, value)

    base, counter = 8, 9

    def memory(operation: int, register: int, offset: int) -> bytes:
        return struct.pack(">I", operation << 24 | register << 20 | base << 12 | offset)

    load, store = 0x68, 0x60
    body = struct.pack(">I", 0xB29D0000 | base << 12 | _CONTROL)
    for register, offset in enumerate((_A, _B, _C)):
        body += memory(load, register, offset)
    body += struct.pack(f">{len(instruction)}I", *instruction)
    # An instruction with an integer result leaves it in r0, which a second word moves to f0.
    body += memory(store, 0, _RESULT)
    body += struct.pack(">I", 0xB29C0000 | base << 12 | _STATUS)
    body += struct.pack(">HH", 0xA70B | base << 4, _CASE)
    loop = struct.pack(">HH", 0xA707 | counter << 4, -(len(body) // 2) & 0xFFFF)
    write = immediate(2, 1) + immediate(3, table) + immediate(4, count * _CASE) + b"\x0a\x04"
    leave = immediate(2, 0) + b"\x0a\x01"
    return immediate(base, table) + immediate(counter, count) + body + loop + write + leave


S390X_R0_TO_F0 = 0xB3C10000
"""LDGR f0, r0: the second word of an s390x instruction with an integer result."""


AARCH64 = Machine(
    "aarch64",
    183,
    "<",
    _aarch64,
    {Rounding.RNE: 0, Rounding.RUP: 1 << 22, Rounding.RDN: 2 << 22, Rounding.RTZ: 3 << 22},
    {
        0: Flags.INVALID,
        1: Flags.DIVZERO,
        2: Flags.OVERFLOW,
        3: Flags.UNDERFLOW,
        4: Flags.INEXACT,
        7: Flags.INPUT_DENORMAL,
    },
)

PPC64 = Machine(
    "ppc64le",
    21,
    "<",
    _ppc64le,
    {Rounding.RNE: 0, Rounding.RTZ: 1, Rounding.RUP: 2, Rounding.RDN: 3},
    {29: Flags.INVALID, 28: Flags.OVERFLOW, 27: Flags.UNDERFLOW, 26: Flags.DIVZERO, 25: Flags.INEXACT},
    elf_flags=2,
)

_MIPS_ROUNDINGS = {Rounding.RNE: 0, Rounding.RTZ: 1, Rounding.RUP: 2, Rounding.RDN: 3}
_MIPS_FLAGS = {2: Flags.INEXACT, 3: Flags.UNDERFLOW, 4: Flags.OVERFLOW, 5: Flags.DIVZERO, 6: Flags.INVALID}
MIPS64 = Machine("mips64", 8, ">", _mips64, _MIPS_ROUNDINGS, _MIPS_FLAGS, 0x80000000, "MIPS64R2-generic")
MIPS64R6 = Machine("mips64", 8, ">", _mips64, _MIPS_ROUNDINGS, _MIPS_FLAGS, 0xA0000400, "I6400")

S390X = Machine(
    "s390x",
    22,
    ">",
    _s390x,
    {Rounding.RNE: 0, Rounding.RTZ: 1 << 32, Rounding.RUP: 2 << 32, Rounding.RDN: 3 << 32, Rounding.ODD: 7 << 32},
    {55: Flags.INVALID, 54: Flags.DIVZERO, 53: Flags.OVERFLOW, 52: Flags.UNDERFLOW, 51: Flags.INEXACT},
)
