"""Storage that is no disk: flash chips."""

from ratite.hw.block import pflash_cfi01

__all__ = ["pflash_cfi01"]
