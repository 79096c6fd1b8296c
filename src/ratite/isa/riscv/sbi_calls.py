"""The call to built-in firmware that native code answers itself, because kernels without Sstc make it all the time: Set Timer (RISC-V SBI
specification 2.0, chapter 6.1). The others leave to Python.
"""

from __future__ import annotations

from ratite.ir import Value
from ratite.isa.dsl import Session
from ratite.isa.riscv import timer, traps

#: The extension TIME, whose function 0 is Set Timer.
TIME = 0x54494D45

_A0, _A1, _A6, _A7 = 10, 11, 16, 17


def answer(s: Session) -> None:
    """Where the call at this instruction is Set Timer, do it, and end the text."""
    if not timer.has_comparator(s.config):
        return
    with s.when((s.x[_A7] == TIME) & (s.x[_A6] == 0)):
        moment: Value = s.x[_A0].zext(64)
        if s.xlen == 32:
            moment = moment | (s.x[_A1].zext(64) << 32)
        s.x[_A0], s.x[_A1] = s.const(0), s.const(0)
        timer.write_compare(s, moment)
        traps.check_interrupts(s)
        s.resync()
