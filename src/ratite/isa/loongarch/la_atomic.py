"""Atomic memory accesses (LoongArch Reference Manual, volume 1, v1.10, chapter 2.2.7).

Every atomic access is sequentially consistent, so the forms with a barrier (`_db`) and those that acquire or release
share the text of the plain ones. A conditional store fails where an atomic instruction of another processor has touched
the reserved 16 bytes, or memory holds another value than was read; plain stores of others that change it and change it
back are not noticed, and for `sc.q` only values count.

The result register of a read-modify-write may not be its address register; that it is the other source has no defined
result, and is taken for illegal too. `amcas`, whose result register is a source, may have any.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ratite.ir import Value
from ratite.isa.dsl import Format, Session
from ratite.isa.loongarch.exceptions import illegal, require_aligned
from ratite.isa.loongarch.formats import R2, R3, Atomic, Linked
from ratite.isa.loongarch.la_memory import WIDTHS
from ratite.isa.loongarch.table import LOONGARCH

# --- load-linked and store-conditional ----------------------------------------------------------------------------------


def _load_linked(s: Session, o: Any, address: Value, width: int) -> None:
    if width == 64 and s.config.has("SCQ"):
        high = _above(s, address)
        s.r[o.rd] = s.load_reserved(address, width)
        s.reserve_high = high
    else:
        s.r[o.rd] = s.load_reserved(address, width).sext(64)


def _store_conditional(s: Session, o: Any, address: Value, width: int) -> None:
    s.r[o.rd] = s.store_conditional(address, s.r[o.rd].resize(width)).zext(64)


def _above(s: Session, address: Value) -> Value:
    """The doubleword above one at a multiple of 16. What the program reads there later is compared in effect too: where it is
    not this, `sc.q` fails."""
    high = s.var(0)
    with s.when((address & 15) == 0):
        high.value = s.load(address + 8, 64)
    return high.value


@LOONGARCH.extension("SCQ")("00111000010101110 ..... ..... .....", "sc.q {rd}, {rk}, {rj}")
def sc_q(s: Session, o: R3) -> None:
    """Store rd and above it rk if the reservation that ll.d made of the lower doubleword still holds, and what was above it;
    rd is one where they were stored, else zero."""
    address = s.r[o.rj]
    require_aligned(s, address, 16)
    done = s.var(0)
    with s.when(s.reserve_addr == address, likely=True):
        expected = s.reserve_value.zext(128) | s.reserve_high.zext(128) << 64
        new = s.r[o.rd].zext(128) | s.r[o.rk].zext(128) << 64
        done.value = (s.cas(address, expected, new) == expected).zext(64)
    s.reserve_addr = -1
    s.r[o.rd] = done.value


def _pair(
    load: tuple[str, str], store: tuple[str, str], operands: str, fmt: type[Format], extension: str, width: int,
    address: Callable[[Session, Any, int], Value],
) -> None:  # fmt: skip
    """Define a load and the store that goes with it, each given by its name and pattern."""

    def load_linked(s: Session, o: Any) -> None:
        _load_linked(s, o, address(s, o, width // 8), width)

    def store_conditional(s: Session, o: Any) -> None:
        _store_conditional(s, o, address(s, o, width // 8), width)

    load_linked.__doc__ = f"Load {width} bits, sign-extended, and keep a reservation of the address."
    store_conditional.__doc__ = f"Store {width} bits if the reservation still holds; rd is one where they were stored, else zero."
    for (name, pattern), text in ((load, load_linked), (store, store_conditional)):
        text.__annotations__ = {"o": fmt}
        LOONGARCH.extension(extension)(f"{pattern} ..... .....", f"{name} {{rd}}, {{rj}}{operands}")(text)


def _with_offset(s: Session, o: Linked, size: int) -> Value:
    require_aligned(s, s.r[o.rj], size, distance=4 if o.odd and size == 8 else 0)
    address: Value = s.r[o.rj] + o.imm
    return address


def _without_offset(s: Session, o: R2, size: int) -> Value:
    address: Value = s.r[o.rj]
    require_aligned(s, address, size)
    return address


for _size, _code in (("w", "0"), ("d", "1")):
    _pair(
        (f"ll.{_size}", f"001000{_code}0 .............."), (f"sc.{_size}", f"001000{_code}1 .............."),
        ", {imm}", Linked, "base", WIDTHS[_size], _with_offset,
    )  # fmt: skip
    _pair(
        (f"llacq.{_size}", f"00111000010101111000{_code}0"), (f"screl.{_size}", f"00111000010101111000{_code}1"),
        "", R2, "LLACQ_SCREL", WIDTHS[_size], _without_offset,
    )  # fmt: skip


# --- read-modify-write --------------------------------------------------------------------------------------------------


Text = Callable[[Session, Value, Atomic], Value]


def _define(extension: str, code: int, name: str, size: str, doc: str, text: Text) -> None:
    """Define one instruction; `text` gives the old contents of memory at an address."""

    def semantics(s: Session, o: Atomic) -> None:
        if o.overlap and extension != "LAMCAS":
            illegal(s, o)
            return
        address = s.r[o.rj]
        require_aligned(s, address, WIDTHS[size[0]] // 8)
        s.r[o.rd] = text(s, address, o).sext(64)

    semantics.__doc__ = doc
    insn = LOONGARCH.extension(extension)
    insn(f"0011100001 {code:07b} ..... ..... .....", f"{name}.{size} {{rd}}, {{rk}}, {{rj}}")(semantics)


def _family(extension: str, code: int, barrier: int, name: str, sizes: str, doc: str, text: Callable[[int], Text]) -> None:
    """Define an operation for several sizes, with codes from `code` on and, for the forms with a barrier, `barrier` more.
    `text` makes the text for a width.
    """
    for n, size in enumerate(sizes.split()):
        made = text(WIDTHS[size[0]])
        _define(extension, code + n, name, size, doc, made)
        _define(extension, code + barrier + n, f"{name}_db", size, doc, made)


def _modify(extension: str, code: int, barrier: int, name: str, operation: str, sizes: str, what: str) -> None:
    """Define a read-modify-write."""

    def text(width: int) -> Text:
        return lambda s, address, o: s.amo(operation, address, s.r[o.rk].trunc(width))

    _family(extension, code, barrier, name, sizes, f"{what}; rd gets what memory held, sign-extended.", text)


def _compare_and_swap(width: int) -> Text:
    return lambda s, address, o: s.cas(address, s.r[o.rd].trunc(width), s.r[o.rk].trunc(width))


_modify("LAM", 0x40, 18, "amswap", "xchg", "w d", "Exchange memory and rk")
_modify("LAM", 0x42, 18, "amadd", "add", "w d", "Add rk to memory")
_modify("LAM", 0x44, 18, "amand", "and", "w d", "And rk into memory")
_modify("LAM", 0x46, 18, "amor", "or", "w d", "Or rk into memory")
_modify("LAM", 0x48, 18, "amxor", "xor", "w d", "Exclusive-or rk into memory")
_modify("LAM", 0x4A, 18, "ammax", "max", "w d", "Keep the greater of memory and rk, both signed")
_modify("LAM", 0x4C, 18, "ammin", "min", "w d", "Keep the lesser of memory and rk, both signed")
_modify("LAM", 0x4E, 18, "ammax", "umax", "wu du", "Keep the greater of memory and rk, both unsigned")
_modify("LAM", 0x50, 18, "ammin", "umin", "wu du", "Keep the lesser of memory and rk, both unsigned")
_modify("LAM_BH", 0x38, 4, "amswap", "xchg", "b h", "Exchange memory and rk")
_modify("LAM_BH", 0x3A, 4, "amadd", "add", "b h", "Add rk to memory")
_family(
    "LAMCAS", 0x30, 4, "amcas", "b h w d", "Store rk where memory holds rd; rd gets what memory held, sign-extended.",
    _compare_and_swap,
)  # fmt: skip
