"""Lowering of floating-point operations to the host's, where it gives the same bits and flags.

Operations and attributes (formats are "f32" and "f64"; `rm` is "dyn" for the host's current rounding mode, or 0 nearest even, 1 to zero,
2 down, 3 up, 4 nearest with ties away):

    fadd fsub fmul fdiv fsqrt fma                    fmt, rm
    fmin fmax feq flt fle                            fmt
    fcvt_f2f    src, dst, rm        fcvt_f2i    fmt, int_width, signed, rm        fcvt_i2f    fmt, int_width, signed, rm

NaN results are the canonical NaN. The host detects tininess after rounding, as RISC-V does. Sticky flags stay in the host's control register
until somebody reads them. Results that the host computes otherwise (conversions out of range, invalid multiply-add) are left to the reference
evaluator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ratite.codegen import host_x86_64 as host

if TYPE_CHECKING:
    from ratite.codegen.lower import Lowering

_TYPES = {"f32": ("float", 32, "f32", 0x7FC00000), "f64": ("double", 64, "f64", 0x7FF8000000000000)}
_SIMPLE = {"fadd": 2, "fsub": 2, "fmul": 2, "fdiv": 2, "fsqrt": 1, "fma": 3}
_ROUND_TO_INTEGRAL = {"dyn": "rint", 0: "roundeven", 2: "floor", 3: "ceil"}
_INEXACT = 16


def hostable(op: str, attr: dict[str, Any]) -> bool:
    """Whether the host computes this operation at all."""
    if attr.get("rm") == 4:
        return False
    return op != "fma" or "+fma," in host.cpu()[1] + ","


def _intrinsic(t: Lowering, name: str, result: str, args: list[tuple[str, str]], rounding: bool) -> str:
    """Call a constrained intrinsic, which LLVM neither moves across control-register writes nor evaluates itself."""
    extra = ['metadata !"round.dynamic"'] if rounding else []
    extra.append('metadata !"fpexcept.strict"')
    types = [ty for ty, _ in args] + ["metadata"] * len(extra)
    full = f"llvm.experimental.constrained.{name}"
    t.declare(f"declare {result} @{full}({', '.join(types)})")
    values = ", ".join([f"{ty} {v}" for ty, v in args] + extra)
    return t(f"call {result} @{full}({values}) strictfp")


def _compare(t: Lowering, kind: str, predicate: str, ty: str, fmt: str, a: str, b: str) -> str:
    """`kind` fcmp is quiet, fcmps signals for quiet NaNs too."""
    full = f"llvm.experimental.constrained.{kind}.{fmt}"
    t.declare(f"declare i1 @{full}({ty}, {ty}, metadata, metadata)")
    return t(f'call i1 @{full}({ty} {a}, {ty} {b}, metadata !"{predicate}", metadata !"fpexcept.strict") strictfp')


def _float(t: Lowering, bits: str, width: int) -> str:
    return t(f"bitcast i{width} {bits} to {'float' if width == 32 else 'double'}")


def _canonical(t: Lowering, x: str, fmt: str) -> str:
    """The bits of a result, NaNs replaced by the canonical one."""
    ty, width, suffix, nan = _TYPES[fmt]
    bits = t(f"bitcast {ty} {x} to i{width}")
    is_nan = _compare(t, "fcmp", "uno", ty, suffix, x, x)
    return t(f"select i1 {is_nan}, i{width} {nan}, i{width} {bits}")


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


def _arithmetic(t: Lowering, op: str, attr: dict[str, Any], args: list[str]) -> str:
    ty, width, suffix, _ = _TYPES[attr["fmt"]]
    floats = [(ty, _float(t, a, width)) for a in args]
    if op in ("fadd", "fsub", "fma"):  # LLVM takes the sum of a known number and its opposite for +0, whatever the rounding mode
        floats[0] = ty, t.unknown_float(ty, floats[0][1])
    name = {"fsqrt": "sqrt"}.get(op, op)
    r = _with_rounding(t, attr["rm"], lambda: _intrinsic(t, f"{name}.{suffix}", ty, floats, True))
    if op == "fma":  # infinity times zero plus a quiet NaN is invalid for RISC-V, not for the host
        t.bail(_compare(t, "fcmp", "uno", ty, suffix, r, r))
        return t(f"bitcast {ty} {r} to i{width}")
    return _canonical(t, r, attr["fmt"])


def _minmax(t: Lowering, op: str, fmt: str, args: list[str]) -> str:
    ty, width, suffix, nan = _TYPES[fmt]
    a, b = args
    x, y = _float(t, a, width), _float(t, b, width)
    a_nan = _compare(t, "fcmp", "uno", ty, suffix, x, x)
    b_nan = _compare(t, "fcmp", "uno", ty, suffix, y, y)
    less = _compare(t, "fcmp", "olt", ty, suffix, x, y)
    same = _compare(t, "fcmp", "oeq", ty, suffix, x, y)
    n = f"i{width}"
    first, second = (a, b) if op == "fmin" else (b, a)
    ordered = t(f"select i1 {less}, {n} {first}, {n} {second}")
    zeros = t(f"{'or' if op == 'fmin' else 'and'} {n} {a}, {b}")
    numbers = t(f"select i1 {same}, {n} {zeros}, {n} {ordered}")
    with_b = t(f"select i1 {b_nan}, {n} {a}, {n} {numbers}")
    other = t(f"select i1 {b_nan}, {n} {nan}, {n} {b}")
    return t(f"select i1 {a_nan}, {n} {other}, {n} {with_b}")


def _predicate(t: Lowering, op: str, fmt: str, args: list[str]) -> str:
    ty, width, suffix, _ = _TYPES[fmt]
    kind, predicate = {"feq": ("fcmp", "oeq"), "flt": ("fcmps", "olt"), "fle": ("fcmps", "ole")}[op]
    return _compare(t, kind, predicate, ty, suffix, _float(t, args[0], width), _float(t, args[1], width))


def _convert(t: Lowering, attr: dict[str, Any], args: list[str]) -> str:
    source, dest = _TYPES[attr["src"]], _TYPES[attr["dst"]]
    x = _float(t, args[0], source[1])
    if source[1] < dest[1]:
        r = _intrinsic(t, f"fpext.{dest[2]}.{source[2]}", dest[0], [(source[0], x)], False)
    else:
        r = _with_rounding(
            t, attr["rm"], lambda: _intrinsic(t, f"fptrunc.{dest[2]}.{source[2]}", dest[0], [(source[0], x)], True)
        )
    return _canonical(t, r, attr["dst"])


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
            flag = t(f"select i1 {differs}, i8 {_INEXACT}, i8 0")
            t.set_field("fp_flags", t(f"or i8 {t.get_field('fp_flags')}, {flag}"))
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
        return _arithmetic(t, op, attr, names)
    if op in ("fmin", "fmax"):
        return _minmax(t, op, attr["fmt"], names)
    if op in ("feq", "flt", "fle"):
        r = _predicate(t, op, attr["fmt"], names)
        return r if result == 1 else t(f"zext i1 {r} to i{result}")
    if op == "fcvt_f2f":
        return _convert(t, attr, names)
    if op == "fcvt_f2i":
        return _to_integer(t, attr, names, result)
    assert op == "fcvt_i2f", op
    return _from_integer(t, attr, names)
