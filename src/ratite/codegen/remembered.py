"""Which memory accesses of a region are worth remembering the page that they found.

A region keeps, for a register that holds addresses, the last page that was reached through it. Where the next access through the same register
is likely to be in that page too, looking there first costs less than looking into the translation cache; where it is not, that is a mispredicted
branch for nothing. What is chosen here is only a guess and never decides whether an access is right.

An address is taken to stay near where it was if an earlier instruction has accessed memory through the same value, or if the register was last
changed by additions and shifts of values of which that is true too, back to the beginning of the region. Loads, products and hashes end that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ratite.ir import Block, Value
from ratite.ir.verify import ENDS

Register = tuple[str, int]

#: Operations that lead from a near address to a near one.
_NEAR = frozenset(("add", "sub", "shl", "lshr", "ashr", "zext", "sext", "trunc", "const", "operand", "pc", "npc"))
#: Accesses of guest memory, with the address as their first argument.
ACCESSES = frozenset(("load", "store", "amo", "cas"))
#: How many instructions back one looks.
_STEPS = 60


class Step(NamedTuple):
    """An instruction of a region: its text, its length, where it may jump to, and the numbers of its registers."""

    block: Block
    length: int
    targets: tuple[int, ...]
    number: Callable[[Any], Register]


def base_of(address: Value) -> Value | None:
    """The register read that an address counts from, where it is one plus or minus a number."""
    v = address
    while v.op in ("add", "sub", "zext", "sext", "trunc"):
        if len(v.args) == 2 and v.args[1].op not in ("const", "operand"):
            return None
        v = v.args[0]
    return v if v.op == "reg.get" else None


class Flow:
    """The instructions of a region by address, and which one is likely to have run before each."""

    def __init__(self, steps: Mapping[int, Step]) -> None:
        self._steps = steps
        self._before: dict[int, int] = {}
        for at, step in steps.items():
            for to in step.targets:
                self._before.setdefault(to, at)
        for at, step in steps.items():
            if not step.block.code or step.block.code[-1].op not in ENDS:
                self._before[at + step.length] = at
        for at, step in steps.items():
            for to in step.targets:
                if to <= at:  # a loop runs more often than what leads to it
                    self._before[to] = at

    def is_near(self, at: int, base: Value) -> bool:
        """Whether the instruction at an address probably finds in `base` an address in the page that was accessed through it last."""
        return self._is_near(at, self._steps[at].number(base.attr), set(), True)

    def _is_near(self, at: int, register: Register, seen: set[tuple[int, Register]], is_base: bool) -> bool:
        for _ in range(_STEPS):
            before = self._before.get(at)
            if before is None or before not in self._steps or (at, register) in seen:
                return True
            seen.add((at, register))
            at = before
            step = self._steps[at]
            value = _written(step, register)
            if value is None:
                if is_base and register in _bases(step):
                    return True
            elif not _is_moved(step, value, register):
                return _is_plain(value) and all(self._is_near(at, r, seen, False) for r in _sources(step, value))
        return True


def _bases(step: Step) -> set[Register]:
    """Registers through which an instruction accesses memory."""
    bases = (base_of(v.args[0]) for v in step.block.code if v.op in ACCESSES)
    return {step.number(b.attr) for b in bases if b is not None}


def _written(step: Step, register: Register) -> Value | None:
    """What an instruction writes to a register."""
    return next((v.args[0] for v in step.block.code if v.op == "reg.set" and step.number(v.attr) == register), None)


def _is_moved(step: Step, value: Value, register: Register) -> bool:
    """Whether a value is what the register held, plus or minus a number."""
    base = base_of(value)
    return base is not None and step.number(base.attr) == register


def _is_plain(value: Value) -> bool:
    return value.op == "reg.get" or (value.op in _NEAR and all(_is_plain(a) for a in value.args))


def _sources(step: Step, value: Value) -> set[Register]:
    """Registers from which a value is made."""
    if value.op == "reg.get":
        return {step.number(value.attr)}
    return set().union(*(_sources(step, a) for a in value.args)) if value.args else set()
