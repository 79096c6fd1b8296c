"""Berkeley SoftFloat 3e through `softfloatpy`.

Its build is the RISC-V specialisation: results, NaNs too, and flags must equal those of Ratite's RISCV bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import softfloatpy as sf

from ratite.fp.env import Rounding, Tininess

_TYPES: dict[str, Any] = {
    "f16": sf.Float16,
    "bf16": sf.BFloat16,
    "f32": sf.Float32,
    "f64": sf.Float64,
    "f128": sf.Float128,
    "i32": sf.Int32,
    "ui32": sf.UInt32,
    "i64": sf.Int64,
    "ui64": sf.UInt64,
}

ROUNDINGS = [Rounding.RNE, Rounding.RTZ, Rounding.RDN, Rounding.RUP, Rounding.RMM]
"""All that the build has, and numbered alike."""


def datum(type_name: str, bits: int) -> Any:
    """A pattern as SoftFloat's object."""
    kind = _TYPES[type_name]
    return kind.from_bytes(bits.to_bytes(kind.size() // 8, "big"))


def call(name: str, *arguments: Any) -> tuple[int, int]:
    """The pattern of the float, integer or truth value that a SoftFloat function returns, and the flags it raised."""
    function: Callable[..., Any] = getattr(sf, name)
    sf.set_exception_flags(0)
    result = function(*arguments)
    bits = int(result) if isinstance(result, bool) else int.from_bytes(result.to_bytes(), "big")
    return bits, int(sf.get_exception_flags())


def set_modes(rounding: Rounding, tininess: Tininess = Tininess.AFTER_ROUNDING) -> None:
    """Set SoftFloat's global modes."""
    sf.set_rounding_mode(sf.RoundingMode(int(rounding)))
    before = tininess is Tininess.BEFORE_ROUNDING
    sf.set_tininess_mode(sf.TininessMode.BEFORE_ROUNDING if before else sf.TininessMode.AFTER_ROUNDING)
