"""Exceptions and interrupts: when they are taken, where they go, and the way back (ISA manual volume II, 20211203,
3.1.6 to 3.1.9, 3.3.2).

The wires from devices (`irq_lines`), `ssip_edge` and `alarm_rang` are written by other threads. Whoever changes them sets `attention` afterwards;
`poll` clears it before it looks, so that no change is lost. Texts that may make an interrupt deliverable by other means
set it too.

Not modelled: user-level interrupts and double traps; a trap from machine mode into machine mode overwrites mepc as the
manual says.
"""

from __future__ import annotations

from ratite.ir import Value
from ratite.isa.dsl import Session, native
from ratite.isa.riscv import status, timer
from ratite.isa.riscv.interrupts import MEI, MSI, MTI, SEI, SSI, STI
from ratite.isa.riscv.status import MACHINE, MIE, MPIE, MPP, MPRV, SIE, SPIE, SPP, SUPERVISOR, USER, mode_update

#: Interrupts from the most to the least urgent (3.1.9).
PRIORITY = (MEI, MSI, MTI, SEI, SSI, STI)
#: Interrupts of supervisor mode: those that can be delegated.
SUPERVISOR_INTERRUPTS = 1 << SSI | 1 << STI | 1 << SEI
MACHINE_INTERRUPTS = 1 << MSI | 1 << MTI | 1 << MEI

# Exceptions by number, as in mcause.
FETCH_ACCESS, LOAD_ACCESS, STORE_ACCESS = 1, 5, 7
FETCH_PAGE, LOAD_PAGE, STORE_PAGE = 12, 13, 15
#: Exceptions that can be delegated: all but the call from machine mode (11) and the reserved numbers.
DELEGABLE = 0b1011_0011_1111_1111


def pending(s: Session) -> Value:
    """mip: what devices and software ask for."""
    lines: Value = s.irq_lines.trunc(s.xlen)
    soft: Value = s.mip_soft
    return lines | soft


def _deliverable(s: Session) -> tuple[Value, Value]:
    """Interrupts that would be taken now to machine and to supervisor mode."""
    asked = pending(s) & s.mie
    to_machine = (s.priv != MACHINE) | ((s.mstatus & MIE) != 0)
    to_supervisor = (s.priv == USER) | ((s.priv == SUPERVISOR) & ((s.mstatus & SIE) != 0))
    return (
        s.select(to_machine, asked & ~s.mideleg, 0),
        s.select(to_supervisor, asked & s.mideleg, 0),
    )


def check_interrupts(s: Session) -> None:
    """To be written last in a text that may have made an interrupt deliverable: it is taken before the next
    instruction.
    """
    with s.when((pending(s) & s.mie) != 0, likely=False):
        s.attention = 1
        s.resync()


@native()
def wakeup(s: Session) -> None:
    """1 when a hart that waits for interrupts has to go on: one is pending and enabled, wherever it goes and whether or
    not it is taken.
    """
    timer.look_if_rung(s)
    _take_edge(s)
    s.ret(((pending(s) & s.mie) != 0).zext(s.xlen))


def _take_edge(s: Session) -> None:
    """Note in mip that a software interrupt has arrived."""
    with s.when(s.ssip_edge != 0):
        s.ssip_edge = 0
        s.mip_soft = s.mip_soft | (1 << SSI)


@native()
def poll(s: Session) -> None:
    """Take the most urgent interrupt before the instruction at next_pc, if there is one. 1 when Python has to ring an alarm."""
    s.attention = 0
    s.fence()
    python = timer.look_if_rung(s)
    _take_edge(s)
    machine, supervisor = _deliverable(s)
    chosen = s.select(machine != 0, machine, supervisor)
    with s.when(chosen != 0):
        cause = s.const(0)
        for number in reversed(PRIORITY):
            cause = s.select(chosen.bit(number), number, cause)
        s.call(take_trap, cause | (1 << (s.xlen - 1)), 0)
    s.ret(python)


@native()
def take_trap(s: Session, cause: Value, value: Value) -> None:
    """Enter the trap handler for the instruction at next_pc. The top bit of `cause` marks interrupts; `value` goes to
    mtval or stval.
    """
    interrupt = cause.bit(s.xlen - 1)
    epc = s.next_pc
    offset = s.select(interrupt, cause << 2, s.const(0))
    if s.config.has("s"):
        delegated = s.select(interrupt, s.mideleg, s.medeleg) >> cause
        with s.when((s.priv != MACHINE) & delegated.bit(0)):
            s.scause, s.sepc, s.stval = cause, epc, value
            s.next_pc = _handler(s, s.stvec, offset)
            _enter_supervisor(s)
            s.call(mode_update)
            s.ret(0)
    s.mcause, s.mepc, s.mtval = cause, epc, value
    s.next_pc = _handler(s, s.mtvec, offset)
    _enter_machine(s)
    s.call(mode_update)
    s.ret(0)


def _handler(s: Session, vector: Value, offset: Value) -> Value:
    """Where a trap goes; in vectored mode interrupts go to a place of their own."""
    base = vector & ~3
    return s.select(vector.bit(0), base + offset, base)


def _moved(st: Value, from_bit: int, to_bit: int) -> Value:
    """mstatus with one of its bits copied over another."""
    up = to_bit.bit_length() - from_bit.bit_length()
    bit = st & from_bit
    return (st & ~to_bit) | (bit << up if up > 0 else bit >> -up)


def _enter_supervisor(s: Session) -> None:
    st = _moved(s.mstatus, SIE, SPIE) & ~(SIE | SPP)
    s.mstatus = st | (s.priv.zext(s.xlen) << (SPP.bit_length() - 1))
    s.priv = SUPERVISOR


def _enter_machine(s: Session) -> None:
    st = _moved(s.mstatus, MIE, MPIE) & ~(MIE | MPP)
    s.mstatus = st | (s.priv.zext(s.xlen) << 11)
    s.priv = MACHINE


def _least(s: Session) -> int:
    """The least privileged mode of the hart."""
    return USER if s.config.has("u") else MACHINE


def return_supervisor(s: Session) -> None:
    """The text of sret, without its checks."""
    mode = s.select((s.mstatus & SPP) != 0, SUPERVISOR, s.const(USER, 8))
    st = (_moved(s.mstatus, SPIE, SIE) | SPIE) & ~SPP
    s.mstatus = st & ~MPRV if s.config.since("v1.12.0") else st
    _return(s, mode, s.sepc)


def return_machine(s: Session) -> None:
    """The text of mret, without its checks."""
    mode = status.previous(s)
    st = (_moved(s.mstatus, MPIE, MIE) | MPIE) & ~MPP
    st = st | (_least(s) << 11)
    if s.config.since("v1.12.0"):
        st = s.select(mode == MACHINE, st, st & ~MPRV)
    s.mstatus = st
    _return(s, mode, s.mepc)


def _return(s: Session, mode: Value, epc: Value) -> None:
    """Go on in another mode, by way of the dispatcher, which looks for interrupts that this mode lets through."""
    s.priv = mode
    s.call(mode_update)
    s.attention = 1
    s.jump(epc & (~1 if s.config.has("c") else ~3))
