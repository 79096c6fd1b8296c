"""Loads and stores of devices: machine code leaves with the address, Python asks the device and finishes the instruction."""

from __future__ import annotations

import pytest

from ratite.isa.arch import Exit
from tests.isa.riscv import harts

DEVICE, SIZE = 0x1000_0000, 0x1000
FS = 3 << 13  # mstatus: floating point is on


def load(kind: int, rd: int, offset: int = 0, rs1: int = 12, opcode: int = 0x03) -> int:
    return (offset & 0xFFF) << 20 | rs1 << 15 | kind << 12 | rd << 7 | opcode


def store(kind: int, rs2: int, offset: int = 0, rs1: int = 12, opcode: int = 0x23) -> int:
    return (offset >> 5 & 0x7F) << 25 | rs2 << 20 | rs1 << 15 | kind << 12 | (offset & 31) << 7 | opcode


class Probe:
    """Answers with bytes of a pattern, and takes note of every access."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def mmio_read(self, offset: int, size: int) -> int:
        self.seen.append((offset, size))
        return 0xF1E2_D3C4_B5A6_9788 >> 8 * (offset & 7) & (1 << 8 * size) - 1

    def mmio_write(self, offset: int, size: int, value: int) -> None:
        self.seen.append((offset, size, value))


class Rig(harts.Bench):
    """A hart with a probe."""

    def __init__(self, native: bool) -> None:
        super().__init__(native=native)
        self.probe = Probe()
        self.memory.add_io(DEVICE, SIZE, self.probe, "probe")

    def do(self, *words: int) -> tuple[object, ...]:
        """Run instructions with x12 at the device; everything that can be seen of it."""
        self.reset()
        self.probe.seen.clear()
        self.state.mstatus = self.state.mstatus | FS
        for n in range(1, 32):
            self.x[n] = 0x0102_0304_0506_0708 * n & -1 + (1 << 64)
            self.state.f[n] = self.x[n]
        self.x[12], self.x[13], self.x[14] = DEVICE, 0x4000_0000, DEVICE + SIZE - 8
        self.run(*words)
        return list(self.probe.seen), list(self.x), list(self.state.f), self.trapped, self.state.mtval


@pytest.fixture(scope="module")
def rigs() -> tuple[Rig, Rig]:
    return Rig(native=True), Rig(native=False)


WORDS = {
    **{f"load {kind} to x{rd}": load(kind, rd, 4) for kind in range(7) for rd in (0, 10, 12, 27)},
    **{f"store {kind} of x{rs}": store(kind, rs, 8) for kind in range(4) for rs in (0, 10, 27)},
    **{f"load f{kind}": load(kind, 9, 0, opcode=0x07) for kind in (2, 3)},
    **{f"store f{kind}": store(kind, 9, 0, opcode=0x27) for kind in (2, 3)},
    "misaligned": load(2, 10, 3),
    "out of the page": load(3, 10, 4, rs1=14),
    "nothing there": load(2, 10, 0, rs1=13),
    "store to nothing": store(2, 10, 0, rs1=13),
    "compressed load": 0x0001_4208,  # with c.nop behind it
    "atomic": 0x0000_252F | 12 << 15 | 11 << 20,
}


@pytest.mark.parametrize("name", WORDS)
def test_machine_code_and_evaluator_agree(rigs: tuple[Rig, Rig], name: str) -> None:
    """The same accesses in the same order, the same registers and faults. Twice: what was learnt of the instruction is used again."""
    for _ in range(2):
        native, reference = (rig.do(WORDS[name]) for rig in rigs)
        assert native == reference


def test_a_plain_access_needs_no_evaluator(rigs: tuple[Rig, Rig]) -> None:
    rig = rigs[0]
    rig.do(load(2, 10))
    before = list(rig.cpu.exits)
    rig.do(load(2, 10), store(0, 10))
    assert rig.cpu.exits[Exit.DEVICE] == before[Exit.DEVICE] + 2
    assert rig.cpu.exits[Exit.INTERPRET] == before[Exit.INTERPRET]


def test_changed_code_is_learnt_again(rigs: tuple[Rig, Rig]) -> None:
    """The instruction at an address becomes another one, also when code memory is used from its start again."""
    rig = rigs[0]
    for kind, expected in ((0, -0x78 + (1 << 64)), (4, 0x88), (5, 0x9788)):
        rig.do(load(kind, 10))
        assert rig.x[10] == expected
        rig.engine.flush_code()
