"""Machine code with operands patched in does what the reference evaluator does, for every class of operands."""

from __future__ import annotations

import itertools

import pytest

from tests.codegen.pair import Pair
from tests.isa.riscv import harts

EDGES = (0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)
#: Registers that are zero, pinned (x10, x15), and in memory (x5, x28).
REGISTERS = (0, 10, 15, 5, 28)


def addi(rd: int, rs1: int, imm: int) -> int:
    return (imm & 0xFFF) << 20 | rs1 << 15 | rd << 7 | 0x13


def r_type(funct7: int, funct3: int, rd: int, rs1: int, rs2: int, opcode: int = 0x33) -> int:
    return funct7 << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode


#: All pinned registers: code for most combinations is made by renaming.
PINNED = (15, 14, 10, 2, 8, 13, 12, 11)


@pytest.fixture(scope="module")
def machine() -> Pair:
    return Pair()


@pytest.mark.parametrize(
    ("name", "funct7", "funct3"),
    [("sub", 0x20, 0), ("sll", 0, 1), ("sltu", 0, 3), ("mulhu", 1, 3), ("rem", 1, 6), ("rol", 0x30, 1), ("sh2add", 0x10, 4)],
)
def test_every_combination_of_pinned_registers(machine: Pair, name: str, funct7: int, funct3: int) -> None:
    values = {r: 0x9E3779B97F4A7C15 * (r + 1) >> (r & 3) & 2**64 - 1 for r in PINNED}
    for rd, rs1, rs2 in itertools.product(PINNED, repeat=3):
        assert machine.same(r_type(funct7, funct3, rd, rs1, rs2), values), (name, rd, rs1, rs2)


@pytest.mark.parametrize(("opcode", "funct3"), [(0x03, 3), (0x03, 4), (0x23, 0), (0x23, 3)])
def test_every_pair_of_pinned_registers_in_loads_and_stores(machine: Pair, opcode: int, funct3: int) -> None:
    for register, base in itertools.product(PINNED, repeat=2):
        values = {r: 0x0123456789ABCDEF + r for r in PINNED} | {base: harts.CODE + 0x2000}
        field = register << 20 | 8 << 7 if opcode == 0x23 else 8 << 20 | register << 7
        assert machine.same(field | base << 15 | funct3 << 12 | opcode, values), (register, base)


@pytest.mark.parametrize("imm", [0, 1, -1, 5, 111, 112, 127, 128, -112, -113, -128, -129, 2047, -2048])
def test_immediates_at_the_borders_of_their_classes(machine: Pair, imm: int) -> None:
    for rd, rs1 in itertools.product(REGISTERS[:4], repeat=2):
        assert machine.same(addi(rd, rs1, imm), {5: 7, 10: 2**63, 15: 2**64 - 1, 28: 100}), (rd, rs1)


@pytest.mark.parametrize("shamt", [0, 1, 13, 22, 31, 32, 63])
def test_shift_amounts(machine: Pair, shamt: int) -> None:
    for funct3, high, value in itertools.product((1, 5), (0, 0x400), EDGES):
        if funct3 == 1 and high:
            continue
        word = (high | shamt) << 20 | 10 << 15 | funct3 << 12 | 15 << 7 | 0x13
        assert machine.same(word, {10: value})


@pytest.mark.parametrize("funct3", range(8))
def test_register_classes_and_edge_values(machine: Pair, funct3: int) -> None:
    for rd, rs1, rs2 in itertools.product(REGISTERS, repeat=3):
        for a, b in ((2**64 - 1, 1), (2**63, 5)):
            assert machine.same(r_type(0, funct3, rd, rs1, rs2), {5: a, 28: b, 10: b, 15: a}), (rd, rs1, rs2)


def test_division_by_zero_and_overflow(machine: Pair) -> None:
    for funct3, a, b in itertools.product((4, 5, 6, 7), EDGES, EDGES):
        assert machine.same(r_type(1, funct3, 10, 15, 5), {15: a, 5: b})
        assert machine.same(r_type(1, funct3, 10, 15, 5, 0x3B), {15: a, 5: b})


def test_a_register_is_read_before_the_same_instruction_writes_it(machine: Pair) -> None:
    """jalr x5, 8(x5): a first sketch of the language jumped to the new x5."""
    for register in (5, 10):
        word = 8 << 20 | register << 15 | register << 7 | 0x67
        for bench in (machine.native, machine.reference):
            bench.reset()
            bench.x[register] = harts.STOP - 8
            bench.run(word)
            assert bench.x[register] == harts.CODE + 4
            assert not bench.trapped
