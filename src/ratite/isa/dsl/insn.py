"""Instructions and the tables that hold them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ratite.bits import mask as ones
from ratite.errors import DefinitionError
from ratite.isa.dsl.formats import Format

Semantics = Callable[[Any, Any], None]


@dataclass(frozen=True, eq=False)
class Insn:
    """One instruction: its bit pattern, its operands and its meaning.

    extension, xlen: where it exists (xlen 0: for every register width).
    privileged: its text asks for the privilege mode (`s.context`), so machine code of one mode is not that of another.
    alias: the instruction whose meaning and machine code this one shares (compressed forms).
    """

    name: str
    mask: int
    value: int
    length: int
    fmt: type[Format]
    syntax: str
    semantics: Semantics
    extension: str
    xlen: int
    privileged: bool = False
    alias: Insn | None = None

    @property
    def doc(self) -> str:
        """What it does, in a sentence."""
        return inspect.getdoc(self.semantics) or ""

    @property
    def text(self) -> Insn:
        """The instruction whose text is recorded for this one."""
        return self.alias or self

    @cached_property
    def getters(self) -> tuple[tuple[Callable[[int], int], ...], ...]:
        """Functions that find statics, registers and immediates in the instruction word."""
        f = self.fmt
        return tuple(o.get for o in f.statics), tuple(o.get for o in f.regs), tuple(o.get for o in f.imms)

    def assembly(self, word: int, register: Callable[[str, int], str]) -> str:
        """The instruction in the syntax of its manual."""
        values: dict[str, str] = {}
        for name, o in self.fmt.operands.items():
            n = o.get(word)
            values[name] = register(o.file, n) if hasattr(o, "file") else str(n)
        return self.syntax.format(**values)


def format_of(text: Callable[..., Any]) -> type[Format]:
    """The format that the annotation of a text's operands names."""
    hint = text.__annotations__["o"]
    found: type[Format] = text.__globals__[hint] if isinstance(hint, str) else hint
    return found


def around(text: Callable[..., Any], semantics: Semantics) -> Semantics:
    """`semantics` as the text of an instruction that contains `text`: with its operands and documentation."""
    semantics.__doc__ = text.__doc__
    semantics.__annotations__ = {"o": format_of(text)}
    return semantics


def parse_pattern(pattern: str, name: str) -> tuple[int, int, int]:
    """Mask, value and length in bytes of a pattern of 0, 1 and dots, most significant bit first."""
    text = pattern.replace(" ", "")
    if set(text) - set("01.") or len(text) % 8:
        raise DefinitionError(f"{name}: a pattern is whole bytes of '0', '1' and '.': {pattern!r}")
    fixed = int("".join("0" if c == "." else "1" for c in text), 2)
    return fixed, int(text.replace(".", "0"), 2), len(text) // 8


class Table:
    """The instructions of an ISA in the order of their definition."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.insns: list[Insn] = []

    def extension(self, name: str) -> Callable[..., Callable[[Semantics], Insn]]:
        """The decorator `@insn` for the instructions of one extension."""

        def insn(pattern: str, syntax: str, xlen: int = 0, privileged: bool = False) -> Callable[[Semantics], Insn]:
            def define(f: Semantics) -> Insn:
                insn_name = syntax.split(" ")[0]
                fixed, value, length = parse_pattern(pattern, insn_name)
                i = Insn(insn_name, fixed, value, length, format_of(f), syntax, f, name, xlen, privileged)
                self.insns.append(i)
                return i

            return define

        return insn

    def short(
        self, pattern: str, syntax: str, fmt: type[Format], target: Insn, extension: str, xlen: int = 0, suffix: str = ""
    ) -> Insn:
        """A shorter encoding of `target`: `fmt` must give every operand that the format of `target` has."""
        name = syntax.split(" ")[0]
        missing = set(target.fmt.operands) - set(fmt.operands)
        if missing:
            raise DefinitionError(f"{name}: format {fmt.__name__} lacks {', '.join(sorted(missing))} of {target.name}")
        if list(fmt.operands) != list(target.fmt.operands):
            raise DefinitionError(f"{name}: format {fmt.__name__} orders its operands unlike {target.fmt.__name__}")
        fixed, value, length = parse_pattern(pattern, name)
        i = Insn(name + suffix, fixed, value, length, fmt, syntax, target.semantics, extension, xlen, target.privileged, target)
        self.insns.append(i)
        return i

    def decoder(self, extensions: Iterable[str], xlen: int) -> Decoder:
        """A decoder for the instructions of these extensions at this register width."""
        chosen = set(extensions)
        return Decoder([i for i in self.insns if i.extension in chosen and i.xlen in (0, xlen)])


class Decoder:
    """A decision tree over instruction patterns, one for each length.

    A node is `(mask, {masked word: node})`, a leaf the instruction. Patterns where one is a special case of another (more fixed bits, same
    word) are tried from the most specific; patterns that overlap otherwise are an error.
    """

    def __init__(self, insns: list[Insn]) -> None:
        self.insns = insns
        self.trees = {n: self._build([i for i in insns if i.length == n], 0) for n in {i.length for i in insns}}

    def _build(self, insns: list[Insn], seen: int) -> Any:
        common = ~seen
        for i in insns:
            common &= i.mask
        if not common:
            return self._leaf(insns)
        groups: dict[int, list[Insn]] = {}
        for i in insns:
            groups.setdefault(i.value & common, []).append(i)
        return common, {v: self._build(g, seen | common) for v, g in groups.items()}

    def _leaf(self, insns: list[Insn]) -> tuple[Insn, ...]:
        order = sorted(insns, key=lambda i: -i.mask.bit_count())
        for n, a in enumerate(order):
            for b in order[n + 1 :]:
                if (a.value ^ b.value) & a.mask & b.mask == 0 and (a.mask & b.mask != b.mask or a.mask == b.mask):
                    raise DefinitionError(f"{a.name} and {b.name} overlap")
        return tuple(order)

    def decode(self, word: int, length: int) -> Insn | None:
        """The instruction that `word` (of `length` bytes) encodes, or None."""
        node = self.trees.get(length)
        while node is not None:
            if isinstance(node[0], int):
                node = node[1].get(word & node[0])
                continue
            for i in node:
                if word & i.mask == i.value:
                    found: Insn = i
                    return found
            return None
        return None


def full_mask(length: int) -> int:
    """All bits of an instruction of `length` bytes."""
    return ones(8 * length)
