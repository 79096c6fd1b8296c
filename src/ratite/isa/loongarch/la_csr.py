"""Access to control and status registers, and to the registers of the core's surroundings (LoongArch Reference Manual,
volume 1, v1.10, chapters 4.2.1 and 4.2.2).
"""

from __future__ import annotations

from typing import Any

from ratite.bits import mask, signed
from ratite.ir import Value
from ratite.isa.dsl import Session
from ratite.isa.loongarch.csr import CSRS, Csr
from ratite.isa.loongarch.exceptions import Cause, kernel_only
from ratite.isa.loongarch.formats import R2, CsrExchange, CsrRead
from ratite.isa.loongarch.modes import is_kernel
from ratite.isa.loongarch.table import LOONGARCH

insn = LOONGARCH.extension("privileged")


def _csr(s: Session, o: CsrRead) -> Csr | None:
    """The register, where this core has it."""
    csr = CSRS.get(o.csr)
    return csr if csr is not None and (not csr.has or s.config.has(csr.has)) else None


def _old(s: Session, o: CsrRead) -> Value:
    csr = _csr(s, o)
    if csr is None:
        return s.const(0)
    value = csr.read(s)
    return value.trunc(32).sext(64) if csr.short else value


def _write(s: Session, o: CsrRead, old: Value, new: Value) -> None:
    """Give rd the old value and the register the new one."""
    csr = _csr(s, o)
    s.r[o.rd] = old
    if csr is not None and csr.write is not None:
        csr.write(s, old, new)


@insn("00000100 .............. 00000 .....", "csrrd {rd}, {csr}", privileged=True)
def csrrd(s: Session, o: CsrRead) -> None:
    """Read a register. Some can be opened to lower levels."""
    csr = _csr(s, o)
    if not is_kernel(s) and csr is not None and csr.level is not None:
        with s.when(~csr.level(s)):
            s.trap(Cause.PRIVILEGED)
    elif not kernel_only(s):
        return
    s.r[o.rd] = _old(s, o)


@insn("00000100 .............. 00001 .....", "csrwr {rd}, {csr}", privileged=True)
def csrwr(s: Session, o: CsrRead) -> None:
    """Exchange a register with rd."""
    if kernel_only(s):
        _write(s, o, _old(s, o), s.r[o.rd])


@insn("00000100 .............. ..... .....", "csrxchg {rd}, {rj}, {csr}", privileged=True)
def csrxchg(s: Session, o: CsrExchange) -> None:
    """Write the bits of a register that are set in rj from rd; rd gets all of the register's old value."""
    if kernel_only(s):
        old, chosen = _old(s, o), s.r[o.rj]
        _write(s, o, old, (old & ~chosen) | (s.r[o.rd] & chosen))


# --- IOCSR --------------------------------------------------------------------------------------------------------------

#: Registers of the core's surroundings have addresses of this many bits.
IOCSR_BITS = 32


def _read_outside(size: int) -> Any:
    def read(cpu: Any, address: int) -> int:
        value: int = cpu.owner.iocsr_read(address & mask(IOCSR_BITS), size)
        return signed(value, 8 * size) & mask(64)

    return read


def _write_outside(size: int) -> Any:
    def write(cpu: Any, address: int, value: int) -> None:
        cpu.owner.iocsr_write(address & mask(IOCSR_BITS), size, value & mask(8 * size))

    return write


def _iocsr(code: int, letter: str) -> None:
    """Define the read and the write of a size, which the owner of the vCPU answers."""
    read, write = _read_outside(1 << code), _write_outside(1 << code)

    @insn(f"00000110010010000000{code:02b} ..... .....", f"iocsrrd.{letter} {{rd}}, {{rj}}", privileged=True)
    def iocsrrd(s: Session, o: R2) -> None:
        """Read a register of the core's surroundings, sign-extended."""
        if kernel_only(s):
            s.r[o.rd] = s.python(read, s.r[o.rj], width=64)

    @insn(f"00000110010010000001{code:02b} ..... .....", f"iocsrwr.{letter} {{rd}}, {{rj}}", privileged=True)
    def iocsrwr(s: Session, o: R2) -> None:
        """Write a register of the core's surroundings."""
        if kernel_only(s):
            s.python(write, s.r[o.rj], s.r[o.rd])


for _code, _letter in enumerate("bhwd"):
    _iocsr(_code, _letter)
