"""What `-d in_asm,out_asm` writes: guest code in the ISA's syntax, host code as capstone disassembles it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ratite import log
from ratite.cpu.codepage import CodePage
from ratite.isa.arch import Arch


def guest_line(arch: Arch, address: int, data: memoryview, offset: int) -> str:
    """One guest instruction: address, words, assembly. `data` are the 16-bit units of its page, `offset` counts bytes in it."""
    i = offset >> 1
    units = arch.long[data[i]]
    word = sum(data[i + n] << 16 * n for n in range(units) if i + n < len(data))
    insn = arch.decoder.decode(word, 2 * units) or arch.illegal
    return f"{address:#018x}:  {word:0{4 * units}x}{' ' * (8 - 4 * units)}  {insn.assembly(word, arch.register_name)}"


def unit_listing(
    arch: Arch, page: CodePage, offsets: Sequence[int], starts: Sequence[int], base: int, code: bytes
) -> Iterator[tuple[str, str]]:
    """Category and text of the log entries for a new unit. `offsets` are its instructions' guest offsets, `starts` their code's."""
    if log.enabled("in_asm"):
        lines = [guest_line(arch, page.base + at, page.data, at) for at in offsets]
        yield "in_asm", "IN:\n" + "\n".join(lines) + "\n"
    if log.enabled("out_asm"):
        yield "out_asm", "\n".join(_host_lines(arch, page, offsets, starts, base, code)) + "\n"


def _host_lines(
    arch: Arch, page: CodePage, offsets: Sequence[int], starts: Sequence[int], base: int, code: bytes
) -> Iterator[str]:
    import capstone

    machine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    yield f"OUT: [size={len(code)}]"
    ends = [*starts[1:], len(code)]
    for at, start, end in zip(offsets, starts, ends, strict=False):
        yield f"  -- guest {guest_line(arch, page.base + at, page.data, at)}"
        for i in machine.disasm(code[start:end], base + start):
            yield f"{i.address:#x}:  {bytes(i.bytes).hex():<22} {i.mnemonic} {i.op_str}"


def block_listings(arch: Arch, words: Sequence[tuple[int, int]], context: int) -> Iterator[str]:
    """The intermediate representation of instruction words (word, length): what `-d op` writes."""
    from ratite.codegen.forms import form_of
    from ratite.codegen.stencil import block_of
    from ratite.ir.printer import listing

    for word, length in words:
        insn = arch.decoder.decode(word, length) or arch.illegal
        statics = tuple(int(g(word)) for g in insn.getters[0])
        yield listing(block_of(insn, arch, form_of(insn, statics, context)))
