"""A serial EEPROM on a Microwire bus (93C46: 64 words of 16 bits), clocked bit by bit.

A command is a start bit, two bits of operation and six of address; a read then gives the word, most significant bit
first. Not modelled: writing and erasing, which are ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

WORDS = 64
_READ = 0b110
_COMMAND_BITS, _ADDRESS_BITS, _DATA_BITS = 3, 6, 16


class Microwire:
    """The chip: `drive` sets its inputs, `output` is the level of its data output."""

    def __init__(self, words: Sequence[int]) -> None:
        self.words = list(words)
        self.deselect()

    def deselect(self) -> None:
        """End a command."""
        self.clock = False
        self.shifted, self.bits = 0, 0
        self.remaining, self.reading = 0, 0
        self.output = True    # ready

    def drive(self, *, select: bool, clock: bool, data: bool) -> None:
        """Set the inputs; a bit goes in or out when the clock rises."""
        if not select:
            self.deselect()
            return
        rising, self.clock = clock and not self.clock, clock
        if rising and self.remaining:
            self.remaining -= 1
            self.output = bool(self.reading >> self.remaining & 1)
        elif rising and (data or self.bits):    # zeros before the start bit do not count
            self.shifted, self.bits = (self.shifted << 1 | data) & 0xFFFF, self.bits + 1
            self._decode()

    def _decode(self) -> None:
        if self.bits == _COMMAND_BITS + _ADDRESS_BITS and self.shifted >> _ADDRESS_BITS == _READ:
            self.reading = self.words[self.shifted & WORDS - 1]
            self.remaining, self.output = _DATA_BITS, False
            self.shifted = self.bits = 0

    def save(self) -> dict[str, Any]:
        """Where in a command it is."""
        return {name: getattr(self, name) for name in ("clock", "shifted", "bits", "remaining", "reading", "output")}

    def load(self, saved: dict[str, Any]) -> None:
        """Go on there."""
        self.clock, self.output = bool(saved["clock"]), bool(saved["output"])
        self.shifted, self.bits = int(saved["shifted"]) & 0xFFFF, int(saved["bits"])
        self.reading, self.remaining = int(saved["reading"]) & 0xFFFF, int(saved["remaining"]) % (_DATA_BITS + 1)
