"""What architectures chose where IEEE 754 leaves a choice, in their modes after reset.

A mode that control bits select is `dataclasses.replace` of one of these: default NaNs for Arm
(`nan=NanRules(Prefer.DEFAULT)`), flushing (`flush_inputs`, `flush_results`), `rounded(direction)`.
"""

from __future__ import annotations

from typing import Final

from ratite.fp.env import DenormalSignal, FpEnv, IntResult, IntRules, Tininess
from ratite.fp.nans import NanRules, Payload, Prefer

RISCV: Final = FpEnv(nan=NanRules(Prefer.DEFAULT))
"""RISC-V unprivileged ISA 20191213, chapter 11."""

ARM: Final = FpEnv(
    nan=NanRules(Prefer.SIGNALLING, fma_order=(2, 0, 1), zero_times_infinity_default=True),
    integers=IntRules(nan=IntResult.ZERO),
    tininess=Tininess.BEFORE_ROUNDING,
    denormal_signal=DenormalSignal.WHEN_FLUSHED,
)
"""Arm architecture reference manual (DDI 0487), A1.5, and its pseudocode FPProcessNaNs, FPMulAdd and FPToFixed.

Conversions to and from f16 do not flush, nor report, subnormal f16 numbers: FPCR.FZ leaves these alone.
"""

_X86_INTEGERS: Final = IntRules(IntResult.INDEFINITE, IntResult.INDEFINITE, IntResult.INDEFINITE)

X86_SSE: Final = FpEnv(
    nan=NanRules(Prefer.FIRST, negative=1, zero_times_infinity_signals=False),
    integers=_X86_INTEGERS,
    denormal_signal=DenormalSignal.WHEN_USED,
)
"""Intel SDM volume 1, 4.8 and chapters 11 and 14 (SSE to AVX-512).

FMA asks its operands for NaNs in the order factor, factor, addend in which the digits of its mnemonic name them. ROUND
and F16C's conversions never report subnormal operands, and the latter do not flush f16 numbers: replace
`denormal_signal`, `flush_inputs` and `flush_results` for them.
"""

X86_X87: Final = FpEnv(
    nan=NanRules(Prefer.LARGER, negative=1),
    integers=_X86_INTEGERS,
    denormal_signal=DenormalSignal.WHEN_USED,
)
"""Intel SDM volume 1, 4.8 and chapter 8 (the x87 unit).

The precision control asks for `F80.narrowed(F64, keep_range=True)` as the format of results, and F32 likewise. Stores
(FST) never report subnormal operands: replace `denormal_signal` for them.
"""

MIPS_LEGACY: Final = FpEnv(
    nan=NanRules(Prefer.SIGNALLING, payload=Payload.ALL_BUT_TOP, quiet_is_one=False, zero_times_infinity_default=True),
    integers=IntRules(IntResult.MAX, IntResult.MAX, IntResult.MAX),
)
"""MIPS64 architecture volume I (MD00083), chapter 5, with FCSR.NAN2008 = 0."""

MIPS_2008: Final = FpEnv(
    nan=NanRules(Prefer.SIGNALLING, fma_order=(2, 0, 1)),
    integers=IntRules(nan=IntResult.ZERO),
)
"""MIPS64 architecture volume I (MD00083), chapter 5, with FCSR.NAN2008 = 1."""

S390X: Final = FpEnv(
    nan=NanRules(Prefer.SIGNALLING, zero_times_infinity_default=True),
    integers=IntRules(nan=IntResult.MIN, overflow_is_inexact=True),
    tininess=Tininess.BEFORE_ROUNDING,
)
"""z/Architecture principles of operation (SA22-7832), chapters 9 and 19 (binary floating point).

MULTIPLY AND ADD passes its second operand, its third, and as the addend its first.
"""

POWER: Final = FpEnv(
    nan=NanRules(Prefer.FIRST, fma_order=(0, 2, 1)),
    integers=IntRules(nan=IntResult.MIN),
    tininess=Tininess.BEFORE_ROUNDING,
)
"""Power ISA 3.0, book I, chapter 4.

Fused operations pass FRA, FRC and as the addend FRB; results in single precision are those of `F64.narrowed(F32)`.
"""
