"""The text that `Insn.assembly` gives, held against LLVM's assembler and disassembler, and against Capstone."""

from __future__ import annotations

import re

import pytest

from ratite.testing.conformance import Report, assembly
from ratite.testing.conformance.assembly import Disassembler
from ratite.testing.conformance.loongarch import CAPSTONE, LLVM, subject, text_left_out


@pytest.mark.parametrize("tool", [LLVM, CAPSTONE], ids=lambda tool: tool.name)
def test_disassembler_prints_the_same(tool: Disassembler) -> None:
    """Tools print every word as we do, special names for special cases aside."""
    if missing := tool.missing():
        pytest.skip(missing)
    report, arch = Report(), subject("max").arch
    assembly.compare(report, arch, tool, 12)
    assert not report.failures, str(report)
    never = {i.name for i, tally in report.tallies[tool.name].items() if not tally.compared}
    assert never <= {"movfcsr2gr"}
    assert report.tallies[tool.name].keys() == set(arch.decoder.insns)


def test_assembler_takes_the_text_back() -> None:
    """LLVM makes from every text the word that it came from."""
    if missing := LLVM.missing():
        pytest.skip(missing)
    chosen = [one for one in assembly.words(subject("max").arch, 12) if not text_left_out(*one)]
    found = LLVM.lines("\n".join(text for _, _, text in chosen), "--show-encoding")
    assert len(found) == len(chosen)
    for (_, word, text), line in zip(chosen, found, strict=True):
        encoded = re.search(r"encoding: \[(.*)\]", line)
        assert encoded, line
        assert bytes(int(byte, 16) for byte in encoded[1].split(",")) == word.to_bytes(4, "little"), text
