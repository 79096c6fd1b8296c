"""The stable counter and the timer (LoongArch Reference Manual, volume 1, v1.10, chapters 2.2.10.4 and 7.6).

Both count the guest's clock at CPUCFG.CC_FREQ. The timer counts down; when it gets to zero it raises its interrupt, and
starts again or stops. Who owns the vCPU keeps the time for it: `owner.arm_timer(deadline)`, with nanoseconds of the
guest's clock, 0 for never, and calls `expired` when it is reached.
"""

from __future__ import annotations

from typing import Any

from ratite.bits import mask
from ratite.ir import Value
from ratite.isa.dsl import Session
from ratite.isa.loongarch.config import LoongArchConfig

_SECOND = 1_000_000_000

#: Bits of TCFG, apart from the initial value, and how many the timer has.
ENABLED, PERIODIC = 1 << 0, 1 << 1
TIMER_BITS = 48
#: A periodic timer does not come more often, so that a guest can not keep the host busy: nanoseconds.
_SHORTEST_PERIOD = 10_000


def nanoseconds_per_tick(config: LoongArchConfig) -> int:
    """Length of a tick of the stable counter."""
    frequency: int = dict(config.fields)["CC_FREQ"]
    return _SECOND // frequency


def counter(s: Session) -> Value:
    """The stable counter."""
    ticks = s.call("time_ns", width=64) // nanoseconds_per_tick(s.config)
    return ticks if s.config.user else ticks + s.cntc


def read_timer(s: Session) -> Value:
    """TVAL: the ticks that are left; all ones once the timer has stopped at the end."""
    left = s.timer_deadline - s.call("time_ns", width=64)
    ticks = s.select(left.s <= 0, 0, left // nanoseconds_per_tick(s.config))
    return s.select(s.timer_deadline == 0, s.const(mask(TIMER_BITS)), ticks)


def start_timer(cpu: Any, tcfg: int) -> None:
    """TCFG is written: count down from its initial value, or stand still."""
    state = cpu.state
    state.tcfg = tcfg & mask(TIMER_BITS)
    state.timer_deadline = cpu.owner.clock.now() + _period(cpu) if tcfg & ENABLED else 0
    cpu.owner.arm_timer(state.timer_deadline)


def expired(cpu: Any) -> None:
    """The deadline is reached: raise the interrupt."""
    state = cpu.state
    state.timer_fired = 1
    state.timer_deadline = 0
    if state.tcfg & PERIODIC:
        state.timer_deadline = cpu.owner.clock.now() + max(_period(cpu), _SHORTEST_PERIOD)
        cpu.owner.arm_timer(state.timer_deadline)
    else:
        state.tcfg = state.tcfg & ~ENABLED


def _period(cpu: Any) -> int:
    """Nanoseconds from the initial value to zero."""
    ticks: int = cpu.state.tcfg & ~(ENABLED | PERIODIC)
    return max(ticks, 1) * nanoseconds_per_tick(cpu.engine.arch.config)
