"""Vector instructions that move elements: permutations, and copies from and to general registers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ratite.bits import signed
from ratite.ir import Lanes
from ratite.isa.loongarch.exceptions import illegal
from ratite.isa.loongarch.la_v_integer import ALL, UNSIGNED
from ratite.isa.loongarch.vectors import BOTH, LASX, LSX, PART, Vector, eight, family, four, numbered, three, two

# --- interleaving -------------------------------------------------------------------------------------------------------


def _pairs(n: int, firsts: Iterable[int]) -> list[int]:
    """Alternately an element of the first vector and the same one of the second, which has numbers from `n` on."""
    return [number for first in firsts for number in (first, first + n)]


def _interleaved(code: int, name: str, doc: str, numbers: Callable[[int], list[int]]) -> None:
    """Elements of vk and vj in each half: their numbers, for the count of elements there; those of vj come behind vk's."""

    def text(v: Vector) -> Lanes:
        return v.places(v.k, numbers(PART // v.w), v.j)

    text.__doc__ = doc
    three(code, name, ALL)(text)


_interleaved(0x71160000, "vpackev", "Alternate the even elements of vk and vj.", lambda n: _pairs(n, range(0, n, 2)))
_interleaved(0x71180000, "vpackod", "Alternate the odd elements of vk and vj.", lambda n: _pairs(n, range(1, n, 2)))
_interleaved(0x711A0000, "vilvl", "Alternate the lower elements of vk and vj.", lambda n: _pairs(n, range(n // 2)))
_interleaved(0x711C0000, "vilvh", "Alternate the upper elements of vk and vj.", lambda n: _pairs(n, range(n // 2, n)))
_interleaved(0x711E0000, "vpickev", "The even elements of vk, and above them those of vj.", lambda n: [*range(0, 2 * n, 2)])
_interleaved(0x71200000, "vpickod", "The odd elements of vk, and above them those of vj.", lambda n: [*range(1, 2 * n, 2)])


# --- permutations told by vectors ---------------------------------------------------------------------------------------


def _from_two(v: Vector, numbers: Lanes) -> Lanes:
    """In each half the elements with these numbers, of vk's half and of vj's behind that."""
    per = PART // v.w
    return (numbers & per == 0).select(v.looked_up(v.k, numbers), v.looked_up(v.j, numbers))


@four(0x0D500000, "vshuf", "b", far=0x0010_0000)
def vshuf_b(v: Vector) -> Lanes:
    """In each half the bytes of vk and vj that va tells, modulo their count."""
    return _from_two(v, v.a)


@three(0x717A8000, "vshuf", "h w d")
def vshuf(v: Vector) -> Lanes:
    """In each half the elements of vk and vj that vd tells, modulo their count."""
    return _from_two(v, v.d)


@three(0x71220000, "vreplve", ALL, "vd vj rk")
def vreplve(v: Vector) -> Lanes:
    """In each half the element that rk tells, modulo their count, everywhere."""
    return v.looked_up(v.j, v.j.splat(v.s.r[v.o.rk].trunc(v.w)))


@family("vperm", "w", lambda n, width: 0x717D0000, lambda width, total: "vd vj vk", extensions=(LASX,))
def vperm(v: Vector) -> Lanes:
    """The elements of vj that vk tells, modulo their count."""
    return v.j.permute(v.k)


# --- permutations told by numbers ---------------------------------------------------------------------------------------


def _fields(number: int, width: int, count: int) -> list[int]:
    """`count` fields of a number."""
    return [number >> width * n & (1 << width) - 1 for n in range(count)]


@eight(0x73900000, "vshuf4i", "b h w")
def vshuf4i(v: Vector) -> Lanes:
    """Every four elements from these four, as two bits each tell."""
    return v.places(v.j, [first + n for first in range(0, PART // v.w, 4) for n in _fields(v.imm, 2, 4)])


@eight(0x739C0000, "vshuf4i", "d")
def vshuf4i_d(v: Vector) -> Lanes:
    """Each half from vd's half and vj's, as two bits each tell."""
    return v.places(v.d, _fields(v.imm, 2, 2), v.j)


@eight(0x73E40000, "vpermi", "w")
def vpermi_w(v: Vector) -> Lanes:
    """In each half two elements of vj, and above them two of vd, as two bits each tell."""
    a, b, c, d = _fields(v.imm, 2, 4)
    return v.places(v.j, (a, b, c + 4, d + 4), v.d)


@eight(0x73E80000, "vpermi", "d", (LASX,))
def vpermi_d(v: Vector) -> Lanes:
    """Four elements as two bits each tell."""
    return v.j.shuffle(_fields(v.imm, 2, 4))


@eight(0x73EC0000, "vpermi", "q", (LASX,))
def vpermi_q(v: Vector) -> Lanes:
    """Two halves, of vj or of vd, as bits 1:0 and 5:4 tell."""
    return v.j.shuffle((v.imm & 3, v.imm >> 4 & 3), v.d)


def _insertion(code: int, size: str) -> None:
    def vextrins(v: Vector) -> Lanes:
        """In each half, replace the element of vd that bits 7:4 tell by that of vj which bits 3:0 tell."""
        per = PART // v.w
        numbers = list(range(per))
        numbers[v.imm >> 4 & per - 1] = per + (v.imm & per - 1)
        return v.places(v.d, numbers, v.j)

    eight(code, "vextrins", size)(vextrins)


for _n, _size in enumerate("dwhb"):
    _insertion(0x73800000 + (_n << 18), _size)


@three(0x728E0000, "vbsll", "v", "vd vj u5")
def vbsll(v: Vector) -> Lanes:
    """Shift each half left by bytes."""
    n = v.imm % 16
    return v.places(v.zero(8), range(16 - n, 32 - n), v.j.at(8))


@three(0x728E8000, "vbsrl", "v", "vd vj u5")
def vbsrl(v: Vector) -> Lanes:
    """Shift each half right by bytes."""
    n = v.imm % 16
    return v.places(v.j.at(8), range(n, n + 16), v.zero(8))


def _repeated(v: Vector) -> Lanes:
    """In each half one of its elements everywhere."""
    return v.places(v.j, [v.imm] * (PART // v.w))


numbered(0x72F70000, "vreplvei", ALL, "vd vj", (LSX,))(_repeated)
numbered(0x72F70000, "vrepl128vei", ALL, "vd vj", (LASX,), PART)(_repeated)


@family("vreplve0", ALL + " q", lambda n, w: (0x73070000, 0x73078000, 0x7307C000, 0x7307E000, 0x7307F000)[n],
        lambda width, total: "vd vj", extensions=(LASX,))  # fmt: skip
def vreplve0(v: Vector) -> Lanes:
    """The lowest element everywhere."""
    return v.j.shuffle([0] * v.j.count)


@numbered(0x72FF0000, "vinsve0", "w d", "vd vj", (LASX,))
def vinsve0(v: Vector) -> Lanes:
    """Replace one element of vd by the lowest of vj."""
    return v.d.with_lane(v.imm, v.j.lane(0))


@numbered(0x73030000, "vpickve", "w d", "vd vj", (LASX,))
def vpickve(v: Vector) -> Lanes:
    """One element, with zeros above it."""
    return v.zero(v.w).with_lane(0, v.j.lane(v.imm))


@family("vext2xv", "h.b w.b d.b w.h d.h d.w hu.bu wu.bu du.bu wu.hu du.hu du.wu", lambda n, width: 0x729F1000 + (n << 10),
        lambda width, total: "vd vj", extensions=(LASX,))  # fmt: skip
def vext2xv(v: Vector) -> Lanes:
    """The lowest elements, in the wider elements of all of vd."""
    return v.j.shuffle(range(v.bits // v.w)).widened(v.w // v.n)


# --- general registers and constants ------------------------------------------------------------------------------------


@two(0x729F0000, "vreplgr2vr", ALL, "vd rj")
def vreplgr2vr(v: Vector) -> Lanes:
    """rj in every element."""
    return v.zero(v.w).splat(v.s.r[v.o.rj].trunc(v.w))


def _to_element(v: Vector) -> Lanes:
    """Replace one element by rj."""
    return v.d.with_lane(v.imm, v.s.r[v.o.rj].trunc(v.w))


def _from_element(v: Vector) -> None:
    """Copy one element to rd, sign-extended or, as the mnemonic says, zero-extended."""
    element = v.j.lane(v.imm)
    v.s.r[v.o.rd] = element.sext(64) if v.signed else element.zext(64)


for _extensions, _from in ((BOTH[:1], 0), (BOTH[1:], 2)):
    numbered(0x72EB0000, "vinsgr2vr", " ".join(ALL.split()[_from:]), "vd rj", _extensions)(_to_element)
    numbered(0x72EF0000, "vpickve2gr", " ".join(ALL.split()[_from:]), "rd vj", _extensions)(_from_element)
    numbered(0x72F30000, "vpickve2gr", " ".join(UNSIGNED.split()[_from:]), "rd vj", _extensions)(_from_element)


def _eighth(number: int) -> int:
    """A number of eight bits with each bit repeated eight times."""
    return sum(0xFF << 8 * n for n in range(8) if number >> n & 1)


def _float(number: int, exponent_ones: int, low: int) -> int:
    """A sign, an exponent near zero and a fraction: bit 7, bit 6 (opposite, then repeated), bits 5:0 from bit `low` on."""
    b = number >> 6 & 1
    exponent = (b ^ 1) << exponent_ones | b * ((1 << exponent_ones) - 1)
    return (number >> 7) << low + 7 + exponent_ones | exponent << low + 6 | (number & 63) << low


def _pattern(code: int, number: int) -> tuple[int, int] | None:
    """Width and value of the elements that `vldi` makes from a byte, None for codes that there are not."""
    match code:
        case 0 | 1 | 2 | 3:
            return 32, number << 8 * code
        case 4 | 5:
            return 16, number << 8 * (code - 4)
        case 6 | 7:
            return 32, (number + 1 << 8 * (code - 5)) - 1
        case 8:
            return 8, number
        case 9:
            return 64, _eighth(number)
        case 10:
            return 32, _float(number, 5, 19)
        case 11:
            return 64, _float(number, 5, 19)
        case 12:
            return 64, _float(number, 8, 48)
    return None


@family("vldi", "", lambda n, width: 0x73E00000, lambda width, total: "vd c13")
def vldi(v: Vector) -> Lanes | None:
    """Every element a constant: a signed number of ten bits, or one of thirteen patterns made from a byte."""
    number = v.imm
    if number >= 0:
        return v.zero(8 << (number >> 10)).of(signed(number, 10))
    pattern = _pattern(number >> 8 & 15, number & 0xFF)
    if pattern is None:
        illegal(v.s, v.o)
        return None
    width, value = pattern
    return v.zero(width).of(value)
