"""`pty`: a pseudo terminal of the host, for `screen`, `minicom` and the like."""

from __future__ import annotations

import os
import select

from ratite.chardev.base import ChardevContext
from ratite.chardev.loop import Timer
from ratite.chardev.stream import StreamChardev
from ratite.errors import HostError

_LOOK_SECONDS = 0.25    # the host tells of a terminal program that leaves, but not of one that comes


class PtyChardev(StreamChardev, kind="pty"):
    """A pseudo terminal in raw mode; its name is announced. Output is dropped while no program has it open."""

    def __init__(self, context: ChardevContext, label: str) -> None:
        super().__init__(context, label)
        import tty

        try:
            self._master, slave = os.openpty()
        except OSError as error:
            raise HostError(f"no pseudo terminal to be had: {error.strerror}") from None
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        os.close(slave)
        os.set_blocking(self._master, False)
        self.connected = False
        self._look: Timer | None = None
        context.announce(f"char device redirected to {self.path} (label {label})")
        self._look_for_peer()

    def write(self, data: bytes) -> None:
        with self.lock:
            if not self.connected:
                self._connect_if_there()
            super().write(data)

    def close(self) -> None:
        with self.lock:
            super().close()
            if self._look is not None:
                self._look.cancel()
            if self._master >= 0:
                os.close(self._master)
                self._master = -1

    def _hang_up(self) -> None:
        super()._hang_up()
        self._look_for_peer()

    def _close_descriptors(self, descriptors: set[int]) -> None:
        """The terminal outlives the programs that use it."""

    def _look_for_peer(self) -> None:
        if not self._connect_if_there():
            self._look = self.loop.call_later(_LOOK_SECONDS, self._look_for_peer)

    def _connect_if_there(self) -> bool:
        if self.connected or self._master < 0:
            return True
        poll = select.poll()
        poll.register(self._master, 0)
        if poll.poll(0):    # a hang-up: nobody has the other side open
            return False
        self._open(self._master, self._master)
        self._set_connected(True)
        return True
