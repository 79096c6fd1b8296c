"""What vector instructions share: families, formats, and the elements that texts work on (Loongson's LSX with registers of
128 bits, LASX with registers of 256; encodings as tabulated by the loongarch-opcodes project, meanings as described by the
intrinsics of GCC and LLVM, for which there is no volume of the manual).

A text is written once for a family, `vadd.{b,h,w,d}` and `xvadd.{b,h,w,d}` for instance:

    @three(0x700A0000, "vadd", "b h w d")
    def vadd(v: Vector) -> Lanes:
        \"\"\"Add.\"\"\"
        return v.j + v.k

LASX does to each half of a register what LSX does to all of one, but for a few instructions of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from ratite.bits import bits, signed
from ratite.ir import Lanes, Value
from ratite.isa.dsl import Format, Session, imm, reg, static
from ratite.isa.loongarch.formats import Word
from ratite.isa.loongarch.table import LOONGARCH
from ratite.isa.loongarch.units import ASXE, SXE, require_unit

#: Element widths by the letters of mnemonics.
WIDTHS = {"b": 8, "h": 16, "w": 32, "d": 64, "q": 128, "s": 32, "l": 64, "v": 64, "": 64}
#: Size of the parts that LASX works on alike.
PART = 128


@dataclass(frozen=True)
class Extension:
    """A vector extension: what its mnemonics have before those of LSX, and its register file."""

    name: str
    prefix: str
    file: str
    bits: int


LSX = Extension("LSX", "", "v", 128)
LASX = Extension("LASX", "x", "x", 256)
BOTH = (LSX, LASX)

#: Where operands of instructions are, and which register file has them (none: the vectors').
_REGISTERS = {
    "vd": (4, 0, ""), "vj": (9, 5, ""), "vk": (14, 10, ""), "va": (19, 15, ""),
    "rd": (4, 0, "r"), "rj": (9, 5, "r"), "rk": (14, 10, "r"), "cd": (2, 0, "fcc"),
}  # fmt: skip


def _field(word: str) -> tuple[int, int]:
    """Highest and lowest bit of an operand of `vector_format`."""
    if word in _REGISTERS:
        return _REGISTERS[word][:2]
    width, _, shift = word[1:].partition("<")
    low = int(shift) if word[0] == "e" else 5 if word[0] == "c" else 10
    return low + int(width) - 1, low


def _operand(word: str, file: str) -> tuple[str, Any]:
    """Name and declaration of an operand."""
    high, low = _field(word)
    width, scale = high - low + 1, int(word.partition("<")[2] or 0)
    if word in _REGISTERS:
        return word, reg(_REGISTERS[word][2] or file, high, low)
    if word[0] == "e":
        return "element", static(lambda w: bits(w, high, low))
    if word[0] == "u":
        return "imm", static(lambda w: bits(w, high, low))
    if word[0] == "n":
        return "imm", imm(lambda w: bits(w, high, low))
    if word[0] == "c":
        return "imm", static(lambda w: signed(w >> low, width))
    return "imm", imm(lambda w: signed(w >> low, width) << scale)


@cache
def vector_format(operands: str, file: str) -> type[Format]:
    """The format with these operands: registers by name; u5 a known number (each has machine code of its own); n5 and s5
    numbers, unsigned and signed, that are not; s9<3 one that counts units of eight; c13 a known signed number lower down; e2<18
    a known element number at a bit.
    """
    return type(f"Vector_{operands.replace(' ', '_')}", (Word,), dict(_operand(word, file) for word in operands.split()))


class Vector:
    """What the text of a vector instruction sees: operands as elements, by the letters of the manual's operands.

    suffix: the sizes in its mnemonic. w, n: widths of elements of the result and of sources. bits: those of a register.
    """

    def __init__(self, s: Session, o: Any, extension: Extension, suffix: str) -> None:
        self.s, self.o, self.suffix, self.bits = s, o, suffix, extension.bits
        self._file = getattr(s, extension.file)
        parts = suffix.split(".")
        self.w, self.n = WIDTHS[parts[0][:1]], WIDTHS[parts[-1][:1]]
        self.signed = not parts[0].endswith("u")
        self._j_signed, self._k_signed = not parts[min(1, len(parts) - 1)].endswith("u"), not parts[-1].endswith("u")

    @property
    def parts(self) -> int:
        """Number of parts of a register that are treated alike."""
        return self.bits // PART

    @property
    def d(self) -> Lanes:
        """vd, as elements of the result's width."""
        return Lanes(self._file[self.o.vd], self.w, self.signed)

    @property
    def j(self) -> Lanes:
        """vj, as elements of the sources' width, signed if the mnemonic does not say otherwise."""
        return Lanes(self._file[self.o.vj], self.n, self._j_signed)

    @property
    def k(self) -> Lanes:
        """vk, likewise."""
        return Lanes(self._file[self.o.vk], self.n, self._k_signed)

    @property
    def a(self) -> Lanes:
        """va, likewise."""
        return Lanes(self._file[self.o.va], self.n, self._k_signed)

    @property
    def imm(self) -> int:
        """An immediate that is known."""
        number: int = self.o.imm
        return number

    @property
    def scalar(self) -> Lanes:
        """An immediate that is not, in every element."""
        return self.zero(self.w).splat(self.o.imm.trunc(self.w))

    def zero(self, w: int) -> Lanes:
        """A register of zeros as elements of `w` bits."""
        return Lanes(self.s.const(0, self.bits), w, self.signed)

    # --- widening and narrowing -----------------------------------------------------------------------------------------
    def even(self, x: Lanes) -> Lanes:
        """Elements 0, 2, 4... in twice their width."""
        return (x.at(2 * x.w) << x.w) >> x.w

    def odd(self, x: Lanes) -> Lanes:
        """Elements 1, 3, 5... in twice their width."""
        return x.at(2 * x.w) >> x.w

    def low(self, x: Lanes) -> Lanes:
        """The lower half of every part, in twice the width."""
        return x.at(64).shuffle(range(0, 2 * self.parts, 2)).at(x.w).widened()

    def high(self, x: Lanes) -> Lanes:
        """The upper half of every part, in twice the width."""
        return x.at(64).shuffle(range(1, 2 * self.parts, 2)).at(x.w).widened()

    def packed(self, low: Lanes, high: Lanes | None = None) -> Lanes:
        """Elements of half the width: in every part those of `low`, and above them those of `high`, or zeros."""
        return self.joined(low.narrowed(), None if high is None else high.narrowed())

    def joined(self, low: Lanes, high: Lanes | None) -> Lanes:
        """A register from two vectors half as wide: in every part that of `low`, and above it that of `high`, or zeros."""
        x = low.at(64)
        y = x.of(0) if high is None else high.at(64)
        return x.shuffle([n for p in range(self.parts) for n in (p, self.parts + p)], y).at(self.w)

    # --- places ---------------------------------------------------------------------------------------------------------
    def places(self, x: Lanes, numbers: Sequence[int], y: Lanes | None = None) -> Lanes:
        """Every part made of the elements with these numbers of x's part, and of y's part behind that."""
        per = PART // x.w
        chosen = [p * per + n if n < per else x.count + p * per + n - per for p in range(self.parts) for n in numbers]
        return x.shuffle(chosen, y)

    def each_part(self, f: Callable[..., Lanes], *vectors: Lanes) -> Lanes:
        """`f` of every part of the vectors, one behind the other."""
        if self.parts == 1:
            return f(*vectors)
        low, high = (f(*(x.at(PART).shuffle((p,)).at(x.w) for x in vectors)) for p in range(2))
        return low.at(64).shuffle(range(4), high.at(64)).at(low.w)

    def looked_up(self, x: Lanes, numbers: Lanes) -> Lanes:
        """In every part the elements of x's part with these numbers, modulo their count."""
        return self.each_part(_looked_up, x, numbers)

    def numbered(self, numbers: Sequence[Value]) -> Lanes:
        """In every part one number, and zeros above it."""
        made = self.zero(64)
        for p, number in enumerate(numbers):
            made = made.with_lane(2 * p, number.zext(64))
        return made

    def signs(self, x: Lanes) -> list[Value]:
        """The top bits of the elements of every part as a number."""
        whole, per = x.signs(), x.count // self.parts
        return [whole.bits(per * p + per - 1, per * p) for p in range(self.parts)] if self.parts > 1 else [whole]


def _looked_up(x: Lanes, numbers: Lanes) -> Lanes:
    if x.w == 8:
        return x.permute(numbers)
    size = x.w // 8
    first = (numbers & x.count - 1) * (size * int("01" * size, 16))
    return x.at(8).permute((first + int.from_bytes(bytes(range(size)), "little")).at(8)).at(x.w)


# --- families -----------------------------------------------------------------------------------------------------------

Text = Callable[[Vector], Lanes | None]
Decorator = Callable[[Text], Text]


def define(
    extension: Extension, code: int, name: str, suffix: str, operands: str, text: Text, syntax: str = "", feature: str = ""
) -> None:
    """Define one instruction. Its text gives what vd becomes, or None where it has done everything."""
    fmt = vector_format(operands, extension.file)
    taken = sum((1 << high + 1) - (1 << low) for high, low in map(_field, operands.split()))
    pattern = "".join("." if taken >> n & 1 else str(code >> n & 1) for n in range(31, -1, -1))

    def semantics(s: Session, o: Any) -> None:
        require_unit(s, SXE if extension.bits == 128 else ASXE)
        result = text(Vector(s, o, extension, suffix))
        if result is not None:
            getattr(s, extension.file)[o.vd] = result.v

    semantics.__doc__ = text.__doc__
    semantics.__annotations__ = {"o": fmt}
    shown = syntax or ", ".join(f"{{{n}}}" for n in fmt.operands if n != "word")
    insn = LOONGARCH.extension("_".join(filter(None, (extension.name, feature))))
    prefix = "" if "xv" in name else extension.prefix
    insn(pattern, f"{prefix}{'.'.join(filter(None, (name, suffix)))} {shown}")(semantics)


def family(
    name: str, sizes: str, code: Callable[[int, int], int], operands: Callable[[int, int], str], far: int = 0x0400_0000,
    extensions: Sequence[Extension] = BOTH, syntax: str = "", feature: str = "",
) -> Decorator:  # fmt: skip
    """The decorator for a text that serves several sizes, of both extensions. `code`: the encoding from the number of the
    size in the row and the width of source elements; `far`: what LASX adds to it. `operands`: the format, from the width of
    source elements and of a register.
    """

    def decorate(text: Text) -> Text:
        for extension in extensions:
            for n, suffix in enumerate(sizes.split() or [""]):
                width = WIDTHS[suffix.split(".")[-1][:1]]
                encoding = code(n, width) + (far if extension is LASX else 0)
                define(extension, encoding, name, suffix, operands(width, extension.bits), text, syntax, feature)
        return text

    return decorate


def three(code: int, name: str, sizes: str, operands: str = "vd vj vk") -> Decorator:
    """Two sources and a result, or other operands that leave 17 bits of code."""
    return family(name, sizes, lambda n, width: code + (n << 15), lambda width, total: operands)


def two(code: int, name: str, sizes: str, operands: str = "vd vj", feature: str = "") -> Decorator:
    """A source and a result, or other operands that leave 22 bits of code."""
    return family(name, sizes, lambda n, width: code + (n << 10), lambda width, total: operands, feature=feature)


def one(code: int, name: str, size: str, operands: str, far: int) -> Decorator:
    """A family of one size."""
    return family(name, size, lambda n, width: code, lambda width, total: operands, far)


def four(code: int, name: str, sizes: str, far: int) -> Decorator:
    """Three sources and a result."""
    return family(name, sizes, lambda n, width: code + (n << 20), lambda width, total: "vd vj vk va", far)


def shift(code: int, name: str, sizes: str) -> Decorator:
    """A number of a bit in an element of the source; the bit above it in the instruction tells the element's width."""
    return family(name, sizes, lambda n, width: code + (width << 10), lambda width, total: f"vd vj u{width.bit_length() - 1}")


def numbered(code: int, name: str, sizes: str, registers: str, extensions: Sequence[Extension], part: int = 0) -> Decorator:
    """The number of an element, of a register or of a part of it; the ones above it in the instruction tell the width."""

    def digits(width: int, total: int) -> int:
        return ((part or total) // width).bit_length() - 1

    def decorate(text: Text) -> Text:
        for e in extensions:
            for suffix in sizes.split():
                count = digits(WIDTHS[suffix[0]], e.bits)
                encoding = code + 0x1_0000 - (1 << 11 + count) + (0x0400_0000 if e is LASX else 0)
                define(e, encoding, name, suffix, f"{registers} u{count}", text)
        return text

    return decorate


def eight(code: int, name: str, sizes: str, extensions: Sequence[Extension] = BOTH) -> Decorator:
    """Eight bits that say what goes where."""
    return family(name, sizes, lambda n, width: code + (n << 18), lambda width, total: "vd vj u8", extensions=extensions)
