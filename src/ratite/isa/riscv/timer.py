"""The timer of supervisor mode: `stimecmp`, and mip.STIP that follows it (Sstc 1.0.0, chapters 2 and 3).

Built-in firmware keeps its timer (SBI, TIME) in the same comparator, also on harts without Sstc. While the comparator is in use, bit STIP of
`mip_soft` is its level; the hart's own thread alone changes it: when the comparator is written, when the alarm has rung (`ratite.codegen.alarms`),
and when mip or sip is read, which therefore are never late.

Not modelled: `vstimecmp`, which belongs to the hypervisor extension.
"""

from __future__ import annotations

from ratite.ir import Value
from ratite.isa import alarm
from ratite.isa.dsl import Session, native
from ratite.isa.riscv import counters
from ratite.isa.riscv.config import RiscvConfig
from ratite.isa.riscv.interrupts import STI

#: menvcfg.STCE: the comparator is in use, and supervisor mode reaches it.
STCE = 1 << 63
#: Farther away, in ticks, than any moment that comes; and such a moment in nanoseconds.
_FAR, _NEVER = 1 << 55, 1 << 62


def has_comparator(config: RiscvConfig) -> bool:
    """Whether there is anything to compare."""
    return not config.user and config.has("s") and (config.firmware or config.has("sstc"))


def in_use(s: Session) -> Value:
    """Whether mip.STIP is the comparator's."""
    enabled: Value = s.const(1, 1) if s.config.firmware else (s.menvcfg & STCE) != 0
    return enabled


def forbidden(s: Session) -> Value | None:
    """Whether the mode of this text may not reach stimecmp; None where it always may."""
    if s.context == 3:
        return None
    no: Value = ~s.mcounteren.bit(counters.TIME) | ((s.menvcfg & STCE) == 0)
    return no


def refresh(s: Session) -> None:
    """Have mip.STIP say what it should at this moment."""
    if has_comparator(s.config):
        with s.when(in_use(s) & (counters.read_time(s) >= s.stimecmp)):
            s.mip_soft = s.mip_soft | (1 << STI)


@native()
def timer_look(s: Session) -> None:
    """Compare, and set the alarm for the moment when that will have another result. 1 when Python has to keep the time."""
    if not has_comparator(s.config):
        s.ret(0)
        return
    with s.when(in_use(s)):
        now = counters.read_time(s)
        with s.when(now >= s.stimecmp):
            s.mip_soft = s.mip_soft | (1 << STI)
            s.ret(0)
        s.mip_soft = s.mip_soft & ~(1 << STI)
        ticks = s.stimecmp - now
        moment = (s.stimecmp - s.time_offset) * counters.NS_PER_TICK
        s.ret(s.call("set_alarm", s.select(ticks > _FAR, _NEVER, moment), width=64).trunc(s.xlen))
    s.ret(0)


def look_if_rung(s: Session) -> Value:
    """To be done by whoever looks for interrupts. 1 when Python has to keep the time."""
    python: Value = alarm.look_if_rung(s, timer_look) if has_comparator(s.config) else s.const(0)
    return python


def follow(s: Session) -> None:
    """To be written in a text that changes the comparator or its use; ends the text where Python keeps the time."""
    alarm.follow(s, timer_look)


def write_compare(s: Session, value: Value) -> None:
    """Write stimecmp, 64 bits."""
    s.stimecmp = value
    follow(s)
