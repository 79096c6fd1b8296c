"""Checks that a recorded block keeps the rules which its readers rely on."""

from __future__ import annotations

from ratite.errors import DefinitionError
from ratite.ir.block import ACCESSES, Block, Value
from ratite.ir.ops import OPS

#: Operations that write the state for good: what comes after one can not be started over.
_EFFECTS = frozenset({"reg.set", "state.set"}) | ACCESSES - {"load"}
#: Operations that end a text.
ENDS = frozenset({"jump", "trap", "exit", "return", "resync", "interpret"})


def _check_widths(block: Block, v: Value) -> None:
    op = OPS.get(v.op)
    if op is None:
        return
    widths = [a.width for a in v.args]
    if v.attr is not None:
        _check_lanes(block, v, op.rule, widths)
        return
    if op.rule in ("same", "bit"):
        good = len(set(widths)) == 1 and v.width == (1 if op.rule == "bit" else widths[0])
    elif op.rule == "select":
        good = widths[0] == 1 and widths[1] == widths[2] == v.width
    else:
        good = v.width < widths[0] if v.op == "trunc" else v.width > widths[0]
    if not good:
        raise DefinitionError(f"{block.name}: %{v.index} {v.op}: operand widths {widths} do not give {v.width} bits")


def _check_lanes(block: Block, v: Value, rule: str, widths: list[int]) -> None:
    """Lane-wise operations: the element width divides all widths, and but for casts operands and result have one width."""
    if rule == "vector":
        element = v.attr[0]
        good = all(w % element == 0 for w in widths) and (v.op == "signs" or v.width % element == 0)
    else:
        element, lanes = v.attr, widths[0] // v.attr
        good = not widths[0] % element and (not v.width % lanes if rule == "cast" else {*widths} == {v.width})
    if not good:
        raise DefinitionError(f"{block.name}: %{v.index} {v.op}: elements of {element} bits, operand widths {widths} do not give {v.width} bits")


def _check_nesting(block: Block) -> None:
    open_: list[str] = []
    for v in block.code:
        if v.op in ("if", "loop"):
            open_.append(v.op)
        elif v.op == "else":
            if not open_ or open_[-1] != "if":
                raise DefinitionError(f"{block.name}: `otherwise` without a `when` before it")
            open_[-1] = "else"
        elif v.op == "break_if" and "loop" not in open_:
            raise DefinitionError(f"{block.name}: break outside a loop")
        elif v.op == "end":
            if not open_:
                raise DefinitionError(f"{block.name}: unbalanced end")
            open_.pop()
    if open_:
        raise DefinitionError(f"{block.name}: {open_[-1]} is not closed")


def _check_scopes(block: Block) -> None:
    """A value recorded inside a branch can not be used after it: on the other path it has not been computed."""
    scopes: list[set[int]] = [set()]
    for v in block.code:
        if v.op in ("else", "end"):
            scopes.pop()
        for a in v.args:
            if a.op not in ("const", "operand", "pc", "npc") and not any(a.index in scope for scope in scopes):
                raise DefinitionError(f"{block.name}: %{v.index} {v.op} uses %{a.index}, which only one branch computes; use s.var()")
        scopes[-1].add(v.index)
        if v.op in ("if", "else", "loop"):
            scopes.append(set())


def _check_restart(block: Block) -> None:
    """An access that may find no translation, and then starts the whole instruction over, must not follow an effect, unless doing that effect
    twice is harmless (an earlier store of this text)."""
    effect: Value | None = None
    for v in block.code:
        if v.op in ACCESSES and effect is not None and not (effect.op == "store" and v.op in ("store", "load")):
            raise DefinitionError(f"{block.name}: {v.op} after {effect.op}: a fault there could not be precise")
        if v.op in _EFFECTS:
            effect = v


def verify(block: Block, restartable: bool = True) -> Block:
    """Raise DefinitionError for the first broken rule; return the block."""
    for v in block.code:
        _check_widths(block, v)
    _check_nesting(block)
    _check_scopes(block)
    if restartable:
        _check_restart(block)
    return block
