"""Recording: the object `s` that an instruction's text works on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ratite.errors import DefinitionError
from ratite.ir import Block, Value, Var
from ratite.ir.verify import verify
from ratite.isa.dsl.formats import Format, Imm, Reg
from ratite.isa.dsl.insn import Insn
from ratite.isa.dsl.state import Field, Layout, RegFile


class _File:
    """`s.x[o.rd]`, `s.x[5]`: registers of one file."""

    def __init__(self, s: Session, name: str) -> None:
        self._s, self._name = s, name
        self._width = s.layout.slots[name].width
        self._zero = s.layout.file(name).zero

    def __getitem__(self, r: Reg | int) -> Value:
        if isinstance(r, int) and r == self._zero:
            return self._s.const(0)
        return self._s.block.add("reg.get", self._width, (), (self._name, r if isinstance(r, int) else r.name))

    def __setitem__(self, r: Reg | int, v: Value) -> None:
        if v.width != self._width:
            raise DefinitionError(f"{self._s.block.name}: {self._name} is {self._width} bits wide, the value {v.width}")
        if isinstance(r, int) and r == self._zero:
            return
        self._s.block.add("reg.set", 0, (v,), (self._name, r if isinstance(r, int) else r.name))


class Session:
    """The words in which instructions and native helpers are written.

    Registers and fields of the state are attributes by their declared names: `s.x[o.rd]`, `s.mepc`. Reading gives a value at this point
    of the text, assigning writes. `xlen` is the register width; `config` the CPU's properties; `context` the privilege mode for which the
    text is recorded (only in instructions declared `privileged`).
    """

    def __init__(self, name: str, layout: Layout, config: Any, context: int | None = None) -> None:
        d = self.__dict__
        d["block"], d["layout"], d["config"] = Block(name), layout, config
        d["xlen"] = layout.word
        d["_context"] = context
        for slot in layout.slots.values():
            if isinstance(slot.decl, RegFile):
                d[slot.name] = _File(self, slot.name)

    block: Block
    layout: Layout
    config: Any
    xlen: int
    reserve_addr: Any

    # --- state ------------------------------------------------------------------------------------------------------------------
    def __getattr__(self, name: str) -> Any:
        slot = self.layout.slots.get(name)
        if slot is None or not isinstance(slot.decl, Field):
            raise AttributeError(f"no state named {name}")
        return self.block.add("state.get", slot.width, (), name)

    def __setattr__(self, name: str, v: Value | int) -> None:
        slot = self.layout.slots.get(name)
        if slot is None or not isinstance(slot.decl, Field):
            raise DefinitionError(f"{self.block.name}: no state named {name}")
        v = self.block.const(v, slot.width) if isinstance(v, int) else v
        if v.width != slot.width:
            raise DefinitionError(f"{self.block.name}: {name} is {slot.width} bits wide, the value {v.width}")
        self.block.add("state.set", 0, (v,), name)

    @property
    def context(self) -> int:
        """The privilege mode of this text, a plain number."""
        if self._context is None:
            raise DefinitionError(f"{self.block.name} asks for the privilege mode and is not declared privileged")
        context: int = self._context
        return context

    @property
    def pc(self) -> Value:
        """Address of this instruction."""
        return self.block.add("pc", self.xlen)

    @property
    def npc(self) -> Value:
        """Address of the next instruction."""
        return self.block.add("npc", self.xlen)

    # --- values -----------------------------------------------------------------------------------------------------------------
    def const(self, value: int, width: int = 0) -> Value:
        """A number of `width` bits (of the register width when none is given)."""
        return self.block.const(value, width or self.xlen)

    def select(self, c: Value, a: Value | int, b: Value | int) -> Value:
        """`a` where the bit `c` is one, else `b`; both are computed."""
        width = a.width if isinstance(a, Value) else b.width if isinstance(b, Value) else self.xlen
        a = self.const(a, width) if isinstance(a, int) else a
        b = self.const(b, width) if isinstance(b, int) else b
        if a.width != b.width or c.width != 1:
            raise DefinitionError(f"{self.block.name}: select of widths {c.width} ? {a.width} : {b.width}")
        return self.block.add("select", a.width, (c, a, b))

    def var(self, value: Value | int, width: int = 0) -> Var:
        """A local variable with its first value."""
        v = self.const(value, width) if isinstance(value, int) else value
        return Var(self.block.add("var", 0, (v,)))

    # --- control ----------------------------------------------------------------------------------------------------------------
    @contextmanager
    def when(self, c: Value, likely: bool | None = None) -> Iterator[None]:
        """What follows, indented, happens where `c` is one. `likely` says which way is usual."""
        if c.width != 1:
            raise DefinitionError(f"{self.block.name}: a condition has one bit, not {c.width}")
        self.block.add("if", 0, (c,), likely)
        yield
        self.block.add("end", 0)

    @contextmanager
    def otherwise(self) -> Iterator[None]:
        """The other branch of the `when` directly before."""
        if self.block.code[-1].op != "end":
            raise DefinitionError(f"{self.block.name}: `otherwise` must follow its `when`")
        self.block.code.pop()
        self.block.add("else", 0)
        yield
        self.block.add("end", 0)

    @contextmanager
    def loop(self) -> Iterator[None]:
        """Repeat what follows until `break_if`."""
        self.block.add("loop", 0)
        yield
        self.block.add("end", 0)

    def break_if(self, c: Value) -> None:
        """Leave the innermost loop where `c` is one."""
        self.block.add("break_if", 0, (c,))

    def jump(self, to: Value) -> None:
        """Go on at `to` instead of the next instruction; ends the text."""
        self.block.add("jump", 0, (to,))

    def trap(self, cause: int | Value, value: Value | int = 0) -> None:
        """Take exception `cause` at this instruction, with a value that describes it; ends the text."""
        c = self.const(cause) if isinstance(cause, int) else cause
        v = self.const(value) if isinstance(value, int) else value
        self.block.add("trap", 0, (c, v))

    def exit(self, reason: int, to: Value | None = None) -> None:
        """Leave native code with `reason`; execution goes on later at `to` (default: the next instruction). Ends the text."""
        self.block.add("exit", 0, (self.npc if to is None else to,), reason)

    def resync(self) -> None:
        """Go on at the next instruction through the dispatcher, which looks at interrupts and modes first; ends the text."""
        self.block.add("resync", 0, (self.npc,))

    def interpret(self) -> None:
        """Run this instruction in the reference evaluator instead; ends the text. Nothing may have been written before."""
        self.block.add("interpret", 0)

    def python(self, function: Callable[..., int | None], *args: Value, width: int = 0) -> Value:
        """Call `function(cpu, *args)`. The whole instruction then runs in the reference evaluator, never as machine code."""
        return self.block.add("python", width, args, function)

    # --- memory -----------------------------------------------------------------------------------------------------------------
    def load(self, addr: Value, width: int) -> Value:
        """`width` bits of guest memory, little endian; may fault."""
        return self.block.add("load", width, (addr,))

    def store(self, addr: Value, v: Value) -> None:
        """Write guest memory, little endian; may fault."""
        self.block.add("store", 0, (addr, v))

    def amo(self, op: str, addr: Value, v: Value) -> Value:
        """Atomically replace memory by `op` of it and `v`; the old value. `op`: xchg add and or xor max min umax umin."""
        return self.block.add("amo", v.width, (addr, v), op)

    def cas(self, addr: Value, expected: Value, new: Value) -> Value:
        """Atomically write `new` where memory holds `expected`; the old value."""
        return self.block.add("cas", new.width, (addr, expected, new))

    def load_reserved(self, addr: Value, width: int) -> Value:
        """`width` bits of guest memory, which are reserved: what is done to them by others can be noticed by `store_conditional`."""
        return self.block.add("load.reserved", width, (addr,))

    def store_conditional(self, addr: Value, v: Value) -> Value:
        """Write guest memory if the reservation is of this address and nobody has written there since; one bit: whether it was written.

        There is no reservation afterwards. What others wrote is noticed if it was an atomic operation, or left another value behind: plain
        stores that change a value and change it back are not.
        """
        stored = self.var(0, 1)
        with self.when(self.reserve_addr == addr.zext(64), likely=True):
            stored.value = self.block.add("store.conditional", 1, (addr, v))
        self.reserve_addr = -1
        return stored.value

    def fence(self) -> None:
        """Order all memory accesses before this against those after it."""
        self.block.add("fence", 0)

    def peek(self, addr: Value, width: int) -> Value:
        """Host memory, for native helpers."""
        return self.block.add("peek", width, (addr,))

    def poke(self, addr: Value, v: Value) -> None:
        """Write host memory, for native helpers."""
        self.block.add("poke", 0, (addr, v))

    def poke_if(self, addr: Value, expected: Value, new: Value) -> Value:
        """Atomically write `new` to host memory that holds `expected`, for native helpers; what it held."""
        return self.block.add("poke.if", new.width, (addr, expected, new))

    # --- floating point ---------------------------------------------------------------------------------------------------------
    def fp(self, op: str, width: int, *args: Value, **attr: Any) -> Value:
        """Floating-point operation `op` on bit patterns; see `ratite.codegen.floats`. Sticky flags go to the state."""
        return self.block.add("fp", width, args, (op, tuple(sorted(attr.items()))))

    def fp_flags(self) -> Value:
        """The sticky flags, as the engine orders them (`ENGINE_FIELDS`)."""
        return self.block.add("fp.flags", 8)

    def set_fp_flags(self, v: Value | int) -> None:
        """Replace the sticky flags."""
        self.block.add("fp.set_flags", 0, (self.const(v, 8) if isinstance(v, int) else v,))

    def set_fp_round(self, mode: Value) -> None:
        """Set the host's rounding mode (0 nearest even, 1 to zero, 2 down, 3 up) for `fp` operations."""
        self.block.add("fp.set_round", 0, (mode,))

    # --- helpers ----------------------------------------------------------------------------------------------------------------
    def call(self, function: Native | str, *args: Value | int, width: int | None = None) -> Value:
        """Call a native helper (see `native`), or one of the engine's by name."""
        vals = tuple(self.const(a) if isinstance(a, int) else a for a in args)
        if isinstance(function, str):
            return self.block.add("call", width or 0, vals, function)
        return self.block.add("call", function.result(self.xlen), vals, function.name)

    def ret(self, v: Value | int) -> None:
        """End a native helper with a result."""
        self.block.add("return", 0, (self.const(v) if isinstance(v, int) else v,))


class Native:
    """A helper that is compiled by LLVM and called from machine code; its text is recorded like an instruction's."""

    def __init__(self, function: Callable[..., None], width: int) -> None:
        self.function, self.name, self._width = function, function.__name__, width
        names = list(function.__code__.co_varnames[1 : function.__code__.co_argcount])
        self.params = names

    def result(self, xlen: int) -> int:
        """Width of the result in bits."""
        return self._width or xlen

    def record(self, layout: Layout, config: Any) -> Block:
        """Run the text once; parameters have the register width."""
        s = Session(self.name, layout, config)
        args = [s.block.add("param", layout.word, (), n) for n in range(len(self.params))]
        self.function(s, *args)
        return verify(s.block, restartable=False)


def native(width: int = 0) -> Callable[[Callable[..., None]], Native]:
    """Declare a native helper with a result of `width` bits (0: the register width)."""
    return lambda f: Native(f, width)


class _Operands:
    """What a text sees as `o`: registers to index files with, immediates as values, statics as numbers."""

    def __init__(self, s: Session, fmt: type[Format], statics: tuple[int, ...]) -> None:
        self._s, self._fmt = s, fmt
        self._statics = {o.name: v for o, v in zip(fmt.statics, statics, strict=True)}

    def __getattr__(self, name: str) -> Any:
        if name in self._statics:
            return self._statics[name]
        o = self._fmt.operands.get(name)
        if isinstance(o, Reg):
            return o
        if isinstance(o, Imm):
            return self._s.block.add("operand", self._s.xlen, (), name)
        raise DefinitionError(f"{self._s.block.name}: format {self._fmt.__name__} has no operand {name}")


def record(insn: Insn, layout: Layout, config: Any, statics: tuple[int, ...] = (), context: int | None = None) -> Block:
    """Run the text of `insn` once and return what it recorded."""
    s = Session(insn.name, layout, config, context if insn.privileged else None)
    insn.semantics(s, _Operands(s, insn.fmt, statics))
    return verify(s.block)
