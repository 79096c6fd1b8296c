"""Performance monitors (LoongArch Reference Manual, volume 1, v1.10, chapters 7.8 and 6.1.1).

A monitor counts one kind of event at the privilege levels that its PMCFG names, and asks for an interrupt while the highest
bit of its PMCNT is set. The manual leaves the numbers of events to tables that its translation does not have; cycles and
instructions are as Linux numbers them (arch/loongarch/kernel/perf_event.c). Both are nanoseconds of the guest's clock, as
on a core that executes one instruction in each cycle of a 1 GHz clock; where the engine counts instructions (`-icount`)
they are the number of these, and none go by while the core waits. Nothing else is counted: monitors of other events
stand still.

Counts are added to the monitors when the privilege level changes, and when somebody looks. Overflow while nothing of that
happens is seen by who owns the vCPU: it calls `expired` after the deadline, in nanoseconds of the guest's clock, that
`owner.arm_overflow(deadline)` gets; 0 is never.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ratite.bits import mask
from ratite.ir import Value
from ratite.isa.dsl import Session, native
from ratite.isa.loongarch.cpucfg import MONITORS

#: What holds the count of each monitor.
COUNTS = tuple(f"pmcnt{n}" for n in range(MONITORS))

# Fields of PMCFG: event, privilege levels, whether to interrupt.
_EVENT, _LEVELS, _INTERRUPTS = mask(10), 16, 1 << 20
_FIELDS = _EVENT | 0xF << _LEVELS | _INTERRUPTS

#: Events that are counted: cycles, instructions.
_COUNTED = (0, 1)

#: Nobody looks more often whether a monitor has run over: nanoseconds.
_SHORTEST_WAIT = 10_000

#: Further away than the clock of a host goes.
_NEVER = 1 << 61

#: MISC lets privilege level 1 read counts by this bit, and the others by those above.
_READABLE = 8


def _now(s: Session) -> Value:
    return s.call("instructions", width=64)


def _counts(s: Session, n: int) -> Value:
    """Whether a monitor counts at the level that the engine's counts belong to."""
    here: Value = (s.pm_active >> n).bit(0) & (s.pmcfg[n] >> (s.pm_level + _LEVELS)).bit(0)
    return here


@native()
def pm_settle(s: Session) -> None:
    """Add what has happened at the last privilege level to the monitors, and go on at the present one."""
    now = _now(s)
    past = now - s.pm_since
    over = s.const(0, 1)
    for n in range(MONITORS):
        count = getattr(s, COUNTS[n]) + s.select(_counts(s, n), past, 0)
        setattr(s, COUNTS[n], count)
        over = over | (count.bit(63) & ((s.pmcfg[n] & _INTERRUPTS) != 0))
    s.pm_since = now
    s.pm_level = s.crmd & 3
    s.pm_overflow = over.zext(8)
    with s.when(over):
        s.attention = 1
    s.ret(0)


def look(s: Session) -> None:
    """Find out whether a monitor has run over, if its owner thinks so."""
    if s.config.has("PMP"):
        with s.when(s.pm_due != 0, likely=False):
            s.pm_due = 0
            s.call(pm_settle)


def read_count(s: Session, n: int) -> Value:
    """PMCNT."""
    count: Value = getattr(s, COUNTS[n]) + s.select(_counts(s, n), _now(s) - s.pm_since, 0)
    return count


def may_read(s: Session) -> Value:
    """Whether the present privilege level, which is not 0, may read counts."""
    allowed: Value = (s.misc >> ((s.crmd & 3) + _READABLE)).bit(0)
    return allowed


def configure(n: int) -> Callable[[Any, int], None]:
    """What writes PMCFG of a monitor."""

    def write(cpu: Any, value: int) -> None:
        cpu.call("pm_settle")
        state = cpu.state
        state.pmcfg[n] = value & _FIELDS
        bit = 1 << n if value & 0xF << _LEVELS and value & _EVENT in _COUNTED else 0
        state.pm_active = state.pm_active & ~(1 << n) | bit
        follow(cpu)

    return write


def set_count(n: int) -> Callable[[Any, int], None]:
    """What writes PMCNT of a monitor."""

    def write(cpu: Any, value: int) -> None:
        cpu.call("pm_settle")
        setattr(cpu.state, COUNTS[n], value)
        follow(cpu)

    return write


def follow(cpu: Any) -> None:
    """Note which monitors have run over, and come back when the next one can have."""
    cpu.call("pm_settle")
    arm(cpu)


def _left(cpu: Any) -> list[int]:
    """How many counts each monitor that is to interrupt has left, as far as can be told without stopping the vCPU; none or
    less where it has run over already.
    """
    state = cpu.state
    past = cpu.call("instructions") - state.pm_since
    left = []
    for n in range(MONITORS):
        config = state.pmcfg[n]
        if state.pm_active >> n & 1 and config & _INTERRUPTS:
            left.append((1 << 63) - getattr(state, COUNTS[n]) - (past if config >> (state.pm_level + _LEVELS) & 1 else 0))
    return left


def arm(cpu: Any) -> None:
    """Have the owner come back when a monitor can have run over: counts never go faster than the clock."""
    wait = min((left for left in _left(cpu) if left > 0), default=_NEVER)
    cpu.owner.arm_overflow(cpu.owner.clock.now() + max(wait, _SHORTEST_WAIT) if wait < _NEVER else 0)


def expired(cpu: Any) -> bool:
    """The deadline is reached; whether the vCPU, which may be running, is to look itself before its next instruction."""
    over = any(left <= 0 for left in _left(cpu))
    if over:
        cpu.state.pm_due = 1
    arm(cpu)
    return over
