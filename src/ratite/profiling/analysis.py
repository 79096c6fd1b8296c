"""From samples to functions: who was running, who had called, and where the time went.

A stack is made of the place where execution was, the return address register where that tells of a function which keeps no frame, and the frames. It
ends at the first return address that no symbol covers: code that was compiled without frame pointers leads nowhere, or astray.
Code without symbols is named by its page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from ratite.cpu.sampling import HELPERS, HOST, NATIVE, Found
from ratite.profiling.recording import Profile
from ratite.profiling.symbols import Find, MappedFiles, first_of

WAITING, CROWDED = "waiting", "no processor"
_PAGE = 4096


class Function(NamedTuple):
    """A guest function, or what stands for one: samples in itself by state."""

    name: str
    file: str


class Share(NamedTuple):
    """A state and its part of the threads' time."""

    state: str
    seconds: float
    part: float


class Analysis:
    """A profile with names. `find` are the symbols that the user gave; those of mapped files come after them."""

    def __init__(self, profile: Profile, find: Sequence[Find] = ()) -> None:
        self.profile = profile
        self._find = first_of([*find, MappedFiles(lambda: profile.mappings).find])
        self._names: dict[int, Function | None] = {}

    @property
    def ticks(self) -> int:
        """All samples, in ticks of the sampler."""
        return sum(self.profile.samples.values())

    def functions(self) -> list[tuple[Function, int, int]]:
        """Functions with the ticks of all states, and of machine code alone; the hottest first."""
        total: Counter[Function] = Counter()
        native: Counter[Function] = Counter()
        for found, ticks in self.profile.samples.items():
            function = self._innermost(found)
            total[function] += ticks
            native[function] += ticks if found.state in (NATIVE, HELPERS, HOST) else 0
        return [(f, n, native[f]) for f, n in sorted(total.items(), key=lambda item: (-item[1], item[0]))]

    def shares(self) -> list[Share]:
        """States by their part of the clock time of the threads that ran guest code; the rest is waiting. The largest first, waiting last.
        """
        counts: Counter[str] = Counter()
        for found, ticks in self.profile.samples.items():
            counts[found.state] += ticks
        p = self.profile
        whole, ticks = max(p.threads, p.cpu, 1), max(1, counts.total())
        rows = [Share(state, n / ticks * p.cpu / 1e9, n / ticks * p.cpu / whole) for state, n in counts.most_common()]
        delay = min(p.delay, whole - p.cpu)
        rest = [(CROWDED, delay), (WAITING, whole - p.cpu - delay)]
        return [*rows, *(Share(state, ns / 1e9, ns / whole) for state, ns in rest)]

    def stacks(self) -> Counter[tuple[str, ...]]:
        """Stacks of names, outermost first, with their ticks. What is no guest code is in brackets, on top of the code that asked for it."""
        result: Counter[tuple[str, ...]] = Counter()
        for found, ticks in self.profile.samples.items():
            names = [f.name for f in self._stack(found)]
            if found.state != NATIVE:
                names.insert(0, f"[{found.state}]")
                if found.detail:
                    names.insert(0, f"[{found.detail}]")
            result[tuple(reversed(names or ["[unknown]"]))] += ticks
        return result

    def _innermost(self, found: Found) -> Function:
        if found.stack:
            return self._function(found.stack[0])
        return Function(f"[{found.detail or found.state}]", "")

    def _stack(self, found: Found) -> list[Function]:
        """Functions, innermost first."""
        if not found.stack:
            return []
        functions = [self._function(found.stack[0])]
        link, frames = (found.stack[1], found.stack[2:]) if len(found.stack) > 1 else (0, ())
        caller = self._known(link - 1)
        if caller is not None and caller != functions[0] and (not frames or link != frames[0]):
            functions.append(caller)
        for address in frames:
            caller = self._known(address - 1)  # the call itself: it may be the last instruction of its function
            if caller is None:
                break
            functions.append(caller)
        return functions

    def _function(self, address: int) -> Function:
        return self._known(address) or Function(f"page {address & -_PAGE:#x}", "")

    def _known(self, address: int) -> Function | None:
        if address not in self._names:
            symbol = self._find(address)
            self._names[address] = symbol and Function(symbol.name, symbol.file)
        return self._names[address]
