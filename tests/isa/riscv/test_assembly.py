"""The text that `Insn.assembly` gives, held against two tools that know RISC-V: a disassembler and an assembler."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratite.isa.dsl import Insn
from tests.isa.riscv.subject import subject

WIDTHS = pytest.mark.parametrize("xlen", [64, 32])

#: What only looks different in Capstone: it prints these for special cases of the instruction.
PSEUDO = {
    "addi": {"nop", "mv"}, "addiw": {"sext.w"}, "xori": {"not"}, "sltiu": {"seqz"}, "sltu": {"snez"}, "sub": {"neg"},
    "subw": {"negw"}, "slt": {"sltz", "sgtz"}, "jal": {"j"}, "jalr": {"jr", "ret"}, "fence": {"fence"},
    "c.addi": {"c.nop"}, "beq": {"beqz"}, "bne": {"bnez"}, "blt": {"bltz", "bgtz"}, "bge": {"bgez", "blez"},
    **{f"fsgnj{kind}.{p}": {f"f{name}.{p}"} for kind, name in (("", "mv"), ("n", "neg"), ("x", "abs")) for p in "sd"},
}  # fmt: skip

#: Instructions that other tools know without a rounding mode: their results are exact.
EXACT = {"fcvt.d.w", "fcvt.d.wu", "fcvt.d.s"}

#: Extensions whose text is another file's subject, and instructions with fields that their text does not show.
OTHERS = {"zicsr", "priv", "s", "svinval"}
ELSEWHERE = {"fence", "fence.i"}


def words(xlen: int, count: int) -> Iterator[tuple[Insn, int, str]]:
    """Random words of every instruction with their texts; reserved rounding modes left out."""
    arch, choice = subject(xlen).arch, random.Random(xlen)
    for insn in arch.decoder.insns:
        if insn.extension in OTHERS or insn.name in ELSEWHERE:
            continue
        for _ in range(count):
            word = insn.value | choice.getrandbits(8 * insn.length) & ~insn.mask
            text = insn.assembly(word, arch.register_name)
            if arch.decoder.decode(word, insn.length) is insn and "reserved" not in text:
                yield insn, word, text


def _number(text: str) -> str:
    return str(int(text, 0)) if re.fullmatch(r"-?(0x)?[0-9a-f]+", text) and text[0] in "-0123456789" else text


def tokens(text: str) -> list[str]:
    """A line of assembly as mnemonic and operands, numbers in decimal, the default rounding mode left out."""
    parts = [_number(t) for t in re.split(r"[\s,()]+", text.strip()) if t and t != "dyn"]
    if parts[0] in ("jalr", "c.jalr") and len(parts) == 4 and not parts[3].lstrip("-").isdigit():
        parts[2:] = [parts[3], parts[2]]
    return parts


def upper(parts: list[str]) -> list[str]:
    """`lui` and its like name the upper 20 bits only in other tools."""
    return [*parts[:-1], str(int(parts[-1]) >> 12 & 0xFFFFF)]


@WIDTHS
def test_capstone_prints_the_same(xlen: int) -> None:
    """Every word that Capstone knows has the same mnemonic and operands there; it knows all but what is newest."""
    capstone = pytest.importorskip("capstone")
    mode = capstone.CS_MODE_RISCV64 if xlen == 64 else capstone.CS_MODE_RISCV32
    disassembler = capstone.Cs(capstone.CS_ARCH_RISCV, mode | capstone.CS_MODE_RISCVC)
    compared: set[str] = set()
    for insn, word, text in words(xlen, 40):
        found = next(disassembler.disasm(word.to_bytes(insn.length, "little"), 0), None)
        if found is None or found.mnemonic in PSEUDO.get(insn.name, ()):
            continue
        ours = tokens(text)
        if insn.name in ("lui", "auipc", "c.lui"):
            ours = upper(ours)
        theirs = tokens(f"{found.mnemonic} {found.op_str}")
        if insn.name in ("jal", "jalr") and len(theirs) < len(ours):
            continue  # the short form for a link in ra
        if insn.name in EXACT:
            ours, theirs = ours[:3], theirs[:3]
        assert theirs == ours, f"{word:#x}"
        compared.add(insn.name)
    known = {i.name for i, _, _ in words(xlen, 4) if i.extension[:2] not in ("zb", "zi")}
    assert known - compared <= EXACT, f"never compared: {sorted(known - compared)}"


#: Instructions with an offset from their own address.
RELATIVE = {"jal", "beq", "bne", "blt", "bge", "bltu", "bgeu", "c.j", "c.jal", "c.beqz", "c.bnez"}
#: Hints that the assembler refuses to write, and rounding modes that it does not let one choose.
REFUSED = re.compile(
    r"c\.(li|lui|mv|add|slli) zero|c\.(addi|slli|srli|srai) \w+, 0$|c\.addi zero|fcvt\.d\.(wu?|s) |cbo"
)


@WIDTHS
def test_assembler_takes_the_text_back(xlen: int, tmp_path: Path) -> None:
    """GNU as makes from every text the word that it came from, but for hints it will not write."""
    assembler = shutil.which("riscv64-linux-gnu-as")
    if assembler is None:
        pytest.skip("riscv64-linux-gnu-as is not installed")
    lines, expected = [f".option norelax\n.option arch, rv{xlen}gc_zba_zbb_zbc_zbs\n"], b""
    for insn, word, text in words(xlen, 12):
        if REFUSED.search(text):
            continue
        mnemonic = text.split(" ")[0]
        if mnemonic in RELATIVE:
            head, _, offset = text.rpartition(" ")
            text = f"{head} .+{offset}"
        elif mnemonic in ("lui", "auipc", "c.lui"):
            head, _, value = text.rpartition(" ")
            text = f"{head} {int(value) >> 12 & 0xFFFFF}"
        option = "" if insn.length == 2 else ".option norvc\n"
        lines.append(f"{option}{text}\n.option rvc\n")
        expected += word.to_bytes(insn.length, "little")
    source, target, binary = tmp_path / "all.s", tmp_path / "all.o", tmp_path / "all.bin"
    source.write_text("".join(lines))
    abi = "lp64d" if xlen == 64 else "ilp32d"
    march = f"rv{xlen}gc_zba_zbb_zbc_zbs"
    subprocess.run([assembler, f"-march={march}", f"-mabi={abi}", "-o", str(target), str(source)], check=True)
    subprocess.run(["riscv64-linux-gnu-objcopy", "-O", "binary", "-j", ".text", str(target), str(binary)], check=True)
    assert binary.read_bytes() == expected
