"""Lowering of floating-point operations to the host's, where it gives the same bits and flags.

Operations and attributes (formats are "f32" and "f64"; `rm` is "dyn" for the host's current rounding mode, or 0 nearest even, 1 to zero,
2 down, 3 up, 4 nearest with ties away):

    fadd fsub fmul fdiv fsqrt fma                    fmt, rm
    fmin fmax feq flt fle                            fmt
    froundi                                          fmt, rm, inexact (true)
    fcvt_f2f    src, dst, rm        fcvt_f2i    fmt, int_width, signed, rm        fcvt_i2f    fmt, int_width, signed, rm

With attribute `lanes` operands and result are vectors of so many elements, and truths are whole elements, all ones or zero. "f16" is for the
reference evaluator only.

NaN results are the canonical NaN. The host detects tininess after rounding, as RISC-V does. Sticky flags stay in the host's control register
until somebody reads them. Results that the host computes otherwise (conversions out of range, invalid multiply-add) are left to the reference
evaluator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ratite.codegen import host_x86_64 as host
from ratite.codegen.lanes import as_integer, as_vector, element_wise, vector_type
from ratite.ir import Value

if TYPE_CHECKING:
    from ratite.codegen.lower import Lowering

_TYPES = {"f32": ("float", 32, "f32", 0x7FC00000), "f64": ("double", 64, "f64", 0x7FF8000000000000)}
#: Operations that the host does on vectors; others are done element by element.
_VECTOR = frozenset(("fadd", "fsub", "fmul", "fdiv", "fsqrt", "fma", "fmin", "fmax", "feq", "flt", "fle", "froundi"))
_SIMPLE = {"fadd": 2, "fsub": 2, "fmul": 2, "fdiv": 2, "fsqrt": 1, "fma": 3}
_ROUND_TO_INTEGRAL = {"dyn": "rint", 0: "roundeven", 2: "floor", 3: "ceil"}
_INEXACT = 16


def hostable(op: str, attr: dict[str, Any]) -> bool:
    """Whether the host computes this operation at all."""
    if attr.get("rm") == 4 or "f16" in attr.values():
        return False
    rounds = op == "froundi" or (op == "fcvt_f2i" and attr["rm"] != 1)
    needs = "fma" if op == "fma" else "sse4.1" if rounds else ""
    return not needs or host.has(needs)


class _Shape(NamedTuple):
    """LLVM types of a number or of a vector of numbers: its own, that of its bits, that of truths; how intrinsics spell it; the canonical NaN."""

    ty: str
    bits: str
    truth: str
    suffix: str
    nan: str
    width: int


def _shape(fmt: str, lanes: int) -> _Shape:
    ty, width, suffix, nan = _TYPES[fmt]
    if not lanes:
        return _Shape(ty, f"i{width}", "i1", suffix, str(nan), width)
    of = f"<{lanes} x "
    return _Shape(f"{of}{ty}>", f"{of}i{width}>", f"{of}i1>", f"v{lanes}{suffix}", f"splat (i{width} {nan})", width)


def _intrinsic(t: Lowering, name: str, result: str, args: list[tuple[str, str]], rounding: bool) -> str:
    """Call a constrained intrinsic, which LLVM neither moves across control-register writes nor evaluates itself."""
    extra = ['metadata !"round.dynamic"'] if rounding else []
    extra.append('metadata !"fpexcept.strict"')
    types = [ty for ty, _ in args] + ["metadata"] * len(extra)
    full = f"llvm.experimental.constrained.{name}"
    t.declare(f"declare {result} @{full}({', '.join(types)})")
    values = ", ".join([f"{ty} {v}" for ty, v in args] + extra)
    return t(f"call {result} @{full}({values}) strictfp")


def _compare(t: Lowering, kind: str, predicate: str, ty: str, fmt: str, a: str, b: str, truth: str = "i1") -> str:
    """`kind` fcmp is quiet, fcmps signals for quiet NaNs too."""
    full = f"llvm.experimental.constrained.{kind}.{fmt}"
    t.declare(f"declare {truth} @{full}({ty}, {ty}, metadata, metadata)")
    return t(f'call {truth} @{full}({ty} {a}, {ty} {b}, metadata !"{predicate}", metadata !"fpexcept.strict") strictfp')


def _float(t: Lowering, bits: str, width: int) -> str:
    return t(f"bitcast i{width} {bits} to {'float' if width == 32 else 'double'}")


def _shape_compare(t: Lowering, kind: str, predicate: str, shape: _Shape, a: str, b: str) -> str:
    return _compare(t, kind, predicate, shape.ty, shape.suffix, a, b, shape.truth)


def _is_nan(t: Lowering, shape: _Shape, x: str) -> str:
    return _shape_compare(t, "fcmp", "uno", shape, x, x)


def _canonical(t: Lowering, x: str, shape: _Shape) -> str:
    """The bits of a result, NaNs replaced by the canonical one."""
    bits = t(f"bitcast {shape.ty} {x} to {shape.bits}")
    return t(f"select {shape.truth} {_is_nan(t, shape, x)}, {shape.bits} {shape.nan}, {shape.bits} {bits}")


def _with_rounding(t: Lowering, rm: Any, compute: Any) -> str:
    """Compute under a static rounding mode, then go back to the dynamic one."""
    if rm == "dyn":
        return str(compute())
    before = host.set_round(t, str(rm))
    result = compute()
    t.line("call void @llvm.x86.sse.stmxcsr(ptr %fpctl)")
    now = t("load i32, ptr %fpctl")
    kept = t(f"and i32 {now}, -24577")
    old = t(f"and i32 {before}, 24576")
    t.line(f"store i32 {t(f'or i32 {kept}, {old}')}, ptr %fpctl")
    t.line("call void @llvm.x86.sse.ldmxcsr(ptr %fpctl)")
    return str(result)


def _any(t: Lowering, truths: str, lanes: int) -> str:
    """Whether one of some truths holds."""
    return t(f"icmp ne i{lanes} {t(f'bitcast <{lanes} x i1> {truths} to i{lanes}')}, 0") if lanes else truths


def _arithmetic(t: Lowering, op: str, attr: dict[str, Any], args: list[str], lanes: int) -> str:
    shape = _shape(attr["fmt"], lanes)
    floats = [(shape.ty, t(f"bitcast {shape.bits} {a} to {shape.ty}")) for a in args]
    if op in ("fadd", "fsub", "fma"):  # LLVM takes the sum of a known number and its opposite for +0, whatever the rounding mode
        floats[0] = shape.ty, t.unknown_float(shape.ty, floats[0][1])
    name = {"fsqrt": "sqrt"}.get(op, op)
    r = _with_rounding(t, attr["rm"], lambda: _intrinsic(t, f"{name}.{shape.suffix}", shape.ty, floats, True))
    if op == "fma":  # infinity times zero plus a quiet NaN is invalid for RISC-V, not for the host
        t.bail(_any(t, _is_nan(t, shape, r), lanes))
        return t(f"bitcast {shape.ty} {r} to {shape.bits}")
    return _canonical(t, r, shape)


def _minmax(t: Lowering, op: str, fmt: str, args: list[str], lanes: int) -> str:
    shape = _shape(fmt, lanes)
    a, b = args
    x, y = (t(f"bitcast {shape.bits} {v} to {shape.ty}") for v in args)

    def select(c: str, yes: str, no: str) -> str:
        return t(f"select {shape.truth} {c}, {shape.bits} {yes}, {shape.bits} {no}")

    a_nan, b_nan = _is_nan(t, shape, x), _is_nan(t, shape, y)
    less = _shape_compare(t, "fcmp", "olt", shape, x, y)
    same = _shape_compare(t, "fcmp", "oeq", shape, x, y)
    first, second = (a, b) if op == "fmin" else (b, a)
    zeros = t(f"{'or' if op == 'fmin' else 'and'} {shape.bits} {a}, {b}")
    numbers = select(same, zeros, select(less, first, second))
    return select(a_nan, select(b_nan, shape.nan, b), select(b_nan, a, numbers))


def _predicate(t: Lowering, op: str, fmt: str, args: list[str], lanes: int) -> str:
    shape = _shape(fmt, lanes)
    kind, predicate = {"feq": ("fcmp", "oeq"), "flt": ("fcmps", "olt"), "fle": ("fcmps", "ole")}[op]
    x, y = (t(f"bitcast {shape.bits} {v} to {shape.ty}") for v in args)
    return _shape_compare(t, kind, predicate, shape, x, y)


def _raise_inexact(t: Lowering, where: str) -> None:
    flag = t(f"select i1 {where}, i8 {_INEXACT}, i8 0")
    t.set_field("fp_flags", t(f"or i8 {t.get_field('fp_flags')}, {flag}"))


def _round(t: Lowering, attr: dict[str, Any], args: list[str], lanes: int) -> str:
    shape, rm = _shape(attr["fmt"], lanes), attr["rm"]
    x = t(f"bitcast {shape.bits} {args[0]} to {shape.ty}")
    name = "trunc" if rm == 1 else _ROUND_TO_INTEGRAL[rm]
    whole = _intrinsic(t, f"{name}.{shape.suffix}", shape.ty, [(shape.ty, x)], name == "rint")
    if rm != "dyn":  # the host's directed forms do not report inexact results
        _raise_inexact(t, _any(t, _shape_compare(t, "fcmp", "one", shape, whole, x), lanes))
    return _canonical(t, whole, shape)


def _convert(t: Lowering, attr: dict[str, Any], args: list[str]) -> str:
    source, dest = _TYPES[attr["src"]], _TYPES[attr["dst"]]
    x = _float(t, args[0], source[1])
    if source[1] < dest[1]:
        r = _intrinsic(t, f"fpext.{dest[2]}.{source[2]}", dest[0], [(source[0], x)], False)
    else:
        r = _with_rounding(
            t, attr["rm"], lambda: _intrinsic(t, f"fptrunc.{dest[2]}.{source[2]}", dest[0], [(source[0], x)], True)
        )
    return _canonical(t, r, _shape(attr["dst"], 0))


def _bounds(fmt: str, int_width: int, signed: bool) -> tuple[str, str]:
    """The range in which a conversion to an integer is in range however it rounds, as LLVM constants."""
    precision = 24 if fmt == "f32" else 53
    top = int_width - 1 if signed else min(int_width, 63)
    high = (1 << top) - 1 if top <= precision else (1 << top) - (1 << (top - precision))
    low = -(1 << top) if signed else 0
    return f"{float(low):.1f}", f"{float(high):.1f}"


def _to_integer(t: Lowering, attr: dict[str, Any], args: list[str], result: int) -> str:
    fmt, int_width, rm = attr["fmt"], attr["int_width"], attr["rm"]
    ty, width, suffix, _ = _TYPES[fmt]
    x = _float(t, args[0], width)
    low, high = _bounds(fmt, int_width, attr["signed"])
    above = _compare(t, "fcmp", "oge", ty, suffix, x, low)
    below = _compare(t, "fcmp", "ole", ty, suffix, x, high)
    t.bail(t(f"xor i1 {t(f'and i1 {above}, {below}')}, true"))
    if rm != 1:
        name = _ROUND_TO_INTEGRAL[rm]
        whole = _intrinsic(t, f"{name}.{suffix}", ty, [(ty, x)], name == "rint")
        if rm != "dyn":  # the host's directed forms do not report inexact results
            differs = _compare(t, "fcmp", "une", ty, suffix, whole, x)
            _raise_inexact(t, differs)
        x = whole
    wide = _intrinsic(t, f"fptosi.i64.{suffix}", "i64", [(ty, x)], False)
    return wide if result == 64 else t(f"trunc i64 {wide} to i{result}")


def _from_integer(t: Lowering, attr: dict[str, Any], args: list[str]) -> str:
    fmt, int_width, signed = attr["fmt"], attr["int_width"], attr["signed"]
    ty, width, suffix, _ = _TYPES[fmt]
    n = args[0]
    if int_width == 32:
        n = t(f"{'sext' if signed else 'zext'} i32 {n} to i64")
        signed = True

    def convert(v: str) -> str:
        return _intrinsic(t, f"sitofp.{suffix}.i64", ty, [("i64", v)], True)

    if signed:
        r = _with_rounding(t, attr["rm"], lambda: convert(n))
    else:  # a value above 2**63 loses a bit that only decides "exact or not": keep that in the lowest one
        big = t(f"icmp slt i64 {n}, 0")
        half = t(f"or i64 {t(f'lshr i64 {n}, 1')}, {t(f'and i64 {n}, 1')}")
        chosen = t(f"select i1 {big}, i64 {half}, i64 {n}")

        def unsigned() -> str:
            c = convert(chosen)
            factor = t(f"select i1 {big}, {ty} 2.0, {ty} 1.0")
            return _intrinsic(t, f"fmul.{suffix}", ty, [(ty, c), (ty, factor)], True)

        r = _with_rounding(t, attr["rm"], unsigned)
    return t(f"bitcast {ty} {r} to i{width}")


def lower_fp(t: Lowering, op: str, attr: dict[str, Any], args: list[tuple[str, int]], result: int) -> str:
    """Lower one operation on bit patterns; the result has `result` bits."""
    names = [a for a, _ in args]
    if op in _SIMPLE:
        return _arithmetic(t, op, attr, names, 0)
    if op in ("fmin", "fmax"):
        return _minmax(t, op, attr["fmt"], names, 0)
    if op == "froundi":
        return _round(t, attr, names, 0)
    if op in ("feq", "flt", "fle"):
        r = _predicate(t, op, attr["fmt"], names, 0)
        return r if result == 1 else t(f"zext i1 {r} to i{result}")
    if op == "fcvt_f2f":
        return _convert(t, attr, names)
    if op == "fcvt_f2i":
        return _to_integer(t, attr, names, result)
    assert op == "fcvt_i2f", op
    return _from_integer(t, attr, names)


def lower_fp_lanes(t: Lowering, v: Value, op: str, attr: dict[str, Any], lanes: int) -> str:
    """Lower one operation on vectors of `lanes` elements; the integer form of the result."""
    if op not in _VECTOR:
        widths = [a.width // lanes for a in v.args]
        return element_wise(t, v, lanes, lambda args: lower_fp(t, op, attr, list(zip(args, widths, strict=True)), v.width // lanes))
    args = [as_vector(t, a, a.width // lanes) for a in v.args]
    bits = vector_type(v.width // lanes, lanes)
    if op in _SIMPLE:
        made = _arithmetic(t, op, attr, args, lanes)
    elif op in ("fmin", "fmax"):
        made = _minmax(t, op, attr["fmt"], args, lanes)
    elif op == "froundi":
        made = _round(t, attr, args, lanes)
    else:
        made = t(f"sext <{lanes} x i1> {_predicate(t, op, attr['fmt'], args, lanes)} to {bits}")
    return as_integer(t, v, bits, made)
