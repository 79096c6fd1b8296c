"""The stable counter and the timer (LoongArch Reference Manual, volume 1, v1.10, chapters 2.2.10.4 and 7.6).

Both count the guest's clock at CPUCFG.CC_FREQ. The timer counts down; when it gets to zero it raises its interrupt, and
starts again or stops. That happens on the core's own thread, when it looks for interrupts after the alarm has rung
(`ratite.codegen.alarms`).
"""

from __future__ import annotations

from ratite.bits import mask
from ratite.ir import Value
from ratite.isa import alarm
from ratite.isa.dsl import Session, native
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


def write_timer(s: Session, tcfg: Value) -> None:
    """Write TCFG: count down from its initial value, or stand still. Ends the text where Python keeps the time."""
    s.tcfg = tcfg & mask(TIMER_BITS)
    s.timer_deadline = s.select((tcfg & ENABLED) != 0, s.call("time_ns", width=64) + _period(s), 0)
    alarm.follow(s, timer_look)


@native()
def timer_look(s: Session) -> None:
    """Raise the interrupt if zero is reached, and set the alarm for the next time. 1 when Python has to keep the time."""
    with s.when(s.timer_deadline == 0):
        s.ret(0)
    now = s.call("time_ns", width=64)
    with s.when(now >= s.timer_deadline):
        s.timer_fired = 1
        period = _period(s)
        period = s.select(period < _SHORTEST_PERIOD, _SHORTEST_PERIOD, period)
        with s.when((s.tcfg & PERIODIC) == 0):
            s.timer_deadline = 0
            s.tcfg = s.tcfg & ~ENABLED
            s.ret(0)
        s.timer_deadline = now + period
    s.ret(s.call("set_alarm", s.timer_deadline, width=64))


def look_if_rung(s: Session) -> Value:
    """To be done by whoever looks for interrupts. 1 when Python has to keep the time."""
    return alarm.look_if_rung(s, timer_look)


def _period(s: Session) -> Value:
    """Nanoseconds from the initial value to zero."""
    ticks = s.tcfg & ~(ENABLED | PERIODIC)
    length: Value = s.select(ticks == 0, 1, ticks) * nanoseconds_per_tick(s.config)
    return length
