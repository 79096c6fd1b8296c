"""The floating-point units of an x86-64 host, one instruction at a time, through machine code that LLVM assembles."""

from __future__ import annotations

import ctypes
import platform
from dataclasses import dataclass
from functools import cache
from typing import Any

from ratite.fp.env import Flags, Rounding
from ratite.fp.formats import F32, F64, F80, Format

IS_X86_64 = platform.machine() in ("x86_64", "AMD64")

_ROUNDING_FIELD = {Rounding.RNE: 0, Rounding.RDN: 1, Rounding.RUP: 2, Rounding.RTZ: 3}
ROUNDINGS = list(_ROUNDING_FIELD)
"""The directions that both units have."""

_FLAGS = [Flags.INVALID, Flags.INPUT_DENORMAL, Flags.DIVZERO, Flags.OVERFLOW, Flags.UNDERFLOW, Flags.INEXACT]
"""What the low bits of MXCSR and of the x87's status word mean, from bit 0 up."""

_DAZ = 1 << 6
_FTZ = 1 << 15
_MXCSR = 0x1F80
_X87_CONTROL = 0x7F
_X87_PRECISION = {F32.precision: 0, F64.precision: 2, F80.precision: 3}


class _Frame(ctypes.Structure):
    """What the assembled functions read and write; their text knows the offsets."""

    _fields_ = [
        ("operands", ctypes.c_ubyte * 48),
        ("result", ctypes.c_ubyte * 16),
        ("control", ctypes.c_uint32),
        ("usual", ctypes.c_uint32),
        ("status", ctypes.c_uint32),
    ]


@dataclass(frozen=True, slots=True)
class Instruction:
    """A name and an assembler text; operands are `{a}`, `{b}` and `{c}` in memory, the result goes to `{r}`."""

    name: str
    text: str
    feature: str = "sse2"


_ADDRESS = {"a": "($0)", "b": "16($0)", "c": "32($0)", "r": "48($0)"}


def _sse(suffix: str, move: str) -> list[Instruction]:
    """Instructions on scalars of one format: xmm0 = a, xmm1 = b, xmm2 = c; the result is left in xmm0 or eax."""
    load = f"{move} {{a}}, %xmm0; {move} {{b}}, %xmm1; {move} {{c}}, %xmm2; "
    store = f"; {move} %xmm0, {{r}}"
    found = [
        Instruction(f"{name}{suffix}", load + f"{name}{suffix} %xmm1, %xmm0" + store)
        for name in ("add", "sub", "mul", "div", "min", "max")
    ]
    found.append(Instruction(f"sqrt{suffix}", load + f"sqrt{suffix} %xmm0, %xmm0" + store))
    for order in ("132", "213", "231"):
        for name in ("fmadd", "fmsub", "fnmadd", "fnmsub"):
            text = load + f"v{name}{order}{suffix} %xmm2, %xmm1, %xmm0" + store
            found.append(Instruction(f"{name}{order}{suffix}", text, "fma"))
    for name in ("comi", "ucomi"):
        # ZF, PF and CF as the bits 0 to 2 of the result.
        text = load + f"{name}{suffix} %xmm1, %xmm0; sete {{r}}; setp 1+{{r}}; setb 2+{{r}}"
        found.append(Instruction(f"{name}{suffix}", text))
    for name, register in ((f"cvt{suffix}2si", "eax"), (f"cvt{suffix}2siq", "rax"), (f"cvtt{suffix}2si", "eax")):
        found.append(Instruction(name, load + f"{name} %xmm0, %{register}; mov %{register}, {{r}}"))
    for mode, immediate in (("current", 4), ("quiet", 12)):
        text = load + f"round{suffix} $${immediate}, %xmm0, %xmm0" + store
        found.append(Instruction(f"round_{mode}{suffix}", text, "sse4.1"))
    for name, register in ((f"cvtsi2{suffix}l", "eax"), (f"cvtsi2{suffix}q", "rax")):
        found.append(Instruction(name, f"mov {{a}}, %{register}; {name} %{register}, %xmm0" + store))
    return found


_SSE = [
    *_sse("ss", "movss"),
    *_sse("sd", "movsd"),
    Instruction("cvtss2sd", "movss {a}, %xmm0; cvtss2sd %xmm0, %xmm0; movsd %xmm0, {r}"),
    Instruction("cvtsd2ss", "movsd {a}, %xmm0; cvtsd2ss %xmm0, %xmm0; movss %xmm0, {r}"),
    Instruction("vcvtph2ps", "movd {a}, %xmm0; vcvtph2ps %xmm0, %xmm0; movss %xmm0, {r}", "f16c"),
    Instruction("vcvtps2ph", "movss {a}, %xmm0; vcvtps2ph $$4, %xmm0, %xmm0; movd %xmm0, {r}", "f16c"),
]

_X87 = [
    *(Instruction(f"f{name}", f"fldt {{a}}; fldt {{b}}; f{name}p; fstpt {{r}}") for name in ("add", "mul")),
    # AT&T syntax exchanges fsubp and fsubrp: these compute a - b and a / b.
    *(Instruction(f"f{name}", f"fldt {{b}}; fldt {{a}}; f{name} %st(1), %st; fstpt {{r}}") for name in ("sub", "div")),
    Instruction("fsqrt", "fldt {a}; fsqrt; fstpt {r}"),
    Instruction("frndint", "fldt {a}; frndint; fstpt {r}"),
    Instruction("fcomi", "fldt {b}; fldt {a}; fcomi %st(1), %st; sete {r}; setp 1+{r}; setb 2+{r}"),
    Instruction("fucomi", "fldt {b}; fldt {a}; fucomi %st(1), %st; sete {r}; setp 1+{r}; setb 2+{r}"),
    Instruction("fistpl", "fldt {a}; fistpl {r}"),
    Instruction("fistpll", "fldt {a}; fistpll {r}"),
    Instruction("fstps", "fldt {a}; fstps {r}"),
    Instruction("fstpl", "fldt {a}; fstpl {r}"),
    Instruction("flds", "flds {a}; fstpt {r}"),
    Instruction("fldl", "fldl {a}; fstpt {r}"),
    Instruction("fildll", "fildll {a}; fstpt {r}"),
]

_SSE_CLOBBERS = "r,~{xmm0},~{xmm1},~{xmm2},~{rax},~{memory},~{dirflag},~{fpsr},~{flags}"
_X87_CLOBBERS = "r,~{st},~{st(1)},~{st(2)},~{rax},~{memory},~{dirflag},~{fpsr},~{flags}"


@cache
def features() -> frozenset[str]:
    """The host's instruction set extensions, by LLVM's names."""
    from llvmlite import binding

    return frozenset(name for name, present in binding.get_host_cpu_features().items() if present)


def _function(instruction: Instruction, before: str, after: str, clobbers: str) -> str:
    text = f"{before}; {instruction.text}; {after}".format_map(_ADDRESS)
    lines = "\\0A\\09".join(part.strip() for part in text.split(";"))
    return (
        f'define void @"{instruction.name}"(ptr %frame) {{\n'
        f'  call void asm sideeffect "{lines}", "{clobbers}"(ptr %frame)\n  ret void\n}}\n'
    )


@cache
def _unit() -> tuple[Any, dict[str, Any]]:
    """The compiled functions by name, and the engine that must outlive them."""
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    binding.initialize_native_asmparser()
    sse_frame = "ldmxcsr 64($0)", "stmxcsr 72($0); ldmxcsr 68($0)"
    x87_frame = "fninit; fldcw 64($0)", "fnstsw 72($0); fninit"
    present = [instruction for instruction in _SSE if instruction.feature in features()]
    text = "".join(_function(instruction, *sse_frame, _SSE_CLOBBERS) for instruction in present)
    text += "".join(_function(instruction, *x87_frame, _X87_CLOBBERS) for instruction in _X87)
    target = binding.Target.from_default_triple()
    machine = target.create_target_machine(features=binding.get_host_cpu_features().flatten())
    engine = binding.create_mcjit_compiler(binding.parse_assembly(text), machine)
    engine.finalize_object()
    prototype = ctypes.CFUNCTYPE(None, ctypes.POINTER(_Frame))
    names = [instruction.name for instruction in (*present, *_X87)]
    return engine, {name: prototype(engine.get_function_address(name)) for name in names}


def has(name: str) -> bool:
    """Whether the host has an instruction."""
    return name in _unit()[1]


def _run(name: str, control: int, operands: tuple[int, ...]) -> tuple[int, int]:
    frame = _Frame(control=control, usual=_MXCSR)
    for index, bits in enumerate(operands):
        frame.operands[16 * index : 16 * index + 16] = bits.to_bytes(16, "little")
    _unit()[1][name](ctypes.byref(frame))
    flags = sum(int(flag) for n, flag in enumerate(_FLAGS) if frame.status >> n & 1)
    return int.from_bytes(bytes(frame.result), "little"), flags


def sse(name: str, rounding: Rounding, *operands: int, daz: bool = False, ftz: bool = False) -> tuple[int, int]:
    """The result and flags of an SSE instruction."""
    control = _MXCSR | _ROUNDING_FIELD[rounding] << 13 | (_DAZ if daz else 0) | (_FTZ if ftz else 0)
    return _run(name, control, operands)


def x87(name: str, rounding: Rounding, *operands: int, result: Format = F80) -> tuple[int, int]:
    """The result and flags of an x87 instruction, with precision control for `result`."""
    control = _X87_CONTROL | _X87_PRECISION[result.precision] << 8 | _ROUNDING_FIELD[rounding] << 10
    return _run(name, control, operands)
