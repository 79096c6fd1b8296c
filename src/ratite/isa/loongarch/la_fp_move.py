"""Floating-point moves: between registers, and of signs (LoongArch Reference Manual, volume 1, v1.10, chapters 3.2.1 and
3.2.4). None of them raises an exception.
"""

from __future__ import annotations

from ratite.isa.dsl import Session
from ratite.isa.loongarch import fcsr
from ratite.isa.loongarch.exceptions import illegal
from ratite.isa.loongarch.floats import DOUBLE, SINGLE, Precision
from ratite.isa.loongarch.formats import F2, F3, CToF, CToR, FromFcsr, FSelect, FToC, FToR, RToC, RToF, ToFcsr
from ratite.isa.loongarch.units import instructions_of

insn = instructions_of("FP")


def _signs(p: Precision) -> None:
    @insn(f"0000000100010100 000 0{p.code} ..... .....", f"fabs.{p.suffix} {{fd}}, {{fj}}")
    def fabs(s: Session, o: F2) -> None:
        """fj with a positive sign."""
        p.set(s, o.fd, p.get(s, o.fj) & p.magnitude)

    @insn(f"0000000100010100 000 1{p.code} ..... .....", f"fneg.{p.suffix} {{fd}}, {{fj}}")
    def fneg(s: Session, o: F2) -> None:
        """fj with the opposite sign."""
        p.set(s, o.fd, p.get(s, o.fj) ^ p.sign)

    @insn(f"00000001000100 1{p.code} ..... ..... .....", f"fcopysign.{p.suffix} {{fd}}, {{fj}}, {{fk}}")
    def fcopysign(s: Session, o: F3) -> None:
        """fj with the sign of fk."""
        s.f[o.fd] = s.f[o.fk] ^ (s.f[o.fj] ^ s.f[o.fk]) & p.magnitude

    @insn(f"0000000100010100 100 1{p.code} ..... .....", f"fmov.{p.suffix} {{fd}}, {{fj}}")
    def fmov(s: Session, o: F2) -> None:
        """Copy fj."""
        p.set(s, o.fd, p.get(s, o.fj))


_signs(SINGLE)
_signs(DOUBLE)


@insn("00001101000000 ... ..... ..... .....", "fsel {fd}, {fj}, {fk}, {ca}")
def fsel(s: Session, o: FSelect) -> None:
    """fk where the condition flag is one, else fj."""
    all_bits = -s.fcc[o.ca].zext(64)
    s.f[o.fd] = s.f[o.fj] ^ (s.f[o.fj] ^ s.f[o.fk]) & all_bits


# --- general registers --------------------------------------------------------------------------------------------------


@insn("0000000100010100101001 ..... .....", "movgr2fr.w {fd}, {rj}")
def movgr2fr_w(s: Session, o: RToF) -> None:
    """Copy the low word of rj; the upper word of fd stays."""
    s.f[o.fd] = s.f[o.fd] >> 32 << 32 | s.r[o.rj].trunc(32).zext(64)


@insn("0000000100010100101010 ..... .....", "movgr2fr.d {fd}, {rj}")
def movgr2fr_d(s: Session, o: RToF) -> None:
    """Copy rj."""
    s.f[o.fd] = s.r[o.rj]


@insn("0000000100010100101011 ..... .....", "movgr2frh.w {fd}, {rj}")
def movgr2frh_w(s: Session, o: RToF) -> None:
    """Copy the low word of rj to the upper word of fd."""
    s.f[o.fd] = s.f[o.fd].trunc(32).zext(64) | s.r[o.rj] << 32


@insn("0000000100010100101101 ..... .....", "movfr2gr.s {rd}, {fj}")
def movfr2gr_s(s: Session, o: FToR) -> None:
    """Copy the low word of fj and sign-extend it."""
    s.r[o.rd] = s.f[o.fj].trunc(32).sext(64)


@insn("0000000100010100101110 ..... .....", "movfr2gr.d {rd}, {fj}")
def movfr2gr_d(s: Session, o: FToR) -> None:
    """Copy fj."""
    s.r[o.rd] = s.f[o.fj]


@insn("0000000100010100101111 ..... .....", "movfrh2gr.s {rd}, {fj}")
def movfrh2gr_s(s: Session, o: FToR) -> None:
    """Copy the upper word of fj and sign-extend it."""
    s.r[o.rd] = s.f[o.fj].s >> 32


# --- condition flags ----------------------------------------------------------------------------------------------------


@insn("0000000100010100110100 ..... 00 ...", "movfr2cf {cd}, {fj}")
def movfr2cf(s: Session, o: FToC) -> None:
    """Copy the lowest bit of fj to a condition flag."""
    s.fcc[o.cd] = s.f[o.fj].trunc(8) & 1


@insn("0000000100010100110101 00 ... .....", "movcf2fr {fd}, {cj}")
def movcf2fr(s: Session, o: CToF) -> None:
    """Copy a condition flag; the other bits of fd become zero."""
    s.f[o.fd] = s.fcc[o.cj].zext(64)


@insn("0000000100010100110110 ..... 00 ...", "movgr2cf {cd}, {rj}")
def movgr2cf(s: Session, o: RToC) -> None:
    """Copy the lowest bit of rj to a condition flag."""
    s.fcc[o.cd] = s.r[o.rj].trunc(8) & 1


@insn("0000000100010100110111 00 ... .....", "movcf2gr {rd}, {cj}")
def movcf2gr(s: Session, o: CToR) -> None:
    """Copy a condition flag; the other bits of rd become zero."""
    s.r[o.rd] = s.fcc[o.cj].zext(64)


# --- control and status -------------------------------------------------------------------------------------------------


@insn("0000000100010100110000 ..... .....", "movgr2fcsr $fcsr{fcsr}, {rj}")
def movgr2fcsr(s: Session, o: ToFcsr) -> None:
    """Write the part of fcsr0 that a control register shows."""
    if o.fcsr >= len(fcsr.VIEWS):
        illegal(s, o)
        return
    fcsr.write(s, o.fcsr, s.r[o.rj].trunc(32))


@insn("0000000100010100110010 ..... .....", "movfcsr2gr {rd}, $fcsr{fcsr}")
def movfcsr2gr(s: Session, o: FromFcsr) -> None:
    """Read the part of fcsr0 that a control register shows, sign-extended."""
    if o.fcsr >= len(fcsr.VIEWS):
        illegal(s, o)
        return
    s.r[o.rd] = (fcsr.read(s) & fcsr.VIEWS[o.fcsr]).sext(64)
