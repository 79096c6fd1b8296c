"""What every character device is to its front end and to the machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

from ratite.chardev.loop import IoLoop
from ratite.errors import UsageError

Receive = Callable[[bytes], None]
CanReceive = Callable[[], int]

OUTPUT_FULL = 64 << 10     # waiting output from which a front end that knows flow control should hold back
OUTPUT_LIMIT = 16 << 20    # and from which more is dropped, for front ends that do not


class ChardevEvent(Enum):
    """What can happen to a stream besides data."""

    OPENED = "opened"    # the other side is there
    CLOSED = "closed"    # the other side has gone
    BREAK = "break"      # a serial break


@dataclass(frozen=True)
class NoOptions:
    """A back end that has nothing to set."""


@dataclass
class ChardevContext:
    """What back ends need of the machine: the I/O loop (with the machine's lock), a way to end it, and a place for
    messages.
    """

    loop: IoLoop
    quit: Callable[[], None]
    announce: Callable[[str], None] = print


class Chardev:
    """One end of a stream of characters.

    The front end calls `attach` once with two functions: `can_receive() -> int` says for how many bytes there is
    room, `receive(data)` takes at most that many. When there was no room it calls `accept_input` as soon as there is
    some; until then the input stays where it is. `write` never blocks: what the other side does not take at once
    waits here. A front end with flow control looks at `output_full` and continues on `on_room`; for one without, the
    waiting output is bounded, and what exceeds the bound is dropped. All front-end functions are called holding the
    machine's lock.
    """

    kind: ClassVar[str] = ""
    options: ClassVar[type[Any]] = NoOptions

    def __init_subclass__(cls, kind: str = "", options: type[Any] = NoOptions) -> None:
        cls.kind, cls.options = kind, options

    def __init__(self, context: ChardevContext, label: str) -> None:
        self.context, self.loop, self.lock = context, context.loop, context.loop.lock
        self.label = label
        self.connected = True
        self._receive: Receive | None = None
        self._can_receive: CanReceive = lambda: 0
        self._on_event: Callable[[ChardevEvent], None] | None = None
        self._on_room: Callable[[], None] | None = None

    # --- for front ends

    def attach(
        self,
        receive: Receive,
        can_receive: CanReceive,
        *,
        on_event: Callable[[ChardevEvent], None] | None = None,
        on_room: Callable[[], None] | None = None,
    ) -> None:
        """Take the stream. Raises UsageError when another front end has it."""
        with self.lock:
            if self._receive is not None:
                raise UsageError(f"character device '{self.label}' is already in use")
            self._receive, self._can_receive, self._on_event, self._on_room = receive, can_receive, on_event, on_room
            if self.connected:
                self._event(ChardevEvent.OPENED)
            self.accept_input()

    def detach(self) -> None:
        """Give the stream back; input waits for the next front end."""
        with self.lock:
            self._receive, self._on_event, self._on_room = None, None, None
            self._can_receive = lambda: 0

    @property
    def attached(self) -> bool:
        return self._receive is not None

    def write(self, data: bytes) -> None:
        """Send `data` to the other side; dropped while nobody is there."""
        raise NotImplementedError

    @property
    def output_full(self) -> bool:
        """True when so much output waits that the front end should hold back until `on_room`."""
        return False

    def accept_input(self) -> None:
        """The front end has room again."""

    # --- for the machine

    def close(self) -> None:
        """End the stream: send what waits as far as it goes, and give host resources back. May be called twice."""

    # --- for back ends; the lock is held

    def _event(self, event: ChardevEvent) -> None:
        if self._on_event is not None:
            self._on_event(event)

    def _set_connected(self, connected: bool) -> None:
        if connected != self.connected:
            self.connected = connected
            self._event(ChardevEvent.OPENED if connected else ChardevEvent.CLOSED)

    def _room(self) -> None:
        if self._on_room is not None:
            self._on_room()

    def _deliver(self, data: bytes) -> None:
        if self._receive is not None and data:
            self._receive(data)
