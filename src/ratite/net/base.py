"""What every network back end is to a network card and to the machine."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from ratite.chardev.loop import IoLoop
from ratite.errors import UsageError
from ratite.net.mac import default_mac

Receive = Callable[[bytes], None]
CanReceive = Callable[[], bool]

LONGEST_FRAME = 65536 + 64     # with offloads; without, the cards keep to 1514
_WAITING_FRAMES = 1000         # for a card without room; more are dropped, as a switch does


@dataclass
class NetContext:
    """What back ends need of the machine: the I/O loop (with the machine's lock) and a place for messages."""

    loop: IoLoop
    announce: Callable[[str], None] = print
    cards: int = 0

    def next_mac(self) -> bytes:
        """An address for a card for which the user chose none; they count up."""
        self.cards += 1
        return default_mac(self.cards - 1)


class NetBackend:
    """One end of an Ethernet cable; frames are without checksum.

    The card calls `attach` once. `receive(frame)` is called only when `can_receive()` is true; frames that come
    meanwhile wait until the card calls `accept_input`, a bounded number of them. `send` never blocks: it returns
    False when there is no room for the frame, and `on_room` is called when there is again. The card's functions are
    called holding the machine's lock.
    """

    kind: ClassVar[str] = ""
    options: ClassVar[type[Any]]

    def __init_subclass__(cls, kind: str, options: type[Any]) -> None:
        cls.kind, cls.options = kind, options

    def __init__(self, context: NetContext, name: str) -> None:
        self.context, self.loop, self.lock = context, context.loop, context.loop.lock
        self.name = name
        self.dropped = 0    # frames for the guest that nobody took
        self._receive: Receive | None = None
        self._can_receive: CanReceive = lambda: False
        self._on_room: Callable[[], None] = lambda: None
        self._waiting: deque[bytes] = deque()

    # --- for the card

    def attach(self, receive: Receive, can_receive: CanReceive, *, on_room: Callable[[], None] = lambda: None) -> None:
        """Plug a card in. Raises UsageError when there is one."""
        with self.lock:
            if self._receive is not None:
                raise UsageError(f"netdev '{self.name}' is already in use by another network card")
            self._receive, self._can_receive, self._on_room = receive, can_receive, on_room
            self.accept_input()

    @property
    def attached(self) -> bool:
        return self._receive is not None

    def send(self, frame: bytes) -> bool:
        """A frame from the guest. False: no room, try again after `on_room`."""
        raise NotImplementedError

    def accept_input(self) -> None:
        """The card has room again."""
        while self._waiting and self._can_receive() and self._receive is not None:
            self._receive(self._waiting.popleft())

    # --- for the machine

    def close(self) -> None:
        """Give host resources back. May be called twice."""

    # --- for back ends; the lock is held

    def _deliver(self, frame: bytes) -> None:
        """A frame for the guest."""
        if not self._waiting and self._receive is not None and self._can_receive():
            self._receive(frame)
        elif len(self._waiting) < _WAITING_FRAMES:
            self._waiting.append(frame)
        else:
            self.dropped += 1
