"""The policy for Python's collector while a machine runs."""

from __future__ import annotations

import gc
import weakref

from ratite.cpu import garbage


class Node:
    """Something that can be in a cycle."""

    def __init__(self) -> None:
        self.me = self


def test_garbage_goes_and_what_lasts_is_looked_at_once() -> None:
    """Young cycles are collected; objects that survive are set aside, so that no later collection grows with them."""
    with garbage.short_pauses():
        gone = weakref.ref(Node())
        kept = [[n] for n in range(20 * garbage.YOUNG)]
        assert gone() is None
        assert len(gc.get_objects()) < 2 * garbage.YOUNG
        assert gc.get_freeze_count() > len(kept) - 2 * garbage.YOUNG


def test_what_was_set_aside_can_be_swept() -> None:
    """A cycle that became garbage after it was set aside goes with `sweep`."""
    with garbage.short_pauses():
        late = Node()
        seen = weakref.ref(late)
        gc.collect()
        del late
        gc.collect()
        assert seen() is not None
        garbage.sweep()
        assert seen() is None


def test_afterwards_the_collector_is_as_it_was() -> None:
    """Thresholds, callbacks and what is looked at are restored, also behind an error."""
    before = gc.get_threshold(), list(gc.callbacks)
    try:
        with garbage.short_pauses():
            raise KeyError
    except KeyError:
        pass
    assert (gc.get_threshold(), list(gc.callbacks)) == before
    assert gc.get_freeze_count() == 0
