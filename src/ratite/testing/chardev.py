"""A character device whose other side is the test."""

from __future__ import annotations

from collections.abc import Callable

from ratite.hw.model import CharEvent


class FakeChardev:
    """Collects what the front end writes in `output`; `type` offers input, which waits until there is room for it.

    With `output_full` set, it is a peer that does not read; `make_room` ends that.
    """

    def __init__(self) -> None:
        self.output = bytearray()
        self.output_full = False
        self.paused = False
        """Keeps input back."""
        self.waiting = bytearray()
        """Input that the front end has not taken yet."""
        self._receive: Callable[[bytes], None] | None = None
        self._can_receive: Callable[[], int] = lambda: 0
        self._on_event: Callable[[CharEvent], None] | None = None
        self._on_room: Callable[[], None] | None = None

    def attach(
        self, receive: Callable[[bytes], None], can_receive: Callable[[], int], *,
        on_event: Callable[[CharEvent], None] | None = None, on_room: Callable[[], None] | None = None,
    ) -> None:
        self._receive, self._can_receive, self._on_event, self._on_room = receive, can_receive, on_event, on_room

    def detach(self) -> None:
        self._receive = None

    def write(self, data: bytes) -> None:
        self.output += data

    def type(self, data: bytes) -> None:
        """Send input to the front end."""
        self.waiting += data
        self.accept_input()

    def event(self, event: CharEvent) -> None:
        """Report an event, such as a break."""
        if self._on_event is not None:
            self._on_event(event)

    def make_room(self) -> None:
        """Take what waits, and say so."""
        self.output_full = False
        if self._on_room is not None:
            self._on_room()

    def accept_input(self) -> None:
        while self._receive is not None and self.waiting and not self.paused:
            room = self._can_receive()
            if room <= 0:
                return
            data = bytes(self.waiting[:room])
            del self.waiting[:room]
            self._receive(data)
