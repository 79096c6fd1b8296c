"""Cyclic redundancy checks (LoongArch Reference Manual, volume 1, v1.10, chapter 2.2.9).

Bits go through the register from the lowest on, so polynomials are written reversed. Taking in n bits of data adds
that multiple of the polynomial to register and data which makes the low n bits zero, and drops these bits; the
multiple is the low bits times the inverse of the polynomial modulo x**n.
"""

from __future__ import annotations

from ratite.ir import Value
from ratite.isa.dsl import Session
from ratite.isa.loongarch.formats import R3
from ratite.isa.loongarch.table import LOONGARCH

insn = LOONGARCH.extension("CRC")

#: The polynomials of IEEE 802.3 and of Castagnoli, reversed, x**32 being bit 0.
IEEE, CASTAGNOLI = 0xEDB88320 << 1 | 1, 0x82F63B78 << 1 | 1


def inverse(polynomial: int, bits: int) -> int:
    """What times `polynomial` over GF(2) is one modulo x**bits."""
    found, product = 0, 0
    for n in range(bits):
        if (product ^ 1) >> n & 1:
            found |= 1 << n
            product ^= polynomial << n
    return found


def _step(crc: Value, data: Value, polynomial: int) -> Value:
    """The register, 32 bits, after taking in at most 32 bits of data."""
    n = data.width
    v = (crc ^ data.resize(32)).zext(64)
    multiple = v.clmul(inverse(polynomial, 32)) & (1 << n) - 1
    return ((v ^ multiple.clmul(polynomial)) >> n).trunc(32)


def _check(code: str, name: str, data: str, width: int, polynomial: int) -> None:
    def semantics(s: Session, o: R3) -> None:
        crc = s.r[o.rk].trunc(32)
        for first in range(0, width, 32):
            crc = _step(crc, s.r[o.rj].bits(first + min(width, 32) - 1, first), polynomial)
        s.r[o.rd] = crc.sext(64)

    semantics.__doc__ = f"Take {width} bits of rj into the check in rk."
    insn(f"{code} ..... ..... .....", f"{name}.w.{data}.w {{rd}}, {{rj}}, {{rk}}")(semantics)


for _bits, _data, _width in (("00", "b", 8), ("01", "h", 16), ("10", "w", 32), ("11", "d", 64)):
    _check(f"000000000010010{_bits}", "crc", _data, _width, IEEE)
    _check(f"000000000010011{_bits}", "crcc", _data, _width, CASTAGNOLI)
