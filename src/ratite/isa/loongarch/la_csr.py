"""Access to control and status registers, and to the registers of the core's surroundings (LoongArch Reference Manual,
volume 1, v1.10, chapters 4.2.1 and 4.2.2).
"""

from __future__ import annotations

from ratite.ir import Value
from ratite.isa.arch import Exit
from ratite.isa.dsl import Session
from ratite.isa.loongarch.csr import CSRS, Csr
from ratite.isa.loongarch.exceptions import Cause, kernel_only
from ratite.isa.loongarch.formats import CsrExchange, CsrRead, Iocsr
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


def _iocsr(code: int, letter: str) -> None:
    """Define the read and the write of a size, which leave native code with the word and the address (`iocsr.py`)."""

    def access(s: Session, o: Iocsr) -> None:
        if kernel_only(s):
            s.iocsr_word, s.iocsr_address = o.word, s.r[o.rj]
            s.exit(Exit.BOARD)

    @insn(f"00000110010010000000{code:02b} ..... .....", f"iocsrrd.{letter} {{rd}}, {{rj}}", privileged=True)
    def iocsrrd(s: Session, o: Iocsr) -> None:
        """Read a register of the core's surroundings, sign-extended."""
        access(s, o)

    @insn(f"00000110010010000001{code:02b} ..... .....", f"iocsrwr.{letter} {{rd}}, {{rj}}", privileged=True)
    def iocsrwr(s: Session, o: Iocsr) -> None:
        """Write a register of the core's surroundings."""
        access(s, o)


for _code, _letter in enumerate("bhwd"):
    _iocsr(_code, _letter)
