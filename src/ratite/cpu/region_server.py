"""The process that compiles regions for a machine: LLVM works beside the machine's own process, whose locks it would hold otherwise.

An order is a plan of a region, as a tuple, and the answer to it (seconds of processor time since the last answer, `Compiled` as tuples or None, why
it is None).
"""

from __future__ import annotations

from typing import Any

from ratite.codegen.regions import Compiled, Plan, compile_region
from ratite.cpu.service import Service
from ratite.isa.arch import Arch

#: Most seconds of processor time for one region.
SECONDS = 5.0
#: Its rank. What it takes is bounded by whoever asks; with the lowest rank a region takes seconds where all processors are busy, as they may be
#: under a machine, and most runs would be over.
NICE = 5


def serve(parent: int) -> None:
    """The whole life of the process that the process `parent` has started."""
    service = Service(parent, SECONDS, nice=NICE)
    while (order := service.next_order()) is not None:
        number, fields = order
        compiled, why = _compile(service.arch, Plan(*fields))
        service.answer(number, (service.seconds(), compiled, why))


def _compile(arch: Arch, plan: Plan) -> tuple[tuple[Any, ...] | None, str]:
    """The code of a region as tuples, or why there is none."""
    try:
        compiled: Compiled | None = compile_region(arch, plan)
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"
    return (None, "most of it is left to stencils") if compiled is None else (tuple(compiled), "")
