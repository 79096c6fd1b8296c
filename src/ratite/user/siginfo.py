"""The siginfo structure: made here for faults, and rewritten for guests whose layout is not the host's.

A siginfo is 128 bytes: signal, errno and code, then a union that depends on both. 64-bit guests share the host's
layout; in that of 32-bit ones the union starts at 12 and holds shorter fields.

Source: the Linux kernel's `include/uapi/asm-generic/siginfo.h`.
"""

from __future__ import annotations

import struct

from ratite.user.signalnumbers import (
    SI_TIMER,
    SI_USER,
    SIGBUS,
    SIGCHLD,
    SIGFPE,
    SIGILL,
    SIGIO,
    SIGSEGV,
    SIGSYS,
    SIGTRAP,
)

SIZE = 128
_HEAD = struct.Struct("<iii")
FAULTS = frozenset((SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV))

# The union, by what the kernel filled in: the host's fields and a 32-bit guest's.
_KILL = (struct.Struct("<iI"), struct.Struct("<iI"))
_QUEUED = (struct.Struct("<iIQ"), struct.Struct("<iII"))
_TIMER = (struct.Struct("<iiQ"), struct.Struct("<iiI"))
_CHILD = (struct.Struct("<iIi4xqq"), struct.Struct("<iIiii"))
_ADDRESS = (struct.Struct("<Q"), struct.Struct("<I"))
_POLL = (struct.Struct("<qi"), struct.Struct("<ii"))
_SYSTEM = (struct.Struct("<QiI"), struct.Struct("<IiI"))

_UNION_64, _UNION_32 = 16, 12


def fault(signo: int, code: int, address: int, bits: int) -> bytes:
    """The siginfo of a signal that an instruction caused."""
    union = struct.pack("<Q" if bits == 64 else "<I", address & (1 << bits) - 1)
    return (_HEAD.pack(signo, 0, code).ljust(_UNION_64 if bits == 64 else _UNION_32, b"\0") + union).ljust(SIZE, b"\0")


def signo(info: bytes) -> int:
    """Which signal it is."""
    number, _, _ = _HEAD.unpack_from(info)
    return int(number)


def to_guest(info: bytes, bits: int) -> bytes:
    """The host's siginfo as a guest of that width lays it out."""
    if bits == 64:
        return info
    number, error, code = _HEAD.unpack_from(info)
    host, guest = _union(number, code)
    values = host.unpack_from(info, _UNION_64)
    return (_HEAD.pack(number, error, code) + _pack(guest, values)).ljust(SIZE, b"\0")


def to_host(info: bytes, bits: int) -> bytes:
    """The other way round, for a siginfo that a guest queues."""
    if bits == 64:
        return info
    number, error, code = _HEAD.unpack_from(info)
    host, guest = _union(number, code)
    values = guest.unpack_from(info, _UNION_32)
    return (_HEAD.pack(number, error, code).ljust(_UNION_64, b"\0") + _pack(host, values)).ljust(SIZE, b"\0")


def _union(number: int, code: int) -> tuple[struct.Struct, struct.Struct]:
    if code == SI_TIMER:
        return _TIMER
    if code < 0:
        return _QUEUED
    if code == SI_USER:
        return _KILL
    if number == SIGCHLD:
        return _CHILD
    if number in FAULTS:
        return _ADDRESS
    if number == SIGIO:
        return _POLL
    return _SYSTEM if number == SIGSYS else _KILL


def _pack(layout: struct.Struct, values: tuple[int, ...]) -> bytes:
    """Pack values that may be too wide for a narrower layout."""
    widths = {"i": 32, "I": 32, "q": 64, "Q": 64}
    kept = []
    for value, code in zip(values, layout.format.strip("<").replace("4x", ""), strict=True):
        value &= (1 << widths[code]) - 1
        kept.append(value - (1 << widths[code]) if code.islower() and value >> widths[code] - 1 else value)
    return layout.pack(*kept)
