"""RISC-V's floating-point operations under the names that the IR uses: `op(fmt, rm, *bits) -> (bits, flags)`.

`fmt` is the format of the operands and, but for conversions, of the result; flags are those of fflags. `rm` is a
resolved rounding mode, 0 to 4: an instruction with another one is illegal, which its text decides, so that here it is a
`KeyError`. What else an operation needs is given by keyword, and `bind` fixes that:

    fcvt_l_d = bind("fcvt_f2i", width=64, signed=True)
    bits, flags = fcvt_l_d(F64, 1, pattern)

Source: RISC-V unprivileged ISA 20191213, chapters 11 to 13 (F 2.2, D 2.2, Q 2.2); the Zfa extension 1.0 for `froundi`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

from ratite.bits import mask
from ratite.errors import unknown
from ratite.fp import soft
from ratite.fp.env import FpEnv, Rounding
from ratite.fp.formats import Format
from ratite.fp.presets import RISCV

Op = Callable[..., tuple[int, int]]
"""Called as `op(fmt, rm, *bits)`."""

_ENV: Final[Mapping[int, FpEnv]] = MappingProxyType(
    {int(rm): RISCV.rounded(rm) for rm in (Rounding.RNE, Rounding.RTZ, Rounding.RDN, Rounding.RUP, Rounding.RMM)}
)


def box(fmt: Format, bits: int, flen: int) -> int:
    """A narrow number as it stands in a register of `flen` bits: all ones above it (12.2, NaN boxing)."""
    return bits | mask(flen) ^ mask(fmt.width)


def unbox(fmt: Format, register: int, flen: int) -> int:
    """The narrow number in a register of `flen` bits: the canonical NaN unless it is boxed."""
    boxes = mask(flen) ^ mask(fmt.width)
    return register & mask(fmt.width) if register & boxes == boxes else RISCV.nan.default(fmt)


def fadd(fmt: Format, rm: int, a: int, b: int) -> tuple[int, int]:
    """a + b."""
    return soft.add(fmt, _ENV[rm], a, b)


def fsub(fmt: Format, rm: int, a: int, b: int) -> tuple[int, int]:
    """a - b."""
    return soft.sub(fmt, _ENV[rm], a, b)


def fmul(fmt: Format, rm: int, a: int, b: int) -> tuple[int, int]:
    """a * b."""
    return soft.mul(fmt, _ENV[rm], a, b)


def fdiv(fmt: Format, rm: int, a: int, b: int) -> tuple[int, int]:
    """a / b."""
    return soft.div(fmt, _ENV[rm], a, b)


def fsqrt(fmt: Format, rm: int, a: int) -> tuple[int, int]:
    """The square root."""
    return soft.sqrt(fmt, _ENV[rm], a)


def fma(
    fmt: Format, rm: int, a: int, b: int, c: int, *, negate_product: bool = False, negate_addend: bool = False
) -> tuple[int, int]:
    """a * b + c, rounded once: fmadd; with negations fmsub (addend), fnmsub (product) and fnmadd (both)."""
    return soft.fma(fmt, _ENV[rm], a, b, c, negate_product=negate_product, negate_addend=negate_addend)


def fmin(fmt: Format, rm: int, a: int, b: int) -> tuple[int, int]:
    """The smaller number, -0 below +0, NaNs ignored; a signalling one is invalid all the same."""
    return soft.minimum(fmt, RISCV, a, b, soft.MinMax.NUMBER)


def fmax(fmt: Format, rm: int, a: int, b: int) -> tuple[int, int]:
    """The larger number, as `fmin`."""
    return soft.maximum(fmt, RISCV, a, b, soft.MinMax.NUMBER)


def feq(fmt: Format, rm: int, a: int, b: int) -> tuple[int, int]:
    """1 where a equals b; quiet."""
    return soft.eq(fmt, RISCV, a, b)


def flt(fmt: Format, rm: int, a: int, b: int) -> tuple[int, int]:
    """1 where a is less than b; signalling."""
    return soft.lt(fmt, RISCV, a, b)


def fle(fmt: Format, rm: int, a: int, b: int) -> tuple[int, int]:
    """1 where a is less than or equal to b; signalling."""
    return soft.le(fmt, RISCV, a, b)


def fclass(fmt: Format, rm: int, a: int) -> tuple[int, int]:
    """The class as a mask with one of ten bits set (11.9)."""
    return 1 << soft.classify(fmt, RISCV, a), 0


def fcvt_f2f(fmt: Format, rm: int, a: int, *, to: Format) -> tuple[int, int]:
    """The number in the format `to`."""
    return soft.convert(fmt, to, _ENV[rm], a)


def fcvt_f2i(fmt: Format, rm: int, a: int, *, width: int, signed: bool) -> tuple[int, int]:
    """The number as an integer of `width` bits; not extended to the register's width."""
    return soft.to_int(fmt, _ENV[rm], a, width, signed)


def fcvt_i2f(fmt: Format, rm: int, value: int, *, width: int, signed: bool) -> tuple[int, int]:
    """The low `width` bits of `value`, an integer, as a number of `fmt`."""
    return soft.from_int(fmt, _ENV[rm], value, width, signed)


def froundi(fmt: Format, rm: int, a: int, *, inexact: bool = False) -> tuple[int, int]:
    """The number rounded to an integer that stays floating-point: fround, with `inexact` froundnx."""
    return soft.round_to_integral(fmt, _ENV[rm], a, inexact=inexact)


OPERATIONS: Final[Mapping[str, Op]] = MappingProxyType(
    {
        op.__name__: op
        for op in (
            *(fadd, fsub, fmul, fdiv, fsqrt, fma, fmin, fmax, feq, flt, fle),
            *(fclass, fcvt_f2f, fcvt_f2i, fcvt_i2f, froundi),
        )
    }
)
"""Every operation by its name."""


def bind(name: str, **parameters: object) -> Op:
    """The operation of this name with its keywords fixed; `UsageError` for a name that there is not."""
    if name not in OPERATIONS:
        raise unknown("floating-point operation", name, OPERATIONS)
    return partial(OPERATIONS[name], **parameters) if parameters else OPERATIONS[name]
