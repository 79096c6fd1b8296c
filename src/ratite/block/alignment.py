"""Whether buffers can be used with O_DIRECT."""

from __future__ import annotations

import ctypes

from ratite.block.image import Views


def is_aligned(views: Views, offset: int, unit: int) -> bool:
    """True when offset, addresses and lengths are multiples of `unit` (a power of two)."""
    bits = offset
    for view in views:
        bits |= len(view) | ctypes.addressof(ctypes.c_char.from_buffer(view)) if not view.readonly else 1
    return not bits & (unit - 1)
