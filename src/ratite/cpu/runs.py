"""Cutting code into runs: straight lines that are executed as a whole, and charged to the budget when they are entered.

A run ends where execution may go elsewhere, where somebody may jump to, and where the clock may be read, so that what is read is exact. Only
its beginning can be entered. Exceptions and what is left to Python come in the middle of a run; what it then has not executed is refunded.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from ratite.cpu.memo import GOES_ON
from ratite.cpu.placing import BEHIND_GUARD, COUNT, GOTO, INSIDE, INSTRUCTION, Plan

if TYPE_CHECKING:
    from ratite.cpu.memo import Memo


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


def count_runs(plan: Plan, memo: Memo, runs: Runs) -> Plan:
    """The plan with a COUNT at the start of every run. Raises Missing, having kept nothing."""
    result = Plan()
    result.portable, result.second = plan.portable, plan.second
    cut = _cut(plan)
    first = runs.next_number()
    counts = [memo.count(len(offsets), first + n) for n, offsets in enumerate(cut.values())]
    starts = dict(zip(cut, counts, strict=True))
    for n, (entry, at) in enumerate(zip(plan.entries, plan.offsets, strict=True)):
        kind = plan.others.get(n, INSTRUCTION)
        if n in starts:
            result.add(starts[n], at, COUNT)
        result.add(entry, at, INSIDE if kind == INSTRUCTION else kind)
    for offsets in cut.values():
        runs.add(offsets)
    return result


def _cut(plan: Plan) -> dict[int, array[int]]:
    """The runs of a plan: index of the element with which each begins, and the offsets of its instructions."""
    leaders = {at + e[3] for e, at in zip(plan.entries, plan.offsets, strict=True) if e[3] is not None}
    leaders |= {plan.offsets[n] for n, kind in plan.others.items() if kind == GOTO}
    runs: dict[int, array[int]] = {}
    fresh = True
    for n, (entry, at) in enumerate(zip(plan.entries, plan.offsets, strict=True)):
        kind = plan.others.get(n, INSTRUCTION)
        if kind == GOTO:
            fresh = True
        elif kind == BEHIND_GUARD:  # the same instruction as its guard
            fresh = entry[4] != GOES_ON
        else:
            if fresh or at in leaders:
                current = runs[n] = array("H")
            current.append(at)
            fresh = entry[4] != GOES_ON and plan.others.get(n + 1) != BEHIND_GUARD
    return runs
