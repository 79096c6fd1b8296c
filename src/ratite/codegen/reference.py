"""The reference evaluator: a recorded block becomes a plain Python function, one line an operation.

It defines what an instruction does; machine code is held against it. It also runs what machine code leaves to it: accesses to devices
and across pages, rare instructions, unusual rounding.

The function has the parameters `cpu, pc, npc`, then the register numbers and immediates of the instruction, and returns the address of the
next instruction. An exception of the guest is raised as `GuestTrap`, leaving for the run loop as `Leave`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ratite.bits import mask
from ratite.codegen.endings import GuestTrap, Leave
from ratite.errors import DefinitionError
from ratite.ir import OPS, Block, Value
from ratite.ir.ops import HELPERS
from ratite.isa.dsl import Insn, Layout

Evaluator = Callable[..., int]


class _Writer:
    """Writes the Python text of one block."""

    def __init__(self, block: Block, insn: Insn, layout: Layout) -> None:
        self.block, self.insn, self.layout = block, insn, layout
        self.lines: list[str] = []
        self.depth = 1
        self.globals: dict[str, Any] = dict(HELPERS)
        self.regs = {r.name: r.file for r in insn.text.fmt.regs}

    def line(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    def name(self, v: Value) -> str:
        if v.op == "const":
            return str(v.attr)
        if v.op == "operand":
            return f"(i_{v.attr} & {mask(v.width)})"
        return v.op if v.op in ("pc", "npc") else f"v{v.index}"

    def text(self) -> str:
        for v in self.block.code:
            self.operation(v)
        fmt = self.insn.text.fmt
        params = ["cpu", "pc", "npc"] + [f"r_{r.name}" for r in fmt.regs] + [f"i_{i.name}" for i in fmt.imms]
        return f"def evaluate({', '.join(params)}):\n" + "\n".join(self.lines) + "\n    return npc\n"

    def operation(self, v: Value) -> None:
        """Write the line or lines of one operation."""
        if v.op in OPS:
            self.line(f"v{v.index} = {self._pure(v)}")
        elif v.op not in ("const", "operand", "pc", "npc"):
            getattr(self, "_" + v.op.replace(".", "_"))(v)

    def _pure(self, v: Value) -> str:
        names = dict(zip("abc", (self.name(a) for a in v.args), strict=False))
        w = v.args[0].width
        if v.attr is not None:
            return self._lanewise(v, names)
        return OPS[v.op].python.format(w=w, wm=w - 1, n=v.width, m=mask(v.width), **names)

    def _lanewise(self, v: Value, names: dict[str, str]) -> str:
        """The expression of the operation's row, for every element."""
        op = OPS[v.op]
        if op.rule == "vector":
            width, count, *number = v.attr
            return op.python.format(w=width, k=count, m=mask(width), i=number[0] if number else "", **names)
        width = v.attr
        count = v.args[0].width // width
        result = v.width // count
        one = op.python.format(w=width, wm=width - 1, n=result, m=mask(result), **{k: k for k in names})
        if op.rule == "bit":
            one = f"-({one}) & {mask(result)}"
        lists = ", ".join(f"split({name}, {width if k == 'a' else v.args['abc'.index(k)].width // count}, {count})" for k, name in names.items())
        return f"join([{one} for {', '.join(names)}, in zip({lists})], {result})"

    # --- state ------------------------------------------------------------------------------------------------------------------
    def _place(self, offset: int | str, width: int) -> str:
        return f"cpu.bytes[{offset}]" if width == 8 else f"cpu.words[{offset}]"

    def _register(self, attr: tuple[str, str | int]) -> list[str]:
        """The words of the state that hold a register, lowest first."""
        file, which = attr
        slot = self.layout.slots[file]
        number = f"r_{which}" if isinstance(which, str) else which
        first = f"cpu.base8 + {slot.offset // 8} + {number} * {slot.stride // 8}"
        return [self._place(f"{first} + {n}", 64) for n in range(max(1, slot.width // 64))]

    def _reg_get(self, v: Value) -> None:
        words = self._register(v.attr)
        self.line(f"v{v.index} = " + " | ".join(f"{word} << {64 * n}" if n else word for n, word in enumerate(words)))

    def _reg_set(self, v: Value) -> None:
        file, which = v.attr
        zero = self.layout.file(file).zero
        self._set_register(v, f"if r_{which} != {zero}: " if zero is not None and isinstance(which, str) else "")

    def _set_register(self, v: Value, guard: str = "") -> None:
        words, name = self._register(v.attr), self.name(v.args[0])
        if len(words) == 1:
            self.line(f"{guard}{words[0]} = {name}")
        else:
            self.line(guard + "; ".join(f"{word} = {name} >> {64 * n} & {mask(64)}" for n, word in enumerate(words)))

    def _field(self, name: str) -> str:
        slot = self.layout.slots[name]
        if slot.width == 8:
            return f"cpu.bytes[cpu.base + {slot.offset}]"
        if slot.offset % 8:
            raise DefinitionError(f"{self.block.name}: field {name} is for native code only")
        return f"cpu.words[cpu.base8 + {slot.offset // 8}]"

    def _state_get(self, v: Value) -> None:
        self.line(f"v{v.index} = {self._field(v.attr)}")

    def _state_set(self, v: Value) -> None:
        self.line(f"{self._field(v.attr)} = {self.name(v.args[0])}")

    def _var(self, v: Value) -> None:
        self.line(f"v{v.index} = {self.name(v.args[0])}")

    def _var_get(self, v: Value) -> None:
        self.line(f"v{v.index} = v{v.args[0].index}")

    def _var_set(self, v: Value) -> None:
        self.line(f"v{v.args[0].index} = {self.name(v.args[1])}")

    # --- control ----------------------------------------------------------------------------------------------------------------
    def _if(self, v: Value) -> None:
        self.line(f"if {self.name(v.args[0])}:")
        self.depth += 1
        self.line("pass")

    def _else(self, v: Value) -> None:
        self.depth -= 1
        self.line("else:")
        self.depth += 1
        self.line("pass")

    def _loop(self, v: Value) -> None:
        self.line("while True:")
        self.depth += 1

    def _end(self, v: Value) -> None:
        self.depth -= 1

    def _break_if(self, v: Value) -> None:
        self.line(f"if {self.name(v.args[0])}: break")

    def _jump(self, v: Value) -> None:
        self.line(f"return {self.name(v.args[0])}")

    def _resync(self, v: Value) -> None:
        self.line(f"return {self.name(v.args[0])}")

    def _interpret(self, v: Value) -> None:
        """The evaluator is where machine code sends the instruction: go on."""

    def _trap(self, v: Value) -> None:
        self.globals["GuestTrap"] = GuestTrap
        self.line(f"raise GuestTrap({self.name(v.args[0])}, {self.name(v.args[1])})")

    def _exit(self, v: Value) -> None:
        self.globals["Leave"] = Leave
        self.line(f"raise Leave({v.attr}, {self.name(v.args[0])})")

    def _call(self, v: Value) -> None:
        args = ", ".join([repr(v.attr), *(self.name(a) for a in v.args)])
        self.line(f"v{v.index} = cpu.call({args}) & {mask(v.width or 64)}")

    def _python(self, v: Value) -> None:
        name = f"python{v.index}"
        self.globals[name] = v.attr
        self.line(f"v{v.index} = {name}({', '.join(['cpu', *(self.name(a) for a in v.args)])})")

    # --- memory -----------------------------------------------------------------------------------------------------------------
    def _load(self, v: Value) -> None:
        self.line(f"v{v.index} = cpu.load({self.name(v.args[0])}, {v.width // 8})")

    def _store(self, v: Value) -> None:
        self.line(f"cpu.store({self.name(v.args[0])}, {v.args[1].width // 8}, {self.name(v.args[1])})")

    def _amo(self, v: Value) -> None:
        self.line(f"v{v.index} = cpu.amo({v.attr!r}, {self.name(v.args[0])}, {v.width // 8}, {self.name(v.args[1])})")

    def _cas(self, v: Value) -> None:
        args = ", ".join([self.name(v.args[0]), str(v.width // 8), self.name(v.args[1]), self.name(v.args[2])])
        self.line(f"v{v.index} = cpu.cas({args})")

    def _load_reserved(self, v: Value) -> None:
        self.line(f"v{v.index} = cpu.load_reserved({self.name(v.args[0])}, {v.width // 8})")

    def _store_conditional(self, v: Value) -> None:
        self.line(f"v{v.index} = cpu.store_conditional({self.name(v.args[0])}, {v.args[1].width // 8}, {self.name(v.args[1])})")

    def _fence(self, v: Value) -> None:
        """One evaluator runs at a time, in order."""

    # --- floating point ---------------------------------------------------------------------------------------------------------
    def _fp(self, v: Value) -> None:
        from ratite.codegen.float_reference import evaluate_fp, evaluate_fp_lanes

        self.globals["evaluate_fp"], self.globals["evaluate_fp_lanes"] = evaluate_fp, evaluate_fp_lanes
        op, attr = v.attr[0], dict(v.attr[1])
        self.globals[f"attr{v.index}"] = attr
        args = ", ".join(self.name(a) for a in v.args)
        if lanes := attr.get("lanes"):
            widths = tuple(x.width // lanes for x in (v, *v.args))
            self.line(f"v{v.index} = evaluate_fp_lanes(cpu, {op!r}, attr{v.index}, {widths}, {args})")
            return
        self.line(f"v{v.index} = evaluate_fp(cpu, {op!r}, attr{v.index}, {args})")

    def _fp_flags(self, v: Value) -> None:
        self.line(f"v{v.index} = {self._field('fp_flags')}")

    def _fp_set_flags(self, v: Value) -> None:
        self.line(f"{self._field('fp_flags')} = {self.name(v.args[0])}")

    def _fp_set_round(self, v: Value) -> None:
        self.line(f"cpu.set_fp_round({self.name(v.args[0])})")


def evaluator(block: Block, insn: Insn, layout: Layout) -> Evaluator:
    """Compile a recorded block to a Python function."""
    writer = _Writer(block, insn, layout)
    text = writer.text()
    namespace = writer.globals
    exec(compile(text, f"<{block.name}>", "exec"), namespace)
    function: Evaluator = namespace["evaluate"]
    return function


class Move(NamedTuple):
    """What a load or store does beside its access, for one instruction word.

    size: bytes of the access. take: given the processor and the value loaded, enters that in the state. give: the value to store. One of them.
    """

    size: int
    take: Callable[[Any, int], None] | None
    give: Callable[[Any], int] | None


class _MoveWriter(_Writer):
    """Writes what an instruction with known operands does before or after its one access to memory."""

    def __init__(self, block: Block, insn: Insn, layout: Layout, operands: Sequence[int]) -> None:
        super().__init__(block, insn, layout)
        fmt = insn.text.fmt
        names = [r.name for r in fmt.regs] + [i.name for i in fmt.imms]
        self.numbers = dict(zip(names, operands, strict=True))

    def name(self, v: Value) -> str:
        return str(self.numbers[v.attr] & mask(v.width)) if v.op == "operand" else super().name(v)

    def _register(self, attr: tuple[str, str | int]) -> list[str]:
        file, which = attr
        return super()._register((file, self.numbers[which] if isinstance(which, str) else which))

    def _reg_set(self, v: Value) -> None:
        file, which = v.attr
        if (self.numbers[which] if isinstance(which, str) else which) != self.layout.file(file).zero:
            self._set_register(v)

    def _load(self, v: Value) -> None:
        self.line(f"v{v.index} = value")

    def _store(self, v: Value) -> None:
        self.line(f"return {self.name(v.args[1])}")

    def function(self, results: Sequence[Value]) -> Callable[..., Any]:
        """The operations that `results` need, as a function."""
        needed = set[Value]()
        waiting = list(results)
        while waiting:
            v = waiting.pop()
            if v not in needed:
                needed.add(v)
                waiting += v.args[1:] if v.op == "store" else () if v.op == "load" else v.args
        for v in self.block.code:
            if v in needed:
                self.operation(v)
        namespace = self.globals
        exec(compile("def move(cpu, value=0):\n" + "\n".join(self.lines or ["    pass"]), f"<{self.block.name}>", "exec"), namespace)
        function: Callable[..., Any] = namespace["move"]
        return function


#: What the text of a load or store may consist of to be taken apart, beside pure operations.
_MOVES = frozenset(("const", "operand", "reg.get", "reg.set", "state.get", "load", "store"))


def move_of(block: Block, insn: Insn, layout: Layout, operands: Sequence[int]) -> Move | None:
    """Take a plain load or store apart, whose address somebody else has found; None where the instruction is more than that."""
    code = block.code
    accesses = [v for v in code if v.op in ("load", "store")]
    if len(accesses) != 1 or any(v.op not in _MOVES and v.op not in OPS for v in code):
        return None
    access = accesses[0]
    if (access.width or access.args[1].width) > 64:  # in several pieces
        return None
    writer, changes = _MoveWriter(block, insn, layout, operands), [v for v in code if v.op == "reg.set"]
    if access.op == "load":
        return Move(access.width // 8, writer.function(changes), None)
    return None if changes else Move(access.args[1].width // 8, None, writer.function([access]))
