"""Loads and stores of floating-point registers (LoongArch Reference Manual, volume 1, v1.10, chapters 3.2.6 and 3.2.7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ratite.ir import Value
from ratite.isa.dsl import Format, Session
from ratite.isa.loongarch.floats import DOUBLE, SINGLE, Precision
from ratite.isa.loongarch.formats import FMemory, FMemoryX
from ratite.isa.loongarch.la_memory import bounded, index, offset
from ratite.isa.loongarch.units import instructions_of

insn = instructions_of("FP")


def _access(
    p: Precision, name: str, pattern: str, operands: str, fmt: type[Format], address: Callable[[Session, Any], Value], note: str = ""
) -> None:
    """Define a load or a store."""

    def load(s: Session, o: Any) -> None:
        p.set(s, o.fd, s.load(address(s, o), p.width))

    def store(s: Session, o: Any) -> None:
        s.store(address(s, o), p.get(s, o.fd))

    loads = name.startswith("fld")
    text = load if loads else store
    text.__annotations__ = {"o": fmt}
    text.__doc__ = f"{'Load' if loads else 'Store'} a number.{note}"
    insn(pattern, f"{name}.{p.suffix} {{fd}}, {{rj}}, {operands}")(text)


def _checked(above: bool, size: int) -> Callable[[Session, Any], Value]:
    return lambda s, o: bounded(s, o, above, size)


for _p, _double in ((SINGLE, "0"), (DOUBLE, "1")):
    for _name, _store in (("ld", "0"), ("st", "1")):
        _access(_p, f"f{_name}", f"00101011{_double}{_store} ............ ..... .....", "{imm}", FMemory, offset)
        _access(_p, f"f{_name}x", f"001110000011{_store}{_double}000 ..... ..... .....", "{rk}", FMemoryX, index)
        for _relation, _le in (("gt", "0"), ("le", "1")):
            _access(
                _p, f"f{_name}{_relation}", f"00111000011101{_store}{_le}{_double} ..... ..... .....", "{rk}", FMemoryX,
                _checked(_relation == "gt", _p.width // 8),
                f" The address must be {'above' if _relation == 'gt' else 'at most'} rk.",
            )  # fmt: skip
