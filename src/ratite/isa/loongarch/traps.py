"""Exceptions and interrupts: when they are taken, where they go, and the way back (LoongArch Reference Manual, volume 1,
v1.10, chapters 6 and 7.4).

The wires from devices (`irq_lines`) and `alarm_rang` are written by other threads. Whoever changes them sets `attention`
afterwards; `poll` clears it before it looks, so that no change is lost. Texts that may make an interrupt deliverable by
other means set it too.

Not modelled: machine errors, watchpoints and debug mode.
"""

from __future__ import annotations

from ratite.bits import mask
from ratite.ir import Value
from ratite.isa.dsl import Session, native
from ratite.isa.loongarch import clock, counters
from ratite.isa.loongarch.exceptions import Cause
from ratite.isa.loongarch.mmu import translate
from ratite.isa.loongarch.modes import DA, IE, PG, PLV, mode_update
from ratite.isa.loongarch.pages import LOOK

#: Interrupts by number, as in ESTAT.IS: of software, hardware, performance counters, timer, other cores.
SWI, HWI, PMI, TI, IPI = 0, 2, 10, 11, 12
INTERRUPTS = mask(13)
SOFTWARE = mask(2)
#: What devices drive.
WIRES = mask(10) & ~SOFTWARE | 1 << IPI

#: Set in the `cause` of `take_trap` for interrupts; the number is below it.
INTERRUPT = 1 << 32
#: Vectors of interrupts come after those of 64 exceptions.
_INTERRUPT_VECTORS = 64

#: LLBCTL.KLO
KLO = 1 << 2

_PAIR = ~mask(13)


def pending(s: Session) -> Value:
    """ESTAT.IS: what devices, the timer, the performance monitors and software ask for."""
    asked: Value = (s.irq_lines & WIRES) | s.estat_soft | (s.timer_fired.zext(64) << TI) | (s.pm_overflow.zext(64) << PMI)
    return asked


def _enabled(s: Session) -> Value:
    """Interrupts that are asked for and enabled, whether or not they would be taken now."""
    asked: Value = pending(s) & s.ecfg & INTERRUPTS
    return asked


def check_interrupts(s: Session) -> None:
    """To be written last in a text that may have made an interrupt deliverable: it is taken before the next
    instruction.
    """
    with s.when(_enabled(s) != 0, likely=False):
        s.attention = 1
        s.resync()


@native()
def wakeup(s: Session) -> None:
    """1 when a core that waits for interrupts has to go on."""
    clock.look_if_rung(s)
    counters.look(s)
    s.ret((_enabled(s) != 0).zext(64))


@native()
def poll(s: Session) -> None:
    """Take the most urgent interrupt before the instruction at next_pc, if there is one: that with the highest number. 1 when Python has to ring an
    alarm.
    """
    s.attention = 0
    s.fence()
    python = clock.look_if_rung(s)
    counters.look(s)
    asked = _enabled(s)
    with s.when((asked != 0) & ((s.crmd & IE) != 0)):
        s.call(take_trap, (63 - asked.clz()) | INTERRUPT, 0)
    s.ret(python)


@native()
def take_trap(s: Session, cause: Value, value: Value) -> None:
    """Enter the exception handler for the instruction at next_pc. `cause` is a `Cause`, or `INTERRUPT` and a number;
    `value` goes to BADV where the exception has an address.
    """
    before = s.crmd & (PLV | IE)
    with s.when(cause == Cause.TLB_REFILL):
        s.tlbrbadv = value
        s.tlbrehi = (s.tlbrehi & ~_PAIR) | (value & _PAIR)
        s.tlbrera = (s.next_pc & ~3) | 1
        s.tlbrprmd = (s.tlbrprmd & ~(PLV | IE)) | before
        s.crmd = (s.crmd & ~(PLV | IE | PG)) | DA
        s.next_pc = s.tlbrentry
        s.call(mode_update)
        s.ret(0)
    interrupt = (cause & INTERRUPT) != 0
    code = cause & 0x3F
    sub = (cause >> 16) & 0x1FF
    with s.when(~interrupt):
        _note_instruction(s, code)
        with s.when((code != 0) & (code <= Cause.BOUND_CHECK)):
            s.badv = value
        with s.when((code != 0) & (code <= Cause.PRIVILEGE_LEVEL)):
            s.tlbehi = value & _PAIR
    s.estat_code = s.select(interrupt, 0, (code << 16) | (sub << 22))
    s.prmd = (s.prmd & ~(PLV | IE)) | before
    s.era = s.select(~interrupt & (cause == Cause.FETCH_ADDRESS), value, s.next_pc)    # the branch has been done
    s.crmd = s.crmd & ~(PLV | IE)
    distance = (s.ecfg >> 16) & 7
    vector = s.select(interrupt, code + _INTERRUPT_VECTORS, code) << (distance + 2)
    s.next_pc = s.eentry + s.select(distance == 0, 0, vector)
    s.call(mode_update)
    s.ret(0)


def _note_instruction(s: Session, code: Value) -> None:
    """BADI: the instruction at fault, where it can be read."""
    fetched = (code != Cause.FETCH_PAGE) & (code != Cause.NOT_EXECUTABLE) & (code != Cause.FETCH_ADDRESS)
    with s.when(fetched & ((s.next_pc & 3) == 0)), s.when(s.call(translate, s.next_pc, LOOK) == 0):
        place = s.call("ram_host", s.walk_pa, width=64)
        with s.when(place != 0):
            s.badi = s.peek(place, 32).zext(64)


def return_from(s: Session) -> None:
    """The text of ertn, without its checks."""
    refill = s.tlbrera.bit(0)
    to = s.select(refill, s.tlbrera, s.era) & ~3
    before = s.select(refill, s.tlbrprmd, s.prmd) & (PLV | IE)
    mode = (s.crmd & ~(PLV | IE)) | before
    s.crmd = s.select(refill, (mode & ~DA) | PG, mode)
    s.tlbrera = s.tlbrera & ~1
    s.reserve_addr = s.select((s.llbctl & KLO) != 0, s.reserve_addr, s.const(-1))
    s.llbctl = s.llbctl & ~KLO
    s.call(mode_update)
    s.attention = 1
    s.jump(to)
