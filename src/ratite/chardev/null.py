"""`null`: output goes nowhere, input never comes."""

from __future__ import annotations

from ratite.chardev.base import Chardev


class NullChardev(Chardev, kind="null"):
    """A stream with nobody at the other end."""

    def write(self, data: bytes) -> None:
        """Swallow `data`."""
