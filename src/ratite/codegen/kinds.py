"""Kinds of operands and of places in machine code, as stencils, their joining and native code number them."""

from __future__ import annotations

ZERO, MEMORY = -1, -2  #: register classes beside the numbers of pinned registers

# What is filled in when code is placed.
TAKEN, STUB, MISS_LOAD, MISS_STORE, ADDRESS64, ADDRESS32, FIXED, CONSTANT = range(8)

#: The native helpers behind the two kinds of misses.
MISS_HANDLERS = {MISS_LOAD: "miss_load", MISS_STORE: "miss_store"}
