"""Cutting code into runs: straight lines that are executed as a whole, and charged to the budget when they are entered.

A run ends where execution may go elsewhere, where somebody may jump to, and where the clock may be read, so that what is read is exact. Only
its beginning can be entered. Exceptions and what is left to Python come in the middle of a run; what it then has not executed is refunded.
"""

from __future__ import annotations

from array import array

from ratite.codegen.choosing import BRANCHES, FLOW_AT, GOES_ON
from ratite.codegen.joining import OFFSET
from ratite.cpu.walker import COUNT, INSIDE, NEITHER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ratite.cpu.memo import Memo
    from ratite.cpu.walker import Walker

#: Record, guest offset with flags, info, distance of the branch: see `Walker`.
Piece = tuple[int, int, int, int]


class Runs:
    """All runs by number: the offsets of their instructions in their page."""

    #: Numbers are held in four bytes of code; as none is small, one form serves.
    FIRST = 256

    def __init__(self) -> None:
        self._runs: list[array[int]] = []

    def __getitem__(self, number: int) -> array[int]:
        return self._runs[number - self.FIRST]

    def next_number(self) -> int:
        """The number of the next run."""
        return self.FIRST + len(self._runs)

    def add(self, offsets: array[int]) -> None:
        """Keep a run."""
        self._runs.append(offsets)

    def clear(self) -> None:
        """Forget all: the code memory is being emptied."""
        self._runs.clear()


def count_runs(walker: Walker, memo: Memo, runs: Runs) -> None:
    """Put a count before every run of what a walker has chosen. Raises Missing, having changed nothing."""
    pieces = walker.pieces()
    cut = _cut(pieces)
    first = runs.next_number()
    counts = {n: memo.count(len(offsets), first + number) for number, (n, offsets) in enumerate(cut.items())}
    result: list[Piece] = []
    for n, (record, flagged, info, branch) in enumerate(pieces):
        at = flagged & OFFSET
        if n in counts:
            result.append((counts[n][5], at | COUNT, 0, 0))
        result.append((record, at | INSIDE if flagged == at else flagged, info, branch))
    walker.put(result)
    for offsets in cut.values():
        runs.add(offsets)


def _cut(pieces: list[Piece]) -> dict[int, array[int]]:
    """The runs of these pieces: index of the one with which each begins, and the offsets of its instructions."""
    leaders = {(at & OFFSET) + branch for _, at, info, branch in pieces if info & BRANCHES}
    leaders |= {at & OFFSET for _, at, info, _ in pieces if not info}
    runs: dict[int, array[int]] = {}
    fresh = True
    for n, (_, at, info, _) in enumerate(pieces):
        flow = info >> FLOW_AT & 15
        if not info:  # code that goes on elsewhere
            fresh = True
        elif at & NEITHER:  # the same instruction as its guard, which is before it
            fresh = flow != GOES_ON
        else:
            if fresh or at in leaders:
                current = runs[n] = array("H")
            current.append(at)
            guards = n + 1 < len(pieces) and pieces[n + 1][1] & NEITHER and pieces[n + 1][2]
            fresh = flow != GOES_ON and not guards
    return runs
