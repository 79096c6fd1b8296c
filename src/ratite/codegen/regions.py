"""Regions: hot guest code compiled as a whole.

The instructions of a region become one function of the shape of a stencil. Guest registers are local variables of it, which LLVM keeps where it
likes. It has one way out: everything is put back where the stencil tier has it, and execution goes on at the stencil of the instruction that could
not be finished here, or of the next one. So a region needs no slow cases of its own: no exceptions, no refill of the translation cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ratite.codegen import host_x86_64 as host
from ratite.codegen.floats import hostable
from ratite.codegen.lower import METADATA, Lowering, integer
from ratite.codegen.stencil import PAGE_BITS, TLB_ENTRIES, signature
from ratite.ir import Block, Value
from ratite.isa.arch import Arch
from ratite.isa.dsl import Insn

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


class Piece(NamedTuple):
    """An instruction of a region: guest address, length, text, and its operands by name. stencil: host address of its code."""

    pc: int
    length: int
    insn: Insn
    block: Block
    registers: Mapping[str, int]
    immediates: Mapping[str, int]
    stencil: int


def is_opaque(block: Block) -> bool:
    """Whether an instruction is left to the stencil tier. Wide registers are: others may be parts of them, which have variables of their own."""
    return any(
        _is_wide(v) or (v.op in _LEFT_OUT and not _is_rare(block, v)) or (v.op == "fp" and not hostable(v.attr[0], dict(v.attr[1])))
        for v in block.code
    )


def _is_wide(v: Value) -> bool:
    return v.op in ("reg.get", "reg.set") and max(a.width for a in (v, *v.args)) > 64


def _is_rare(block: Block, v: Value) -> bool:
    """Whether an exception is only one of the ways an instruction can go."""
    return v.op == "trap" and any(w.op == "if" for w in block.code[: v.index])


class Region:
    """The text of a region. `known`: host addresses of stencils by guest address."""

    def __init__(self, arch: Arch, pieces: Sequence[Piece], known: Mapping[int, int], dispatch: int) -> None:
        self.arch, self.known, self.dispatch = arch, known, dispatch
        self.pieces = {p.pc: p for p in pieces}
        self.entry = pieces[0].pc
        self.pins = {p: i for i, p in enumerate(arch.layout.pinned)}
        self.registers: dict[tuple[str, int], bool] = {}  # used, and whether written
        self.declarations: set[str] = set()
        self.strict = False
        self.names = 0

    def use(self, file: str, number: int, written: bool) -> None:
        """Take note of a register."""
        self.registers[file, number] = written or self.registers.get((file, number), False)

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

    def _all(self) -> list[tuple[str, int]]:
        """Every register that has a variable: those used, and all pinned ones."""
        return [*self.registers, *(p for p in self.pins if p not in self.registers)]

    def _type(self, file: str) -> str:
        return f"i{self.arch.layout.slots[file].width}"

    def _enter(self) -> list[str]:
        lines = [" %fpctl = alloca i32\n", " %to = alloca i64\n"]
        for file, n in self._all():
            lines.append(f" %{file}{n} = alloca {self._type(file)}\n")
        for file, n in self._all():
            if (file, n) in self.pins:
                lines.append(f" store {self._type(file)} %p{self.pins[file, n]}, ptr %{file}{n}\n")
            else:
                offset = self.arch.layout.slots[file].at(n)
                lines.append(f" %e{file}{n} = getelementptr i8, ptr %env, i64 {offset}\n")
                lines.append(f" %v{file}{n} = load {self._type(file)}, ptr %e{file}{n}{_STATE}\n")
                lines.append(f" store {self._type(file)} %v{file}{n}, ptr %{file}{n}\n")
        return [*lines, f" br label %g{self.entry:x}\n"]

    def _leave(self) -> list[str]:
        lines = ["out:\n"]
        for (file, n), written in self.registers.items():
            if written and (file, n) not in self.pins:
                lines.append(f" %x{file}{n} = load {self._type(file)}, ptr %{file}{n}\n")
                lines.append(f" store {self._type(file)} %x{file}{n}, ptr %e{file}{n}{_STATE}\n")
        for (file, n), i in self.pins.items():
            lines.append(f" %q{i} = load {self._type(file)}, ptr %{file}{n}\n")
        arguments = ", ".join(["ptr %tlb", "ptr %env", *(f"i{self.arch.word} %q{i}" for i in range(host.PINNED)), "i64 poison"])
        return [
            *lines, " %there = load i64, ptr %to\n", " %next = inttoptr i64 %there to ptr\n",
            f" musttail call preserve_nonecc void %next({arguments})\n", " ret void\n",
        ]  # fmt: skip


class _PieceLowering(Lowering):
    """Lowers one instruction of a region. Registers that it writes become visible to others, and to the way out, at its end only."""

    def __init__(self, region: Region, piece: Piece) -> None:
        super().__init__(piece.block, region.arch.layout)
        self.region, self.piece = region, piece
        self._n = region.names

    def run(self) -> str:
        self.lines.append(f"g{self.piece.pc:x}:")
        self.label = f"g{self.piece.pc:x}"
        if is_opaque(self.block):
            self._leave_to(self.piece.stencil)
        else:
            self._load_registers()
            self.lower_block()
        self.region.names = self._n
        return "\n".join(self.lines)

    def _load_registers(self) -> None:
        for v in self.block.code:
            if v.op in ("reg.get", "reg.set"):
                file, n = self._number(*v.attr)
                if n == self.layout.file(file).zero:
                    continue
                self.region.use(file, n, v.op == "reg.set")
                if ("r", file, n) not in self.current:
                    self.current["r", file, n] = self(f"load i{self.layout.slots[file].width}, ptr %{file}{n}")

    def _number(self, file: str, which: str | int) -> tuple[str, int]:
        return file, self.piece.registers[which] if isinstance(which, str) else which

    def get_register(self, file: str, which: str | int) -> str:
        file, n = self._number(file, which)
        return "0" if n == self.layout.file(file).zero else self.current["r", file, n]

    def set_register(self, file: str, which: str | int, value: str) -> None:
        file, n = self._number(file, which)
        if n != self.layout.file(file).zero:
            self.current["r", file, n] = value

    def assigned(self, v: Value) -> Any:
        if v.op == "reg.set":
            return ("r", *self._number(*v.attr))
        return super().assigned(v)

    def _key_type(self, key: Any) -> str:
        return f"i{self.layout.slots[key[1]].width}" if key[0] == "r" else super()._key_type(key)

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
        written = {self._number(*v.attr) for v in self.block.code if v.op == "reg.set"}
        for file, n in sorted(written):
            if n != self.layout.file(file).zero:
                self.line(f"store i{self.layout.slots[file].width} {self.current['r', file, n]}, ptr %{file}{n}")

    def _leave_to(self, address: int | str) -> None:
        self.line(f"store i64 {address}, ptr %to")
        self.line("br label %out")

    def _go_to(self, target: int) -> None:
        """Go on at a guest address, having finished this instruction."""
        if target in self.region.pieces:
            if target <= self.piece.pc:
                self._unless_attention(target)
            self.line(f"br label %g{target:x}")
        else:
            self._leave_at(target)

    def _leave_at(self, target: int) -> None:
        known = self.region.known.get(target)
        if known is None:
            self.set_field("next_pc", integer(target, self.layout.word))
        self._leave_to(self.region.dispatch if known is None else known)

    def _unless_attention(self, target: int) -> None:
        pointer = self.state_pointer(self.layout.slots["attention"].offset)
        flags = self(f"load volatile i16, ptr {pointer}")
        calm, on, off = self(f"icmp eq i16 {flags}, 0"), self.new_label(), self.new_label()
        self.branch(calm, on, off, True)
        self.start(off)
        self.set_field("next_pc", integer(target, self.layout.word))
        self._leave_to(self.region.dispatch)
        self.start(on)

    def fall_through(self) -> None:
        self._commit()
        self._go_to(self._at(self.piece.length))

    def finish(self, v: Value) -> None:
        if v.op == "jump":
            self._jump(v.args[0])
        else:
            self._leave_to(self.piece.stencil)

    def _jump(self, target: Value) -> None:
        to = self.static_target(target)
        where = self.value(target) if to is None else ""
        self._commit()
        if to is not None:
            self._go_to(to)
        else:
            self.set_field("next_pc", where)
            self._leave_to(self.region.dispatch)

    def static_target(self, target: Value) -> int | None:
        """Where a jump goes, if that is known."""
        return static_target(self.piece, target, self.layout.word)

    def bail(self, condition: str) -> None:
        out, on = self.new_label(), self.new_label()
        self.branch(condition, out, on, False)
        self.start(out)
        self._leave_to(self.piece.stencil)
        self.start(on)

    # --- memory -------------------------------------------------------------------------------------------------------------------
    def host_pointer(self, address: str, width: int, write: bool) -> str:
        index = self(f"and i64 {self(f'lshr i64 {address}, {PAGE_BITS - 5}')}, {(TLB_ENTRIES - 1) * 32}")
        entry = self(f"getelementptr i8, ptr %tlb, i64 {index}")
        tag = self(f"load i64, ptr {self(f'getelementptr i8, ptr {entry}, i64 8') if write else entry}{_STATE}")
        last = address if width == 8 else self(f"add i64 {address}, {width // 8 - 1}")
        page = self(f"and i64 {last}, {-(1 << PAGE_BITS)}")
        self.bail(self(f"icmp ne i64 {tag}, {page}"))
        delta = self(f"load i64, ptr {self(f'getelementptr i8, ptr {entry}, i64 24')}{_STATE}")
        return self(f"inttoptr i64 {self(f'add i64 {delta}, {address}')} to ptr")

    def _op_load(self, v: Value) -> str:
        p = self.host_pointer(self._address(v.args[0]), v.width, write=False)
        return self(f"load volatile i{v.width}, ptr {p}, align 1{_GUEST}")

    def _op_store(self, v: Value) -> None:
        address, x = v.args
        p = self.host_pointer(self._address(address), x.width, write=True)
        self.line(f"store volatile i{x.width} {self.value(x)}, ptr {p}, align 1{_GUEST}")


def static_target(piece: Piece, target: Value, word: int) -> int | None:
    """Guest address to which a jump of a piece goes; None where that is computed."""
    if target.op in ("pc", "npc"):
        return piece.pc + (piece.length if target.op == "npc" else 0) & (1 << word) - 1
    if target.op == "add" and target.args[0].op == "pc" and target.args[1].op == "operand":
        return piece.pc + piece.immediates[target.args[1].attr] & (1 << word) - 1
    return None


def compile_region(region: Region) -> bytes:
    """The object code of a region: function `region`."""
    from llvmlite import binding as llvm

    module = llvm.parse_assembly(region.text())
    machine = host.machine()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = options.slp_vectorization = False
    options.loop_unrolling = False
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    code: bytes = machine.emit_object(module)
    return code
