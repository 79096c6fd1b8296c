"""What is known of instruction words in one context, where native code finds it (`ratite.codegen.choosing`)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ratite.codegen.choosing import BRANCHES, FLOW_AT, MOST_IMMEDIATES, MOST_REGISTERS, UNITS_AT, Words, draft_key, group_key
from ratite.codegen.forms import INTERVALS, imm_class
from ratite.cpu.hostmem import HostBuffer

if TYPE_CHECKING:
    from random import Random

    from ratite.cpu.engine import Engine
    from ratite.cpu.joiner import Records
    from ratite.isa.dsl import Insn

#: Words that an instruction has been seen in before its drafts are worth describing.
_COMMON = 4
#: Words tried, beside the two extremes, to find out what a bit does, and then whether that is all.
_SAMPLES, _TRIALS = 4, 40
#: Most ways to tell groups apart.
_MASKS = 256
#: Entries of the tables at first.
_FIRST_DRAFTS = 1 << 10
_FIRST_WORDS_OF_PROGRAMS, _FIRST_WORDS_OF_MACHINES = 1 << 10, 1 << 18

_ENTRY_SIZE = 16
_NUMBERS = struct.Struct("<qq")


class FreeBits:
    """Which bits of an instruction's words only add to its operands, each the same whatever the others are.

    bits: a mask of them. weights: for every operand, registers before immediates, what each of the 32 bits adds.
    """

    def __init__(self, bits: int, weights: Sequence[Sequence[int]]) -> None:
        self.bits, self.weights = bits, weights

    @classmethod
    def of(cls, insn: Insn) -> FreeBits:
        """Those of an instruction."""
        self = cls(0, [[0] * 32 for _ in (*insn.getters[1], *insn.getters[2])])
        self._find(insn)
        return self

    def _find(self, insn: Insn) -> None:
        statics, regs, imms = insn.getters
        from random import Random

        chance = Random(insn.value)
        weights: list[list[int]] = [list(row) for row in self.weights]
        every = (1 << 8 * insn.length) - 1
        samples = [insn.value | w & ~insn.mask for w in _some_words(chance, 8 * insn.length, _SAMPLES)]
        asked = 0
        for get in statics:
            asked |= _asked_about(get, samples, every)
        for n in range(8 * insn.length):
            if (insn.mask | asked) >> n & 1:
                continue
            found = _weights(samples, 1 << n, (*regs, *imms))
            if found is not None and any(found):
                self.bits |= 1 << n
                for of, weight in zip(weights, found, strict=True):
                    of[n] = weight
        self.weights = weights
        if not all(self._explains(insn, w) for w in _some_words(chance, 8 * insn.length, _TRIALS)):
            self.bits = 0

    def _explains(self, insn: Insn, w: int) -> bool:
        """Whether the operands of a word are the sums of what its bits add."""
        word = insn.value | w & ~insn.mask
        for get, weights in zip((*insn.getters[1], *insn.getters[2]), self.weights, strict=True):
            if get(word) != get(word & ~self.bits) + sum(weight for n, weight in enumerate(weights) if word & self.bits & 1 << n):
                return False
        return True


def free_bits(insn: Insn, insns: Iterable[Insn]) -> tuple[int, tuple[tuple[int, ...], ...]]:
    """The free bits of an instruction, as `FreeBits` is made of them, less those by which another one of `insns`, of a more special pattern, differs
    from it."""
    free = FreeBits.of(insn)
    for other in insns:
        if other.length == insn.length and other.mask & ~insn.mask and not (other.value ^ insn.value) & other.mask & insn.mask:
            free.bits &= ~other.mask
    return free.bits, tuple(map(tuple, free.weights))


class _Part:
    """A word, or a field of one, that takes note when its value is asked for. mask: the bits of the word that it has, where they are in the word;
    shift: how far it has been shifted to the right since; asked: where the bits are noted, as a mask."""

    def __init__(self, value: int, asked: list[int], mask: int, shift: int = 0) -> None:
        self._value, self._asked, self._mask, self._shift = value, asked, mask, shift

    def __rshift__(self, by: int) -> _Part:
        return _Part(self._value >> by, self._asked, self._mask, self._shift + by)

    def __and__(self, mask: int) -> _Part:
        return _Part(self._value & mask, self._asked, self._mask & mask << self._shift, self._shift)

    def __index__(self) -> int:
        self._asked[0] |= self._mask
        return self._value

    __int__ = __hash__ = __index__

    def __eq__(self, other: object) -> bool:
        return int(self) == (int(other) if isinstance(other, _Part) else other)

    def __lt__(self, other: int | _Part) -> bool:
        return int(self) < int(other)

    def __gt__(self, other: int | _Part) -> bool:
        return int(self) > int(other)

    def __bool__(self) -> bool:
        return bool(int(self))


def _asked_about(get: Callable[[Any], Any], samples: Sequence[int], every: int) -> int:
    """The bits of a word on which what `get` gives depends, or may depend."""
    asked = [0]
    for w in samples:
        try:
            int(get(_Part(w, asked, every)))
        except TypeError:  # it does more with the word than taking fields
            return every
    return asked[0]


def _some_words(chance: Random, bits: int, count: int) -> list[int]:
    """Words with no bits, all, few, and some."""
    every = (1 << bits) - 1
    few = [1 << chance.randrange(bits) | 1 << chance.randrange(bits) for _ in range(count // 2)]
    return [0, every, *few, *(chance.getrandbits(bits) for _ in range(count - count // 2))]


def _weights(samples: Sequence[int], bit: int, operands: Sequence[Callable[[int], int]]) -> list[int] | None:
    """What a bit adds to each operand in all of some words; None where that is not the same."""
    weights: list[int] | None = None
    for w in samples:
        found = [get(w | bit) - get(w & ~bit) for get in operands]
        if weights is not None and found != weights:
            return None
        weights = found
    return weights


class KnownWords:
    """The tables of one context, which grow."""

    def __init__(self, engine: Engine, records: Records, files: dict[str, bytes]) -> None:
        """files: the register files, as in a `Group`."""
        self._engine, self._records = engine, records
        self._files = {name: records.put(table) for name, table in files.items()}
        self._job = HostBuffer(Words.BYTES)
        self.address = self._job.address
        self._numbers = self._job.view.cast("q")
        words = _FIRST_WORDS_OF_MACHINES if engine.user is None else _FIRST_WORDS_OF_PROGRAMS
        self._words, self._drafts = HostBuffer(_ENTRY_SIZE * words), HostBuffer(_ENTRY_SIZE * _FIRST_DRAFTS)
        self._masks = HostBuffer(_ENTRY_SIZE * _MASKS)
        for place, value in (
            (Words.TABLE, self._words.address), (Words.MASK, words - 1), (Words.DRAFTS, self._drafts.address),
            (Words.DRAFT_MASK, _FIRST_DRAFTS - 1), (Words.MASKS, self._masks.address), (Words.RECORDS, records.room.address),
        ):  # fmt: skip
            self._numbers[place >> 3] = value
        self._mask_numbers: dict[tuple[int, int], int] = {}  # of {bits, units}
        self._sights: dict[Insn, int] = {}
        self._free: dict[Insn, FreeBits] = {}
        self._operands: dict[tuple[Insn, tuple[str, ...]], list[int]] = {}  # what describes an instruction's, files and kinds being known
        self._groups: dict[int, int] = {}  # addresses by key
        self._known: set[int] = set()  # keys of drafts

    # --- words --------------------------------------------------------------------------------------------------------------------
    def put(self, word: int, record: int, flow: int, units: int, branch: int | None) -> None:
        """Enter a word: the record of its code, its flow, how many 16-bit units it has, and the distance of its branch."""
        if self._is_full():
            self.make_room()
        info = record | flow << FLOW_AT | units << UNITS_AT | (BRANCHES if branch is not None else 0)
        self._engine.choosing.put_word(self.address, word, branch or 0, info)

    def find(self, word: int) -> tuple[int, int, int | None] | None:
        """What is known of a word: its record, its flow, the distance of its branch. None for a word that has not been seen."""
        at = self._engine.choosing.find_word(self.address, word)
        if not at:
            return None
        _, branch, info = struct.unpack("<IiQ", self._words.view[at - self._words.address :][:_ENTRY_SIZE])
        return info & (1 << FLOW_AT) - 1, info >> FLOW_AT & 15, branch if info & BRANCHES else None

    def _is_full(self) -> bool:
        return 4 * self._numbers[Words.COUNT >> 3] >= 3 * self._numbers[Words.MASK >> 3]

    def make_room(self) -> None:
        """Whichever there is not enough of: twice the table of words, or room for records."""
        if not self._is_full():
            self._records.make_room()
            return
        self._words = self._grow(self._words, Words.TABLE, Words.MASK, Words.COUNT, self._engine.choosing.move_words)

    def _grow(self, old: HostBuffer, table: int, mask: int, count: int, move: Callable[[int, int, int], int]) -> HostBuffer:
        fresh = HostBuffer(2 * old.size)
        self._numbers[table >> 3], self._numbers[mask >> 3], self._numbers[count >> 3] = fresh.address, fresh.size // _ENTRY_SIZE - 1, 0
        move(self.address, old.address, old.size // _ENTRY_SIZE)
        return fresh

    # --- drafts -------------------------------------------------------------------------------------------------------------------
    def learn(self, insn: Insn, word: int, files: Sequence[str], kinds: Sequence[str], draft: Callable[[], bytes | None]) -> None:
        """Take note that there is a draft (as a `Draft`) for a word of an instruction, whose registers are of these files and whose immediates are of
        these kinds."""
        sights = self._sights[insn] = self._sights.get(insn, 0) + 1
        if sights < _COMMON or len(files) > MOST_REGISTERS or len(kinds) > MOST_IMMEDIATES:
            return
        free = self._free.get(insn)
        if free is None:
            free = self._find_free(insn)
            if free is None:
                return
            self._free[insn] = free
        if not free.bits:
            return
        kept = word & ~free.bits
        key = group_key(kept, self._mask_number(free.bits, insn.length))
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = self._records.put(self._describe(insn, kept, files, kinds, free))
            self._put_draft(key, group)
        key = draft_key(int.from_bytes(self._records.read(group, 8), "little"), self._engine.choosing.find_operands(self.address, word, group))
        if key not in self._known:
            self._known.add(key)
            described = draft()
            if described is not None:
                self._put_draft(key, self._records.put(described))

    def _find_free(self, insn: Insn) -> FreeBits | None:
        """The free bits of an instruction. To find them takes a millisecond or more; so they are kept with what is compiled, and found out by the
        process that compiles. None: they will be known later."""
        library, compiler, key = self._engine.library, self._engine.compiler, (insn.name, insn.mask, insn.value)
        kept = library.free_bits.get(key)
        if kept is None:
            if compiler is not None and compiler.ask_free_bits(insn):
                return None
            kept = free_bits(insn, self._engine.arch.decoder.insns)
            library.add_free_bits(key, kept)
        return FreeBits(*kept)

    def _mask_number(self, free: int, length: int) -> int:
        kept = (1 << 8 * length) - 1 & ~free
        number = self._mask_numbers.get((kept, length // 2))
        if number is None:
            number = self._mask_numbers[kept, length // 2] = len(self._mask_numbers)
            _NUMBERS.pack_into(self._masks.view, _ENTRY_SIZE * number, kept, length // 2)
            self._numbers[Words.MASKED >> 3] = number + 1
        return number

    def _put_draft(self, key: int, address: int) -> None:
        if 4 * self._numbers[Words.DRAFTED >> 3] >= 3 * self._numbers[Words.DRAFT_MASK >> 3]:
            self._drafts = self._grow(self._drafts, Words.DRAFTS, Words.DRAFT_MASK, Words.DRAFTED, self._engine.choosing.move_drafts)
        self._engine.choosing.put_draft(self.address, key, address)

    def _describe(self, insn: Insn, kept: int, files: Sequence[str], kinds: Sequence[str], free: FreeBits) -> bytes:
        """A `Group`."""
        what = [*files, *kinds]
        numbers = self._operands.get((insn, tuple(what)))
        if numbers is None:
            kind_of = [""] * len(files) + [*kinds]
            numbers = self._operands[insn, tuple(what)] = [
                self._records.put(_number(free.bits, kind, weights)) for kind, weights in zip(kind_of, free.weights, strict=True)
            ]
        parts = [struct.pack("<qq", len(self._groups), len(numbers))]
        _, regs, imms = insn.getters
        tables = [self._files[name] for name in files] + [0] * len(kinds)
        parts += [struct.pack("<3q", get(kept), *both) for get, *both in zip((*regs, *imms), numbers, tables, strict=True)]
        return b"".join(parts)


def _number(free: int, kind: str, weights: Sequence[int]) -> bytes:
    """A `Number`; kind: that of an immediate, or empty for a register."""
    bits = sum(1 << n for n, weight in enumerate(weights) if weight and free >> n & 1)
    classes = sum(_CLASS_NUMBERS[imm_class(kind, value)] << 4 * n for n, value in enumerate(INTERVALS)) if kind else 0
    return struct.pack("<qQ32q", bits, classes, *weights)


_CLASS_NUMBERS = {name: n for n, name in enumerate(("-", "q", "b", "f", "0", "s", "S", "p8", "n8", "p", "n"))}
