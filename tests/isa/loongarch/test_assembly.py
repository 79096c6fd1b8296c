"""The text that `Insn.assembly` gives, held against LLVM's assembler and disassembler."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import islice

import pytest

from ratite.isa.dsl import Insn
from tests.isa.loongarch.subject import subject

#: The versions of LLVM that know LoongArch and version 1.1 of its instructions.
TOOL = next((path for n in range(25, 17, -1) if (path := shutil.which(f"llvm-mc-{n}"))), None)
COMMAND = (str(TOOL), "--triple=loongarch64", "-mattr=+d,+lsx,+lasx,+frecipe,+ual")

#: What LLVM prints for special cases of instructions.
SPECIAL = {"andi": {"nop"}, "or": {"move"}, "jirl": {"ret", "jr"}}

pytestmark = pytest.mark.skipif(TOOL is None, reason="no llvm-mc of version 18 or newer")


def words(count: int) -> Iterator[tuple[Insn, int, str]]:
    """Random words of every instruction with their texts; words that are illegal when they run left out."""
    for insn in subject("max").arch.decoder.insns:
        yield from islice(_words_of(insn), count)


def _words_of(insn: Insn) -> Iterator[tuple[Insn, int, str]]:
    arch, choice = subject("max").arch, random.Random(insn.name)
    for _ in range(1000):
        word = insn.value | choice.getrandbits(32) & ~insn.mask
        operands = {o.name: o.get(word) for o in insn.fmt.statics}
        reserved = operands.get("overlap") or operands.get("reversed") or operands.get("fcsr", 0) > 3
        if arch.decoder.decode(word, 4) is insn and not reserved:
            yield insn, word, insn.assembly(word, arch.register_name)


def plain(text: str) -> str:
    """A line of assembly with single spaces, without comments, numbers in decimal."""
    line = " ".join(text.partition("#")[0].replace(",", " , ").split())
    return re.sub(r"-?0x[0-9a-f]+", lambda m: str(int(m[0], 16)), line)


def run(source: str, *options: str) -> list[str]:
    done = subprocess.run([*COMMAND, *options], input=source, capture_output=True, text=True, check=True, timeout=60)
    assert "error" not in done.stderr, done.stderr[:2000]
    return [line for line in done.stdout.splitlines() if line.startswith("\t") and not line.startswith("\t.")]


def test_disassembler_prints_the_same() -> None:
    """LLVM prints every word as we do, special names for special cases aside."""
    chosen = list(words(12))
    source = "\n".join(" ".join(f"{byte:#04x}" for byte in word.to_bytes(4, "little")) for _, word, _ in chosen)
    found = run(source, "--disassemble")
    assert len(found) == len(chosen)
    for (insn, word, text), line in zip(chosen, found, strict=True):
        assert plain(line) == plain(text) or plain(line).split()[0] in SPECIAL.get(insn.name, ()), f"{word:#010x}"
    assert {insn.name for insn, _, _ in chosen} == {insn.name for insn in subject("max").arch.decoder.insns}


def test_assembler_takes_the_text_back() -> None:
    """LLVM makes from every text the word that it came from."""
    chosen = list(words(12))
    found = run("\n".join(text for _, _, text in chosen), "--show-encoding")
    assert len(found) == len(chosen)
    for (_, word, text), line in zip(chosen, found, strict=True):
        encoded = re.search(r"encoding: \[(.*)\]", line)
        assert encoded, line
        assert bytes(int(byte, 16) for byte in encoded[1].split(",")) == word.to_bytes(4, "little"), text
