"""The language in which instruction sets are written."""

from ratite.isa.dsl.formats import Format, fixed, imm, reg, static
from ratite.isa.dsl.insn import Decoder, Insn, Table, around, format_of
from ratite.isa.dsl.record import Native, Session, native, record
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
    "record",
    "reg",
    "static",
]
