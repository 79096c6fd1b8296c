"""The language in which instruction sets are written. Its parts are loaded when they are used: a program whose code is known needs only the state."""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ratite.isa.dsl.formats import Format, fixed, imm, reg, static
    from ratite.isa.dsl.insn import Decoder, Insn, Table, around, format_of
    from ratite.isa.dsl.record import Native, Session, native
    from ratite.isa.dsl.state import WORD, Field, Layout, RegFile, State

__all__ = [
    "WORD",
    "Decoder",
    "Field",
    "Format",
    "Insn",
    "Layout",
    "Native",
    "RegFile",
    "Session",
    "State",
    "Table",
    "around",
    "fixed",
    "format_of",
    "imm",
    "native",
    "reg",
    "static",
]

_PARTS = {
    "formats": ("Format", "fixed", "imm", "reg", "static"),
    "insn": ("Decoder", "Insn", "Table", "around", "format_of"),
    "record": ("Native", "Session", "native"),
    "state": ("WORD", "Field", "Layout", "RegFile", "State"),
}


def __getattr__(name: str) -> Any:
    for part, names in _PARTS.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{part}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
