"""Values and blocks: a linear list in which every read, write and memory access takes its turn.

A block is recorded by running an instruction's text once. Order is the order of recording: a register read stands where the text read it,
so a later write of the same register can not change it. Control flow is structured: `if`/`else`/`end` and `loop`/`end`.

Beside the pure operations of `ratite.ir.ops` there are these effects:

    const, operand            a number known now, or one that the decoder finds in the instruction
    pc, npc                   address of this instruction, and of the one after it
    reg.get, reg.set          a register of a file, named by an operand or a number
    state.get, state.set      a declared field of the state
    load, store               guest memory through the MMU
    amo, cas                  atomic read-modify-write and compare-and-swap of guest memory
    load.reserved             a load that reserves what it reads
    store.conditional         a store that is done while the reservation holds; one bit: whether it was
    peek, poke, poke.if       host memory, for native helpers only (page tables, translation caches); the last is a compare-and-swap
    var, var.get, var.set     a local variable
    fp                        floating point; raises the sticky flags of the state
    if, else, end, loop, break_if
    jump                      ends the instruction and goes on at a guest address
    trap                      ends the instruction with an exception
    exit                      ends the instruction and leaves native code for a reason known to the run loop
    call                      a native helper
    python                    a Python function; makes the whole instruction run in the reference evaluator
    fence                     orders memory accesses
    return                    ends a native helper
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ratite.errors import DefinitionError
from ratite.ir.ops import OPS

#: Operations that access guest memory.
ACCESSES = frozenset({"load", "store", "amo", "cas", "load.reserved", "store.conditional"})

if TYPE_CHECKING:
    from ratite.ir.lanes import Lanes


class Value:
    """An SSA value of a known width, or an effect without a value (width 0). Its truth is not known while a text is recorded."""

    __slots__ = ("args", "attr", "block", "index", "op", "width")

    def __init__(self, block: Block, index: int, op: str, width: int, args: tuple[Value, ...], attr: Any) -> None:
        self.block, self.index, self.op, self.width, self.args, self.attr = block, index, op, width, args, attr

    def __repr__(self) -> str:
        return f"%{self.index}:{self.width}"

    def __bool__(self) -> bool:
        raise DefinitionError(
            "a guest value has no truth while an instruction is described: use s.select(cond, a, b) or `with s.when(cond):`"
        )

    __hash__ = object.__hash__

    # --- building ---------------------------------------------------------------------------------------------------------------
    def _value(self, other: Value | int) -> Value:
        return self.block.const(other, self.width) if isinstance(other, int) else other

    def _binary(self, op: str, other: Value | int, swapped: bool = False) -> Value:
        o = self._value(other)
        if o.width != self.width:
            raise DefinitionError(f"{op}: widths differ ({self.width} and {o.width}); use .zext(n), .sext(n) or .trunc(n)")
        a, b = (o, self) if swapped else (self, o)
        return self.block.add(op, 1 if OPS[op].rule == "bit" else self.width, (a, b))

    def __add__(self, o: Value | int) -> Value:
        return self._binary("add", o)

    def __radd__(self, o: int) -> Value:
        return self._binary("add", o)

    def __sub__(self, o: Value | int) -> Value:
        return self._binary("sub", o)

    def __rsub__(self, o: int) -> Value:
        return self._binary("sub", o, swapped=True)

    def __mul__(self, o: Value | int) -> Value:
        return self._binary("mul", o)

    def __and__(self, o: Value | int) -> Value:
        return self._binary("and", o)

    def __or__(self, o: Value | int) -> Value:
        return self._binary("or", o)

    def __xor__(self, o: Value | int) -> Value:
        return self._binary("xor", o)

    def __invert__(self) -> Value:
        return self._binary("xor", -1)

    def __neg__(self) -> Value:
        return self._binary("sub", 0, swapped=True)

    def __floordiv__(self, o: Value | int) -> Value:
        return self._binary("udiv", o)

    def __mod__(self, o: Value | int) -> Value:
        return self._binary("urem", o)

    def __lshift__(self, o: Value | int) -> Value:
        return self._binary("shl", o)

    def __rlshift__(self, o: int) -> Value:
        return self._binary("shl", o, swapped=True)

    def __rshift__(self, o: Value | int) -> Value:
        return self._binary("lshr", o)

    def __lt__(self, o: Value | int) -> Value:
        return self._binary("ult", o)

    def __le__(self, o: Value | int) -> Value:
        return self._binary("ule", o)

    def __gt__(self, o: Value | int) -> Value:
        return self._binary("ult", o, swapped=True)

    def __ge__(self, o: Value | int) -> Value:
        return self._binary("ule", o, swapped=True)

    def __eq__(self, o: object) -> Value:  # type: ignore[override]
        assert isinstance(o, Value | int)
        return self._binary("eq", o)

    def __ne__(self, o: object) -> Value:  # type: ignore[override]
        assert isinstance(o, Value | int)
        return self._binary("ne", o)

    def rotl(self, o: Value | int) -> Value:
        return self._binary("rotl", o)

    def rotr(self, o: Value | int) -> Value:
        return self._binary("rotr", o)

    def clmul(self, o: Value | int) -> Value:
        """Carry-less product, low half."""
        return self._binary("clmul", o)

    def _unary(self, op: str) -> Value:
        return self.block.add(op, self.width, (self,))

    def clz(self) -> Value:
        """Number of leading zero bits, the width for zero."""
        return self._unary("clz")

    def ctz(self) -> Value:
        """Number of trailing zero bits, the width for zero."""
        return self._unary("ctz")

    def popcount(self) -> Value:
        return self._unary("popcount")

    def bswap(self) -> Value:
        """The bytes in opposite order."""
        return self._unary("bswap")

    def _cast(self, op: str, width: int) -> Value:
        return self if width == self.width else self.block.add(op, width, (self,))

    def zext(self, width: int) -> Value:
        """Widen with zeros."""
        return self._cast("zext", width)

    def sext(self, width: int) -> Value:
        """Widen with the sign bit."""
        return self._cast("sext", width)

    def trunc(self, width: int) -> Value:
        """Keep the low `width` bits."""
        return self._cast("trunc", width)

    def resize(self, width: int) -> Value:
        """Widen with zeros or cut, whichever `width` asks for."""
        return self.trunc(width) if width < self.width else self.zext(width)

    def bits(self, hi: int, lo: int) -> Value:
        """The field [hi:lo] as a value of its own width."""
        v = self >> lo if lo else self
        return v.trunc(hi - lo + 1)

    def bit(self, n: int) -> Value:
        """Bit `n` as a one-bit value."""
        return self.bits(n, n)

    @property
    def s(self) -> Signed:
        """View as two's complement for <, >=, >>, //, %."""
        return Signed(self)

    def lanes(self, width: int, signed: bool = False) -> Lanes:
        """View as a vector of elements of `width` bits; see `ratite.ir.lanes`."""
        from ratite.ir.lanes import Lanes

        return Lanes(self, width, signed)


class Signed:
    """View of a value on which comparisons, >>, // and % read it as two's complement."""

    __slots__ = ("v",)

    def __init__(self, v: Value) -> None:
        self.v = v

    def _binary(self, op: str, o: Signed | Value | int, swapped: bool = False) -> Value:
        return self.v._binary(op, o.v if isinstance(o, Signed) else o, swapped)

    def __lt__(self, o: Signed | int) -> Value:
        return self._binary("slt", o)

    def __le__(self, o: Signed | int) -> Value:
        return self._binary("sle", o)

    def __gt__(self, o: Signed | int) -> Value:
        return self._binary("slt", o, swapped=True)

    def __ge__(self, o: Signed | int) -> Value:
        return self._binary("sle", o, swapped=True)

    def __rshift__(self, o: Value | int) -> Value:
        return self._binary("ashr", o)

    def __floordiv__(self, o: Signed | int) -> Value:
        return self._binary("sdiv", o)

    def __mod__(self, o: Signed | int) -> Value:
        return self._binary("srem", o)


class Var:
    """A local variable of a native helper or of an instruction's text."""

    __slots__ = ("decl",)

    def __init__(self, decl: Value) -> None:
        self.decl = decl

    @property
    def value(self) -> Value:
        return self.decl.block.add("var.get", self.decl.args[0].width, (self.decl,))

    @value.setter
    def value(self, v: Value | int) -> None:
        width = self.decl.args[0].width
        v = self.decl.block.const(v, width) if isinstance(v, int) else v
        if v.width != width:
            raise DefinitionError(f"variable of width {width} is set to a value of width {v.width}")
        self.decl.block.add("var.set", 0, (self.decl, v))


class Block:
    """A recorded text."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.code: list[Value] = []
        self._consts: dict[tuple[int, int], Value] = {}

    def add(self, op: str, width: int, args: tuple[Value, ...] = (), attr: Any = None) -> Value:
        """Append an operation; its arguments must be of this block."""
        for a in args:
            if a.block is not self:
                raise DefinitionError(f"{self.name}: {op} uses a value of another block ({a.block.name})")
        v = Value(self, len(self.code), op, width, args, attr)
        self.code.append(v)
        return v

    def const(self, value: int, width: int) -> Value:
        """A number; negative ones are taken as two's complement."""
        if not -(1 << (width - 1)) <= value < 1 << width:
            raise DefinitionError(f"{self.name}: {value:#x} does not fit in {width} bits")
        return self.add("const", width, (), value & ((1 << width) - 1))
