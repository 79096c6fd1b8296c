"""Reading the relocatable ELF objects that LLVM emits: functions, their bytes and relocations (System V ABI, chapter 4)."""

from __future__ import annotations

import struct
from typing import NamedTuple

from ratite.codegen.codemem import Image
from ratite.codegen.tables import CONSTANT_ALIGNMENT, CONSTANT_SIZE

_SHDR = struct.Struct("<IIQQQQIIQQ")
_SYM = struct.Struct("<IBBHQQ")
_RELA = struct.Struct("<QQq")
_SHT_PROGBITS, _SHT_SYMTAB, _SHT_RELA, _SHF_ALLOC, _STT_FUNC = 1, 2, 4, 2, 2




class Reloc(NamedTuple):
    """A place to patch: offset in its section, type, symbol (empty for a section), addend, section and value of the symbol."""

    offset: int
    type: int
    symbol: str
    addend: int
    section: int
    value: int


class Function(NamedTuple):
    """A function's place in the object."""

    name: str
    section: int
    offset: int
    size: int


class Object:
    """A parsed relocatable object."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        shoff, shnum = struct.unpack_from("<Q", data, 40)[0], struct.unpack_from("<H", data, 60)[0]
        self.sections = [_SHDR.unpack_from(data, shoff + 64 * i) for i in range(shnum)]
        self.functions: dict[str, Function] = {}
        self.relocs: dict[int, list[Reloc]] = {}
        symbols = self._symbols()
        for s in self.sections:
            if s[1] == _SHT_RELA:
                found = []
                for k in range(s[4], s[4] + s[5], 24):
                    offset, info, addend = _RELA.unpack_from(data, k)
                    name, section, value = symbols[info >> 32]
                    found.append(Reloc(offset, info & 0xFFFFFFFF, name, addend, section, value))
                self.relocs[s[7]] = sorted(found)

    def _symbols(self) -> list[tuple[str, int, int]]:
        symbols: list[tuple[str, int, int]] = []
        for s in self.sections:
            if s[1] != _SHT_SYMTAB:
                continue
            strings = self.sections[s[6]][4]
            for k in range(s[4], s[4] + s[5], 24):
                name_at, info, _, section, value, size = _SYM.unpack_from(self.data, k)
                start = strings + name_at
                name = self.data[start : self.data.index(b"\0", start)].decode() if name_at else ""
                symbols.append((name, section, value))
                if info & 15 == _STT_FUNC and section:
                    self.functions[name] = Function(name, section, value, size)
        return symbols

    def image(self) -> Image:
        """What takes memory when the code runs."""
        loaded = {i: s for i, s in enumerate(self.sections) if s[1] == _SHT_PROGBITS and s[2] & _SHF_ALLOC and s[5]}
        relocations: list[tuple[int, int, int, str | int, int]] = []
        for section in self.relocs.keys() & loaded.keys():
            for r in self.relocs[section]:
                base = r.section or r.symbol
                relocations.append((section, r.offset, r.type, base, r.addend + (r.value if r.section else 0)))
        sections = [(i, self.data[s[4] : s[4] + s[5]], max(16, s[8])) for i, s in loaded.items()]
        return sections, relocations, [(f.name, f.section, f.offset) for f in self.functions.values()]

    def section(self, name: str) -> bytes:
        """The content of the first section of a name; empty if there is none."""
        names = self.sections[struct.unpack_from("<H", self.data, 62)[0]]
        wanted = self.data.find(b"\0" + name.encode() + b"\0", names[4], names[4] + names[5]) + 1 - names[4]
        return next((self.data[s[4] : s[4] + s[5]] for s in self.sections if s[0] == wanted > 0), b"")

    def bytes_of(self, f: Function) -> bytes:
        """The code of a function."""
        start = self.sections[f.section][4] + f.offset
        return self.data[start : start + f.size]

    def relocs_by_function(self) -> dict[str, list[Reloc]]:
        """The relocations of every function, offsets relative to its start."""
        result: dict[str, list[Reloc]] = {name: [] for name in self.functions}
        for section, relocs in self.relocs.items():
            functions = sorted((f for f in self.functions.values() if f.section == section), key=lambda f: f.offset)
            i = 0
            for f in functions:
                while i < len(relocs) and relocs[i].offset < f.offset + f.size:
                    r = relocs[i]
                    result[f.name].append(r._replace(offset=r.offset - f.offset))
                    i += 1
        return result

    def element(self, r: Reloc, relative: bool) -> bytes:
        """The constant itself at which a relocation points; with what comes behind it where its section does not tell how long it is."""
        section = self.sections[r.section]
        at = section[4] + r.value + r.addend + (4 if relative else 0)
        return self.data[at : at + (section[9] or 8)]

    def constant(self, r: Reloc, relative: bool) -> tuple[bytes, int]:
        """The data around the place at which a relocation points, and the distance to that from what a relative one counts from.

        A place in a section is its symbol's value plus the addend, less the four bytes of a displacement. LLVM's constants, and tables of a
        few, fit into the length; data behind the end of the section reads as zero.
        """
        target = r.value + r.addend + (4 if relative else 0)
        first = target & -CONSTANT_ALIGNMENT
        section = self.sections[r.section]
        data = self.data[section[4] + first : section[4] + min(first + CONSTANT_SIZE, section[5])]
        return data.ljust(CONSTANT_SIZE, b"\0"), r.value + r.addend - first
