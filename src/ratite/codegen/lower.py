"""Lowering recorded blocks to LLVM text.

Text rather than LLVM's builder objects: an instruction costs one or two microseconds instead of fifty. The structured control flow of a
block makes SSA form direct: at the end of a branch or loop, every variable that differs between the paths gets a phi.

What differs between uses is in `Lowering`'s subclasses: how registers and operands are reached, and how a text ends.
"""

from __future__ import annotations

from typing import Any

from ratite.bits import mask
from ratite.codegen import host_x86_64 as host
from ratite.codegen.lanes import as_integer, as_vector, lower_lanes, memory_type
from ratite.codegen.tables import RESERVATION_BITS, RESERVATIONS
from ratite.errors import DefinitionError
from ratite.ir import OPS, Block, Value
from ratite.ir.ops import Op
from ratite.ir.verify import ENDS
from ratite.isa.dsl import Layout

#: Metadata that texts refer to: branch weights, and the ranges that keep LLVM from guessing at holes.
METADATA = """!0 = !{i64 -1, i64 -1}
!9 = !{!"branch_weights", i32 100000, i32 1}
!8 = !{!"branch_weights", i32 1, i32 100000}
"""


def integer(value: int, width: int) -> str:
    """A constant as LLVM writes it."""
    if width == 1:
        return "true" if value else "false"
    return str(value - (1 << width) if value >> (width - 1) else value)


class _Frame:
    """An open `if` or `loop`."""

    def __init__(self, kind: str, **labels: Any) -> None:
        self.kind = kind
        self.exits: list[tuple[str, dict[Any, str]]] = []
        self.__dict__.update(labels)

    saved: dict[Any, str]
    other: str
    head: str
    phis: dict[Any, tuple[int, str]]
    entry: str


class Lowering:
    """Lowers one block. `current` holds the SSA name of everything that can change: pinned registers and local variables."""

    def __init__(self, block: Block, layout: Layout) -> None:
        self.block, self.layout = block, layout
        self.lines: list[str] = []
        self.names: dict[int, str] = {}
        self.vectors: dict[str, tuple[str, str]] = {}  # of integers that are vectors: type and name of the LLVM vector
        self.current: dict[Any, str] = {}
        self.frames: list[_Frame] = []
        self.label = "entry"
        self.live = True
        self.declarations: set[str] = set()
        self.strict = False
        self.used: set[int] = set()  # operations whose result somebody needs
        self._n = 0

    # --- emitting ---------------------------------------------------------------------------------------------------------------
    def __call__(self, expression: str) -> str:
        """Add an instruction and name its result."""
        self._n += 1
        self.lines.append(f" %t{self._n} = {expression}")
        return f"%t{self._n}"

    def line(self, text: str) -> None:
        """Add an instruction without a result."""
        self.lines.append(" " + text)

    def new_label(self) -> str:
        self._n += 1
        return f"L{self._n}"

    def start(self, label: str) -> None:
        """Begin a basic block."""
        self.lines.append(f"{label}:")
        self.label = label

    def branch(self, condition: str, yes: str, no: str, likely: bool | None = None) -> None:
        """A conditional branch."""
        weights = "" if likely is None else ", !prof !9" if likely else ", !prof !8"
        self.line(f"br i1 {condition}, label %{yes}, label %{no}{weights}")

    def declare(self, text: str) -> None:
        """Make sure that the module declares a function."""
        self.declarations.add(text)

    # --- state ------------------------------------------------------------------------------------------------------------------
    def state_pointer(self, offset: int | str) -> str:
        """Pointer to a place in the state."""
        return self(f"getelementptr i8, ptr %env, i64 {offset}")

    def field(self, name: str) -> tuple[str, str]:
        """LLVM type of a field and a pointer to it."""
        slot = self.layout.slots[name]
        return f"i{slot.width}", self.state_pointer(slot.offset)

    def get_field(self, name: str) -> str:
        ty, p = self.field(name)
        return self(f"load {ty}, ptr {p}")

    def set_field(self, name: str, value: str) -> None:
        ty, p = self.field(name)
        self.line(f"store {ty} {value}, ptr {p}")

    # --- what subclasses decide ---------------------------------------------------------------------------------------------------
    def get_register(self, file: str, which: str | int) -> str:
        raise NotImplementedError

    def set_register(self, file: str, which: str | int, value: str) -> None:
        raise NotImplementedError

    def operand(self, v: Value) -> str:
        raise NotImplementedError

    def pc(self, next_one: bool) -> str:
        raise NotImplementedError

    def host_pointer(self, address: str, width: int, write: bool) -> str:
        """Pointer to guest memory, having gone through the MMU."""
        raise NotImplementedError

    def finish(self, v: Value) -> None:
        """Lower an operation that ends the text."""
        raise NotImplementedError

    def fall_through(self) -> None:
        """Lower reaching the end of the text."""
        raise NotImplementedError

    def bail(self, condition: str) -> None:
        """Leave the rest to the reference evaluator when `condition` holds; nothing has been written yet."""
        raise NotImplementedError

    def assigned(self, v: Value) -> Any:
        """Key in `current` of what `v` changes, or None."""
        return ("var", v.args[0].index) if v.op == "var.set" else None

    # --- the walk ---------------------------------------------------------------------------------------------------------------
    def run(self) -> str:
        """Lower the whole block; the text of the function's body."""
        self.start("entry")
        self.lower_block()
        return "\n".join(self.lines)

    def lower_block(self) -> None:
        """Add the instructions of the block."""
        used = self.used = self._used()
        skipped = 0  # branches that are open in code that is never reached
        for i, v in enumerate(self.block.code):
            if not self.live and (skipped or v.op not in ("else", "end")):
                skipped += (v.op in ("if", "loop")) - (v.op == "end")
                continue
            if v.op in OPS and i not in used:
                continue
            self._one(i, v)
        if self.live:
            self.fall_through()

    def _used(self) -> set[int]:
        """Indices of operations whose result somebody needs."""
        used: set[int] = set()
        for v in reversed(self.block.code):
            if v.op not in OPS or v.index in used:
                used.update(a.index for a in v.args)
        return used

    def value(self, v: Value) -> str:
        """The LLVM operand for a value."""
        if v.op == "const":
            return integer(v.attr, v.width)
        name = self.names.get(v.index)
        if name is None:
            raise DefinitionError(f"{self.block.name}: %{v.index} {v.op} has no value here")
        return name

    def _one(self, i: int, v: Value) -> None:
        if v.op in OPS:
            self.names[i] = self._pure(v)
        elif v.op in ENDS:
            self.finish(v)
            self.live = False
        else:
            name = getattr(self, "_op_" + v.op.replace(".", "_"))(v)
            if v.width and name is not None:
                self.names[i] = name

    def _pure(self, v: Value) -> str:
        if v.attr is not None:
            return lower_lanes(self, v)
        op = OPS[v.op]
        a = v.args[0]
        names = dict(zip("abc", (self.value(x) for x in v.args), strict=False))
        t = f"i{a.width}"
        return self.by_row(op, names, t=t, s=t, r=f"i{v.width}", p="i1", w=a.width, n=v.width, wm=a.width - 1)

    def by_row(self, op: Op, names: dict[str, str], **types: object) -> str:
        """Add the instructions that the row of an operation tells, for operands of these names; the name of the result."""
        result = ""
        for part in op.llvm.split(";"):
            self.declare_intrinsic(part, str(types["t"]), str(types["s"]))
            result = self(part.format(**types, x=result, **names))
        return result

    def declare_intrinsic(self, part: str, t: str, suffix: str) -> None:
        """Declare the intrinsic that a part of an operation's row calls, if it does, for a type and its name in intrinsics."""
        if "@llvm." in part:
            intrinsic = part[part.index("@") : part.index("(")].format(s=suffix)
            params = ", ".join("i1" if p.strip().startswith("i1") else t for p in part[part.index("(") + 1 : -1].split(","))
            self.declare(f"declare {t} {intrinsic}({params})")

    def held(self, v: Value) -> str:
        """A value as registers and memory hold it (`memory_type`)."""
        return self.value(v) if v.width <= 64 else as_vector(self, v, 64)

    def taken(self, v: Value, name: str) -> str:
        """The value `v`, which `name` is as registers and memory hold it."""
        return name if v.width <= 64 else as_integer(self, v, memory_type(v.width), name)

    def _op_const(self, v: Value) -> str:
        return integer(v.attr, v.width)

    def _op_operand(self, v: Value) -> str:
        return self.operand(v)

    def _op_param(self, v: Value) -> str:
        return f"%a{v.attr}"

    def _op_pc(self, v: Value) -> str | None:
        return self.pc(False) if self._needs_pc(v) else None

    def _op_npc(self, v: Value) -> str | None:
        return self.pc(True) if self._needs_pc(v) else None

    def _needs_pc(self, v: Value) -> bool:
        return True

    def _op_reg_get(self, v: Value) -> str:
        return self.taken(v, self.get_register(*v.attr))

    def _op_reg_set(self, v: Value) -> None:
        file, which = v.attr
        self.set_register(file, which, self.held(v.args[0]))

    def _op_state_get(self, v: Value) -> str:
        return self.get_field(v.attr)

    def _op_state_set(self, v: Value) -> None:
        self.set_field(v.attr, self.value(v.args[0]))

    def _op_var(self, v: Value) -> None:
        self.current["var", v.index] = self.value(v.args[0])

    def _op_var_get(self, v: Value) -> str:
        return self.current["var", v.args[0].index]

    def _op_var_set(self, v: Value) -> None:
        self.current["var", v.args[0].index] = self.value(v.args[1])

    def _key_type(self, key: Any) -> str:
        if key[0] == "var":
            return f"i{self.block.code[key[1]].args[0].width}"
        return f"i{self.layout.word}"

    # --- control ----------------------------------------------------------------------------------------------------------------
    def _op_if(self, v: Value) -> None:
        yes, no = self.new_label(), self.new_label()
        self.branch(self.value(v.args[0]), yes, no, v.attr)
        self.frames.append(_Frame("if", saved=dict(self.current), other=no))
        self.start(yes)

    def _op_else(self, v: Value) -> None:
        frame = self.frames[-1]
        frame.kind = "else"
        if self.live:
            frame.exits.append((self.label, self.current))
            frame.__dict__["join"] = frame.__dict__.get("join") or self.new_label()
            self.line(f"br label %{frame.__dict__['join']}")
        self.current, self.live = dict(frame.saved), True
        self.start(frame.other)

    def _op_end(self, v: Value) -> None:
        frame = self.frames[-1]
        if frame.kind == "loop":
            self._end_loop()
            return
        if frame.kind == "if":
            self._op_else(v)
        self.frames.pop()
        if self.live and not frame.exits:
            return  # the other branch ended the text: go on without a join
        join = frame.__dict__.get("join") or self.new_label()
        if self.live:
            frame.exits.append((self.label, self.current))
            self.line(f"br label %{join}")
        self._join(join, frame.exits)

    def _join(self, label: str, exits: list[tuple[str, dict[Any, str]]]) -> None:
        self.live = bool(exits)
        if not exits:
            return
        self.start(label)
        merged = {}
        for key in exits[0][1]:
            names = [e.get(key) for _, e in exits]
            if None in names:
                continue  # declared inside one branch only
            if len(set(names)) == 1:
                merged[key] = exits[0][1][key]
            else:
                choices = ", ".join(f"[ {e[key]}, %{at} ]" for at, e in exits)
                merged[key] = self(f"phi {self._key_type(key)} {choices}")
        self.current = merged

    def _op_loop(self, v: Value) -> None:
        head, out = self.new_label(), self.new_label()
        frame = _Frame("loop", head=head, other=out, entry=self.label, phis={}, saved=dict(self.current))
        self.line(f"br label %{head}")
        self.start(head)
        depth = 0
        for w in self.block.code[v.index + 1 :]:
            depth += (w.op in ("if", "loop")) - (w.op == "end")
            if depth < 0:
                break
            key = self.assigned(w)
            if key in self.current and key not in frame.phis:
                self._n += 1
                frame.phis[key] = (len(self.lines), f"%t{self._n}")
                self.lines.append("")
                self.current[key] = f"%t{self._n}"
        self.frames.append(frame)

    def _op_break_if(self, v: Value) -> None:
        frame = next(f for f in reversed(self.frames) if f.kind == "loop")
        on = self.new_label()
        frame.exits.append((self.label, {k: x for k, x in self.current.items() if k in frame.saved}))
        self.branch(self.value(v.args[0]), frame.other, on)
        self.start(on)

    def _end_loop(self) -> None:
        frame = self.frames.pop()
        for key, (at, name) in frame.phis.items():
            back = f", [ {self.current[key]}, %{self.label} ]" if self.live else ""
            self.lines[at] = f" {name} = phi {self._key_type(key)} [ {frame.saved[key]}, %{frame.entry} ]{back}"
        if self.live:
            self.line(f"br label %{frame.head}")
        self._join(frame.other, frame.exits)

    # --- memory -----------------------------------------------------------------------------------------------------------------
    def _address(self, v: Value) -> str:
        a = self.value(v)
        return a if v.width == 64 else self(f"zext i{v.width} {a} to i64")

    def _op_load(self, v: Value) -> str:
        p = self.host_pointer(self._address(v.args[0]), v.width, write=False)
        done = self.must_load or v.index not in self.used
        loaded = self(f"load{' volatile' if done else ''} {memory_type(v.width)}, ptr {p}, align 1")
        self.accessed()
        return self.taken(v, loaded)

    def _op_store(self, v: Value) -> None:
        address, x = v.args
        p = self.host_pointer(self._address(address), x.width, write=True)
        self.line(f"store {memory_type(x.width)} {self.held(x)}, ptr {p}, align 1")
        self.accessed()

    def _op_amo(self, v: Value) -> str:
        address = self._address(v.args[0])
        p = self.host_pointer(address, v.width, write=True)
        self._count_atomic(address, p)
        old = self(f"atomicrmw {v.attr} ptr {p}, i{v.width} {self.value(v.args[1])} seq_cst, align {v.width // 8}")
        self.accessed()
        return old

    def _op_cas(self, v: Value) -> str:
        address = self._address(v.args[0])
        p = self.host_pointer(address, v.width, write=True)
        if v.width > 64:  # leaves no registers for counting
            self.about_to_exchange(p, 64)
        else:
            self._count_atomic(address, p)
        found, _ = self.exchange(p, self.value(v.args[1]), self.value(v.args[2]), v.width)
        self.accessed()
        return found

    def exchange(self, p: str, expected: str, new: str, width: int, counter: str = "") -> tuple[str, str]:
        """Write guest memory that holds what is expected: what it held, and whether it was that. counter: what is odd meanwhile."""
        pair = self(f"cmpxchg ptr {p}, i{width} {expected}, i{width} {new} seq_cst seq_cst, align {width // 8}")
        return self(f"extractvalue {{ i{width}, i1 }} {pair}, 0"), self(f"extractvalue {{ i{width}, i1 }} {pair}, 1")

    # Reservations. Every atomic operation first counts up, by two, a number that belongs to its address. A conditional store makes the number odd,
    # which keeps other conditional stores out, looks whether it has changed since the reservation was made, and only then compares and swaps: so
    # it fails after other atomic operations also where memory holds again what was read there.
    def _counter(self, address: str, p: str) -> str:
        """Where the number of atomic operations on a guest address, and its host address, is."""
        n = self(f"lshr i64 {self.reserved_address(address, p)}, {RESERVATION_BITS}")
        offset = self(f"shl i64 {self(f'and i64 {n}, {RESERVATIONS - 1}')}, 2")
        table = self(f"inttoptr i64 {self.get_field('reservations')} to ptr")
        return self(f"getelementptr i8, ptr {table}, i64 {offset}")

    def reserved_address(self, address: str, p: str) -> str:
        """What is the same for all processors that access the same memory."""
        return self(f"ptrtoint ptr {p} to i64")

    def _count_atomic(self, address: str, p: str) -> None:
        self(f"atomicrmw add ptr {self._counter(address, p)}, i32 2 seq_cst, align 4")

    def _op_load_reserved(self, v: Value) -> str:
        address, w = self._address(v.args[0]), v.width
        p = self.host_pointer(address, w, write=False)
        version = self(f"load atomic i32, ptr {self._counter(address, p)} seq_cst, align 4")
        loaded = self.load_in_order(p, w)
        self.accessed()
        self.set_field("reserve_addr", address)
        self.set_field("reserve_value", loaded if w == 64 else self(f"zext i{w} {loaded} to i64"))
        self.set_field("reserve_version", self(f"and i32 {version}, -2"))
        return loaded

    def load_in_order(self, p: str, width: int) -> str:
        """Load guest memory, after everything before and before everything that comes."""
        return self(f"load atomic volatile i{width}, ptr {p} seq_cst, align {width // 8}")

    def _op_store_conditional(self, v: Value) -> str:
        new, w = self.value(v.args[1]), v.args[1].width
        address = self._address(v.args[0])
        p = self.host_pointer(address, w, write=True)
        self.about_to_exchange(p, w)
        counter = self._counter(address, p)
        before = self(f"atomicrmw or ptr {counter}, i32 1 seq_cst, align 4")
        ours, holds, free, out, first = (*(self.new_label() for _ in range(4)), self.label)
        self.branch(self(f"icmp eq i32 {self(f'and i32 {before}, 1')}, 0"), ours, out, True)
        self.start(ours)
        now = self(f"load atomic i32, ptr {counter} seq_cst, align 4")
        changed = self(f"xor i32 {self(f'xor i32 {now}, 1')}, {self.get_field('reserve_version')}")
        self.branch(self(f"icmp eq i32 {changed}, 0"), holds, free, True)
        self.start(holds)
        expected = self.get_field("reserve_value")
        if w < 64:
            expected = self(f"trunc i64 {expected} to i{w}")
        _, done = self.exchange(p, expected, new, w, counter)
        other = self(f"zext i1 {self(f'xor i1 {done}, true')} to i32")
        tried = self.label
        self.line(f"br label %{free}")
        self.start(free)
        failed = self(f"phi i32 [ {changed}, %{ours} ], [ {other}, %{tried} ]")  # not zero: no block of its own, where registers might be written
        self(f"atomicrmw add ptr {counter}, i32 1 seq_cst, align 4")
        self.accessed()
        stored = self(f"icmp eq i32 {failed}, 0")
        self.line(f"br label %{out}")
        self.start(out)
        return self(f"phi i1 [ false, %{first} ], [ {stored}, %{free} ]")

    def about_to_exchange(self, pointer: str, width: int) -> None:
        """What comes is to find memory that can be written there."""

    #: Loads may fault, and nothing else may tell: also one whose result goes to a register that is always zero has to be done. (One whose result
    #: the text does not use always is.)
    must_load = False

    def accessed(self) -> None:
        """Guest memory has just been accessed."""

    def _op_fence(self, v: Value) -> None:
        self.line("fence seq_cst")

    def _op_peek(self, v: Value) -> str:
        p = self(f"inttoptr i{v.args[0].width} {self.value(v.args[0])} to ptr")
        return self(f"load i{v.width}, ptr {p}, align 1")

    def _op_poke(self, v: Value) -> None:
        p = self(f"inttoptr i{v.args[0].width} {self.value(v.args[0])} to ptr")
        x = v.args[1]
        self.line(f"store i{x.width} {self.value(x)}, ptr {p}, align 1")

    def _op_poke_if(self, v: Value) -> str:
        p = self(f"inttoptr i{v.args[0].width} {self.value(v.args[0])} to ptr")
        expected, new, w = self.value(v.args[1]), self.value(v.args[2]), v.width
        pair = self(f"cmpxchg ptr {p}, i{w} {expected}, i{w} {new} seq_cst seq_cst, align {w // 8}")
        return self(f"extractvalue {{ i{w}, i1 }} {pair}, 0")

    def _op_call(self, v: Value) -> str | None:
        args = ", ".join(["ptr %env"] + [f"i{a.width} {self.value(a)}" for a in v.args])
        types = ", ".join(["ptr"] + [f"i{a.width}" for a in v.args])
        result = f"i{v.width}" if v.width else "void"
        self.declare(f"declare {result} @{v.attr}({types})")
        self.called()
        text = f"call {result} @{v.attr}({args})"
        if v.width:
            return self(text)
        self.line(text)
        return None

    def called(self) -> None:
        """A helper is being called."""

    # --- floating point ---------------------------------------------------------------------------------------------------------
    def unknown_float(self, ty: str, x: str) -> str:
        """A number of which LLVM must know nothing. Where operands are never constants it knows nothing anyway."""
        return x

    def _op_fp(self, v: Value) -> str:
        from ratite.codegen.floats import lower_fp, lower_fp_lanes

        self.strict = True
        op, attr = v.attr[0], dict(v.attr[1])
        lanes = attr.pop("lanes", 0)
        if lanes:
            return lower_fp_lanes(self, v, op, attr, lanes)
        return lower_fp(self, op, attr, [(self.value(a), a.width) for a in v.args], v.width)

    def _op_fp_flags(self, v: Value) -> str:
        self.strict = True
        hard = self(f"trunc i32 {host.read_flags(self)} to i8")
        return self(f"or i8 {self.get_field('fp_flags')}, {hard}")

    def _op_fp_set_flags(self, v: Value) -> None:
        self.strict = True
        self.set_field("fp_flags", self.value(v.args[0]))
        host.clear_flags(self)

    def _op_fp_set_round(self, v: Value) -> None:
        self.strict = True
        x = v.args[0]
        mode = self.value(x)
        self.set_field("fp_round", mode if x.width == 8 else self(f"{'trunc' if x.width > 8 else 'zext'} i{x.width} {mode} to i8"))
        wide = self(f"{'trunc' if x.width > 32 else 'zext'} i{x.width} {mode} to i32") if x.width != 32 else mode
        host.set_round(self, wide)
        self.line("call void @llvm.x86.sse.stmxcsr(ptr %fpctl)")
        self.set_field("mxcsr", self("and i32 " + self("load i32, ptr %fpctl") + ", -64"))


class HelperLowering(Lowering):
    """Lowers a native helper to an ordinary function of the state pointer and its parameters."""

    def __init__(self, block: Block, layout: Layout, params: list[str], result: int) -> None:
        super().__init__(block, layout)
        self.params, self.result = params, result

    def get_register(self, file: str, which: str | int) -> str:
        slot = self.layout.slots[file]
        assert isinstance(which, int)
        return self(f"load i{slot.width}, ptr {self.state_pointer(slot.at(which))}")

    def set_register(self, file: str, which: str | int, value: str) -> None:
        raise DefinitionError(f"{self.block.name}: helpers can not write registers, which may live in host registers")

    def pc(self, next_one: bool) -> str:
        return self.get_field("next_pc")

    def finish(self, v: Value) -> None:
        if v.op != "return":
            raise DefinitionError(f"{self.block.name}: a helper ends with ret, not {v.op}")
        self.line(f"ret i{self.result} {self.value(v.args[0])}")

    def fall_through(self) -> None:
        self.line(f"ret i{self.result} 0")

    def text(self) -> str:
        """The whole function."""
        params = ", ".join(["ptr %env"] + [f"i{self.layout.word} %a{n}" for n in range(len(self.params))])
        body = self.run()
        entry, rest = body.split("\n", 1)
        fpctl = "\n %fpctl = alloca i32" if self.strict else ""
        attrs = " strictfp" if self.strict else ""
        return f"define i{self.result} @{self.block.name}({params}) nounwind{attrs} {{\n{entry}{fpctl}\n{rest}\n}}\n"


def bit_mask(width: int) -> str:
    """All ones of a width, as LLVM writes it."""
    return integer(mask(width), width)
