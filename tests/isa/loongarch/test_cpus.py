"""CPU models and their properties: CPUCFG words as in QEMU 11.1 and the manual of the Loongson 3A5000, and switches that hold or are
refused in one line.
"""

from __future__ import annotations

import pytest

from ratite.errors import UsageError
from ratite.isa.loongarch.cpus import parse_cpu

#: Words of `qemu-system-loongarch64 -cpu la464` (11.1.3), but for 6: that is the manual's (v1.03, chapter 8.1).
LA464 = {
    0: 0x14C010, 1: 0x3F2F2FE, 2: 0x60C0CF, 3: 0xCFD, 4: 100_000_000, 5: 0x10001, 6: 0x7F33,
    0x10: 0x2C3D, 0x11: 0x6080003, 0x12: 0x6080003, 0x13: 0x608000F, 0x14: 0x60E000F,
}  # fmt: skip


def words(cpu: str) -> dict[int, int]:
    """The words that are not zero."""
    return {n: word for n, word in enumerate(parse_cpu(cpu).words) if word}


def test_words() -> None:
    """la464 and max; max divides words as words do, which QEMU 11.1 does not say of its own."""
    assert words("la464") == words("la464-loongarch-cpu") == LA464
    assert words("max") == {**LA464, 2: 0x7B60C0CF | 1 << 26, 3: 0x20CFD}


@pytest.mark.parametrize(("cpu", "changed"), [
    ("la464,lasx=off", {2: 0x60C04F}), ("la464,lsx=off", {2: 0x60C00F}), ("la464,ptw=on", {2: 0x160C0CF}), ("la464,hptw=on", {2: 0x160C0CF}),
    ("la464,pmu=off", {6: None}), ("la464,pmu=off,pmu=on", {}), ("la464,msgint=off,lbt=off", {}), ("la464,lsx=off,lasx=off", {2: 0x60C00F}),
])  # fmt: skip
def test_switches(cpu: str, changed: dict[int, int | None]) -> None:
    """Each changes its bits and what depends on them, as QEMU 11.1 does."""
    assert words(cpu) == {n: word for n, word in {**LA464, **changed}.items() if word is not None}


@pytest.mark.parametrize("cpu", [
    "la132", "la464,foo=on", "la464,lsx", "la464,lsx=maybe", "la464,msgint=on", "max,lbt=on", "la464,lsx=off,lasx=on", "max,kvm-steal-time=on", "",
])  # fmt: skip
def test_what_is_refused(cpu: str) -> None:
    """In one line that names it."""
    with pytest.raises(UsageError) as refusal:
        parse_cpu(cpu)
    assert "\n" not in str(refusal.value)
