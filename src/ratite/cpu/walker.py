"""Choosing the machine code of guest instructions natively (`ratite.codegen.choosing`), and what Python adds where that stops."""

from __future__ import annotations

import ctypes
from array import array

from ratite.codegen.choosing import BRANCHES, FLOW_AT, Walk
from ratite.codegen.joining import NOT_AN_ENTRY, NOT_AN_INSTRUCTION
from ratite.cpu.codepage import PAGE, CodePage
from ratite.cpu.hostmem import HostBuffer
from ratite.cpu.joiner import PIECES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ratite.cpu.engine import Engine
    from ratite.cpu.memo import Entry, Memo

#: What a piece is, by the flags of its offset: an instruction; the count of those that follow, which is where they are entered; one that is entered
#: only there; what is neither.
INSTRUCTION, COUNT, INSIDE, NEITHER = 0, NOT_AN_INSTRUCTION, NOT_AN_ENTRY, NOT_AN_ENTRY | NOT_AN_INSTRUCTION


class Choosing:
    """The native functions of `ratite.codegen.choosing` that Python calls."""

    def __init__(self, engine: Engine) -> None:
        number, pointer = ctypes.c_int64, ctypes.c_void_p
        self.choose = engine.function("choose", number, pointer)
        self.find_operands = engine.function("find_operands", number, pointer, number, pointer)
        self.find_word = engine.function("find_word", number, pointer, number)
        self.put_word = engine.function("put_word", None, pointer, number, number, number)
        self.move_words = engine.function("move_words", None, pointer, pointer, number)
        self.put_draft = engine.function("put_draft", None, pointer, number, number)
        self.move_drafts = engine.function("move_drafts", None, pointer, pointer, number)


class Walker:
    """Walks through one page at a time. What it has chosen are pieces: their records, their guest offsets with flags, what is known of them (infos,
    as in the table of words; 0 for code that goes on elsewhere) and the distances of their branches. portable, second: see `Unit`."""

    def __init__(self, engine: Engine) -> None:
        self._choose = engine.choosing.choose
        self._table = HostBuffer(Walk.BYTES)
        self._numbers = self._table.view.cast("q")
        self._seen, self._units = HostBuffer(PAGE // 2), HostBuffer(1 << 16)
        self._units.view[:] = engine.arch.long
        self._waiting, self.return_offsets = HostBuffer(4 * PAGE), HostBuffer(4 * PAGE)
        self.records, self.offsets = HostBuffer(8 * PIECES), HostBuffer(4 * PIECES)
        self.infos, self.branches = HostBuffer(8 * PIECES), HostBuffer(4 * PIECES)
        for place, buffer in (
            (Walk.UNITS, self._units), (Walk.WAITING_OFFSETS, self._waiting), (Walk.SEEN, self._seen), (Walk.RETURN_OFFSETS, self.return_offsets),
            (Walk.RECORDS, self.records), (Walk.OFFSETS, self.offsets), (Walk.INFOS, self.infos), (Walk.BRANCHES_OF, self.branches),
        ):  # fmt: skip
            self._numbers[place >> 3] = buffer.address
        self.portable = True
        self.second: int | None = None

    def begin(self, page: CodePage, offset: int, memo: Memo) -> None:
        """Start from `offset` of a page. The code that goes on elsewhere has to be there."""
        numbers = self._numbers
        numbers[Walk.NEAR >> 3], numbers[Walk.GOTO_RECORD >> 3] = memo.near()[5], memo.goto()[5]
        numbers[Walk.BYTES_OF_PAGE >> 3], numbers[Walk.PAGE_ENTRIES >> 3] = page.address, page.entries.address
        numbers[Walk.WORDS >> 3], numbers[Walk.AT >> 3] = memo.words.address, offset
        numbers[Walk.WAITING >> 3] = numbers[Walk.COUNT >> 3] = numbers[Walk.RETURNED >> 3] = 0
        self._seen.view[:] = _NOTHING_SEEN
        self.portable, self.second = True, None

    def go_on(self) -> int:
        """Choose until the end, or until something is not known: gives DONE, UNKNOWN, BEYOND or FULL."""
        status: int = self._choose(self._table.address)
        return status

    @property
    def at(self) -> int:
        """The offset at which the walk has stopped."""
        return self._numbers[Walk.AT >> 3]

    def skip(self, to: int) -> None:
        """Go on at another offset; -1: where something waits."""
        self._numbers[Walk.AT >> 3] = to

    @property
    def count(self) -> int:
        """How many pieces there are."""
        return self._numbers[Walk.COUNT >> 3]

    @property
    def returned(self) -> int:
        """How many offsets there are to which calls return."""
        return self._numbers[Walk.RETURNED >> 3]

    def returns(self) -> memoryview:
        """These offsets."""
        return self.return_offsets.view[: 4 * self.returned].cast("I")

    def add(self, entry: Entry, at: int, kind: int) -> None:
        """Append a piece."""
        if kind == INSTRUCTION:
            self._seen.view[at >> 1] = 1
        info = entry[5] | entry[4] << FLOW_AT | (0 if entry[3] is None else BRANCHES)
        self.put([(entry[5], at | kind, info, entry[3] or 0)], self.count)

    def goto(self, entry: Entry, at: int) -> None:
        """Append code that goes on elsewhere."""
        self.put([(entry[5], at | NEITHER, 0, 0)], self.count)

    def pieces(self) -> list[tuple[int, int, int, int]]:
        """What has been chosen: record, guest offset with flags, info, distance of the branch."""
        count = self.count
        columns = [self.records.view[: 8 * count].cast("Q"), self.offsets.view[: 4 * count].cast("I"), self.infos.view[: 8 * count].cast("Q")]
        return list(zip(*columns, self.branches.view[: 4 * count].cast("i"), strict=True))

    def put(self, pieces: list[tuple[int, int, int, int]], first: int = 0) -> None:
        """Write pieces behind the `first` ones; there are no others then."""
        for column, (kind, buffer) in enumerate((("Q", self.records), ("I", self.offsets), ("Q", self.infos), ("i", self.branches))):
            numbers = array(kind, [piece[column] for piece in pieces])
            begin = numbers.itemsize * first
            buffer.view[begin : begin + numbers.itemsize * len(pieces)] = memoryview(numbers).cast("B")
        self._numbers[Walk.COUNT >> 3] = first + len(pieces)


_NOTHING_SEEN = bytes(PAGE // 2)
