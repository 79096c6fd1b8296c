"""Loops of vector and floating-point instructions compiled as a whole do what the reference evaluator does: registers that are parts of one another,
vectors that go round a loop, and constants that LLVM could compute with."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from ratite.cpu.regions import Regions
from ratite.isa.dsl import Insn
from ratite.testing.conformance.cases import Case
from ratite.testing.conformance.cases import Generator as Cases
from ratite.testing.conformance.loongarch import subject
from tests.isa.loongarch import cores

#: Registers of programs: where memory is, a distance from there, numbers, and what counts the turns.
BASE, INDEX, NUMBERS, COUNTER = 4, 5, (6, 12, 13, 20), 21
#: Vector registers of programs.
VECTORS = 6
#: Memory that programs may reach, around where they begin.
DATA_SIZE = 0x4000
#: A seed whose program has shifts of elements of 128 bits, one after the other, for which LLVM's code generator ended the process.
ENDED_LLVM = 173
_ABOUT = subject("max", vectors=True)
_SKIPPED = (
    "fldgt", "fldle", "fstgt", "fstle", "ld", "st", "asrt", "preld", "iocsr", "cpucfg", "ibar", "dbar", "syscall", "break", "rdtime",
    "movgr2fcsr",
)  # fmt: skip


def _suits(insn: Insn) -> bool:
    """Whether an instruction may be part of a program: none that jumps, traps, or touches memory elsewhere than programs may."""
    if insn.extension.startswith(("LSX", "LASX")):
        return True
    ends = insn.extension != "FP" and insn.name.startswith(("b", "jirl"))
    return insn.extension in ("base", "FP") and not insn.name.startswith(_SKIPPED) and not ends


class Programs:
    """Makes random loops."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        suiting = [insn for insn in _ABOUT.arch.decoder.insns if _suits(insn)]
        moves = [insn for insn in _ABOUT.arch.decoder.insns if insn.name.startswith(("vld", "vst", "xvld", "xvst", "fld.", "fst.", "fldx", "fstx"))]
        self.pool = [self.random.choice(suiting) for _ in range(14)] + [self.random.choice(moves) for _ in range(4)]

    def word(self, insn: Insn) -> int:
        """An instruction with random operands, registers among the few that are meant."""
        word = insn.value | self.random.getrandbits(32) & ~insn.mask
        touches = any(name in insn.name for name in ("ld", "st")) and insn.name not in ("vldi", "xvldi")
        for register in insn.text.fmt.regs:
            low = next((n for n in range(0, 32, 5) if register.get(word ^ 1 << n) != register.get(word)), 0)
            size = 3 if register.file == "fcc" else 5
            word = word & ~((1 << size) - 1 << low) | self._number(register.file, low, touches) << low
        return word

    def _number(self, file: str, low: int, touches: bool) -> int:
        if file == "fcc":
            return self.random.randrange(2)
        if file != "r":
            return self.random.randrange(VECTORS)
        if touches:
            return BASE if low == 5 else INDEX
        return self.random.choice((*NUMBERS, 0)) if low else self.random.choice(NUMBERS)

    def program(self, turns: int) -> list[int]:
        """A loop that is gone through some times."""
        body = [self.word(self.random.choice(self.pool)) for _ in range(self.random.randrange(4, 18))]
        last = [0x02C0_0000 | (-1 & 0xFFF) << 10 | COUNTER << 5 | COUNTER]  # addi.d counter, counter, -1
        back = -4 * len([*body, *last])
        last.append(0x4400_0000 | COUNTER << 5 | (back >> 2 & 0xFFFF) << 10 | back >> 18 & 31)  # bnez counter, back
        return [0x02C0_0000 | turns << 10 | COUNTER, *body, *last]


class Loops:
    """Runs a loop, in machine code with a region or in the reference evaluator."""

    def __init__(self, native: bool) -> None:
        self.bench = cores.Bench("max", native=native)
        if native:
            self.bench.engine.regions = Regions(self.bench.engine)

    def put(self, words: list[int]) -> None:
        """The program into memory."""
        end = cores.CODE + 4 * len(words)
        code = [*words, cores.jump(cores.STOP - end)]
        self.bench.memory.dma_write(cores.CODE, b"".join(w.to_bytes(4, "little") for w in code))

    def set(self, seed: int) -> None:
        """Registers and memory, the same for the same seed."""
        numbers = random.Random(seed)
        bench = self.bench
        bench.reset()
        case = Cases(_ABOUT, seed=seed).case(_ABOUT.arch.decoder.insns[0], 0)
        self._fill(case, numbers)
        bench.memory.dma_write(cores.DATA, numbers.randbytes(DATA_SIZE))
        bench.state.euen = 7
        bench.cpu.set_fp_round(numbers.choice((0, 0, 1, 2, 3)))
        bench.r[BASE], bench.r[INDEX] = cores.DATA + DATA_SIZE // 2 - numbers.randrange(64), numbers.choice((0, 8, 40, -16 & (1 << 64) - 1, 4090))
        bench.state.next_pc = cores.CODE

    def _fill(self, case: Case, numbers: random.Random) -> None:
        state = self.bench.state
        for n in range(VECTORS):
            state.x[n] = numbers.choice(case.registers["x"])
        for n in range(8):
            state.fcc[n] = numbers.randrange(2)
        for n in NUMBERS:
            self.bench.r[n] = numbers.choice(case.registers["r"])

    def compile(self) -> bool:
        """Make the region of the loop."""
        key = self.bench.cpu.page_key(cores.CODE + 4)
        assert key is not None and self.bench.engine.regions is not None
        return self.bench.engine.regions.compile_now(key, (cores.CODE + 4) & 0xFFF)

    def finish(self) -> tuple[object, ...]:
        """Run to the end; the state there."""
        bench, state = self.bench, self.bench.state
        if bench.native:
            assert bench.cpu.run().kind == "stop"
        else:
            for _ in range(2000):
                if state.pc in bench.cpu.stops:
                    break
                bench.cpu.step()
        registers = [list(bench.r), list(state.x), list(state.fcc)]
        return int(state.pc), registers, state.fp_flags, state.fcsr_cause, bytes(bench.memory.dma_read(cores.DATA, DATA_SIZE))


@pytest.fixture(scope="module")
def engines() -> Iterator[tuple[Loops, Loops]]:
    native, reference = Loops(native=True), Loops(native=False)
    yield native, reference
    native.bench.close()


@pytest.mark.parametrize("seed", [*range(16), ENDED_LLVM])
def test_random_loops(engines: tuple[Loops, Loops], seed: int) -> None:
    """Random loops, several states each."""
    native, _ = engines
    words = Programs(seed).program(turns=5)
    for loops in engines:
        loops.put(words)
    native.set(seed)
    native.finish()  # translates it
    assert native.compile()
    for trial in range(3):
        found = []
        for loops in engines:
            loops.set(100 * seed + trial)
            found.append(loops.finish())
        assert found[0] == found[1]
    assert native.bench.engine.regions is not None


