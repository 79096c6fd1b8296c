"""Forms that are no instructions of an ISA but are made, kept and placed like them."""

from __future__ import annotations

from ratite.isa.arch import Exit
from ratite.isa.dsl import Format, Insn, Session, imm


class _Target(Format):
    to = imm(lambda w: w)


class _Nothing(Format):
    """No operands."""


class _Guard(Format):
    page = imm(lambda w: w)
    low = imm(lambda w: w)
    high = imm(lambda w: w)


class _Count(Format):
    instructions = imm(lambda w: w)
    run = imm(lambda w: w)


def _goto(s: Session, o: _Target) -> None:
    """Go on at a guest address that is not in this piece of code: through the jump cache."""
    s.block.add("jump", 0, (s.pc + o.to,), "far")


def _interpreted(s: Session, o: _Nothing) -> None:
    """Leave the instruction to the reference evaluator."""
    s.interpret()


def _guard(s: Session, o: _Guard) -> None:
    """Check that the second half of an instruction across two pages is still where it was when it was translated."""
    expected = o.low.zext(64) | (o.high.zext(64) << 32)
    same = s.call("fetch_is", o.page.zext(64), expected, width=64)
    with s.when(same == 0, likely=False):
        s.exit(Exit.STRADDLE, s.pc)


def _count(s: Session, o: _Count) -> None:
    """Charge for a run of instructions. One that does not fit is left to Python, which refunds it."""
    left = s.budget - o.instructions.zext(64)
    s.budget = left
    s.run = o.run.zext(64)
    with s.when(left.bit(63), likely=False):
        s.exit(Exit.EXPIRED, s.pc)


def _pseudo(name: str, fmt: type[Format], text: object, privileged: bool = False) -> Insn:
    return Insn(name, 0, 0, 0, fmt, name, text, "", 0, privileged)  # type: ignore[arg-type]


GOTO = _pseudo("goto", _Target, _goto)
INTERPRETED = _pseudo("interpreted", _Nothing, _interpreted)
GUARD = _pseudo("guard", _Guard, _guard)
COUNT = _pseudo("count", _Count, _count)
ALL = (GOTO, INTERPRETED, GUARD, COUNT)
