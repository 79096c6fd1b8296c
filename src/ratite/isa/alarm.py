"""What instruction sets do with the alarm of a vCPU (`ratite.codegen.alarms`): look why it has rung, and set it anew.

`look` is the native helper `timer_look` of the instruction set: it finds out what the moment means, sets the alarm for the next one, and gives 1 when
Python has to ring it.
"""

from __future__ import annotations

from ratite.ir import Value
from ratite.isa.arch import Exit
from ratite.isa.dsl import Native, Session


def look_if_rung(s: Session, look: Native) -> Value:
    """To be done by whoever looks for interrupts. 1 when Python has to ring the alarm."""
    python = s.var(0)
    with s.when(s.alarm_rang != 0, likely=False):
        s.alarm_rang = 0
        s.fence()
        python.value = s.call(look)
    result: Value = python.value
    return result


def follow(s: Session, look: Native) -> None:
    """To be written in a text that changes what the alarm depends on; ends the text where Python has to ring it."""
    with s.when(s.call(look) != 0, likely=False):
        s.exit(Exit.ALARM)
