"""A network back end whose other side is the test."""

from __future__ import annotations

import threading

from ratite.chardev.loop import IoLoop
from ratite.net.base import CanReceive, NetBackend, NetContext, Receive


class FakeNetdev(NetBackend, kind="fake", options=object):
    """Collects what the card sends in `frames`; `deliver` sends it something. With `full` set it takes nothing."""

    def __init__(self) -> None:
        super().__init__(NetContext(IoLoop(threading.RLock())), "fake")
        self.frames: list[bytes] = []
        self.full = False

    def attach(self, receive: Receive, can_receive: CanReceive, *, on_room: object = None) -> None:
        """A new card replaces the old one, as when a device goes on from saved state."""
        self._receive = None
        super().attach(receive, can_receive, on_room=on_room)    # type: ignore[arg-type]

    def send(self, frame: bytes) -> bool:
        if self.full:
            return False
        self.frames.append(frame)
        return True

    def deliver(self, frame: bytes) -> None:
        """Send a frame to the card; it waits when the card has no buffer for it."""
        self._deliver(frame)

    def make_room(self) -> None:
        """Take frames again, and say so."""
        self.full = False
        self._on_room()
