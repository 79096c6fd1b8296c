"""Units that an operating system switches on for those who use them: floating point and vectors (LoongArch Reference
Manual, volume 1, v1.10, chapter 7.4.3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ratite.isa.dsl import Insn, Session, around
from ratite.isa.loongarch.exceptions import Cause
from ratite.isa.loongarch.table import LOONGARCH

# Bits of EUEN.
FPE, SXE, ASXE = 1 << 0, 1 << 1, 1 << 2

_DISABLED = {FPE: Cause.FP_DISABLED, SXE: Cause.NO_LSX, ASXE: Cause.NO_LASX}


def require_unit(s: Session, unit: int) -> None:
    """Raise the unit's exception while it is off. For a Linux program all units are on."""
    if not s.config.user:
        with s.when((s.euen & unit) == 0, likely=False):
            s.trap(_DISABLED[unit])


def instructions_of(extension: str, unit: int = FPE) -> Callable[..., Callable[[Callable[[Any, Any], None]], Insn]]:
    """The decorator `@insn` for the instructions of an extension that need a unit."""
    plain = LOONGARCH.extension(extension)

    def insn(pattern: str, syntax: str, privileged: bool = False) -> Callable[[Callable[[Any, Any], None]], Insn]:
        def define(text: Callable[[Any, Any], None]) -> Insn:
            def gated(s: Session, o: Any) -> None:
                require_unit(s, unit)
                text(s, o)

            return plain(pattern, syntax, privileged=privileged)(around(text, gated))

        return define

    return insn
