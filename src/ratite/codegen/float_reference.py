"""Floating point in the reference evaluator: exact arithmetic of `ratite.fp` under the names and attributes of the IR."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ratite.bits import mask
from ratite.fp import riscv_ops
from ratite.fp.formats import F16, F32, F64, Format
from ratite.ir.ops import join, split

_FORMATS: dict[str, Format] = {"f16": F16, "f32": F32, "f64": F64}

#: ratite.fp's flags (inexact is bit 0) to the engine's (invalid is bit 0).
_FLAGS = [int(f"{n:05b}"[::-1], 2) for n in range(32)]


def evaluate_fp(cpu: Any, op: str, attr: dict[str, Any], *bits: int) -> int:
    """Do one operation, raise its flags in the state, and return the bits of its result."""
    rm = attr.get("rm", 0)
    if rm == "dyn":
        rm = cpu.fp_round
    extra: dict[str, Any] = {}
    fmt = _FORMATS[attr["src"] if op == "fcvt_f2f" else attr["fmt"]]
    if op == "fcvt_f2f":
        extra["to"] = _FORMATS[attr["dst"]]
    elif op == "froundi":
        extra["inexact"] = bool(attr["inexact"])
    elif op in ("fcvt_f2i", "fcvt_i2f"):
        extra["width"], extra["signed"] = attr["int_width"], bool(attr["signed"])
    result, flags = getattr(riscv_ops, op)(fmt, rm, *bits, **extra)
    if flags:
        cpu.raise_fp_flags(_FLAGS[flags & 31])
    return int(result)


def evaluate_fp_lanes(cpu: Any, op: str, attr: dict[str, Any], widths: Sequence[int], *vectors: int) -> int:
    """Do an operation on every element of vectors; widths: those of an element of the result and of each vector."""
    columns = [split(v, w, attr["lanes"]) for v, w in zip(vectors, widths[1:], strict=True)]
    results = [evaluate_fp(cpu, op, attr, *elements) for elements in zip(*columns, strict=True)]
    return join([-r & mask(widths[0]) for r in results] if op in ("feq", "flt", "fle") else results, widths[0])
