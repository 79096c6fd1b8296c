"""Native functions written in Python: a subset of the language, compiled with LLVM.

    @compiled
    def total(first: int, count: int) -> int:
        \"\"\"The sum of `count` numbers of 32 bits that lie from address `first` on.\"\"\"
        result = 0
        for n in range(count):
            result += load32(first + 4 * n)
        return result

All values are integers of 64 bits, signed; what overflows wraps. The language has assignments to names, `if`, `while`, `for ... in range(...)`,
`break`, `continue`, `return`, the operators + - * & | ^ << >> ~, comparisons, `and`, `or`, `not`, conditional expressions, calls of the functions
below and of other compiled functions. Whatever names no local variable is computed beforehand and must give an integer: constants of the module,
also attributes of classes and modules.

The functions work in Python too, on the memory of the process: that is how tests run them beside their native forms.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    F = TypeVar("F", bound=Callable[..., Any])


def load8(address: int) -> int:
    """A byte of memory."""
    return ctypes.c_uint8.from_address(address).value


def load16(address: int) -> int:
    """Two bytes of memory, without sign."""
    return ctypes.c_uint16.from_address(address).value


def load32(address: int) -> int:
    """Four bytes of memory, without sign."""
    return ctypes.c_uint32.from_address(address).value


def load_signed32(address: int) -> int:
    """Four bytes of memory, signed."""
    return ctypes.c_int32.from_address(address).value


def load64(address: int) -> int:
    """Eight bytes of memory, signed."""
    return ctypes.c_int64.from_address(address).value


def store8(address: int, value: int) -> None:
    """Write the lowest byte of a value."""
    ctypes.c_uint8.from_address(address).value = value & 0xFF


def store16(address: int, value: int) -> None:
    """Write the two lowest bytes of a value."""
    ctypes.c_uint16.from_address(address).value = value & 0xFFFF


def store32(address: int, value: int) -> None:
    """Write the four lowest bytes of a value."""
    ctypes.c_uint32.from_address(address).value = value & 0xFFFFFFFF


def store64(address: int, value: int) -> None:
    """Write a value."""
    ctypes.c_uint64.from_address(address).value = value & (1 << 64) - 1


def store_release64(address: int, value: int) -> None:
    """Write a value to eight aligned bytes, so that whoever reads it finds what has been written before it."""
    store64(address, value)


def copy(to: int, origin: int, size: int) -> None:
    """Copy bytes between places that do not overlap."""
    ctypes.memmove(to, origin, size)


def fill(to: int, byte: int, size: int) -> None:
    """Set bytes."""
    ctypes.memset(to, byte, size)


#: The names of native functions, by what has been decorated.
COMPILED: dict[Callable[..., Any], str] = {}


def compiled(function: F) -> F:
    """Mark a function of which there is a native form, which `ratite.codegen.native.text_of` gives."""
    COMPILED[function] = function.__name__
    return function
