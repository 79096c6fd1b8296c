"""The presets of foreign architectures equal QEMU's user-mode emulators, instruction by instruction, over edges."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest

from ratite.fp import soft
from ratite.fp.env import FlushResults, FpEnv, Rounding
from ratite.fp.formats import F16, F32, F64, Format
from ratite.fp.nans import Prefer
from ratite.fp.operands import is_nan
from ratite.fp.presets import ARM, MIPS_2008, MIPS_LEGACY, POWER, S390X
from ratite.fp.soft import MinMax

from . import qemu_user
from .patterns import edges, few_edges
from .qemu_user import AARCH64_STORE_X0, S390X_R0_TO_F0, Case, Machine

Ours = Callable[[FpEnv, tuple[int, ...]], tuple[int, int]]
Trusted = Callable[[tuple[int, ...]], bool]


def every_case(x: tuple[int, ...]) -> bool:
    """All cases."""
    return True


@dataclass(frozen=True, slots=True)
class Check:
    """An instruction of an architecture and what Ratite says it does."""

    name: str
    words: list[int]
    source: Format
    arity: int
    ours: Ours
    result_bits: int
    in_high_half: tuple[bool, bool] = (False, False)
    """Operands, or results, stand in the upper 32 bits of their registers."""
    trusted: Trusted = every_case
    """The cases where QEMU 7.2 follows the architecture's manual; `test_presets` has the others."""


def operands(check: Check) -> Iterator[tuple[int, ...]]:
    """Crossed edges, the shorter the lists the more there are."""
    fmt = check.source
    few = [*few_edges(fmt), fmt.infinity | 0x77, fmt.sign_mask | fmt.infinity | fmt.quiet_bit | 9]
    lists = {1: [edges(fmt)], 2: [edges(fmt)[::2], few], 3: [few, few, few]}[check.arity]
    return filter(check.trusted, product(*lists))


def compare(
    folder: Path, machine: Machine, check: Check, env: FpEnv, control: int = 0, roundings: Sequence[Rounding] = ()
) -> None:
    """Run a check in every rounding direction that the machine has, or in some."""
    asked = [(rounding, x) for rounding in roundings or machine.roundings for x in operands(check)]
    shift, result_shift = (32 * half for half in check.in_high_half)
    cases = [Case(tuple(v << shift for v in x), control | machine.roundings[r]) for r, x in asked]
    environments = {rounding: env.rounded(rounding) for rounding in machine.roundings}
    for (rounding, x), (result, flags) in zip(asked, machine.run(folder, check.words, cases), strict=True):
        theirs = result >> result_shift & (1 << check.result_bits) - 1, flags
        ours = check.ours(environments[rounding], x)
        if ours != theirs:
            pytest.fail(f"{check.name} {[hex(v) for v in x]} {rounding!r} {control:#x}: {ours} not {theirs}")


def need(machine: Machine) -> None:
    """Skip where the peer is not installed."""
    if not machine.emulator():
        pytest.skip(f"qemu-{machine.qemu} is not installed")


def quiet_nan_free(fmt: Format) -> Trusted:
    """For the old MIPS convention, where QEMU gives the default NaN for quiet NaN operands too."""
    return lambda x: not any(is_nan(fmt, v) and not MIPS_LEGACY.nan.is_signalling(fmt, v) for v in x)


def short_nans(fmt: Format) -> Trusted:
    """For arithmetic in single precision of POWER, where QEMU cuts the payloads of NaN operands."""
    return lambda x: not any(is_nan(fmt, v) and v & (1 << 29) - 1 for v in x)


def plain_product(fmt: Format) -> Trusted:
    """For MULTIPLY AND ADD of s390x, where QEMU ignores the order of NaNs, and 0 * infinity beside a NaN."""

    def trusted(x: tuple[int, ...]) -> bool:
        nans = sum(is_nan(fmt, v) for v in x)
        zero_or_infinite = all(v & ~fmt.sign_mask in (0, fmt.infinity) for v in x[1:])
        return nans == 0 or (nans == 1 and not zero_or_infinite)

    return trusted


def binary(fmt: Format, name: str) -> Ours:
    """One of the four operations."""
    operation = getattr(soft, name)
    return lambda env, x: operation(fmt, env, *x)


def fused(fmt: Format) -> Ours:
    """a * b + c."""
    return lambda env, x: soft.fma(fmt, env, *x)


def root(fmt: Format) -> Ours:
    """The square root."""
    return lambda env, x: soft.sqrt(fmt, env, *x)


def to_integer(fmt: Format, width: int, signed: bool, rounding: Rounding | None = None, scale: int = 0) -> Ours:
    """A conversion to an integer, in the current direction or always the same."""

    def ours(env: FpEnv, x: tuple[int, ...]) -> tuple[int, int]:
        env = env if rounding is None else env.rounded(rounding)
        return soft.to_int(fmt, env, x[0], width, signed, scale=scale)

    return ours


def from_integer(fmt: Format, signed: bool) -> Ours:
    """A conversion of 64-bit integers."""
    return lambda env, x: soft.from_int(fmt, env, x[0], 64, signed)


def narrowing(source: Format, target: Format) -> Ours:
    """A conversion between formats."""
    return lambda env, x: soft.convert(source, target, env, *x)


def extreme(fmt: Format, name: str, family: MinMax) -> Ours:
    """A minimum or maximum."""
    operation = getattr(soft, name)
    return lambda env, x: operation(fmt, env, *x, family)


def integral(fmt: Format, inexact: bool) -> Ours:
    """A rounding to an integral value."""
    return lambda env, x: soft.round_to_integral(fmt, env, *x, inexact=inexact)


def aarch64_checks() -> Iterator[Check]:
    """Scalar instructions; operands in registers 0, 1 and 2, the result in 0."""
    for fmt, size in ((F32, 0), (F64, 1 << 22)):
        width = fmt.width
        for name, opcode in (("add", 0x2800), ("sub", 0x3800), ("mul", 0x0800), ("div", 0x1800)):
            yield Check(f"f{name} {fmt}", [0x1E210000 | size | opcode], fmt, 2, binary(fmt, name), width)
        for name, opcode, family in (
            ("maximum", 0x4800, MinMax.PROPAGATE),
            ("minimum", 0x5800, MinMax.PROPAGATE),
            ("maximum", 0x6800, MinMax.NUM),
            ("minimum", 0x7800, MinMax.NUM),
        ):
            ours = extreme(fmt, name, family)
            yield Check(f"{name} {family} {fmt}", [0x1E210000 | size | opcode], fmt, 2, ours, width)
        yield Check(f"fmadd {fmt}", [0x1F010800 | size], fmt, 3, fused(fmt), width)
        yield Check(f"fsqrt {fmt}", [0x1E21C000 | size], fmt, 1, root(fmt), width)
        yield Check(f"frintx {fmt}", [0x1E274000 | size], fmt, 1, integral(fmt, True), width)
        yield Check(f"frinti {fmt}", [0x1E27C000 | size], fmt, 1, integral(fmt, False), width)
        for name, opcode, bits, signed, rounding, scale in (
            ("fcvtzs x", 0x9E380000, 64, True, Rounding.RTZ, 0),
            ("fcvtzu x", 0x9E390000, 64, False, Rounding.RTZ, 0),
            ("fcvtns w", 0x1E200000, 32, True, Rounding.RNE, 0),
            ("fcvtas w", 0x1E240000, 32, True, Rounding.RMM, 0),
            ("fcvtpu w", 0x1E290000, 32, False, Rounding.RUP, 0),
            ("fcvtzs x, #5", 0x9E18EC00, 64, True, Rounding.RTZ, 5),
        ):
            ours = to_integer(fmt, bits, signed, rounding, scale)
            yield Check(f"{name} {fmt}", [opcode | size, AARCH64_STORE_X0], fmt, 1, ours, bits)
        for name, opcode, signed in (("scvtf", 0x9E220000, True), ("ucvtf", 0x9E230000, False)):
            yield Check(f"{name} {fmt}", [opcode | size], F64, 1, from_integer(fmt, signed), width)
    yield Check("fcvt d, s", [0x1E22C000], F32, 1, narrowing(F32, F64), 64)
    yield Check("fcvt s, d", [0x1E624000], F64, 1, narrowing(F64, F32), 32)


def test_arm(tmp_path: Path) -> None:
    """AArch64: as after reset, with flushing to zero, and with default NaNs."""
    need(qemu_user.AARCH64)
    flushing = dataclasses.replace(ARM, flush_inputs=True, flush_results=FlushResults.BEFORE_ROUNDING)
    default_nan = dataclasses.replace(ARM, nan=dataclasses.replace(ARM.nan, prefer=Prefer.DEFAULT))
    for check in aarch64_checks():
        compare(tmp_path, qemu_user.AARCH64, check, ARM)
        compare(tmp_path, qemu_user.AARCH64, check, flushing, 1 << 24, [Rounding.RNE, Rounding.RDN])
        compare(tmp_path, qemu_user.AARCH64, check, default_nan, 1 << 25, [Rounding.RNE])


def test_arm_half_precision(tmp_path: Path) -> None:
    """AArch64 conversions to and from f16, which the control bit for flushing does not concern on the narrow side."""
    need(qemu_user.AARCH64)
    for check in (
        Check("fcvt h, s", [0x1E23C000], F32, 1, narrowing(F32, F16), 16),
        Check("fcvt h, d", [0x1E63C000], F64, 1, narrowing(F64, F16), 16),
        Check("fcvt s, h", [0x1EE24000], F16, 1, narrowing(F16, F32), 32),
        Check("fcvt d, h", [0x1EE2C000], F16, 1, narrowing(F16, F64), 64),
    ):
        compare(tmp_path, qemu_user.AARCH64, check, ARM)


def mips_checks(release6: bool) -> Iterator[Check]:
    """Scalar instructions; operands in registers 0, 1 and 2, the result in 0."""
    for fmt, encoding in ((F32, 0x46000000), (F64, 0x46200000)):
        width = fmt.width
        trusted = every_case if release6 else quiet_nan_free(fmt)
        for number, name in enumerate(("add", "sub", "mul", "div")):
            words = [encoding | 1 << 16 | number]
            yield Check(f"{name} {fmt}", words, fmt, 2, binary(fmt, name), width, trusted=trusted)
        yield Check(f"sqrt {fmt}", [encoding | 4], fmt, 1, root(fmt), width, trusted=trusted)
        for name, opcode, bits, rounding in (
            ("cvt.w", 0x24, 32, None),
            ("cvt.l", 0x25, 64, None),
            ("trunc.l", 9, 64, Rounding.RTZ),
        ):
            yield Check(f"{name} {fmt}", [encoding | opcode], fmt, 1, to_integer(fmt, bits, True, rounding), bits)
        if release6:
            # maddf adds to its destination: the addend is register 0.
            def maddf(env: FpEnv, x: tuple[int, ...], fmt: Format = fmt) -> tuple[int, int]:
                return soft.fma(fmt, env, x[1], x[2], x[0])

            yield Check(f"maddf {fmt}", [encoding | 2 << 16 | 1 << 11 | 0x18], fmt, 3, maddf, width)
    for name, opcode, source, target in (("cvt.s.d", 0x46200020, F64, F32), ("cvt.d.s", 0x46000021, F32, F64)):
        trusted = every_case if release6 else quiet_nan_free(source)
        yield Check(name, [opcode], source, 1, narrowing(source, target), target.width, trusted=trusted)


@pytest.mark.parametrize("release6", [False, True], ids=["legacy", "2008"])
def test_mips(tmp_path: Path, release6: bool) -> None:
    """MIPS64 with either meaning of the quiet bit."""
    machine, env = (qemu_user.MIPS64R6, MIPS_2008) if release6 else (qemu_user.MIPS64, MIPS_LEGACY)
    need(machine)
    for check in mips_checks(release6):
        compare(tmp_path, machine, check, env)


def power_checks() -> Iterator[Check]:
    """Scalar instructions; operands in registers 0, 1 and 2, the result in 0."""
    single = F64.narrowed(F32)
    for fmt, primary in ((F64, 0xFC000000), (single, 0xEC000000)):
        trusted = every_case if fmt is F64 else short_nans(fmt)
        for name, opcode in (("add", 0x82A), ("sub", 0x828), ("mul", 0x72), ("div", 0x824)):
            yield Check(f"{name} {fmt}", [primary | opcode], fmt, 2, binary(fmt, name), 64, trusted=trusted)
        # FRB = f2 is the addend, FRC = f1 a factor.
        madd = [primary | 2 << 11 | 1 << 6 | 0x3A]
        yield Check(f"madd {fmt}", madd, fmt, 3, fused(fmt), 64, trusted=trusted)
        yield Check(f"sqrt {fmt}", [primary | 0x2C], fmt, 1, root(fmt), 64, trusted=trusted)
    yield from (
        Check("frsp", [0xFC000018], F64, 1, narrowing(F64, single), 64),
        Check("fctiw", [0xFC00001C], F64, 1, to_integer(F64, 32, True), 32),
        Check("fctid", [0xFC00065C], F64, 1, to_integer(F64, 64, True), 64),
        Check("fctiduz", [0xFC00075E], F64, 1, to_integer(F64, 64, False, Rounding.RTZ), 64),
        Check("fcfid", [0xFC00069C], F64, 1, from_integer(F64, True), 64),
        Check("fcfidus", [0xEC00079C], F64, 1, from_integer(single, False), 64),
    )


def test_power(tmp_path: Path) -> None:
    """POWER: doubles, and doubles rounded to single precision, which are `F64.narrowed(F32)`."""
    need(qemu_user.PPC64)
    for check in power_checks():
        compare(tmp_path, qemu_user.PPC64, check, POWER)


def s390x_checks() -> Iterator[Check]:
    """Instructions from register to register; short numbers stand in the upper halves of registers."""
    for fmt, double in ((F32, 0), (F64, 1)):
        width = fmt.width
        halves = (not double, not double)
        for name, opcode in (("add", 0xB30A), ("sub", 0xB30B), ("mul", 0xB30C if double else 0xB317), ("div", 0xB30D)):
            words = [(opcode | double << 4) << 16 | 1]
            yield Check(f"{name} {fmt}", words, fmt, 2, binary(fmt, name), width, halves)

        # MULTIPLY AND ADD adds to its first operand; the second one is the last in the word.
        def madd(env: FpEnv, x: tuple[int, ...], fmt: Format = fmt) -> tuple[int, int]:
            return soft.fma(fmt, env, x[2], x[1], x[0])

        words = [(0xB30E | double << 4) << 16 | 1 << 4 | 2]
        yield Check(f"madd {fmt}", words, fmt, 3, madd, width, halves, plain_product(fmt))
        yield Check(f"sqrt {fmt}", [(0xB314 | double) << 16], fmt, 1, root(fmt), width, halves)
        words = [(0xB35F if double else 0xB357) << 16]
        yield Check(f"fidb {fmt}", words, fmt, 1, integral(fmt, True), width, halves)
        words = [(0xB3A8 | double) << 16, S390X_R0_TO_F0]
        yield Check(f"cgdb {fmt}", words, fmt, 1, to_integer(fmt, 64, True), 64, (not double, False))
        words = [(0xB3AC | double) << 16, S390X_R0_TO_F0]
        yield Check(f"clgdb {fmt}", words, fmt, 1, to_integer(fmt, 64, False), 64, (not double, False))
    yield Check("ledb", [0xB3440000], F64, 1, narrowing(F64, F32), 32, (False, True))
    yield Check("ldeb", [0xB3040000], F32, 1, narrowing(F32, F64), 64, (True, False))


def test_s390x(tmp_path: Path) -> None:
    """s390x, the one of these that can round to odd."""
    need(qemu_user.S390X)
    for check in s390x_checks():
        compare(tmp_path, qemu_user.S390X, check, S390X)
