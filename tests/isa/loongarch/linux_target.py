"""LoongArch's part of the program that runs instructions under Linux."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from ratite.bits import mask
from ratite.ir.ops import join
from ratite.testing.conformance import FAULT, Case
from tests.isa.linux_peer import Seen, Target, engine_flags
from tests.isa.loongarch.subject import ARITHMETIC

#: fcsr0 has rounding up before down, the engine down before up.
_ROUNDING = (0, 1, 3, 2)


def compilers(*options: str) -> list[tuple[str, ...]]:
    """Command lines of compilers for LoongArch: Debian's gcc, else a clang that knows it with its linker."""
    gcc = [(f"loongarch64-linux-gnu-gcc{version}", "-mno-lsx", *options) for version in ("", "-15", "-14")]
    clang = [
        (f"clang-{n}", "--target=loongarch64-linux-gnu", f"-fuse-ld=lld-{n}", "-mno-lsx", *options)
        for n in range(25, 17, -1)
    ]
    return gcc + clang


def _pack(case: Case, pc: int) -> Sequence[int]:
    fields = case.fields
    fcsr = fields["fcsr_enables"] | _ROUNDING[fields["fp_round"]] << 8 | engine_flags(fields["fp_flags"]) << 16
    flags = int.from_bytes(case.registers["fcc"], "little")
    fcsr |= fields["fcsr_cause"] << 24
    vectors = case.registers.get("x") or case.registers["f"]
    words = [v >> 64 * n & mask(64) for v in vectors for n in range(4)]
    return (pc, *case.registers["r"][1:], *words, flags, fcsr)


def _unpack(case: Case, values: Sequence[int]) -> Seen:
    flags, fcsr = values[160:]
    registers = {"r": (0, *values[1:32]), "fcc": tuple(flags.to_bytes(8, "little"))}
    if "x" in case.registers:
        registers["x"] = tuple(join(values[n : n + 4], 64) for n in range(32, 160, 4))
    else:
        registers["f"] = tuple(values[32:160:4])
    fields = {
        "fcsr_enables": fcsr & 31, "fp_round": _ROUNDING[fcsr >> 8 & 3], "fp_flags": engine_flags(fcsr >> 16),
    }  # fmt: skip
    if case.fields["fcsr_enables"]:  # Cause is not kept up while no exception is enabled
        fields["fcsr_cause"] = fcsr >> 24 & 31
    return Seen(values[0], registers, fields)


TARGET = Target(
    Path(__file__).with_name("linux_peer.h"),
    compilers("-Wl,--image-base=0x40000000"),
    struct.Struct("<32Q128QQQ"),
    _pack,
    _unpack,
    {8: ARITHMETIC, 31: FAULT},  # QEMU 7.2 sends SIGSYS for a failed bound check
)
