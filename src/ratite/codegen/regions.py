"""Regions: hot guest code compiled as a whole.

The instructions of a region become one function of the shape of a stencil. Guest registers are local variables of it, which LLVM keeps where it
likes. It has one way out: everything is put back where the stencil tier has it, and execution goes on at the stencil of the instruction that could
not be finished here, or of the next one. So a region needs no slow cases of its own: no exceptions, no refill of the translation cache.

What is compiled depends on guest addresses alone: those of stencils, helpers and pages of the host are symbols. So a region is described by a few
numbers (`Plan`), may be compiled by another process, and its code (`Compiled`) serves later runs.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ratite.bits import align_up
from ratite.codegen import host_x86_64 as host
from ratite.codegen.elfobj import Object
from ratite.codegen.floats import hostable
from ratite.codegen.forms import form_of
from ratite.codegen.lanes import memory_type, part_of, with_part
from ratite.codegen.lower import METADATA, Lowering, integer
from ratite.codegen.stencil import block_of, signature
from ratite.codegen.tables import PAGE_BITS, TLB_ENTRIES, TLB_SIZE, tlb_base
from ratite.errors import DefinitionError
from ratite.ir import ACCESSES, OPS, Block, Value
from ratite.isa.arch import Arch
from ratite.isa.dsl import Insn

#: A register: file and number.
Register = tuple[str, int]

#: Operations that only the stencil tier does: an instruction with one of them is a way out.
_LEFT_OUT = frozenset(("call", "exit", "resync", "python", "trap"))

#: Guest memory never overlaps the state and its tables: what is known of one survives stores to the other.
_SCOPES = """!20 = distinct !{!20}
!21 = distinct !{!21, !20}
!22 = distinct !{!22, !20}
!23 = !{!21}
!24 = !{!22}
"""
_GUEST, _STATE = ", !alias.scope !23, !noalias !24", ", !alias.scope !24, !noalias !23"
#: Registers in the state are aligned to eight bytes; of vectors LLVM would take more for granted.
_SLOT = f", align 8{_STATE}"


#: How many registers of the guest LLVM gets as values, of those with at most 64 bits and of wider ones.
_HELD, _HELD_WIDE = 14, 12

#: In regions of more instructions than this, what is remembered of pages is in memory.
_SMALL = 40


#: Bytes to a multiple of which a region's code is placed.
ALIGNMENT = 64


class Plan(NamedTuple):
    """A region as whoever compiles it is told of it, in nothing but numbers.

    words: guest address, word and length of every instruction, the head first. entries: guest addresses at which it can be entered, in the order of
    their numbers. jumps: where computed jumps may go inside the region, by guest address. known: guest addresses outside of it that have stencils.
    pages: guest addresses of the pages of its code. context: the translation context of them all. fewest: with fewer instructions that are not
    left to stencils it is not worth it.
    """

    words: tuple[tuple[int, int, int], ...]
    entries: tuple[int, ...]
    jumps: dict[int, tuple[int, ...]]
    known: frozenset[int]
    pages: tuple[int, ...]
    context: int
    fewest: int


class Compiled(NamedTuple):
    """The machine code of a region, to be placed at a multiple of `ALIGNMENT`. start, size: where in it function `region` is. landings: see
    `ratite.codegen.host_x86_64.LANDINGS`. fixups: (place, type of relocation, symbol, addend); symbol "" is the code's own address, others are
    those of `stencil_of` and `delta_of`, and names of native helpers."""

    code: bytes
    start: int
    size: int
    landings: bytes
    fixups: tuple[tuple[int, int, str, int], ...]


#: The symbol for the number (64 bits) of times that a region has been entered, where one may be lost.
COUNTER = "entered"


def stencil_of(at: int) -> str:
    """The symbol for the stencil of the instruction at a guest address."""
    return f"at.{at:x}"


def address_of(symbol: str) -> int:
    """The guest address of which `stencil_of` is the symbol."""
    return int(symbol.removeprefix("at."), 16)


def delta_of(page: int) -> str:
    """The symbol for the distance from a page of the guest to its host address, both 64 bits."""
    return f"delta.{page:x}"


class _Kept(NamedTuple):
    """What is done through a register for which the last page is remembered: whether it is also written, and most bits of an access."""

    written: bool
    width: int

    def also(self, v: Value) -> _Kept:
        """With one more load or store."""
        width = v.width if v.op == "load" else v.args[1].width
        return _Kept(self.written or v.op == "store", max(self.width, width))

    @property
    def inside(self) -> int:
        """From the start of the page, at what distance an access does not lie in it as a whole any more, whatever its size."""
        return (1 << PAGE_BITS) - self.width // 8 + 1


class Piece(NamedTuple):
    """An instruction of a region: guest address, length, text, and its operands by name."""

    pc: int
    length: int
    insn: Insn
    block: Block
    registers: Mapping[str, int]
    immediates: Mapping[str, int]

    def number(self, attr: tuple[str, str | int]) -> tuple[str, int]:
        """The register that a `reg.get` or `reg.set` is about."""
        file, which = attr
        return file, self.registers[which] if isinstance(which, str) else which


def is_opaque(block: Block, user: bool) -> bool:
    """Whether an instruction is left to the stencil tier. Those are that access or calculate with more bits at once than the host does; in
    processes, where an access may be refused, also atomic ones of more than 64 bits."""
    return any(
        (v.op in ("load", "store", "fp") and _widest(v) > host.vector_bits())
        or (v.op in _LEFT_OUT and not _is_rare(block, v))
        or (v.op == "fp" and not hostable(v.attr[0], dict(v.attr[1])))
        or (user and v.op in ACCESSES and v.op not in ("load", "store") and _widest(v) > 64)
        for v in block.code
    )


def _widest(v: Value) -> int:
    """Most bits of an operation's operands and result."""
    return max(a.width for a in (v, *v.args))


def _is_rare(block: Block, v: Value) -> bool:
    """Whether an exception is only one of the ways an instruction can go."""
    return v.op == "trap" and any(w.op == "if" for w in block.code[: v.index])


def piece_of(arch: Arch, context: int, at: int, word: int, length: int) -> Piece:
    """The instruction that a word at a guest address is."""
    insn = arch.decoder.decode(word, length) or arch.illegal
    static_of, reg_of, imm_of = insn.getters
    block = block_of(insn, arch, form_of(insn, tuple(int(g(word)) for g in static_of), context))
    registers = {r.name: int(g(word)) for r, g in zip(insn.text.fmt.regs, reg_of, strict=True)}
    immediates = {m.name: int(g(word)) for m, g in zip(insn.text.fmt.imms, imm_of, strict=True)}
    return Piece(at, length, insn, block, registers, immediates)


class Region:
    """The text of a region. It is entered with the number of an entry in the argument that stencils do not use."""

    def __init__(self, arch: Arch, plan: Plan) -> None:
        self.arch, self.plan = arch, plan
        self.pieces = {at: piece_of(arch, plan.context, at, word, length) for at, word, length in plan.words}
        self.kept = self._choose_kept()
        self.pins = {p: i for i, p in enumerate(arch.layout.pinned)}
        self.used, self.widths = self._use()
        self.held = self._weigh()
        self.declarations: set[str] = set()
        self.strict = False
        self.names = 0  # of values so far

    def _accesses(self) -> Iterator[tuple[int, Value, Register]]:
        """Every read or write of a register that is done here: guest address of the instruction, what it is, and the register that it is, or is
        part of."""
        for at, p in self.pieces.items():
            for v in () if self.is_opaque(p) else p.block.code:
                if v.op in ("reg.get", "reg.set"):
                    register = p.number(v.attr)
                    if register[1] != self.arch.layout.file(register[0]).zero:
                        yield at, v, self.whole(register)

    def _use(self) -> tuple[dict[Register, bool], dict[Register, int]]:
        """Registers that are used, and whether they are written; and of how many of their bits anybody knows here."""
        used: dict[Register, bool] = {}
        widths: dict[Register, int] = {}
        for _, v, register in self._accesses():
            used[register] = used.get(register, False) or v.op == "reg.set"
            widths[register] = max(widths.get(register, 0), self.arch.layout.slots[v.attr[0]].width)
        return used, widths

    def _weigh(self) -> set[Register]:
        """Registers that matter most, which LLVM gets as values. The others stay in the state, because values that do not fit into host registers
        cost more than that: they are copied wherever paths meet."""
        loops = [(to, at) for at, p in self.pieces.items() for to in _targets(p, self.arch.word) if to <= at and to in self.pieces]
        depths = {at: sum(first <= at <= last for first, last in loops) for at in self.pieces}
        weights: tuple[Counter[Register], Counter[Register]] = Counter(), Counter()
        for at, _, register in self._accesses():
            weights[self.widths[register] > 64][register] += 1 << 3 * min(depths[at], 4)
        return {register for of, most in zip(weights, (_HELD, _HELD_WIDE), strict=True) for register, _ in of.most_common(most)}

    def whole(self, register: Register) -> Register:
        """The register of which one is a part, itself where it is none."""
        file, n = register
        while within := self.arch.layout.file(file).within:
            file = within
        return file, n

    def is_opaque(self, piece: Piece) -> bool:
        """Whether an instruction is left to the stencil tier."""
        return is_opaque(piece.block, self.arch.user)

    def place(self, register: Register) -> str:
        """Where a register is: a pointer, with what LLVM may know of it."""
        file, n = register
        return f"ptr %{file}{n}" if register in self.held else f"ptr %e{file}{n}{_SLOT}"

    def type_of(self, register: Register) -> str:
        """What a register is to LLVM, as far as it is known here."""
        return memory_type(self.widths[register])

    def _choose_kept(self) -> dict[Register, _Kept]:
        """Registers for which the last page is remembered."""
        kept: dict[Register, _Kept] = {}
        for p in () if self.arch.user else self.pieces.values():
            for v in p.block.code:
                base = _base_of(v.args[0]) if v.op in ("load", "store") else None
                if base is not None and not self.is_opaque(p):
                    register = p.number(base.attr)
                    kept[register] = kept.get(register, _Kept(False, 64)).also(v)
        return kept

    @property
    def worth(self) -> bool:
        """Whether enough is not left to stencils."""
        return sum(not self.is_opaque(piece) for piece in self.pieces.values()) >= self.plan.fewest

    def address_of(self, symbol: str) -> str:
        """LLVM's constant for the address of code elsewhere."""
        self.declarations.add(f"declare dso_local preserve_nonecc void @{symbol}({signature(self.arch.word, names=False)})")
        return f"ptrtoint (ptr @{symbol} to i64)"

    def delta(self, page: int) -> str:
        """LLVM's constant for where a page of code was."""
        self.declarations.add(f"@{delta_of(page)} = external hidden global i8, !absolute_symbol !0")
        return f"ptrtoint (ptr @{delta_of(page)} to i64)"

    def text(self) -> str:
        """The whole module."""
        word = self.arch.word
        bodies = []
        for piece in self.pieces.values():
            low = _PieceLowering(self, piece)
            bodies.append(low.run())
            self.declarations |= low.declarations
            self.strict = self.strict or low.strict
        attributes = " strictfp" if self.strict else ""
        parts = [
            f'target triple = "{host.TRIPLE}"\n', METADATA, _SCOPES, host.FP_DECLARATIONS,
            f"define preserve_nonecc void @region({signature(word, names=True)}) nounwind{attributes} {{\nentry:\n",
            *self._enter(), *(b + "\n" for b in bodies), *self._leave(), "}\n",
        ]  # fmt: skip
        return "".join(parts) + "\n".join(sorted(self.declarations))

    def _enter(self) -> list[str]:
        lines = [" %fpctl = alloca i32\n", " %to = alloca i64\n"]
        for file, n in self.kept:
            lines += [f" %{file}{n}_{k} = alloca i64\n store i64 0, ptr %{file}{n}_{k}\n" for k in ("page", "delta", "inside")]
        for register in self.used:
            (file, n), ty = register, self.type_of(register)
            lines.append(f" %e{file}{n} = getelementptr i8, ptr %env, i64 {self.arch.layout.slots[file].at(n)}\n")
            if register in self.held:
                lines.append(f" %{file}{n} = alloca {ty}\n")
            if register in self.pins:
                lines.append(f" store {ty} %p{self.pins[register]}, {self.place(register)}\n")
            elif register in self.held:
                lines.append(f" %v{file}{n} = load {ty}, ptr %e{file}{n}{_SLOT}\n store {ty} %v{file}{n}, ptr %{file}{n}\n")
        self.declarations.add(f"@{COUNTER} = external hidden global i8, !absolute_symbol !0")
        lines.append(f" %times = load i64, ptr @{COUNTER}\n %more = add i64 %times, 1\n store i64 %more, ptr @{COUNTER}\n")
        lines += self._check_pages()
        lines.append(self._choose_entry("unreachable", {at: f"g{at:x}" for at in self.plan.entries}))
        if len(self.plan.pages) > 1 and not self.arch.user:
            lines.append("elsewhere:\n")
            lines.append(self._choose_entry("unreachable", {at: f"back{at:x}" for at in self.plan.entries}))
            lines += (f"back{at:x}:\n store i64 {self.address_of(stencil_of(at))}, ptr %to\n br label %out\n" for at in self.plan.entries)
        return [*lines, "unreachable:\n unreachable\n"]

    def _choose_entry(self, default: str, labels: Mapping[int, str]) -> str:
        choices = " ".join(f"i64 {n}, label %{labels[at]}" for n, at in enumerate(self.plan.entries))
        return f" switch i64 %va, label %{default} [ {choices} ]\n"

    def _check_pages(self) -> list[str]:
        """Go to the stencil instead when a page is fetched from elsewhere than when the region was made. With only one page there is nothing
        to look at: execution is in it already; and in a process an address has one page. Inside the region nothing changes a mapping: whatever does
        that is a way out."""
        lines: list[str] = []
        if len(self.plan.pages) == 1 or self.arch.user:
            return lines
        self.declarations.add("declare dso_local i64 @fetch_is(ptr, i64, i64)")
        for i, page in enumerate(self.plan.pages):
            entry = tlb_base(self.arch) + self.plan.context * TLB_SIZE + (page >> PAGE_BITS) % TLB_ENTRIES * 32
            at = integer(page, 64)
            lines.append(f""" %ct{i} = getelementptr i8, ptr %env, i64 {entry + 16}
 %ca{i} = getelementptr i8, ptr %env, i64 {entry + 24}
 %cv{i} = load i64, ptr %ct{i}
 %cd{i} = load i64, ptr %ca{i}
 %ce{i} = icmp eq i64 %cv{i}, {at}
 %cf{i} = icmp eq i64 %cd{i}, {self.delta(page)}
 %cg{i} = and i1 %ce{i}, %cf{i}
 br i1 %cg{i}, label %same{i}, label %ask{i}, !prof !9
ask{i}:
 %cw{i} = add i64 {self.delta(page)}, {at}
 %ci{i} = call i64 @fetch_is(ptr %env, i64 {at}, i64 %cw{i})
 %cj{i} = icmp ne i64 %ci{i}, 0
 br i1 %cj{i}, label %same{i}, label %elsewhere, !prof !9
same{i}:
""")
        return lines

    def _leave(self) -> list[str]:
        lines = ["out:\n"]
        pinned = [f"i{self.arch.word} %p{i}" for i in range(host.PINNED)]
        for register, written in self.used.items():
            (file, n), ty, i = register, self.type_of(register), self.pins.get(register)
            if i is not None:
                lines.append(f" %q{i} = load {ty}, {self.place(register)}\n")
                pinned[i] = f"{ty} %q{i}"
            elif written and register in self.held:
                lines.append(f" %x{file}{n} = load {ty}, ptr %{file}{n}\n store {ty} %x{file}{n}, ptr %e{file}{n}{_SLOT}\n")
        arguments = ", ".join(["ptr %tlb", "ptr %env", *pinned, "i64 poison"])
        return [
            *lines, " %there = load i64, ptr %to\n", " %next = inttoptr i64 %there to ptr\n",
            f" musttail call preserve_nonecc void %next({arguments})\n", " ret void\n",
        ]  # fmt: skip


class _PieceLowering(Lowering):
    """Lowers one instruction of a region. Registers that it writes become visible to others, and to the way out, at its end only."""

    def __init__(self, region: Region, piece: Piece) -> None:
        super().__init__(piece.block, region.arch.layout)
        self.region, self.piece = region, piece
        self.extended: dict[int, str] = {}  # names of values that loads have extended, by index
        self._n = region.names

    def run(self) -> str:
        self.lines.append(f"g{self.piece.pc:x}:")
        self.label = f"g{self.piece.pc:x}"
        if self.region.is_opaque(self.piece):
            self._stay_out()
        else:
            self._load_registers()
            self.lower_block()
        self.region.names = self._n
        return "\n".join(self.lines)

    def _load_registers(self) -> None:
        for v in self.block.code:
            if v.op in ("reg.get", "reg.set"):
                register = self._register(*v.attr)
                if register is not None and ("r", *register) not in self.current:
                    self.current["r", *register] = self(f"load {self.region.type_of(register)}, {self.region.place(register)}")

    def _number(self, file: str, which: str | int) -> Register:
        return self.piece.number((file, which))

    def _register(self, file: str, which: str | int) -> Register | None:
        """The whole register of which one is a part; None for one that is always zero."""
        file, n = self._number(file, which)
        return None if n == self.layout.file(file).zero else self.region.whole((file, n))

    def get_register(self, file: str, which: str | int) -> str:
        register = self._register(file, which)
        if register is None:
            return "0"
        return part_of(self, self.current["r", *register], self.region.widths[register], self.layout.slots[file].width)

    def set_register(self, file: str, which: str | int, value: str) -> None:
        register = self._register(file, which)
        if register is not None:
            before, width = self.current["r", *register], self.region.widths[register]
            self.current["r", *register] = with_part(self, before, width, value, self.layout.slots[file].width)

    def assigned(self, v: Value) -> Any:
        if v.op == "reg.set":
            register = self._register(*v.attr)
            return None if register is None else ("r", *register)
        return super().assigned(v)

    def _key_type(self, key: Any) -> str:
        return self.region.type_of((key[1], key[2])) if key[0] == "r" else super()._key_type(key)

    def operand(self, v: Value) -> str:
        return integer(self.piece.immediates[v.attr] & ((1 << v.width) - 1), v.width)

    def pc(self, next_one: bool) -> str:
        return integer(self._at(self.piece.length if next_one else 0), self.layout.word)

    def _at(self, distance: int) -> int:
        return self.piece.pc + distance & (1 << self.layout.word) - 1

    # --- state --------------------------------------------------------------------------------------------------------------------
    def get_field(self, name: str) -> str:
        ty, p = self.field(name)
        return self(f"load {ty}, ptr {p}{_STATE}")

    def set_field(self, name: str, value: str) -> None:
        ty, p = self.field(name)
        self.line(f"store {ty} {value}, ptr {p}{_STATE}")

    # --- ways on ------------------------------------------------------------------------------------------------------------------
    def _commit(self) -> None:
        written = {register for v in self.block.code if v.op == "reg.set" and (register := self._register(*v.attr)) is not None}
        for register in sorted(written):
            self.line(f"store {self.region.type_of(register)} {self.current['r', *register]}, {self.region.place(register)}")

    def _leave_to(self, symbol: str) -> None:
        self.line(f"store i64 {self.region.address_of(symbol)}, ptr %to")
        self.line("br label %out")

    def _stay_out(self) -> None:
        """Leave this instruction to its stencil."""
        self._leave_to(stencil_of(self.piece.pc))

    def _go_to(self, target: int) -> None:
        """Go on at a guest address, having finished this instruction."""
        if target in self.region.pieces:
            if target <= self.piece.pc:
                self._unless_attention(target)
            self.line(f"br label %g{target:x}")
        else:
            self._leave_at(target)

    def _leave_at(self, target: int) -> None:
        if target in self.region.plan.known:
            self._leave_to(stencil_of(target))
        else:
            self._dispatch(integer(target, self.layout.word))

    def _dispatch(self, target: str) -> None:
        self.set_field("next_pc", target)
        self._leave_to("dispatch")

    def _unless_attention(self, target: int) -> None:
        pointer = self.state_pointer(self.layout.slots["attention"].offset)
        flags = self(f"load volatile i16, ptr {pointer}")
        calm, on, off = self(f"icmp eq i16 {flags}, 0"), self.new_label(), self.new_label()
        self.branch(calm, on, off, True)
        self.start(off)
        self.set_field("in_region", "1")
        self._dispatch(integer(target, self.layout.word))
        self.start(on)

    def fall_through(self) -> None:
        self._commit()
        self._go_to(self._at(self.piece.length))

    def finish(self, v: Value) -> None:
        if v.op == "jump":
            self._jump(v.args[0])
        else:
            self._stay_out()

    def _jump(self, target: Value) -> None:
        to = self.static_target(target)
        where = self.value(target) if to is None else ""
        self._commit()
        if to is not None:
            self._go_to(to)
        else:
            self._go_to_one_of(self.region.plan.jumps.get(self.piece.pc, ()), where)

    def _go_to_one_of(self, targets: Sequence[int], where: str) -> None:
        """Go on at a computed address, which may be one of some in the region."""
        word = self.layout.word
        ty, other = f"i{word}", self.new_label()
        labels = {to: self.new_label() for to in targets}
        if labels:  # rotated, so that targets of even addresses are near enough for a table
            self.declare(f"declare {ty} @llvm.fshr.{ty}({ty}, {ty}, {ty})")
            half = self(f"call {ty} @llvm.fshr.{ty}({ty} {where}, {ty} {where}, {ty} 1)")
            choices = " ".join(f"{ty} {integer(_rotated(to, word), word)}, label %{label}" for to, label in labels.items())
            self.line(f"switch {ty} {half}, label %{other} [ {choices} ]")
        else:
            self.line(f"br label %{other}")
        for to, label in labels.items():
            self.start(label)
            self._go_to(to)
        self.start(other)
        self._dispatch(where)

    def static_target(self, target: Value) -> int | None:
        """Where a jump goes, if that is known."""
        return static_target(self.piece, target, self.layout.word)

    def bail(self, condition: str) -> None:
        out, on = self.new_label(), self.new_label()
        self.branch(condition, out, on, False)
        self.start(out)
        self._stay_out()
        self.start(on)

    # --- memory -------------------------------------------------------------------------------------------------------------------
    def host_pointer(self, address: str, width: int, write: bool) -> str:
        if self.region.arch.user:
            return self(f"getelementptr i8, ptr %tlb, i64 {address}")
        _, delta = self._look_up(address, width, write)
        return self(f"inttoptr i64 {self(f'add i64 {delta}, {address}')} to ptr")

    def _look_up(self, address: str, width: int, write: bool) -> tuple[str, str]:
        """Find the page of an access in the translation cache, have it filled, or leave: pointer to its entry, and host minus guest address."""
        index = self(f"and i64 {self(f'lshr i64 {address}, {PAGE_BITS - 5}')}, {(TLB_ENTRIES - 1) * 32}")
        entry = self(f"getelementptr i8, ptr %tlb, i64 {index}")
        page, found, miss = self._page_of(address, width), self.new_label(), self.new_label()
        self.branch(self(f"icmp eq i64 {self._tag(entry, write)}, {page}"), found, miss, True)
        self.start(miss)
        self.declare("declare dso_local preserve_mostcc i64 @refill(ptr, i64, i64) cold nounwind")
        done = self(f"call preserve_mostcc i64 @refill(ptr %env, i64 {address}, i64 {int(write)})")
        self.bail(self(f"icmp eq i64 {done}, 0"))
        self.bail(self(f"icmp ne i64 {self._tag(entry, write)}, {page}"))
        self.line(f"br label %{found}")
        self.start(found)
        return entry, self(f"load i64, ptr {self(f'getelementptr i8, ptr {entry}, i64 24')}{_STATE}")

    def _tag(self, entry: str, write: bool) -> str:
        return self(f"load i64, ptr {self(f'getelementptr i8, ptr {entry}, i64 8') if write else entry}{_STATE}")

    def _page_of(self, address: str, width: int) -> str:
        last = address if width == 8 else self(f"add i64 {address}, {width // 8 - 1}")
        return self(f"and i64 {last}, {-(1 << PAGE_BITS)}")

    def _pointer(self, v: Value, width: int) -> str:
        """Pointer to the guest memory that `v` accesses, by way of the page that was found last if that is likely to be it."""
        address, write = self._address(v.args[0]), v.op != "load"
        base = _base_of(v.args[0])
        register = None if base is None else self._number(*base.attr)
        if register not in self.region.kept:
            return self.host_pointer(address, width, write)
        assert register is not None
        name = f"%{register[0]}{register[1]}"
        far, join, kept = self.new_label(), self.new_label(), "" if len(self.region.pieces) <= _SMALL else "volatile"
        distance = self(f"sub i64 {address}, {self(f'load {kept} i64, ptr {name}_page')}")
        near = self(f"icmp ult i64 {distance}, {self(f'load {kept} i64, ptr {name}_inside')}")
        self.branch(near, join, far, True)
        self.start(far)
        entry, delta = self._look_up(address, width, write)
        self.line(f"store {kept} i64 {delta}, ptr {name}_delta")
        page = self._page_of(address, width)
        self.line(f"store {kept} i64 {page}, ptr {name}_page")
        written, _ = use = self.region.kept[register]
        inside = str(use.inside)
        if written:  # it must allow both kinds of access to serve for both
            both = self(f"icmp eq i64 {self._tag(entry, not write)}, {page}")
            inside = self(f"select i1 {both}, i64 {inside}, i64 0")
        self.line(f"store {kept} i64 {inside}, ptr {name}_inside")
        self.line(f"br label %{join}")
        self.start(join)
        delta = self(f"load {kept} i64, ptr {name}_delta")
        return self(f"inttoptr i64 {self(f'add i64 {delta}, {address}')} to ptr")

    # In a process the host may refuse an access: its stencil does it again then. Every access of an instruction can be refused but its first write,
    # so nothing is done twice.
    def _guarded(self, access: Callable[[tuple[str, str]], str], counter: str = "") -> str:
        """Add an access, as LLVM text for two labels; its result. counter: what has been made odd, and is made even again where it is refused."""
        on, landing = self.new_label(), self.new_label()
        text = access((on, landing))
        name = "" if text.startswith("callbr void") else self(text)
        if not name:
            self.line(text)
        self.start(landing)
        self.line(host.STAY)
        if counter:
            self(f"atomicrmw add ptr {counter}, i32 1 seq_cst, align 4")
        self._stay_out()
        self.start(on)
        return name

    def _guarded_load(self, v: Value) -> str:
        pointer = self.host_pointer(self._address(v.args[0]), v.width, write=False)
        uses = [w for w in self.block.code if any(a is v for a in w.args)]
        only = uses[0] if len(uses) == 1 and uses[0].op in ("zext", "sext") and uses[0].width in (32, 64) and v.width <= 64 else None
        if only is None:
            return self.taken(v, self._guarded_number(pointer, v.width))
        self.extended[only.index] = self._guarded(lambda labels: host.guarded_load(pointer, v.width, only.op, f"i{only.width}", labels))
        return "poison"

    def _guarded_number(self, pointer: str, width: int) -> str:
        """A load of a number or vector of some bits."""
        to = max(width, 32)
        name = self._guarded(lambda labels: host.guarded_load(pointer, width, "", memory_type(to), labels))
        return name if to == width else self(f"trunc i{to} {name} to i{width}")

    def _guarded_store(self, address: Value, x: Value) -> None:
        pointer = self.host_pointer(self._address(address), x.width, write=True)
        value = self.held(x)
        self._guarded(lambda labels: host.guarded_store(pointer, x.width, memory_type(x.width), value, labels))

    def load_in_order(self, p: str, width: int) -> str:
        return self._guarded_number(p, width) if self.region.arch.user else super().load_in_order(p, width)

    def exchange(self, p: str, expected: str, new: str, width: int, counter: str = "") -> tuple[str, str]:
        if not self.region.arch.user:
            return super().exchange(p, expected, new, width, counter)
        found = self._guarded(lambda labels: host.guarded_exchange(p, width, expected, new, labels), counter)
        return found, self(f"icmp eq i{width} {found}, {expected}")

    def reserved_address(self, address: str, p: str) -> str:
        return address if self.region.arch.user else super().reserved_address(address, p)

    def _op_amo(self, v: Value) -> str:
        if not self.region.arch.user:
            return super()._op_amo(v)
        address, w, head, out = self._address(v.args[0]), v.width, self.new_label(), self.new_label()
        pointer = self.host_pointer(address, w, write=True)
        self._count_atomic(address, pointer)
        first, x = self._guarded_number(pointer, w), self.value(v.args[1])
        before = self.label
        self.line(f"br label %{head}")
        self.start(head)
        old, place = self("phi"), len(self.lines) - 1
        row = OPS.get({"max": "smax", "min": "smin"}.get(v.attr, v.attr))
        new = x if row is None else self.by_row(row, {"a": old, "b": x}, t=f"i{w}", s=f"i{w}")
        found, done = self.exchange(pointer, old, new, w)
        self.lines[place] = f" {old} = phi i{w} [ {first}, %{before} ], [ {found}, %{self.label} ]"
        self.branch(done, out, head, True)
        self.start(out)
        return found

    def _pure(self, v: Value) -> str:
        return self.extended.get(v.index) or super()._pure(v)

    def _op_load(self, v: Value) -> str:
        if self.region.arch.user:
            return self._guarded_load(v)
        return self.taken(v, self(f"load volatile {memory_type(v.width)}, ptr {self._pointer(v, v.width)}, align 1{_GUEST}"))

    def _op_store(self, v: Value) -> None:
        x = v.args[1]
        if self.region.arch.user:
            self._guarded_store(*v.args)
            return
        p = self._pointer(v, x.width)
        self.line(f"store volatile {memory_type(x.width)} {self.held(x)}, ptr {p}, align 1{_GUEST}")

    # --- floating point -----------------------------------------------------------------------------------------------------------
    def unknown_float(self, ty: str, x: str) -> str:
        return self(f"{host.HIDDEN_FLOAT.format(ty=ty)}({ty} {x})")


def _base_of(address: Value) -> Value | None:
    """The register read that an address counts from, where it is one plus or minus a number."""
    v = address
    while v.op in ("add", "sub", "zext", "sext", "trunc"):
        if len(v.args) == 2 and v.args[1].op not in ("const", "operand"):
            return None
        v = v.args[0]
    return v if v.op == "reg.get" and v.width <= 64 else None


def _rotated(n: int, width: int) -> int:
    """A number rotated right by one bit."""
    return n >> 1 | (n & 1) << (width - 1)


def _targets(piece: Piece, word: int) -> tuple[int, ...]:
    """Where the jumps of an instruction go, as far as that is known."""
    found = (static_target(piece, v.args[0], word) for v in piece.block.code if v.op == "jump")
    return tuple(t for t in found if t is not None)


def static_target(piece: Piece, target: Value, word: int) -> int | None:
    """Guest address to which a jump of a piece goes; None where that is computed."""
    if target.op in ("pc", "npc"):
        return piece.pc + (piece.length if target.op == "npc" else 0) & (1 << word) - 1
    if target.op == "add" and target.args[0].op == "pc" and target.args[1].op == "operand":
        return piece.pc + piece.immediates[target.args[1].attr] & (1 << word) - 1
    return None


_RELATIVE, _NARROW, _WIDE = struct.Struct("<i"), struct.Struct("<I"), struct.Struct("<Q")

#: Passes of LLVM over a region, in order. The usual pipelines take five times as long and find no more: there is nothing to inline, and loops
#: have too many ways out to be changed.
_PASSES = ("sroa", "instruction_combine", "simplify_cfg", "new_gvn", "dead_code_elimination", "simplify_cfg")


def compile_region(arch: Arch, plan: Plan) -> Compiled | None:
    """Compile a region; None when too much of it would be left to stencils."""
    from llvmlite import binding as llvm

    region = Region(arch, plan)
    if not region.worth:
        return None
    module = llvm.parse_assembly(region.text())
    machine = host.machine(level=1)  # finds as much as 2, and takes a third less
    passes = llvm.create_new_function_pass_manager()
    for name in _PASSES:
        getattr(passes, f"add_{name}_pass")()
    passes.run(module.get_function("region"), llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2)))
    return _linked(Object(machine.emit_object(module)))


def _linked(obj: Object) -> Compiled:
    """The sections of an object as one piece of code, in which what does not depend on its place is filled in."""
    code, at = bytearray(), {}
    sections, relocations, _ = obj.image()
    for number, content, alignment in sections:
        code += bytes(align_up(len(code), alignment) - len(code))
        at[number] = len(code)
        code += content
    fixups = []
    for number, offset, kind, target, addend in relocations:
        place = at[number] + offset
        if isinstance(target, str):
            fixups.append((place, kind, target, addend))
        elif kind in host.RELATIVE:
            struct.pack_into("<i", code, place, at[target] + addend - place)
        else:
            fixups.append((place, kind, "", at[target] + addend))
    function = obj.functions["region"]
    return Compiled(bytes(code), at[function.section] + function.offset, function.size, obj.section(host.LANDINGS), tuple(fixups))


def placed(compiled: Compiled, address: int, symbols: Mapping[str, int]) -> bytearray:
    """The code for a place of the host's memory."""
    code = bytearray(compiled.code)
    for place, kind, symbol, addend in compiled.fixups:
        value = (symbols[symbol] if symbol else address) + addend
        if kind in host.RELATIVE:
            _RELATIVE.pack_into(code, place, value - address - place)
        elif kind == host.ABS64:
            _WIDE.pack_into(code, place, value & (1 << 64) - 1)
        elif kind in (host.ABS32, host.ABS32S):
            _NARROW.pack_into(code, place, value & 0xFFFFFFFF)
        else:
            raise DefinitionError(f"relocation of type {kind} against {symbol or 'a section'}")
    return code
