"""Differential tests of instruction sets: one instruction on the same state in several engines, all of it compared.

Instructions are random words of every entry of a decode table, operands come from the edges of their ranges, so that
a new instruction set gets its tests from its own definition. Each case is one instruction at `CODE`, with a window of
known bytes at `DATA`; registers from which an instruction forms an address point into the window.

    cases = Generator(subject, seed=1).cases(per_entry=20)
    report = Report(skips)
    report.compare(cases, reference, peer)

An engine is anything with a name that runs cases (`Engine`). What an engine is known to do otherwise stands with its
reason in a table of `Skip`s; a report counts what each of them left out.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from ratite.ir import ACCESSES, Block, Value
from ratite.isa.arch import Arch
from ratite.isa.dsl import Insn, record

#: Address of the instruction under test. It is followed and preceded by what ends execution.
CODE = 0x0010_0000
#: Address and size of the memory window; what lies around it faults.
DATA, DATA_SIZE = 0x0020_0000, 0x4000
#: Where there is no memory.
NOWHERE = 0x2000

#: Events that end an instruction otherwise than by going on. Engines name them alike whatever the ISA's numbers are.
ILLEGAL, BREAKPOINT, MISALIGNED, FAULT, CALL = "illegal", "breakpoint", "misaligned", "fault", "call"


def window() -> bytes:
    """What the memory window holds before every case: bytes that all differ from their neighbours."""
    return random.Random("window").randbytes(DATA_SIZE)


@dataclass(frozen=True)
class Case:
    """One instruction and the state before it."""

    insn: Insn
    word: int
    registers: Mapping[str, tuple[int, ...]]
    fields: Mapping[str, int]

    def __str__(self) -> str:
        return f"{self.insn.name} ({self.word:0{2 * self.insn.length}x})"


@dataclass(frozen=True)
class Outcome:
    """The state after a case: address of the next instruction, registers, fields, changed bytes of memory, event."""

    pc: int
    registers: Mapping[str, tuple[int, ...]]
    fields: Mapping[str, int]
    memory: Mapping[int, int]
    event: str = ""


class Engine(Protocol):
    """Something that runs cases."""

    @property
    def name(self) -> str:
        """How reports and skips name it."""

    def run(self, cases: Sequence[Case]) -> Sequence[Outcome]:
        """The outcome of each case."""


@dataclass(frozen=True)
class Subject:
    """What the generator must know of an instruction set beside its table.

    edges: interesting values of each register file. fields: values from which the initial value of a field of the
    state is chosen; only these fields are compared.
    """

    arch: Arch
    edges: Mapping[str, Sequence[int]]
    fields: Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class Skip:
    """Cases that are not compared with an engine ("*": with any), and why. `expected` is what the reference says."""

    engine: str
    reason: str
    applies: Callable[[Case, Outcome], bool]


# --- cases ----------------------------------------------------------------------------------------------------------


class Generator:
    """Makes cases, the same ones for the same seed."""

    def __init__(self, subject: Subject, seed: int) -> None:
        self.subject, self.random = subject, random.Random(seed)
        layout = subject.arch.layout
        self._files = {name: layout.file(name) for name in subject.edges}
        self._width = {name: layout.slots[name].width for name in subject.edges}
        self._names: dict[tuple[Insn, tuple[int, ...]], set[str]] = {}

    def cases(self, per_entry: int) -> Iterator[Case]:
        """`per_entry` random words for every entry of the decode table, each with a state of its own."""
        for insn in self.subject.arch.decoder.insns:
            for _ in range(per_entry):
                word = self._word(insn)
                if word is not None:
                    yield self.case(insn, word)

    def near_misses(self, count: int) -> Iterator[Case]:
        """`count` words that decode as nothing, one or two bits away from words that do."""
        decoder = self.subject.arch.decoder
        while count:
            insn = self.random.choice(decoder.insns)
            word = insn.value | self.random.getrandbits(8 * insn.length) & ~insn.mask
            for _ in range(self.random.choice((1, 2))):
                word ^= 1 << self.random.randrange(8 * insn.length)
            if self.subject.arch.long[word & 0xFFFF] * 2 == insn.length and not decoder.decode(word, insn.length):
                yield self.case(self.undefined(insn.length), word)
                count -= 1

    def undefined(self, length: int) -> Insn:
        """What stands in a case for a word of `length` bytes that is no instruction."""
        return replace(self.subject.arch.illegal, length=length)

    def _word(self, insn: Insn) -> int | None:
        """A random word that decodes as `insn`; None where others nearly always come first."""
        for _ in range(100):
            word = insn.value | self.random.getrandbits(8 * insn.length) & ~insn.mask
            if self.subject.arch.decoder.decode(word, insn.length) is insn:
                return word
        return None

    def case(self, insn: Insn, word: int) -> Case:
        """A word with a state of its own: edges of the operands, pointers into the window where it forms addresses."""
        registers = {name: [self._value(name) for _ in range(d.count)] for name, d in self._files.items()}
        for file, number in self._bases(insn, word):
            registers[file][number] = self._pointer()
        for name, declared in self._files.items():
            if declared.zero is not None:
                registers[name][declared.zero] = 0
        fields = {name: self.random.choice(values) for name, values in self.subject.fields.items()}
        return Case(insn, word, {name: tuple(values) for name, values in registers.items()}, fields)

    def _value(self, file: str) -> int:
        if self.random.random() < 0.7:
            return self.random.choice(self.subject.edges[file])
        return self.random.getrandbits(self._width[file])

    def _pointer(self) -> int:
        """An address near the middle of the window, aligned in most cases; a few lie where there is no memory."""
        if self.random.random() < 0.05:
            return NOWHERE + 8 * self.random.randrange(4)
        step = self.random.choice((64, 8, 8, 8, 1))
        return DATA + DATA_SIZE // 2 + step * self.random.randrange(-4, 4)

    def _bases(self, insn: Insn, word: int) -> list[tuple[str, int]]:
        """Registers from which the instruction forms addresses."""
        arch = self.subject.arch
        form = insn.text, tuple(o.get(word) for o in insn.text.fmt.statics)
        if form not in self._names:
            self._names[form] = address_operands(record(insn.text, arch.layout, arch.config, form[1], 0))
        return [(o.file, o.get(word)) for o in insn.fmt.regs if o.name in self._names[form]]


def address_operands(block: Block) -> set[str]:
    """Names of the register operands that go into the addresses of a text's memory accesses."""
    names: set[str] = set()
    todo: list[Value] = [v.args[0] for v in block.code if v.op in ACCESSES]
    while todo:
        v = todo.pop()
        if v.op == "reg.get" and isinstance(v.attr[1], str):
            names.add(v.attr[1])
        todo += v.args
    return names


# --- comparison -----------------------------------------------------------------------------------------------------


def difference(expected: Outcome, found: Outcome) -> str:
    """The first thing in which two outcomes differ, "" if there is none."""
    if expected.event != found.event:
        return f"event: {expected.event or 'none'}, not {found.event or 'none'}"
    if expected.pc != found.pc:
        return f"next address: {expected.pc:#x}, not {found.pc:#x}"
    for file, values in expected.registers.items():
        for n, (a, b) in enumerate(zip(values, found.registers[file], strict=True)):
            if a != b:
                return f"{file}[{n}]: {a:#x}, not {b:#x}"
    for name, a in expected.fields.items():
        if a != found.fields[name]:
            return f"{name}: {a:#x}, not {found.fields[name]:#x}"
    if expected.memory != found.memory:
        return f"memory: {_bytes(expected.memory)}, not {_bytes(found.memory)}"
    return ""


def _bytes(memory: Mapping[int, int]) -> str:
    return " ".join(f"{address:x}:{value:02x}" for address, value in sorted(memory.items())) or "unchanged"


@dataclass
class Report:
    """What has been compared, what differed, and what was left out for which reason."""

    skips: Sequence[Skip] = ()
    compared: Counter[str] = field(default_factory=Counter)
    skipped: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def compare(self, cases: Sequence[Case], reference: Engine, *peers: Engine) -> None:
        """Run all cases in all engines and compare every peer with the reference."""
        expected = reference.run(cases)
        for peer in peers:
            chosen = [(c, e) for c, e in zip(cases, expected, strict=True) if not self._skip(peer, c, e)]
            self.compared[peer.name] += len(chosen)
            for (case, outcome), found in zip(chosen, peer.run([c for c, _ in chosen]), strict=True):
                if text := difference(outcome, found):
                    self.failures.append(f"{peer.name}: {case}: {text}")

    def _skip(self, peer: Engine, case: Case, expected: Outcome) -> bool:
        for skip in self.skips:
            if skip.engine in ("*", peer.name) and skip.applies(case, expected):
                self.skipped[peer.name, skip.reason] += 1
                return True
        return False

    def __str__(self) -> str:
        lines = [f"{name}: {count} cases compared" for name, count in self.compared.items()]
        lines += [f"{name}: {count} skipped: {reason}" for (name, reason), count in self.skipped.items()]
        return "\n".join(lines + self.failures[:40])
