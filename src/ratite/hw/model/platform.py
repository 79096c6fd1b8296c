"""What a device may use of the machine that it is part of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ratite.hw.model.clock import Clock
from ratite.memory import AddressSpace


class Platform(Protocol):
    """The machine, seen from a device."""

    @property
    def memory(self) -> AddressSpace:
        """Guest-physical memory, for DMA."""

    @property
    def clock(self) -> Clock:
        """The machine's time."""

    @property
    def lock(self) -> Any:
        """The machine's lock, re-entrant; held whenever a device's code runs."""

    def request_shutdown(self, status: int = 0) -> None:
        """Power off soon; `status` is the exit status of the program."""

    def request_reset(self) -> None:
        """Reset the machine soon."""


class CharEvent(Protocol):
    """What besides data comes from the host side; `value` is `opened`, `closed` or `break`."""

    @property
    def value(self) -> str: ...


class CharBackend(Protocol):
    """The host side of a serial port or console; `ratite.chardev.base.Chardev` says more."""

    @property
    def output_full(self) -> bool:
        """Whether a front end with flow control should hold back until `on_room`."""

    def attach(
        self, receive: Callable[[bytes], None], can_receive: Callable[[], int], *,
        on_event: Callable[[CharEvent], None] | None = None, on_room: Callable[[], None] | None = None,
    ) -> None: ...

    def detach(self) -> None: ...

    def write(self, data: bytes) -> None: ...

    def accept_input(self) -> None: ...


class BlockBackend(Protocol):
    """The host side of a disk or flash; `ratite.block.image` says more."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def readonly(self) -> bool: ...

    def preadv(self, views: Sequence[memoryview], offset: int) -> None:
        """Fill the views with bytes from `offset` on."""

    def pwritev(self, views: Sequence[memoryview], offset: int) -> None:
        """Write the views' bytes at `offset`."""
