"""What `-profile` asks for."""

from __future__ import annotations

from typing import NamedTuple

from ratite import keyval

FREQUENCY = 250


class Request(NamedTuple):
    """Samples into `file`, `frequency` for a second of processor time, for `seconds` (0: to the end)."""

    file: str
    frequency: int = FREQUENCY
    seconds: float = 0.0


def parse(text: str) -> Request:
    """Read `FILE[,frequency=HZ][,seconds=N]`. Raises UsageError."""
    pairs = keyval.parse(text, "file")
    pairs.expect("-profile item", ("file", "frequency", "seconds"))
    return Request(pairs.get("file"), frequency(pairs.get("frequency", str(FREQUENCY))), seconds(pairs.get("seconds", "0")))


def frequency(text: str) -> int:
    """Samples for a second. Raises UsageError."""
    return keyval.number(text, 1, 10_000)


def seconds(text: str) -> float:
    """How long to sample; 0 is to the end. Raises UsageError."""
    return float(keyval.number(text, 0, 1_000_000))
