"""The text of instructions, held against disassemblers: Capstone where it knows the instruction set, and LLVM's."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from typing import Any, Protocol

from ratite.isa.arch import Arch
from ratite.isa.dsl import Insn
from ratite.testing.conformance.report import Report

#: How many random words are tried to find some of an instruction.
_TRIES = 400


@dataclass(frozen=True)
class Texts:
    """How texts of an instruction set are compared.

    left_out: why the text of a word is not compared with anything, "" if it is. same: whether another tool's text, which
    names a special case or writes an operand otherwise, says the same as ours.
    """

    left_out: Callable[[Insn, int, str], str]
    same: Callable[[Insn, str, str], bool]


class Disassembler(Protocol):
    """A tool that makes text of words."""

    @property
    def name(self) -> str:
        """How reports name it."""

    def missing(self) -> str:
        """Why it cannot be used here, "" if it can."""

    def run(self, words: Sequence[tuple[Insn, int]]) -> Sequence[str]:
        """The text of each word, "" where it knows none."""

    @property
    def texts(self) -> Texts:
        """How its texts are compared."""


@dataclass(frozen=True)
class Capstone:
    """The Python module of this name. arch: the name of its constant; modes: those of its modes."""

    arch: str
    modes: Sequence[str]
    texts: Texts
    name: str = "capstone"

    def missing(self) -> str:
        try:
            module: Any = import_module("capstone")
        except ImportError:
            return "the module capstone is not installed"
        return "" if hasattr(module, self.arch) else f"Capstone {module.__version__} has no {self.arch}"

    def run(self, words: Sequence[tuple[Insn, int]]) -> Sequence[str]:
        module: Any = import_module("capstone")
        mode = sum(getattr(module, name) for name in self.modes)
        engine = module.Cs(getattr(module, self.arch), mode)
        found = (next(engine.disasm(word.to_bytes(insn.length, "little"), 0), None) for insn, word in words)
        return ["" if one is None else f"{one.mnemonic} {one.op_str}" for one in found]


@dataclass(frozen=True)
class Llvm:
    """llvm-mc, of the newest version that is installed and not older than `oldest`."""

    triple: str
    attributes: str
    oldest: int
    texts: Texts
    name: str = "llvm-mc"

    def tool(self) -> str | None:
        """Its path."""
        return next((path for n in range(30, self.oldest - 1, -1) if (path := shutil.which(f"llvm-mc-{n}"))), None)

    def missing(self) -> str:
        return "" if self.tool() else f"no llvm-mc of version {self.oldest} or newer"

    def run(self, words: Sequence[tuple[Insn, int]]) -> Sequence[str]:
        source = "\n".join(" ".join(f"{byte:#04x}" for byte in word.to_bytes(insn.length, "little")) for insn, word in words)
        return self.lines(source, "--disassemble")

    def lines(self, source: str, *options: str) -> list[str]:
        """Its answer to a text: a line for each line."""
        command = [str(self.tool()), f"--triple={self.triple}", f"-mattr={self.attributes}", *options]
        done = subprocess.run(command, input=source, capture_output=True, text=True, check=True, timeout=120)
        assert "error" not in done.stderr, done.stderr[:2000]
        return [line.strip() for line in done.stdout.splitlines() if line.startswith("\t") and not line.startswith("\t.")]


def words(arch: Arch, count: int) -> Iterator[tuple[Insn, int, str]]:
    """Random words of every instruction with their texts; an instruction gives the same ones whatever others there are."""
    for insn in arch.decoder.insns:
        yield from islice(_words_of(arch, insn), count)


def _words_of(arch: Arch, insn: Insn) -> Iterator[tuple[Insn, int, str]]:
    choice = random.Random(insn.name)
    for _ in range(_TRIES):
        word = insn.value | choice.getrandbits(8 * insn.length) & ~insn.mask
        if arch.decoder.decode(word, insn.length) is insn:
            yield insn, word, insn.assembly(word, arch.register_name)


def compare(report: Report, arch: Arch, tool: Disassembler, count: int) -> None:
    """Compare texts of random words of every instruction with those of a tool, of `count` each where the tool knows them."""
    chosen = [(*one, tool.texts.left_out(*one)) for one in words(arch, 2 * count)]
    theirs = iter(tool.run([(insn, word) for insn, word, _, reason in chosen if not reason]))
    for insn, word, text, reason in chosen:
        other = "" if reason else next(theirs)
        if reason or not other:
            report.skip(tool.name, insn, reason or "not known to it")
        else:
            wrong = "" if tool.texts.same(insn, text, other) else f"'{text}', not '{other}'"
            report.note(tool.name, insn, f"{insn.name} ({word:0{2 * insn.length}x})", wrong)


def decimal(text: str) -> str:
    """A text with single spaces and numbers in decimal, without what tools put behind it."""
    line = " ".join(re.split(r"#|\t//", text)[0].replace(",", " , ").split())
    return re.sub(r"-?0x[0-9a-fA-F]+", lambda m: str(int(m[0], 16)), line)
