"""What user mode knows of the host: system calls by name, and the native code around system calls and signals.

One module for each kind of host; this one picks it. Everything else in `ratite.user` names host calls and knows no
number of them.
"""

from __future__ import annotations

import os

from ratite.errors import HostError

if os.uname().machine != "x86_64":
    raise HostError(f"user mode runs on x86-64 Linux hosts; this one is {os.uname().machine}")

from ratite.user.host import x86_64 as machine

NUMBERS = machine.NUMBERS
"""Host system call numbers by name."""

TURNED_BACK = machine.TURNED_BACK
pack_call = machine.CALL.pack
native = machine.Native()

M64 = (1 << 64) - 1
PAGE = 4096


def quick(name: str, a1: int = 0, a2: int = 0, a3: int = 0, a4: int = 0, a5: int = 0, a6: int = 0) -> int:
    """Make a host system call that does not sleep; returns the kernel's result, `-errno` on failure."""
    return native.quick(pack_call(NUMBERS[name], a1 & M64, a2 & M64, a3 & M64, a4 & M64, a5 & M64, a6 & M64, 0))
