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


class Decoder:
    """One of the two address spaces behind a host bridge. `claims` gives what its functions claim at present."""

    def __init__(self, name: str, claims: Callable[[], Iterable[Claim]]) -> None:
        self.name = name
        self._claims = claims
        self._stale = True
        self._starts: list[int] = []
        self._answers: list[Claim] = []

    def changed(self) -> None:
        """The claims may be others now."""
        self._stale = True

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

    def read(self, address: int, size: int) -> int:
        """Read 1, 2, 4 or 8 bytes."""
        claim = self.find(address, size)
        if claim is None:
            return (1 << 8 * size) - 1
        return claim.target.mmio_read(address - claim.start + claim.offset, size)

    def write(self, address: int, size: int, value: int) -> None:
        """Write 1, 2, 4 or 8 bytes."""
        claim = self.find(address, size)
        if claim is not None:
            claim.target.mmio_write(address - claim.start + claim.offset, size, value)


class AddressWindow:
    """A run of CPU addresses that leads to a decoder's addresses from `base` on."""

    def __init__(self, decoder: Decoder, base: int) -> None:
        self.decoder, self.base = decoder, base

    def mmio_read(self, offset: int, size: int) -> int:
        """A CPU reads."""
        return self.decoder.read(self.base + offset, size)

    def mmio_write(self, offset: int, size: int, value: int) -> None:
        """A CPU writes."""
        self.decoder.write(self.base + offset, size, value)


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
