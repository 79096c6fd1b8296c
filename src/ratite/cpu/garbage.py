"""Python's garbage collector while a machine runs: pauses of half a millisecond, whatever the machine has grown to.

What translation makes has no cycles, and most of it stays as long as the machine does; to look through it again and again is time in which no
other thread of Python runs, timers included. So a collection is of few objects, the youngest, and what survives it is set aside and not looked at
any more (`gc.freeze`). Cycles that become garbage after they were set aside wait for `sweep`, which is for moments when a guest does not notice.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

#: How many new objects a collection looks through: a tenth to half a millisecond.
YOUNG = 700


@contextmanager
def short_pauses() -> Iterator[None]:
    """Have the collector of this Python work like that; afterwards it is as it was. For whoever runs a machine and has no need for another policy."""
    before = gc.get_threshold()
    gc.freeze()
    gc.callbacks.append(_set_aside)
    gc.set_threshold(YOUNG, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(_set_aside)
        gc.unfreeze()


def _set_aside(phase: str, info: Mapping[str, int]) -> None:
    if phase == "stop":
        gc.freeze()


def sweep() -> None:
    """Look through everything, also what has been set aside: some tenths of a second."""
    gc.unfreeze()
    gc.collect()
