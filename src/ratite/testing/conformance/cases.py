"""Cases: one instruction and the state before it. Engines run them.

Each case is one instruction at `CODE`, with a window of known bytes at `DATA`; registers from which an instruction forms an
address point into the window.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from typing import Protocol

from ratite.bits import mask
from ratite.ir import ACCESSES, Block, Value
from ratite.isa.arch import Arch
from ratite.isa.dsl import Insn
from ratite.isa.dsl.record import record

#: Address of the instruction under test. It is followed and preceded by what ends execution.
CODE = 0x0010_0000
#: Address and size of the memory window; what lies around it faults.
DATA, DATA_SIZE = 0x0020_0000, 0x4000
#: Where there is no memory.
NOWHERE = 0x2000

#: Events that end an instruction otherwise than by going on. Engines name them alike whatever the ISA's numbers are.
ILLEGAL, BREAKPOINT, MISALIGNED, FAULT, CALL = "illegal", "breakpoint", "misaligned", "fault", "call"

#: No event: a jump has been done, and an exception stands at the address it went to, as for every jump to where nothing is.
AT_TARGET = ""


def window() -> bytes:
    """What the memory window holds before every case: bytes that all differ from their neighbours."""
    return random.Random("window").randbytes(DATA_SIZE)


def changes(before: bytes, after: bytes | bytearray, first: int = DATA) -> dict[int, int]:
    """New bytes by address, of memory that begins at `first`."""
    if before == after:
        return {}
    return {first + n: new for n, (old, new) in enumerate(zip(before, after, strict=True)) if old != new}


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

    def run(self, cases: Sequence[Case]) -> Sequence[Outcome | str]:
        """The outcome of each case, or why the engine does not run it."""


@dataclass(frozen=True)
class Subject:
    """What the generator must know of an instruction set beside its table.

    edges: interesting values of each register file. fields: values from which the initial value of a field of the
    state is chosen; only these fields are compared. masks: bits that registers of a file can have, where that is not all.
    """

    arch: Arch
    edges: Mapping[str, Sequence[int]]
    fields: Mapping[str, Sequence[int]]
    masks: Mapping[str, int] = dataclass_field(default_factory=dict)


class Generator:
    """Makes cases, the same ones for the same seed."""

    def __init__(self, subject: Subject, seed: int) -> None:
        self.subject, self.random = subject, random.Random(seed)
        layout = subject.arch.layout
        self._files = {name: layout.file(name) for name in subject.edges}
        self._width = {name: layout.slots[name].width for name in subject.edges}
        self._names: dict[tuple[Insn, tuple[int, ...]], set[str]] = {}

    def cases(self, per_entry: int, includes: Callable[[Insn], bool] = lambda insn: True) -> Iterator[Case]:
        """`per_entry` random words for every entry of the decode table that is included, each with a state of its own."""
        for insn in filter(includes, self.subject.arch.decoder.insns):
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
        for n, (file, number) in enumerate(self._bases(insn, word)):
            registers[file][number] = self._distance(self._width[file]) if n else self._pointer()
        for name, declared in self._files.items():
            if declared.zero is not None:
                registers[name][declared.zero] = 0
        fields = {name: self.random.choice(values) for name, values in self.subject.fields.items()}
        return Case(insn, word, {name: tuple(values) for name, values in registers.items()}, fields)

    def _value(self, file: str) -> int:
        if self.random.random() < 0.7:
            return self.random.choice(self.subject.edges[file])
        return self.random.getrandbits(self._width[file]) & self.subject.masks.get(file, -1)

    def _pointer(self) -> int:
        """An address near the middle of the window, aligned in most cases; a few lie where there is no memory."""
        if self.random.random() < 0.05:
            return NOWHERE + 8 * self.random.randrange(4)
        step = self.random.choice((64, 8, 8, 8, 1))
        return DATA + DATA_SIZE // 2 + step * self.random.randrange(-4, 4)

    def _distance(self, width: int) -> int:
        """What is added to a pointer in another register: a little, of either sign."""
        return self.random.choice((64, 8, 8, 8, 1)) * self.random.randrange(-4, 4) & mask(width)

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
