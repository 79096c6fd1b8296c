"""What LLVM could decide when a form is compiled, because both sample numbers of an immediate give the same answer, and must not.

Instructions made for this ask about their immediate in ways in which most numbers of a class answer alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ratite.bits import bits, signed
from ratite.codegen import stencil
from ratite.isa.arch import Arch
from ratite.isa.dsl import Format, Session, Table, fixed, imm, reg, static
from ratite.isa.dsl.insn import Decoder
from ratite.isa.riscv.arch import make_arch
from tests.isa.riscv import harts

TABLE = Table("probes")
insn = TABLE.extension("probes")


class Near(Format):
    """A signed immediate of 12 bits; `n` says what is asked."""

    rd, rs1 = fixed("x", 10), reg("x", 19, 15)
    imm = imm(lambda w: signed(w >> 20, 12))
    n = static(lambda w: bits(w, 11, 7))


class Far(Format):
    """A signed immediate of 31 bits, of which the lower 11 are 10101010101."""

    rd = fixed("x", 10)
    imm = imm(lambda w: signed(w & 0xFFFFF000, 32) >> 1 | 0x555)
    n = static(lambda w: bits(w, 11, 7))


@insn("............ ..... 000 ..... 0001011", "bit.near {rd}, {rs1}, {imm}, {n}")
def bit_near(s: Session, o: Near) -> None:
    """One bit of the immediate."""
    s.x[o.rd] = s.x[o.rs1] + ((o.imm >> o.n) & 1)


@insn(".................... ..... 0101011", "bit.far {rd}, {imm}, {n}")
def bit_far(s: Session, o: Far) -> None:
    """One bit of the immediate, by way of a choice."""
    s.x[o.rd] = s.select((o.imm & (1 << o.n)) != 0, 1, s.const(0))


@insn("............ ..... 001 ..... 0001011", "below {rd}, {rs1}, {imm}, {n}")
def below(s: Session, o: Near) -> None:
    """Whether the immediate is less than a number that lies above both samples, or below."""
    s.x[o.rd] = s.x[o.rs1] + (o.imm.s < _border(o.n)).zext(s.xlen)


@insn("............ ..... 010 ..... 0001011", "aligned {rd}, {rs1}, {imm}, {n}")
def aligned(s: Session, o: Near) -> None:
    """A sum in which only a part of the immediate counts."""
    s.x[o.rd] = (s.x[o.rs1] + o.imm) & -(1 << o.n)


def _border(n: int) -> int:
    return (-100, -3, 3, 20, 100, 110, -2000, -200, 200, 2000)[n % 10]


def near(funct3: int, n: int, value: int, rs1: int) -> int:
    return (value & 0xFFF) << 20 | rs1 << 15 | funct3 << 12 | n << 7 | 0x0B


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[harts.Bench]:
    """A hart that has these instructions beside its own, with a library for them."""

    def with_probes(config: object) -> Arch:
        arch = make_arch(config)  # type: ignore[arg-type]
        return arch.changed(instructions=lambda: (Decoder([*arch.decoder.insns, *TABLE.insns]), arch.illegal))

    with pytest.MonkeyPatch.context() as patch:
        folder: Path = tmp_path_factory.mktemp("library")
        patch.setenv("RATITE_CACHE", str(folder))
        patch.setattr(harts, "make_arch", with_probes)
        yield harts.Bench(native=True)


#: Numbers of every class: both samples of it, and others.
VALUES = (48, 79, 1, 64, 105, 111, -1, -49, -48, -111, 112, 1023, 2047, -113, -1024, -2048)


@pytest.mark.parametrize("rs1", [5, 14])
def test_one_bit_of_an_immediate(bench: harts.Bench, rs1: int) -> None:
    for n in (0, 3, 6, 7, 11, 31):
        for value in VALUES:
            bench.x[rs1] = 1000
            bench.run(near(0, n, value, rs1))
            assert bench.x[10] == 1000 + (value >> n & 1), (n, value)


def test_one_bit_of_a_long_immediate(bench: harts.Bench) -> None:
    for n in (1, 13, 22, 30, 31):
        for upper in (0x35A71, 0x4A58E, 0x00001, 0x7FFFF, 0x80000, 0xCA58F, 0xFFFFF):
            bench.run(upper << 12 | n << 7 | 0x2B)
            assert bench.x[10] == (signed(upper << 12, 32) >> 1 | 0x555) >> n & 1, (n, hex(upper))


def test_a_comparison_with_a_constant(bench: harts.Bench) -> None:
    for n in range(10):
        for value in VALUES:
            bench.x[14] = 7
            bench.run(near(1, n, value, 14))
            assert bench.x[10] == 7 + (value < _border(n)), (_border(n), value)


def test_a_part_of_a_sum(bench: harts.Bench) -> None:
    for n in (0, 4, 8):
        for value in VALUES:
            bench.x[14] = 0x12345
            bench.run(near(2, n, value, 14))
            assert bench.x[10] == (0x12345 + value & -(1 << n)) % 2**64, (n, value)


def test_samples_differ_in_every_bit_that_their_class_leaves_open() -> None:
    """And lie in the class for which they stand."""
    ranges = {"p8": (0, 111), "n8": (-112, -1), "8": (-112, 111), "s": (0, 31), "S": (32, 63), "p": (112, 2**31 - 17), "n": (-(2**31) + 16, -113)}
    ranges["32"] = ranges["n"][0], ranges["p"][1]
    assert ranges.keys() == stencil._SAMPLES.keys()
    for name, (low, high) in ranges.items():
        open_bits = {n for n in range(64) if low >> n & 1 != high >> n & 1 or 1 << n <= high - low}
        for first, second in stencil._SAMPLES[name]:
            assert low <= first <= high and low <= second <= high, name
            assert {n for n in range(64) if (first ^ second) >> n & 1} >= open_bits, name
