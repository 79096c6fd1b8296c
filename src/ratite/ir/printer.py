"""Readable listings of blocks, for `-d op`, for tests and for people."""

from __future__ import annotations

from ratite.ir.block import Block, Value
from ratite.ir.ops import OPS


def _operand(v: Value) -> str:
    if v.op == "const":
        return f"{v.attr:#x}" if v.attr > 9 else str(v.attr)
    if v.op == "operand":
        return str(v.attr)
    return v.op if v.op in ("pc", "npc") else f"%{v.index}"


def _expression(v: Value) -> str:
    args = [_operand(a) for a in v.args]
    op = OPS.get(v.op)
    if op is None:
        attr = "" if v.attr is None else f" {v.attr}"
        return f"{v.op}{attr}" + (" " + ", ".join(args) if args else "")
    if v.attr is not None:
        return f"{op.symbol}[{v.attr}] " + ", ".join(args)
    if v.op == "select":
        return f"{args[0]} ? {args[1]} : {args[2]}"
    if op.rule == "cast":
        return f"{op.symbol}{v.width}({args[0]})"
    return f"{op.symbol}({args[0]})" if len(args) == 1 else f"{args[0]} {op.symbol} {args[1]}"


def listing(block: Block) -> str:
    """One line an operation, indented by its nesting; constants and operands stand where they are used."""
    lines, depth = [f"{block.name}:"], 1
    for v in block.code:
        if v.op in ("const", "operand", "pc", "npc"):
            continue
        if v.op in ("end", "else"):
            depth -= 1
        left = f"%{v.index}:{v.width} = " if v.width else ""
        lines.append("    " * depth + left + _expression(v))
        if v.op in ("if", "else", "loop"):
            depth += 1
    return "\n".join(lines)
