"""Return from exceptions, waiting, and the caches (LoongArch Reference Manual, volume 1, v1.10, chapters 4.2.3 and 4.2.6)."""

from __future__ import annotations

from ratite.isa.arch import Exit
from ratite.isa.dsl import Session
from ratite.isa.loongarch import traps
from ratite.isa.loongarch.exceptions import kernel_only
from ratite.isa.loongarch.formats import Cache, Code, None_
from ratite.isa.loongarch.table import LOONGARCH

insn = LOONGARCH.extension("privileged")


@insn("0000011001001000001110 00000 00000", "ertn", privileged=True)
def ertn(s: Session, o: None_) -> None:
    """Return from an exception."""
    if kernel_only(s):
        traps.return_from(s)


@insn("00000110010010001 ...............", "idle {code}", privileged=True)
def idle(s: Session, o: Code) -> None:
    """Wait for an enabled interrupt."""
    if kernel_only(s):
        with s.when(s.call(traps.wakeup) == 0):
            s.exit(Exit.HALT)
        s.attention = 1
        s.resync()


@insn("0000011000 ............ ..... .....", "cacop {code}, {rj}, {imm}", privileged=True)
def cacop(s: Session, o: Cache) -> None:
    """Do something to a cache; there is none. Below privilege level 0 all of them are refused, by address too."""
    kernel_only(s)
