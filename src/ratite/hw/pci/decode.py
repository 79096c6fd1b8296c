"""Who answers at an address of PCI memory or I/O space, and the windows through which a CPU reaches it.

The list of answers is made when it is asked for after a change: a guest that moves base address registers about costs
nothing but that. Where functions claim the same address, one of them answers; where none does, reads give ones and
writes are lost, as after a master abort.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable

from ratite import log
from ratite.hw.pci.bar import Claim
from ratite.memory import IoDevice


class Decoder:
    """One of the two address spaces behind a host bridge. `claims` gives what its functions claim at present."""

    def __init__(self, name: str, claims: Callable[[], Iterable[Claim]]) -> None:
        self.name = name
        self._claims = claims
        self._windows: list[AddressWindow] = []
        self._stale = True
        self._starts: list[int] = []
        self._answers: list[Claim] = []

    def changed(self) -> None:
        """The claims may be others now."""
        self._stale = True
        for window in self._windows:
            window.forget()

    def window(self, base: int) -> AddressWindow:
        """A way for a CPU to the addresses from `base` on."""
        self._windows.append(AddressWindow(self, base))
        return self._windows[-1]

    def answers(self) -> list[Claim]:
        """Every run of addresses with its target, lowest first; no two overlap."""
        if self._stale:
            self._stale = False
            self._answers = _disjoint(self._claims())
            self._starts = [claim.start for claim in self._answers]
        return self._answers

    def find(self, address: int, size: int) -> Claim | None:
        """Who answers an access."""
        answers = self.answers()
        index = bisect_right(self._starts, address) - 1
        if index >= 0 and address + size <= answers[index].end:
            return answers[index]
        if log.enabled("guest_errors"):
            log.write("guest_errors", f"{self.name}: no function takes {size} bytes at {address:#x}")
        return None


class AddressWindow:
    """A run of CPU addresses that leads to a decoder's addresses from `base` on.

    It remembers who answered last, and is most often right that the next access is for the same one.
    """

    def __init__(self, decoder: Decoder, base: int) -> None:
        self.decoder, self.base = decoder, base
        self.forget()

    def forget(self) -> None:
        """Functions may answer elsewhere now."""
        self._start, self._end, self._shift = 1, 0, 0    # holds no access
        self._target: IoDevice | None = None

    def mmio_read(self, offset: int, size: int) -> int:
        """A CPU reads 1, 2, 4 or 8 bytes; ones where nobody answers."""
        if not (self._start <= offset and offset + size <= self._end):
            self._find(offset, size)
        target = self._target
        return target.mmio_read(offset - self._shift, size) if target is not None else (1 << 8 * size) - 1

    def mmio_write(self, offset: int, size: int, value: int) -> None:
        """A CPU writes; lost where nobody answers."""
        if not (self._start <= offset and offset + size <= self._end):
            self._find(offset, size)
        target = self._target
        if target is not None:
            target.mmio_write(offset - self._shift, size, value)

    def _find(self, offset: int, size: int) -> None:
        claim = self.decoder.find(self.base + offset, size)
        if claim is None:
            self.forget()
        else:
            self._start, self._end = claim.start - self.base, claim.end - self.base
            self._shift, self._target = self._start - claim.offset, claim.target


def _disjoint(claims: Iterable[Claim]) -> list[Claim]:
    """The claims, each without what an earlier one has taken."""
    result: list[Claim] = []
    end = 0
    for claim in sorted(claims, key=lambda claim: (claim.start, claim.end)):
        rest = claim.clipped(end, claim.end)
        if rest is not None:
            result.append(rest)
            end = rest.end
    return result
