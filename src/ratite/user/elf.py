"""Program files: the ELF header, the program headers and the interpreter's name, checked against one architecture.

Source: System V gABI, chapters 4 and 5.
"""

from __future__ import annotations

import os
import struct
from errno import ENOEXEC

from ratite.user.failure import SyscallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ratite.user.abi.base import Abi

PT_LOAD, PT_INTERP, PT_PHDR, PT_GNU_STACK = 1, 3, 6, 0x6474_E551
ET_EXEC, ET_DYN = 2, 3
PF_X, PF_W, PF_R = 1, 2, 4
_MOST_HEADERS = 256

# For error messages alone.
MACHINES = {
    2: "SPARC", 3: "i386", 4: "m68k", 8: "MIPS", 15: "PA-RISC", 18: "SPARC v8+", 20: "PowerPC", 21: "PowerPC 64-bit",
    22: "s390x", 40: "Arm", 42: "SuperH", 43: "SPARC 64-bit", 44: "TriCore", 62: "x86-64", 92: "OpenRISC", 94: "Xtensa",
    113: "Nios II", 164: "Hexagon", 183: "AArch64", 243: "RISC-V", 258: "LoongArch", 0x9026: "Alpha",
}


class WrongFile(SyscallError):
    """The file is not a program for this architecture; the text says what it is."""

    def __init__(self, why: str, machine: int = 0) -> None:
        super().__init__(ENOEXEC)
        self.why = why
        self.machine = machine
        """The ELF machine that the program is for; 0 for a file that is no program."""
        self.filename = b""
        """Where the search for a program ended: the file, or the interpreter of a script ..."""
        self.argv: list[bytes] = []
        """... and the words that it would get."""

    def __str__(self) -> str:
        return self.why


class Segment:
    """A loadable part of the file."""

    __slots__ = ("address", "file_size", "flags", "offset", "size")

    def __init__(self, flags: int, offset: int, address: int, file_size: int, size: int) -> None:
        self.flags = flags
        self.offset = offset
        self.address = address
        self.file_size = file_size
        self.size = size


class Program:
    """What the headers of a program or an interpreter say."""

    def __init__(self, fd: int, abi: Abi) -> None:
        """Read and check the headers of an open file; raises WrongFile."""
        header = os.pread(fd, 64, 0)
        wide = abi.bits == 64
        machine, order = _check_identity(header, abi)
        layout = struct.Struct(order + ("16xHHIQQQIHHH" if wide else "16xHHIIIIIHHH"))
        kind, _, _, entry, ph_offset, _, _, _, entry_size, count = layout.unpack_from(header)
        ph_layout = struct.Struct(order + ("IIQQQQQQ" if wide else "IIIIIIII"))
        if kind not in (ET_EXEC, ET_DYN):
            raise WrongFile("is an object file or a core dump, not a program", machine)
        if entry_size != ph_layout.size or not 0 < count <= _MOST_HEADERS:
            raise WrongFile("has damaged program headers", machine)
        table = os.pread(fd, entry_size * count, ph_offset) if ph_offset < 1 << 62 else b""
        if len(table) != entry_size * count:
            raise WrongFile("ends within its program headers", machine)
        self.entry: int = entry
        self.movable = kind == ET_DYN
        self.header_size: int = entry_size
        self.header_count: int = count
        self.header_offset: int = ph_offset
        self.segments: list[Segment] = []
        self.interpreter: bytes | None = None
        self.executable_stack = True
        """Whether the stack may hold code: so unless the file says otherwise."""
        self._header_address: int | None = None
        file_size = os.fstat(fd).st_size
        for fields in ph_layout.iter_unpack(table):
            if wide:
                what, flags, offset, address, _, size_in_file, size, _ = fields
            else:
                what, offset, address, _, size_in_file, size, flags, _ = fields
            if what == PT_LOAD and size:
                self._add(Segment(flags, offset, address, size_in_file, size), file_size, abi.bits)
            elif what == PT_INTERP:
                self.interpreter = os.pread(fd, min(size_in_file, 4096), min(offset, file_size)).rstrip(b"\0")
            elif what == PT_PHDR:
                self._header_address = address
            elif what == PT_GNU_STACK:
                self.executable_stack = bool(flags & PF_X)
        if not self.segments:
            raise WrongFile("has nothing to load", machine)

    def _add(self, segment: Segment, file_size: int, bits: int) -> None:
        if (segment.file_size > segment.size or segment.offset + segment.file_size > file_size
                or segment.address + segment.size >> bits or (segment.address - segment.offset) % 4096
                or (self.segments and segment.address < self.segments[-1].address)):
            raise WrongFile("has a damaged program header (is the file cut off?)")
        self.segments.append(segment)

    @property
    def header_address(self) -> int:
        """Where the program headers are in memory, before relocation; 0 where they are not loaded."""
        if self._header_address is not None:
            return self._header_address
        for segment in self.segments:
            at = self.header_offset - segment.offset
            if 0 <= at < segment.file_size:
                return segment.address + at
        return 0


def _check_identity(header: bytes, abi: Abi) -> tuple[int, str]:
    """Check magic number, width, byte order and machine; returns the machine and the byte order."""
    if header[:4] != b"\x7fELF" or len(header) < 52:
        raise WrongFile("is not an ELF program")
    order = {1: "<", 2: ">"}.get(header[5])
    if order is None or header[4] not in (1, 2):
        raise WrongFile("has a damaged ELF header")
    (machine,) = struct.unpack_from(order + "H", header, 18)
    bits = {1: 32, 2: 64}[header[4]]
    if machine != abi.elf_machine or bits != abi.bits or order != abi.model.order:
        name = MACHINES.get(machine, f"ELF machine {machine}")
        if machine == abi.elf_machine:
            name += f" {bits}-bit" + ("" if order == abi.model.order else ", other byte order")
        raise WrongFile(f"is a program for {name}, not for {abi.title}", machine)
    if bits == 64 and len(header) < 64:
        raise WrongFile("has a damaged ELF header")
    return machine, order
