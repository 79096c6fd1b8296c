"""Calls, timers and configuration (LoongArch Reference Manual, volume 1, v1.10, chapter 2.2.10).

A Linux program finds zero as the number of the counter.
"""

from __future__ import annotations

from collections.abc import Callable

from ratite.ir import Value
from ratite.isa.dsl import Session
from ratite.isa.loongarch.clock import counter
from ratite.isa.loongarch.exceptions import Cause
from ratite.isa.loongarch.formats import R2, Code
from ratite.isa.loongarch.modes import NO_RDTIME, PLV, is_kernel
from ratite.isa.loongarch.table import LOONGARCH

insn = LOONGARCH.extension("base")
timer = LOONGARCH.extension("LLFTP")


@insn("00000000001010110 ...............", "syscall {code}")
def syscall(s: Session, o: Code) -> None:
    """Call the operating system."""
    s.trap(Cause.SYSTEM_CALL, o.code)


@insn("00000000001010100 ...............", "break {code}")
def break_(s: Session, o: Code) -> None:
    """Raise a breakpoint exception."""
    s.trap(Cause.BREAKPOINT, o.code)


@insn("0000000000000000011011 ..... .....", "cpucfg {rd}, {rj}")
def cpucfg(s: Session, o: R2) -> None:
    """Configuration word rj, sign-extended; zero for one that there is not."""
    found = s.const(0, 32)
    for number, word in enumerate(s.config.words):
        if word:
            found = s.select(s.r[o.rj] == number, word, found)
    s.r[o.rd] = found.sext(64)


def _read(s: Session, o: R2, part: Callable[[Value], Value]) -> None:
    """Read the counter, unless MISC forbids it to the present privilege level."""
    if not s.config.user and not is_kernel(s):
        with s.when((s.misc & NO_RDTIME & (s.const(1 << 4) << (s.crmd & PLV))) != 0, likely=False):
            s.trap(Cause.PRIVILEGED)
    count = part(counter(s))
    s.r[o.rj] = s.const(0) if s.config.user else s.tid
    s.r[o.rd] = count


@timer("0000000000000000011000 ..... .....", "rdtimel.w {rd}, {rj}", privileged=True)
def rdtimel_w(s: Session, o: R2) -> None:
    """The low word of the stable counter, sign-extended; rj gets the counter's number."""
    _read(s, o, lambda count: count.trunc(32).sext(64))


@timer("0000000000000000011001 ..... .....", "rdtimeh.w {rd}, {rj}", privileged=True)
def rdtimeh_w(s: Session, o: R2) -> None:
    """The upper word of the stable counter, sign-extended; rj gets the counter's number."""
    _read(s, o, lambda count: count.bits(63, 32).sext(64))


@timer("0000000000000000011010 ..... .....", "rdtime.d {rd}, {rj}", privileged=True)
def rdtime_d(s: Session, o: R2) -> None:
    """The stable counter; rj gets its number."""
    _read(s, o, lambda count: count)
