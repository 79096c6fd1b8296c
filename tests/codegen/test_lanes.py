"""Lane-wise operations as the host does them, held against the rows of the operation table, element by element."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Callable

import pytest

from ratite.bits import mask
from ratite.codegen import host_x86_64 as host
from ratite.codegen.lower import METADATA, HelperLowering
from ratite.errors import DefinitionError
from ratite.ir import OPS, Block, Lanes, Value
from ratite.ir.ops import HELPERS, join, split
from ratite.ir.printer import listing
from ratite.ir.verify import verify
from ratite.isa.dsl import Field, Layout, RegFile, State

Body = Callable[..., Value]


def block_of(body: Body, *widths: int) -> Block:
    """A block that reads operands of these widths at the addresses in its parameters and writes the result at the last."""
    b = Block("helper")
    values = [b.add("peek", w, (b.add("param", 64, (), n),)) for n, w in enumerate(widths)]
    b.add("poke", 0, (b.add("param", 64, (), len(widths)), body(*values)))
    b.add("return", 0, (b.const(0, 64),))
    return verify(b, restartable=False)


def native(body: Body, *widths: int) -> Callable[..., int]:
    """The function that a block computes, in machine code."""
    from llvmlite import binding as llvm

    block = block_of(body, *widths)
    result = block.code[-3].args[1].width if block.code[-1].op == "return" else 0
    low = HelperLowering(block, Layout.of(State, 64), [str(n) for n in range(len(widths) + 1)], 64)
    text = f'target triple = "{host.TRIPLE}"\n' + METADATA + low.text() + "\n".join(sorted(low.declarations))
    cpu, features = host.cpu()
    host.machine()
    machine = llvm.Target.from_triple(host.TRIPLE).create_target_machine(cpu=cpu, features=features, opt=2, jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(text), machine)
    engine.finalize_object()
    function = ctypes.CFUNCTYPE(ctypes.c_uint64, *[ctypes.c_void_p] * (len(widths) + 2))(engine.get_function_address("helper"))

    def call(*operands: int) -> int:
        made = ctypes.create_string_buffer(64)
        given = [ctypes.create_string_buffer(v.to_bytes(w // 8, "little"), w // 8) for v, w in zip(operands, widths, strict=True)]
        function(None, *map(ctypes.addressof, given), ctypes.addressof(made))
        return int.from_bytes(made.raw[: result // 8], "little")

    call.__dict__["engine"] = engine
    return call


def by_row(op: str, w: int, *elements: int) -> int:
    """What the table says of one element."""
    row, names = OPS[op], dict(zip("abc", elements, strict=False))
    found: int = eval(row.python.format(w=w, wm=w - 1, n=w, m=mask(w), **names), dict(HELPERS))
    return -found & mask(w) if row.rule == "bit" else found


def vectors(w: int, total: int, count: int) -> list[int]:
    choice = random.Random(w * total)
    edges = [0, 1, 2, w - 1, w, 1 << w - 1, (1 << w - 1) - 1, mask(w)]
    return [join([choice.choice([*edges, choice.getrandbits(w)]) & mask(w) for _ in range(total // w)], w) for _ in range(count)]


#: The rest is undefined for some operands, or not there for all widths.
LEFT_OUT = ("clmul", "udiv", "urem", "sdiv", "srem")
BINARY = [name for name, op in OPS.items() if op.rule in ("same", "bit") and "{b}" in op.python and name not in LEFT_OUT]
UNARY = [name for name, op in OPS.items() if op.rule == "same" and "{b}" not in op.python]
SHAPES = [(w, total) for total in (128, 256) for w in (8, 16, 32, 64, 128)]


@pytest.mark.parametrize(("w", "total"), SHAPES)
def test_operations_of_two_vectors(w: int, total: int) -> None:
    for op in BINARY:
        compute = native(lambda a, b, op=op: a.lanes(w)._apply(op, b.lanes(w)).v, total, total)
        for a, b in zip(vectors(w, total, 20), reversed(vectors(w, total, 20)), strict=True):
            expected = [by_row(op, w, x, y) for x, y in zip(split(a, w, total // w), split(b, w, total // w), strict=True)]
            assert compute(a, b) == join(expected, w), (op, hex(a), hex(b))


@pytest.mark.parametrize(("w", "total"), [shape for shape in SHAPES if shape[0] < 128])
def test_operations_of_one_vector(w: int, total: int) -> None:
    for op in UNARY:
        if op == "bswap" and w == 8:
            continue
        compute = native(lambda a, op=op: a.lanes(w)._apply(op).v, total)
        for a in vectors(w, total, 20):
            assert compute(a) == join([by_row(op, w, x) for x in split(a, w, total // w)], w), (op, hex(a))


@pytest.mark.parametrize(("w", "total"), [shape for shape in SHAPES if shape[0] < 128])
def test_elements_move(w: int, total: int) -> None:
    """Selection, widening, narrowing, shuffles, permutations, repetition, insertion and signs."""
    count = total // w
    order = random.Random(w).choices(range(2 * count), k=count)
    programs: dict[str, tuple[Body, Callable[[list[int], list[int]], list[int]]]] = {
        "select": (lambda a, b: (a.lanes(w) < b.lanes(w)).select(a.lanes(w), b.lanes(w)).v, lambda x, y: [*map(min, x, y)]),
        "shuffle": (lambda a, b: a.lanes(w).shuffle(order, b.lanes(w)).v, lambda x, y: [(x + y)[n] for n in order]),
        "permute": (lambda a, b: a.lanes(w).permute(b.lanes(w)).v, lambda x, y: [x[n % count] for n in y]),
        "splat": (lambda a, b: a.lanes(w).splat(b.lanes(w).lane(1)).v, lambda x, y: [y[1]] * count),
        "insert": (lambda a, b: a.lanes(w).with_lane(1, b.lanes(w).lane(0)).v, lambda x, y: [x[0], y[0], *x[2:]]),
        "there and back": (lambda a, b: (a.lanes(w, True).widened() + b.lanes(w).widened()).narrowed().v,
                           lambda x, y: [p + q & mask(w) for p, q in zip(x, y, strict=True)]),
    }  # fmt: skip
    for name, (body, expected) in programs.items():
        compute = native(body, total, total)
        for a, b in zip(vectors(w, total, 20), reversed(vectors(w, total, 20)), strict=True):
            assert compute(a, b) == join(expected(split(a, w, count), split(b, w, count)), w), name
    signs = native(lambda a: a.lanes(w).signs().zext(64), total)
    for a in vectors(w, total, 20):
        assert signs(a) == sum(x >> w - 1 << n for n, x in enumerate(split(a, w, count)))


def test_shapes_must_agree() -> None:
    """Vectors of unlike elements do not meet, and widths are whole numbers of elements."""
    b = Block("t")
    v = b.add("param", 128, (), 0)
    with pytest.raises(DefinitionError, match="unlike shapes"):
        v.lanes(8) + v.lanes(16)
    with pytest.raises(DefinitionError, match="no whole number"):
        v.trunc(24).lanes(16)
    with pytest.raises(DefinitionError, match="no truth"):
        bool(v.lanes(8) == v.lanes(8))
    b.add("add", 128, (v, v), 24)
    with pytest.raises(DefinitionError, match="elements of 24 bits"):
        verify(b)


def test_listings_tell_the_width_of_elements() -> None:
    b = Block("t")
    v = Lanes(b.add("param", 128, (), 0), 8)
    _ = v + v
    assert "%1:128 = +[8] %0, %0" in listing(b)


def test_files_lie_within_wider_ones() -> None:
    """Parts share the place of the whole; wide files lie behind the displacements that the host can shorten."""

    class Machine(State):
        wide = RegFile(4, 256)
        part = RegFile(4, 64, within="wide")
        last = Field(64)

    layout = Layout.of(Machine, 64)
    wide, part = layout.slots["wide"], layout.slots["part"]
    assert (part.offset, part.stride, part.width) == (wide.offset, wide.stride, 64)
    assert wide.offset >= 127 * 32 and layout.slots["last"].offset < wide.offset

    class Broken(State):
        narrow = RegFile(4, 64)
        part = RegFile(4, 128, within="narrow")

    with pytest.raises(DefinitionError, match="narrow has 4 registers of 64 bits"):
        Layout.of(Broken, 64)
