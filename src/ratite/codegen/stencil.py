"""Stencils: pieces of machine code with holes, one for every instruction form.

A form is an instruction together with how its operands are held: a register operand is the zero register, one of the pinned registers, or in
memory; an immediate is zero, small or large, of either sign. LLVM compiles each form twice, with different numbers where the operands go;
where the two pieces of code differ is a hole. Which pinned registers it is about does not matter as a rule: code for others is made by
renaming. Places that depend on the address of the instruction, or of other code, are found through the object's relocations and are filled in
when the code is placed.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from ratite.codegen import host_x86_64 as host
from ratite.codegen import inspect_x86_64 as inspect
from ratite.codegen.elfobj import Object, Reloc
from ratite.codegen.floats import hostable
from ratite.codegen.forms import Form, FormInfo, Hole, Key, Late, Stencil, canonical
from ratite.codegen.kinds import ADDRESS32, ADDRESS64, CONSTANT, FIXED, MEMORY, MISS_LOAD, MISS_STORE, STUB, TAKEN, ZERO
from ratite.codegen.lanes import memory_type
from ratite.codegen.lower import METADATA, Lowering
from ratite.codegen.tables import JUMP_ENTRIES, PAGE_BITS, TLB_ENTRIES
from ratite.errors import DefinitionError
from ratite.ir import ACCESSES, OPS, Block, Value
from ratite.ir.verify import ENDS
from ratite.isa.arch import Arch, Exit
from ratite.isa.dsl import Insn
from ratite.isa.dsl.record import record


def _opposites(*firsts: int, bits: int) -> tuple[tuple[int, int], ...]:
    """Pairs of numbers that differ in every one of the lower bits."""
    return tuple((n, n ^ ((1 << bits) - 1)) for n in firsts)


#: Two sample values for every class of immediates, for the first, second and third immediate of an instruction. The two differ in every bit that
#: is not the same in the whole class, so that nothing can be decided alike for both that is not so for all. The differences tell operands apart:
#: they are unlike each other and unlike those of registers (120, 128, 136, ...).
_SAMPLES: dict[str, tuple[tuple[int, int], ...]] = {
    "8": tuple((n, ~n) for n in (48, 32, 16)),
    "32": tuple((n, ~n) for n in (0x35A71340, 0x2C6390F0, 0x1B63E0F0)),
    "p8": _opposites(48, 32, 16, bits=7),
    "n8": _opposites(-48, -32, -17, bits=7),
    "s": _opposites(13, 14, 11, bits=5),
    "S": _opposites(45, 46, 43, bits=5),
    "p": _opposites(0x35A71340, 0x2C6390F0, 0x1B63E0F0, bits=31),
    "n": _opposites(-0x35A71340, -0x2C6390F0, -0x1B63E0F0, bits=31),
}
#: Classes of which LLVM may use no number but the amount itself: an amount plus one need not be an amount.
_EXACT = frozenset("sS")


def _register_samples(n: int) -> tuple[int, int]:
    """Two registers to stand for register operand `n`. In the near file one lies before the state pointer and one behind it: a one-byte
    displacement can then not be taken for a part of a longer number."""
    return 2 + 3 * n, 17 + 4 * n


#: Sample offsets of the jump cache, which every context has for itself.
_JUMP_SAMPLES = (0x51234560, 0x4F3021B0)


def block_of(insn: Insn, arch: Arch, form: Form) -> Block:
    """Record the text of a form."""
    return record(insn.text, arch.layout, arch.config, form.statics, form.context)


def analyse(block: Block, insn: Insn) -> FormInfo:
    """Find out how a recorded text uses its immediates and whether the host can run it."""
    interpreted = any(
        v.op == "python" or (v.op == "fp" and not hostable(v.attr[0], dict(v.attr[1]))) for v in block.code
    )
    kinds = []
    for imm in insn.text.fmt.imms:
        uses = [(v, n) for v in block.code for n, a in enumerate(v.args) if a.op == "operand" and a.attr == imm.name]
        kinds.append(_kind(block, uses))
    links = [v.attr[1] for v in block.code if v.op == "reg.set" and v.args[0].op == "npc"]
    names = [r.name for r in insn.text.fmt.regs]
    last = block.code[-1].op if block.code else ""
    return FormInfo(
        imms=tuple(kinds),
        interpreted=interpreted,
        ends=last in ENDS,
        links=names.index(links[0]) if links and links[0] in names else -1,
        resumes=last != "jump",
        forks=any(v.op in ("exit", "resync", "call") or (v.op == "jump" and v.args[0].op != "npc") for v in block.code),
    )


def _kind(block: Block, uses: list[tuple[Value, int]]) -> str:
    if not uses:
        return "unused"
    relative = [v for v, _ in uses if v.op == "add" and v.args[0].op == "pc"]
    if relative and len(relative) == len(uses):
        jumps = [j for j in block.code if j.op == "jump" and j.attr is None and any(j.args[0] is v for v in relative)]
        return "branch" if jumps else "pcrel"
    if all(_only_describes(block, v) for v, _ in uses):
        return "wide"
    for v, n in uses:
        if v.op in ("shl", "lshr", "ashr", "rotl", "rotr") and n == 1:
            return "shift"
        if v.op == "trunc" and any(w.op in ("shl", "lshr", "ashr", "rotl", "rotr") and w.args[1] is v for w in block.code):
            return "shift"
    if any(v.op != "add" for v, _ in uses):
        return "plain"
    addresses = [a for v in block.code if v.op in ACCESSES for a in v.args[:1]]
    return "address" if any(v is a for v, _ in uses for a in addresses) else "sum"


def _only_describes(block: Block, v: Value) -> bool:
    """Whether a value only ends up in the description of an exception."""
    return v.op == "trap" or (v.op in OPS and all(_only_describes(block, w) for w in block.code if any(a is v for a in w.args)))


class _How(NamedTuple):
    """How a form is compiled: immediates as symbols that LLVM knows nothing of; pinned registers kept where they are over guest accesses; with one
    sample where that tells enough, or with two in any case."""

    opaque: bool = False
    precise: bool = False
    twice: bool = False


class StencilLowering(Lowering):
    """Lowers the text of a form, with sample numbers (or opaque symbols) in the place of operands."""

    def __init__(self, block: Block, arch: Arch, insn: Insn, key: Key, sample: int, how: _How) -> None:
        super().__init__(block, arch.layout)
        self.arch, self.key, self.info = arch, key, analyse(block, insn)
        self.word = arch.layout.word
        self.pins = {p: i for i, p in enumerate(arch.layout.pinned)}
        fmt = insn.text.fmt
        self.regs = {r.name: (r.file, key.regs[n], n) for n, r in enumerate(fmt.regs)}
        self.imms = {m.name: (key.imms[n], n) for n, m in enumerate(fmt.imms)}
        self.sample, self.how = sample, how
        self.must_load = arch.user and ZERO in key.regs
        self.reload = False
        for i in range(host.PINNED):
            self.current["p", i] = f"%p{i}"
        self.cold: list[str] = []

    def _key_type(self, key: Any) -> str:
        return f"i{self.word}" if key[0] == "p" else super()._key_type(key)

    # --- registers and operands ---------------------------------------------------------------------------------------------------
    def _register(self, file: str, which: str | int) -> tuple[int, int]:
        """Class of a register and, in memory, its offset."""
        slot = self.layout.slots[file]
        if isinstance(which, str):
            _, cls, n = self.regs[which]
            return cls, slot.offset + slot.stride * _register_samples(n)[self.sample]
        if which == self.layout.file(file).zero:
            return ZERO, 0
        return self.pins.get((file, which), MEMORY), slot.at(which)

    def get_register(self, file: str, which: str | int) -> str:
        cls, offset = self._register(file, which)
        if cls == ZERO:
            return "0"
        if cls == MEMORY:
            return self(f"load {memory_type(self.layout.slots[file].width)}, ptr {self.state_pointer(offset)}{self._aligned(file)}")
        return self.current["p", cls]

    def set_register(self, file: str, which: str | int, value: str) -> None:
        cls, offset = self._register(file, which)
        if cls == MEMORY:
            self.line(f"store {memory_type(self.layout.slots[file].width)} {value}, ptr {self.state_pointer(offset)}{self._aligned(file)}")
        elif cls != ZERO:
            self.current["p", cls] = value

    def _aligned(self, file: str) -> str:
        """Slots are aligned to eight bytes, and LLVM would take more for granted."""
        return ", align 8" if self.layout.slots[file].width > 64 else ""

    def assigned(self, v: Value) -> Any:
        if v.op == "reg.set":
            return "p", self._register(*v.attr)[0]
        return super().assigned(v)

    def operand(self, v: Value) -> str:
        cls, n = self.imms[v.attr]
        if cls == "0":
            return "0"
        if self.how.opaque or cls == "q":
            return f"ptrtoint (ptr @h_imm{n} to i{v.width})"
        return str(_SAMPLES[cls][n][self.sample]) if cls in _SAMPLES else "poison"

    def pc(self, next_one: bool) -> str:
        return f"ptrtoint (ptr @h_{'npc' if next_one else 'pc'} to i{self.word})"

    def _relative(self, v: Value) -> bool:
        return v.op == "add" and v.args[0].op == "pc" and v.args[1].op == "operand" and self._imm_kind(v.args[1]) in ("branch", "pcrel")

    def _imm_kind(self, v: Value) -> str:
        return self.info.imms[self.imms[v.attr][1]]

    def _pure(self, v: Value) -> str:
        if self._relative(v):
            return f"ptrtoint (ptr @h_pcimm to i{self.word})"
        return super()._pure(v)

    # --- ends ---------------------------------------------------------------------------------------------------------------------
    def arguments(self, current: bool = True, va: str = "poison") -> str:
        """The arguments of a tail call."""
        tlb = "%tlb"
        if self.reload and current:
            tlb = self.get_pointer("tlb")
        pins = [self.current["p", i] if current else f"%p{i}" for i in range(host.PINNED)]
        return ", ".join([f"ptr {tlb}", "ptr %env"] + [f"i{self.word} {p}" for p in pins] + [f"i64 {va}"])

    def get_pointer(self, name: str) -> str:
        """A field that holds a host address."""
        return self(f"load ptr, ptr {self.state_pointer(self.layout.slots[name].offset)}")

    def tail(self, to: str, arguments: str | None = None) -> None:
        """Jump to other code."""
        self.line(f"musttail call preserve_nonecc void {to}({self.arguments() if arguments is None else arguments})")
        self.line("ret void")

    def aside(self, label: str, to: str, arguments: str) -> None:
        """A block that jumps elsewhere, at the end of the function: there the code generator makes it a conditional jump."""
        self.cold += [f"{label}:", f" musttail call preserve_nonecc void {to}({arguments})", " ret void"]

    def called(self) -> None:
        self.reload = True

    def fall_through(self) -> None:
        self.tail("@cont")

    def finish(self, v: Value) -> None:
        getattr(self, "_end_" + v.op)(v)

    def _end_jump(self, v: Value) -> None:
        target = v.args[0]
        if target.op == "npc":
            self.fall_through()
        elif self._relative(target) and v.attr is None:
            if self.imms[target.args[1].attr][0] == "b":
                self._unless_attention("@h_stub")
            self.tail("@taken")
        else:
            self._indirect(self.value(target))

    def _unless_attention(self, elsewhere: str) -> None:
        flags = self(f"load i16, ptr {self.state_pointer(self.layout.slots['attention'].offset)}")
        calm, on, off = self(f"icmp eq i16 {flags}, 0"), self.new_label(), self.new_label()
        self.branch(calm, on, off, True)
        self.aside(off, elsewhere, self.arguments())
        self.start(on)

    def _indirect(self, to: str) -> None:
        """Jump through the jump cache of this context."""
        wide = to if self.word == 64 else self(f"zext i{self.word} {to} to i64")
        offset = self(f"and i64 {self(f'shl i64 {wide}, 3')}, {(JUMP_ENTRIES - 1) * 16}")
        entry = self.state_pointer(offset)
        tag = self(f"load i64, ptr {self(f'getelementptr i8, ptr {entry}, i64 {_JUMP_SAMPLES[self.sample]}')}")
        hit, miss, go = self.new_label(), self.new_label(), self.new_label()
        self.branch(self(f"icmp eq i64 {tag}, {wide}"), hit, miss, True)
        self.start(hit)
        flags = self(f"load i16, ptr {self.state_pointer(self.layout.slots['attention'].offset)}")
        self.branch(self(f"icmp eq i16 {flags}, 0"), go, miss, True)
        self.start(go)
        self.tail(self(f"load ptr, ptr {self(f'getelementptr i8, ptr {entry}, i64 {_JUMP_SAMPLES[self.sample] + 8}')}"))
        self.start(miss)
        self.set_field("next_pc", to)
        self.tail("@dispatch")

    def _end_trap(self, v: Value) -> None:
        for name, x in zip(("trap_cause", "trap_value"), v.args, strict=True):
            text = self.value(x)
            self.set_field(name, text if x.width == 64 else self(f"zext i{x.width} {text} to i64"))
        self.set_field("next_pc", self.pc(False))
        self.tail("@raise")

    def _end_exit(self, v: Value) -> None:
        self.set_field("reason", str(v.attr))
        self.set_field("next_pc", self.value(v.args[0]))
        self.tail("@leave")

    def _end_resync(self, v: Value) -> None:
        self.set_field("next_pc", self.value(v.args[0]))
        self.tail("@dispatch")

    def _end_interpret(self, v: Value) -> None:
        self.set_field("reason", str(Exit.INTERPRET))
        self.set_field("next_pc", self.pc(False))
        self.tail("@leave", self.arguments(current=False))

    def bail(self, condition: str) -> None:
        out, on = self.new_label(), self.new_label()
        self.branch(condition, out, on, False)
        self.start(out)
        self._end_interpret(self.block.code[0])
        self.start(on)

    # --- memory -------------------------------------------------------------------------------------------------------------------
    def host_pointer(self, address: str, width: int, write: bool) -> str:
        if self.arch.user:
            return self(f"getelementptr i8, ptr %tlb, i64 {address}")
        index = self(f"and i64 {self(f'lshr i64 {address}, {PAGE_BITS - 5}')}, {(TLB_ENTRIES - 1) * 32}")
        entry = self(f"getelementptr i8, ptr %tlb, i64 {index}")
        tag = self(f"load i64, ptr {self(f'getelementptr i8, ptr {entry}, i64 8') if write else entry}")
        last = address if width == 8 else self(f"add i64 {address}, {width // 8 - 1}")
        page = self(f"and i64 {last}, {-(1 << PAGE_BITS)}")
        hit, miss = self.new_label(), self.new_label()
        self.branch(self(f"icmp eq i64 {tag}, {page}"), hit, miss, True)
        self.aside(miss, f"@miss_{'store' if write else 'load'}", self.arguments(current=False, va=address))
        self.start(hit)
        delta = self(f"load i64, ptr {self(f'getelementptr i8, ptr {entry}, i64 24')}")
        return self(f"inttoptr i64 {self(f'add i64 {delta}, {address}')} to ptr")

    def reserved_address(self, address: str, p: str) -> str:
        return address if self.arch.user else super().reserved_address(address, p)

    def about_to_exchange(self, pointer: str, width: int) -> None:
        if self.arch.user:  # the host's instruction wants registers that are pinned, and must not be the one that faults
            host.probe(self, pointer, width)
            self.accessed()

    def accessed(self) -> None:
        if self.how.precise:
            self.line(host.keep_pinned(self.word))

    def text(self, name: str) -> str:
        """The whole function."""
        body = self.run() + "\n" + "\n".join(self.cold)
        entry, rest = body.split("\n", 1)
        fpctl = "\n %fpctl = alloca i32" if "%fpctl" in body else ""
        attrs = " strictfp" if self.strict else ""
        params = signature(self.word, names=True)
        return f"define preserve_nonecc void @{name}({params}) optsize nounwind{attrs} {{\n{entry}{fpctl}\n{rest}\n}}\n"


def signature(word: int, names: bool) -> str:
    """Parameters of every stencil."""
    params = ["ptr %tlb", "ptr %env"] + [f"i{word} %p{i}" for i in range(host.PINNED)] + ["i64 %va"]
    return ", ".join(params if names else [p.split(" ")[0] for p in params])


def header(word: int) -> str:
    """What the module of a stencil starts with: holes and jump targets are external symbols."""
    types = signature(word, names=False)
    wide = "".join(f"@h_{n} = external hidden global i8, !absolute_symbol !0\n" for n in ("pc", "npc", "pcimm", "imm0", "imm1", "imm2"))
    targets = ("cont", "taken", "h_stub", "dispatch", "raise", "leave", "miss_load", "miss_store")
    return (
        f'target triple = "{host.TRIPLE}"\n{wide}' + METADATA
        + host.FP_DECLARATIONS
        + "".join(f"declare preserve_nonecc void @{t}({types})\n" for t in targets)
    )


class Job(NamedTuple):
    """A form to compile: its key, its instruction and its recorded text."""

    key: Key
    insn: Insn
    block: Block


def texts(arch: Arch) -> dict[str, Insn]:
    """Whatever forms are of, by the name in them."""
    from ratite.codegen import pseudo

    return {insn.text.name: insn.text for insn in (*arch.decoder.insns, arch.illegal, *pseudo.ALL)}


def compile_stencils(arch: Arch, jobs: Sequence[Job]) -> dict[Key, Stencil]:
    """Compile forms in one LLVM module. A form whose immediates can not be found in the code is compiled again with opaque ones, and one
    that changes registers before an access that may fault so that it does not."""
    done: dict[Key, Stencil] = {}
    waiting = [(job, _How(opaque=_computes_with_operands(job.block))) for job in jobs]
    while waiting:
        again = []
        for (job, how), (stencil, wrong) in zip(waiting, _compile(arch, waiting), strict=True):
            better = how._replace(**dict.fromkeys(wrong, True))
            if stencil is not None:
                done[job.key] = stencil
            elif better == how:
                raise DefinitionError(f"no stencil for {job.key}: not {' and '.join(wrong)}")
            else:
                again.append((job, better))
        waiting = again
    return done


def _compile(arch: Arch, jobs: Sequence[tuple[Job, _How]]) -> list[tuple[Stencil | None, list[str]]]:
    """For each form its stencil, or what has to be otherwise."""
    from llvmlite import binding as llvm

    texts, declarations = [header(arch.word)], set()
    for n, (job, how) in enumerate(jobs):
        for sample in (0, 1) if how.twice or _needs_two(job) else (0,):
            low = StencilLowering(job.block, arch, job.insn, job.key, sample, how)
            texts.append(low.text(f"s{n}_{sample}"))
            declarations |= low.declarations
    module = llvm.parse_assembly("".join(texts) + "\n".join(sorted(declarations)))
    obj = Object(host.machine().emit_object(module))
    relocs = obj.relocs_by_function()
    results: list[tuple[Stencil | None, list[str]]] = []
    for n, (job, how) in enumerate(jobs):
        first = obj.functions[f"s{n}_0"]
        second = obj.functions.get(f"s{n}_1", first)
        code = obj.bytes_of(first)
        if how.twice or _needs_two(job):
            holes, otherwise = _find_holes(arch, job, code, obj.bytes_of(second), how.opaque), "opaque"
        else:
            holes, otherwise = _register_holes(arch, job, code), "twice"
        sampled = not how.opaque and any(c in _SAMPLES for c in job.key.imms)
        alike = not sampled or _constants(obj, relocs[first.name]) == _constants(obj, relocs[second.name])
        wrong = [] if holes is not None and alike else [otherwise if holes is None else "opaque"]
        if arch.user and _accesses(job.block) and not inspect.is_precise(code):
            wrong.append("precise")
        stencil = None if wrong or holes is None else _finish(obj, code, holes, relocs[first.name], job.key.regs)
        results.append((stencil, wrong))
    return results


#: What may be done to an immediate alone without its samples deciding anything: the result is another number that differs as they do.
_HARMLESS = frozenset(("zext", "sext", "trunc", "add"))


def _computes_with_operands(block: Block) -> bool:
    """Whether a text computes something from immediates and constants alone. LLVM would do that for the samples, and where both give the same, as
    with `imm < 100`, nobody could see it."""
    known = set[Value]()
    for v in block.code:
        if v.op == "operand" or (v.op in OPS and any(a in known for a in v.args) and all(a in known or a.op == "const" for a in v.args)):
            known.add(v)
            if v.op != "operand" and v.op not in _HARMLESS:
                return True
    return False


def _constants(obj: Object, relocs: list[Reloc]) -> list[bytes]:
    """Constants that the code refers to: an immediate that went into one of them is no hole, so they must not differ between samples."""
    return [obj.element(r, r.type in host.RELATIVE) for r in relocs if r.section]


def _accesses(block: Block) -> bool:
    """Whether a text accesses guest memory, which may fault in the middle of its code."""
    return any(v.op in ACCESSES for v in block.code)


def _needs_two(job: Job) -> bool:
    """Whether holes can not be found with one sample. Where all of them are registers in memory they can, unless the text itself names some."""
    named = any(v.op in ("reg.get", "reg.set") and isinstance(v.attr[1], int) for v in job.block.code)
    return any(c in _SAMPLES for c in job.key.imms) or _jumps(job) or (named and MEMORY in job.key.regs)


def _jumps(job: Job) -> bool:
    """Whether a text jumps through the jump cache."""
    relative = "branch" in analyse(job.block, job.insn).imms
    return not relative and any(v.op == "jump" and v.args[0].op != "npc" for v in job.block.code)


def _candidates(arch: Arch, job: Job, opaque: bool) -> list[tuple[int, int, int, int]]:
    """(operand, first sample, second sample, how far a number in the code may be from it) of every hole."""
    found = []
    fmt = job.insn.text.fmt
    for n, (r, cls) in enumerate(zip(fmt.regs, job.key.regs, strict=True)):
        if cls == MEMORY:
            slot = arch.layout.slots[r.file]
            first, second = _register_samples(n)
            found.append((n, slot.offset + slot.stride * first, slot.offset + slot.stride * second, max(16, slot.width // 8)))
    if not opaque:
        for n, imm_cls in enumerate(job.key.imms):
            if imm_cls in _SAMPLES:
                found.append((len(job.key.regs) + n, *_SAMPLES[imm_cls][n], 0 if imm_cls in _EXACT else 16))
    if _jumps(job):
        found.append((-1, *_JUMP_SAMPLES, 16))
    return found


def _register_holes(arch: Arch, job: Job, code: bytes) -> list[Hole] | None:
    """The holes of a form that has none but registers in memory: every access to one is by its distance from the state pointer, which no other
    part of the state has. None where the code is more than is understood here."""
    candidates = [c for c in _candidates(arch, job, True) if c[0] >= 0]
    accesses = inspect.state_accesses(code) if candidates else []
    if accesses is None or any(size not in (1, 4) for _, _, size in accesses):
        return None
    holes = []
    for distance, offset, size in accesses:
        operand = next((n for n, first, _, margin in candidates if first <= distance < first + margin), None)
        if operand is not None:
            holes.append(Hole(operand, offset, size, distance - next(c[1] for c in candidates if c[0] == operand)))
    return holes


def _find_holes(arch: Arch, job: Job, a: bytes, b: bytes, opaque: bool) -> list[Hole] | None:
    """Explain every byte in which the two versions differ by an operand; None when that fails."""
    if len(a) != len(b):
        return None
    candidates = _candidates(arch, job, opaque)
    holes: list[Hole] = []
    covered = -1
    for j in range(len(a)):
        if a[j] == b[j] or j <= covered:
            continue
        hole = _explain(candidates, a, b, j)
        if hole is None:
            return None
        holes.append(hole)
        covered = hole.offset + hole.size - 1
    return holes


def _explain(candidates: list[tuple[int, int, int, int]], a: bytes, b: bytes, j: int) -> Hole | None:
    """The hole around byte `j`: a field of eight, four or one bytes which holds a sample plus a small number in both versions."""
    for size, fmt in ((8, "<q"), (4, "<i"), (1, "b")):
        for start in range(max(0, j - size + 1), j + 1):
            if start + size > len(a):
                continue
            x, y = struct.unpack_from(fmt, a, start)[0], struct.unpack_from(fmt, b, start)[0]
            for operand, first, second, margin in candidates:
                if x - first == y - second and abs(x - first) <= margin:
                    return Hole(operand, start, size, x - first)
    return None


_SYMBOL_LATE = {
    "taken": (TAKEN, "imm"),
    "h_stub": (STUB, "imm"),
    "miss_load": (MISS_LOAD, ""),
    "miss_store": (MISS_STORE, ""),
}


def _finish(obj: Object, code: bytes, holes: list[Hole], relocs: list[Reloc], classes: tuple[int, ...]) -> Stencil:
    """Drop the jump to the next stencil where it is last, and sort relocations into holes and late places."""
    data = bytearray(code)
    relocs = host.straighten(data, relocs)
    opcode, length = host.TAIL_JUMP
    last = relocs[-1] if relocs else None
    if last and last.symbol == "cont" and last.offset == len(data) - 4 and data[-length] == opcode:
        del data[-length:]
        relocs = relocs[:-1]
    lates: list[Late] = []
    for r in relocs:
        if r.symbol == "cont":
            struct.pack_into("<i", data, r.offset, len(data) + r.addend - r.offset)
        elif r.symbol.startswith("h_imm"):
            holes.append(Hole(len(classes) + int(r.symbol[5:]), r.offset, 8 if r.type == host.ABS64 else 4, r.addend))
        elif r.symbol in _SYMBOL_LATE:
            kind, counted = _SYMBOL_LATE[r.symbol]
            lates.append(Late(kind, r.offset, 0, counted))
        elif r.symbol.startswith("h_"):
            name = {"h_pc": "pc", "h_npc": "npc", "h_pcimm": "imm"}[r.symbol]
            lates.append(Late(ADDRESS64 if r.type == host.ABS64 else ADDRESS32, r.offset, r.addend, name))
        else:
            relative = r.type in host.RELATIVE
            base, addend = obj.constant(r, relative) if r.section else (r.symbol, r.addend)
            lates.append(Late(FIXED if relative else CONSTANT, r.offset, addend, base))
    code = bytes(data)
    same = canonical(classes)
    found = inspect.register_fields(code, len(same[1])) if same is not None and same[0] == classes else None
    return Stencil(code, tuple(holes), tuple(lates), *(found or (None, ())))
