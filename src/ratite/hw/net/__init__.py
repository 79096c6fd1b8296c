"""Network cards, and the parts that they have in common."""

from ratite.hw.net import e1000, microwire, mii, offload

__all__ = ["e1000", "microwire", "mii", "offload"]
