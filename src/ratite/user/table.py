"""System calls by declaration: what each one's arguments are, and whether it is the host's own or done here.

A call that the host's kernel can do for the guest as it stands is one line:

    forward("getrusage", "Int, Out(rusage)")

Anything else is a function, whose parameters' annotations say what the registers hold:

    @syscall
    def pipe2(t: Thread, fds: Ptr, flags: Int) -> int: ...

Kinds of argument: `Int` and `UInt` are 32 bits wide, `Long` and `Size` as wide as a register, `Off` always 64 bits
(two registers of a 32-bit ABI). `Fd` is an Int, `Ptr` a guest address. `Path` is a file name: functions get its bytes
with the sysroot applied, and fail with EFAULT for a null pointer, which `forward` passes on. `In(name)`, `Out(name)`
and `InOut(name)` point to a structure of `structs.py`; they exist in `forward` only, and are converted where the
guest's layout is not the host's.

A result is a number or `-errno`; functions may also raise SyscallError or OSError. `restart=True` says that the kernel
begins the call again after a signal handler with SA_RESTART.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

from ratite.user.host import M64, NUMBERS, native, pack_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ratite.user.abi.base import Abi
    from ratite.user.thread import Thread

    Args = Sequence[int]
    Run = Callable[["Thread", Args], int]
    Get = Callable[["Thread", Args], Any]

Int = int
UInt = int
Long = int
Size = int
Off = int
Fd = int
Ptr = int
Path = bytes


class Call:
    """A system call as declared, the same for all ABIs."""

    __slots__ = ("bind", "kinds", "name", "restart")

    def __init__(self, name: str, kinds: list[str], restart: bool, bind: Callable[[Abi], Run]) -> None:
        self.name = name
        self.kinds = kinds
        self.restart = restart
        self.bind = bind
        """Make the function for one ABI's registers and structures."""


CALLS: dict[str, Call] = {}


def forward(name: str, kinds: str = "", *, host: str = "", sleeps: bool = True, restart: bool = False) -> None:
    """Declare a call that the host's call of the same name (or of the name `host`) does.

    `sleeps=False` is for those that can not wait: they are made without letting other Python threads run.
    """
    kind_list = [kind.strip() for kind in kinds.split(",")] if kinds else []
    number = NUMBERS[host or name]
    _declare(Call(name, kind_list, restart, lambda abi: _bind_forward(abi, number, kind_list, sleeps)))


def syscall(function: Callable[..., int]) -> Callable[..., int]:
    """Declare a function as the system call of its name."""
    _declare_function(function, restart=False)
    return function


def restarted_syscall(function: Callable[..., int]) -> Callable[..., int]:
    """Declare a function as the system call of its name, one that begins again after a handler with SA_RESTART."""
    _declare_function(function, restart=True)
    return function


def timed_syscall(function: Callable[..., int]) -> Callable[..., int]:
    """Declare a function as two system calls that differ in a time structure, whose name it gets as `kind`.

    The one of its own name takes the ABI's `timespec`; with `_time64` behind the name it is that of 32-bit programs with a
    64-bit `time_t`.
    """
    _declare_timed(function, restart=False)
    return function


def restarted_timed_syscall(function: Callable[..., int]) -> Callable[..., int]:
    """The same for calls that begin again after a handler with SA_RESTART."""
    _declare_timed(function, restart=True)
    return function


def _declare_timed(function: Callable[..., int], restart: bool) -> None:
    for suffix, kind in (("", "timespec"), ("_time64", "timespec64")):
        _declare_function(function, restart, suffix, {"kind": kind})


def _declare_function(
    function: Callable[..., int], restart: bool, suffix: str = "", given: Mapping[str, str] = MappingProxyType({})
) -> None:
    kinds = [kind for parameter, kind in function.__annotations__.items() if parameter not in ("t", "return", *given)]
    run = partial(function, **given) if given else function
    _declare(Call(function.__name__ + suffix, kinds, restart, lambda abi: _bind_function(abi, run, kinds)))


def _declare(call: Call) -> None:
    if call.name in CALLS:
        raise KeyError(f"system call {call.name} is declared twice")
    CALLS[call.name] = call


def slots(abi: Abi, kinds: Sequence[str]) -> list[int]:
    """The index of each argument's first register."""
    found, at = [], 0
    for kind in kinds:
        wide = kind == "Off" and abi.bits == 32
        if wide and abi.aligns_pairs:
            at += at & 1
        found.append(at)
        at += 2 if wide else 1
    return found


def _bind_function(abi: Abi, function: Callable[..., int], kinds: list[str]) -> Run:
    gather = _gather([_python_getter(abi, kind, slot) for kind, slot in zip(kinds, slots(abi, kinds), strict=True)])
    return lambda t, a: function(t, *gather(t, a))


def _bind_forward(abi: Abi, number: int, kinds: list[str], sleeps: bool) -> Run:
    getters: list[Get] = []
    finishers: list[tuple[int, int, str]] = []
    for position, (kind, slot) in enumerate(zip(kinds, slots(abi, kinds), strict=True)):
        getters.append(_host_getter(abi, kind, slot))
        direction, _, struct = kind.partition("(")
        if direction in ("Out", "InOut") and abi.structs.to_guest(struct[:-1]):
            finishers.append((position, slot, struct[:-1]))
    gather = _gather(getters)
    unused = (0,) * (6 - len(getters))
    make = native.guarded if sleeps else native.quick
    if not finishers:
        return lambda t, a: make(pack_call(number, *gather(t, a), *unused, t.mailbox.address))

    def run(t: Thread, a: Args) -> int:
        values = gather(t, a)
        result = make(pack_call(number, *values, *unused, t.mailbox.address))
        if result >= 0:
            for position, slot, struct in finishers:
                if values[position]:
                    t.give_struct(a[slot], struct, values[position])
        return result
    return run


def _gather(getters: list[Get]) -> Callable[[Thread, Args], tuple[int, ...]]:
    """One function for several getters, written out because it runs at every system call."""
    match getters:
        case []:
            return lambda t, a: ()
        case [g0]:
            return lambda t, a: (g0(t, a),)
        case [g0, g1]:
            return lambda t, a: (g0(t, a), g1(t, a))
        case [g0, g1, g2]:
            return lambda t, a: (g0(t, a), g1(t, a), g2(t, a))
        case [g0, g1, g2, g3]:
            return lambda t, a: (g0(t, a), g1(t, a), g2(t, a), g3(t, a))
        case [g0, g1, g2, g3, g4]:
            return lambda t, a: (g0(t, a), g1(t, a), g2(t, a), g3(t, a), g4(t, a))
    return lambda t, a: tuple([get(t, a) for get in getters])


def _raw(slot: int) -> Get:
    return lambda t, a: a[slot]


def _int32(slot: int) -> Get:
    return lambda t, a: (a[slot] & 0xFFFF_FFFF ^ 0x8000_0000) - 0x8000_0000


def _uint32(slot: int) -> Get:
    return lambda t, a: a[slot] & 0xFFFF_FFFF


def _signed(slot: int, bits: int) -> Get:
    half = 1 << bits - 1
    return lambda t, a: (a[slot] ^ half) - half


def _pair(abi: Abi, slot: int, signed: bool) -> Get:
    low, high = (slot, slot + 1) if abi.model.order == "<" else (slot + 1, slot)
    if not signed:
        return lambda t, a: a[low] | a[high] << 32
    return lambda t, a: ((a[low] | a[high] << 32) ^ 1 << 63) - (1 << 63)


def _python_getter(abi: Abi, kind: str, slot: int) -> Get:
    """What turns a register into the Python value that a function gets."""
    if kind in ("Int", "Fd"):
        return _int32(slot)
    if kind == "UInt":
        return _uint32(slot)
    if kind == "Long":
        return _signed(slot, abi.bits)
    if kind == "Off":
        return _signed(slot, 64) if abi.bits == 64 else _pair(abi, slot, True)
    if kind == "Path":
        return lambda t, a: t.path(a[slot])
    assert kind in ("Ptr", "Size"), kind
    return _raw(slot)


def _host_getter(abi: Abi, kind: str, slot: int) -> Get:
    """What turns a register into the unsigned 64-bit value that the host's kernel gets."""
    if kind in ("Int", "Fd", "UInt", "Size"):
        return _raw(slot)    # of an Int, the kernel looks at the lower half alone
    if kind == "Long":
        return _raw(slot) if abi.bits == 64 else lambda t, a: ((a[slot] ^ 1 << 31) - (1 << 31)) & M64
    if kind == "Off":
        return _raw(slot) if abi.bits == 64 else _pair(abi, slot, False)
    if kind == "Path":
        return lambda t, a: t.host_path(a[slot])
    if kind == "Ptr":
        return lambda t, a: t.space.host(a[slot])
    direction, _, struct = kind.partition("(")
    struct = struct[:-1]
    if direction == "In":
        return _struct_getter(slot, struct) if abi.structs.to_host(struct) else _host_getter(abi, "Ptr", slot)
    if not abi.structs.to_guest(struct):
        return _host_getter(abi, "Ptr", slot)
    if direction == "InOut":
        return _struct_getter(slot, struct)
    assert direction == "Out", kind
    return lambda t, a: t.struct_room(struct) if a[slot] else 0


def _struct_getter(slot: int, struct: str) -> Get:
    return lambda t, a: t.take_struct(a[slot], struct) if a[slot] else 0
