"""Counters and timers (ISA manual volume II, 20211203, 3.1.10 to 3.1.12, 4.1.5; volume I, chapter 10).

`time` is the guest's clock in ticks of `TIMEBASE`. `cycle` and `instret` are it too, in nanoseconds, as on a hart that
executes one instruction in each cycle of a 1 GHz clock; only where the engine counts instructions (`-icount`) they are
the number of these, in which an instruction that raises an exception has a part too. The performance counters and their event selectors read
zero, which the manual allows.
"""

from __future__ import annotations

from ratite.ir import Value
from ratite.isa.dsl import Session
from ratite.isa.riscv.config import TIMEBASE

#: Length of a tick of `time` in nanoseconds.
NS_PER_TICK = 1_000_000_000 // TIMEBASE

#: Bits of mcounteren, scounteren and mcountinhibit. Performance counter n has bit n, from 3 to 31.
CYCLE, TIME, INSTRET = range(3)


def _nanoseconds(s: Session) -> Value:
    return s.call("time_ns", width=64)


def read_time(s: Session) -> Value:
    """The time counter, 64 bits."""
    offset: Value = s.time_offset
    return _nanoseconds(s) // NS_PER_TICK + offset


def _base(s: Session, counter: int) -> Value:
    base: Value = s.cycle_base if counter == CYCLE else s.instret_base
    return base


def _set_base(s: Session, counter: int, v: Value) -> None:
    if counter == CYCLE:
        s.cycle_base = v
    else:
        s.instret_base = v


def _instructions(s: Session) -> Value:
    """How many instructions the hart has executed, this one included; nanoseconds where nobody counts."""
    return s.call("instructions", width=64)


def _moving(s: Session, counter: int, now: Value) -> Value:
    """What to add to the base of a counter: `now`, or nothing while the counter stands still."""
    return s.select(s.mcountinhibit.bit(counter), s.const(0, 64), now)


def read_counter(s: Session, counter: int) -> Value:
    """cycle or instret, 64 bits: what it was before this instruction."""
    return _base(s, counter) + _moving(s, counter, _instructions(s) - s.counting)


def write_counter(s: Session, counter: int, v: Value) -> None:
    """Set cycle or instret; this instruction does not count any more."""
    _set_base(s, counter, v - _moving(s, counter, _instructions(s)))


def write_inhibit(s: Session, new: Value) -> None:
    """Write mcountinhibit. A counter that stops keeps its value in its base, and goes on from there."""
    now = _instructions(s)
    for counter in (CYCLE, INSTRET):
        before, after = s.mcountinhibit.bit(counter), new.bit(counter)
        stopping, starting = after & ~before, before & ~after
        change = s.select(stopping, now, s.select(starting, -now, s.const(0, 64)))
        _set_base(s, counter, _base(s, counter) + change)
    s.mcountinhibit = new & (1 << CYCLE | 1 << INSTRET)


def forbidden(s: Session, counter: int) -> Value | None:
    """Whether the mode of this text may not read a counter; None where it always may."""
    if s.config.user or s.context == 3:
        return None
    no: Value = ~s.mcounteren.bit(counter)
    if s.context == 0 and s.config.has("s"):
        no = no | ~s.scounteren.bit(counter)
    return no
