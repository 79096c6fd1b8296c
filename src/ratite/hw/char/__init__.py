"""Serial ports and other character devices."""

from ratite.hw.char import ns16550

__all__ = ["ns16550"]
