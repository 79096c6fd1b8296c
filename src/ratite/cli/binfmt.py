"""`ratite binfmt`: the line that makes Linux start foreign programs through Ratite.

The kernel compares the first bytes of a program under a mask (Documentation/admin-guide/binfmt-misc.rst); here that
is the ELF header up to `e_machine` (System V ABI, chapter 4): executables and shared objects of one machine, whatever
their OS/ABI byte says.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence

from ratite.errors import UsageError
from ratite.user.abi import abi

REGISTER = "/proc/sys/fs/binfmt_misc/register"
LONGEST_PATH = 127    # the kernel keeps the interpreter's path in a fixed buffer


def main(words: Sequence[str]) -> int:
    """Print the command that registers an architecture, riscv64 unless another is named."""
    arch = words[0] if words else "riscv64"
    program = _installed(f"ratite-{arch}")
    line = registration(arch, program)
    print("# As root; removed again with: echo -1 > /proc/sys/fs/binfmt_misc/ratite-" + arch)
    print(f"printf '%s' '{line}' > {REGISTER}")
    return 0


def registration(arch: str, program: str) -> str:
    """The text to write into the kernel's register file."""
    guest = abi(arch)
    if len(program) > LONGEST_PATH:
        raise UsageError(f"the path of the emulator is longer than the kernel takes ({LONGEST_PATH} bytes): {program}")
    identity = b"\x7fELF" + bytes((guest.bits // 32, 1, 1)) + bytes(9)
    kind = (2).to_bytes(2, "little") + guest.elf_machine.to_bytes(2, "little")
    identity_mask = b"\xff" * 7 + b"\x00" + b"\xff" * 8
    kind_mask = b"\xfe\xff" + b"\xff\xff"    # 2 is an executable, 3 a shared object (position-independent programs too)
    return f":ratite-{arch}:M::{_escaped(identity + kind)}:{_escaped(identity_mask + kind_mask)}:{program}:"


def _escaped(data: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in data)


def _installed(program: str) -> str:
    beside = os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), program)
    return beside if os.path.exists(beside) else shutil.which(program) or os.path.join("/usr/local/bin", program)
