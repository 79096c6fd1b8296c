"""The typed, linear intermediate representation in which every instruction and native helper is recorded."""

from ratite.ir.block import ACCESSES, Block, Signed, Value, Var
from ratite.ir.lanes import Lanes
from ratite.ir.ops import OPS, Op

__all__ = ["ACCESSES", "OPS", "Block", "Lanes", "Op", "Signed", "Value", "Var"]
