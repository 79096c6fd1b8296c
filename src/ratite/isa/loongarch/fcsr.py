"""The floating-point control and status register (LoongArch Reference Manual, volume 1, v1.10, chapter 3.1.3.3).

    4:0 Enables    9:8 RM    20:16 Flags    28:24 Cause        each exception field, from the top: V Z O U I

fcsr1 to fcsr3 are views of its parts. Other bits read zero.

While an exception is enabled, floating-point instructions run in the reference evaluator, which looks at the exceptions
of each, traps, and keeps Cause. While none is, exceptions only gather in Flags, and Cause stays as it was: nothing
that Linux or its C libraries do can tell. Not modelled: underflow with an exact result, which traps when it is enabled.
"""

from __future__ import annotations

from ratite.ir import Value
from ratite.isa.dsl import Session

_EXCEPTIONS = 0x1F
_FLAGS_AT, _CAUSE_AT, _ROUND_AT = 16, 24, 8

#: Bits that the four registers show.
VIEWS = (0x1F1F_031F, 0x0000_001F, 0x1F1F_0000, 0x0000_0300)


def mirrored(flags: Value) -> Value:
    """Exceptions in the opposite order: the engine's is that of the manual reversed."""
    swapped = flags & 4 | (flags & 1) << 4 | flags >> 4 & 1
    return swapped | (flags & 2) << 2 | flags >> 2 & 2


def exchanged(mode: Value) -> Value:
    """A rounding mode in the other of the two orders: the engine has down before up, the manual up before down."""
    return mode ^ mode >> 1 & 1


def read(s: Session) -> Value:
    """fcsr0 as a word."""
    parts = ((s.fcsr_enables, 0), (exchanged(s.fp_round), _ROUND_AT), (mirrored(s.fp_flags()), _FLAGS_AT), (s.fcsr_cause, _CAUSE_AT))
    word = s.const(0, 32)
    for part, at in parts:
        word = word | part.zext(32) << at
    return word


def write(s: Session, view: int, new: Value) -> None:
    """Write the parts of fcsr0 that a register shows; `new` is a word."""
    shown = VIEWS[view]
    if shown & _EXCEPTIONS:
        s.fcsr_enables = new.trunc(8) & _EXCEPTIONS
    if shown >> _ROUND_AT & 3:
        s.set_fp_round(exchanged((new >> _ROUND_AT).trunc(8) & 3))
    if shown >> _FLAGS_AT & _EXCEPTIONS:
        s.set_fp_flags(mirrored((new >> _FLAGS_AT).trunc(8) & _EXCEPTIONS))
    if shown >> _CAUSE_AT & _EXCEPTIONS:
        s.fcsr_cause = (new >> _CAUSE_AT).trunc(8) & _EXCEPTIONS
