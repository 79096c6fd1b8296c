"""The text that `Insn.assembly` gives, held against two tools that know RISC-V: a disassembler and an assembler."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratite.isa.dsl import Insn
from ratite.testing.conformance import Report, assembly
from ratite.testing.conformance.riscv import EXACT, capstone, subject, text_left_out

WIDTHS = pytest.mark.parametrize("xlen", [64, 32])


def words(xlen: int, count: int) -> Iterator[tuple[Insn, int, str]]:
    """Random words of every instruction with their texts, but for those whose texts are not compared."""
    found = assembly.words(subject(xlen).arch, count)
    return (one for one in found if not text_left_out(*one))


@WIDTHS
def test_capstone_prints_the_same(xlen: int) -> None:
    """Every word that Capstone knows has the same mnemonic and operands there; it knows all but what is newest."""
    tool, report = capstone(xlen), Report()
    if missing := tool.missing():
        pytest.skip(missing)
    assembly.compare(report, subject(xlen).arch, tool, 40)
    assert not report.failures, str(report)
    compared = {insn.name for insn, tally in report.tallies[tool.name].items() if tally.compared}
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
