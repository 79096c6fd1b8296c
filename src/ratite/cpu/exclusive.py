"""Sections in which no processor runs native code.

Native code looks into translation caches, and runs translations, without asking anybody. So whoever empties the caches of a processor that
is not its own, or has code go away, first has every processor leave native code, and keeps them out meanwhile: `with engine.exclusive:`.
Publishing new code, and patching a displacement that lies inside eight aligned bytes, need no such section.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ratite.cpu.vcpu import Vcpu


class Exclusive:
    """The border of native code. Inside a section the engine's lock is held; sections of one thread may be nested.

    closed: processors must not enter. A processor sets its `native` before it looks at `closed`, and a section sets `closed` before it looks
    at `native`, so one of them sees the other.
    """

    def __init__(self, lock: AbstractContextManager[Any], vcpus: list[Vcpu]) -> None:
        self._lock, self._vcpus = lock, vcpus
        self.closed = False
        self.sections = 0
        self._depth = 0
        self._held: list[Vcpu] = []
        self._opened, self._left = threading.Event(), threading.Event()

    def __enter__(self) -> None:
        self._lock.__enter__()
        self._depth += 1
        if self._depth == 1:
            self._close()

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            while self._held:
                self._held.pop().release()
            self.closed = False
            self._opened.set()
        self._lock.__exit__(None, None, None)

    def _close(self) -> None:
        self._opened.clear()
        self.closed = True
        self.sections += 1
        inside = [v for v in self._vcpus if v.native and not self._hold(v)]
        for vcpu in inside:
            vcpu.kick()
        while inside:
            self._left.clear()
            inside = [v for v in inside if v.native]
            if inside:
                self._left.wait()

    def _hold(self, vcpu: Vcpu) -> bool:
        """Whether a processor sleeps, and will not wake up into native code before the section ends."""
        held = vcpu.hold()
        if held:
            self._held.append(vcpu)
        return held

    def wait(self, vcpu: Vcpu) -> None:
        """Called by a processor that was about to enter and found the border closed: return when it may."""
        while self.closed:
            vcpu.native = False
            self._left.set()
            self._opened.wait()
            vcpu.native = True

    def left(self) -> None:
        """Called by a processor that has left native code and found the border closed."""
        self._left.set()

    def forked(self) -> None:
        """In the child of a fork: the other threads, and so what their processors did, are gone. They may have been inside the events."""
        self._opened, self._left = threading.Event(), threading.Event()
        for vcpu in self._vcpus:
            vcpu.native = False
