"""Traps: entry, delegation, return, priorities of interrupts, and waiting (volume II, 20211203, 3.1.6 to 3.1.9, 3.3).

`Model` says the same as the manual in plain Python; random states go through both.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import pytest

from ratite.bits import bit, bits, mask
from ratite.isa.riscv import traps
from tests.isa.riscv.harts import (
    CODE,
    ECALL,
    MACHINE_HANDLER,
    MRET,
    NOP,
    SRET,
    SUPERVISOR_HANDLER,
    WFI,
    Bench,
    Benches,
    M,
    S,
    U,
    csrrs,
    csrrsi,
    csrrw,
)  # fmt: skip

SIE, MIE, SPIE, MPIE, SPP, MPP, MPRV = 1 << 1, 1 << 3, 1 << 5, 1 << 7, 1 << 8, 3 << 11, 1 << 17
TW, TSR = 1 << 21, 1 << 22
INTERRUPT = 1 << 63

MSIP, MTIP, MEIP, SSIP, STIP, SEIP = 1 << 3, 1 << 7, 1 << 11, 1 << 1, 1 << 5, 1 << 9


@dataclass
class Model:
    """The state that traps change."""

    priv: int
    mstatus: int
    pc: int
    medeleg: int = 0
    mideleg: int = 0
    mtvec: int = MACHINE_HANDLER
    stvec: int = SUPERVISOR_HANDLER
    mepc: int = 0
    mcause: int = 0
    mtval: int = 0
    sepc: int = 0
    scause: int = 0
    stval: int = 0

    def trap(self, cause: int, value: int) -> None:
        """Take a trap at pc."""
        interrupt, code = cause >> 63, cause & mask(63)
        delegated = bit(self.mideleg if interrupt else self.medeleg, code) and self.priv != M
        vector = self.stvec if delegated else self.mtvec
        target = (vector & ~3) + (4 * code if interrupt and vector & 1 else 0)
        if delegated:
            self.scause, self.sepc, self.stval = cause, self.pc, value
            old, self.mstatus = self.mstatus, self.mstatus & ~(SIE | SPIE | SPP)
            self.mstatus |= (SPIE if old & SIE else 0) | (SPP if self.priv == S else 0)
            self.priv = S
        else:
            self.mcause, self.mepc, self.mtval = cause, self.pc, value
            old, self.mstatus = self.mstatus, self.mstatus & ~(MIE | MPIE | MPP)
            self.mstatus |= (MPIE if old & MIE else 0) | self.priv << 11
            self.priv = M
        self.pc = target & mask(64)

    def mret(self) -> None:
        """Return to where a machine trap came from."""
        to = bits(self.mstatus, 12, 11)
        old, self.mstatus = self.mstatus, self.mstatus & ~(MIE | MPP) | MPIE
        self.mstatus |= MIE if old & MPIE else 0
        self.mstatus &= ~MPRV if to != M else -1
        self.priv, self.pc = to, self.mepc & ~1

    def sret(self) -> None:
        """Return to where a supervisor trap came from."""
        to = bit(self.mstatus, 8)
        old, self.mstatus = self.mstatus, self.mstatus & ~(SIE | SPP | MPRV) | SPIE
        self.mstatus |= SIE if old & SPIE else 0
        self.priv, self.pc = to, self.sepc & ~1

    def put(self, bench: Bench) -> None:
        """Give this state to a hart."""
        for name, value in vars(self).items():
            setattr(bench.state, name, value)
        bench.mode(self.priv)

    def check(self, bench: Bench) -> None:
        """The hart has this state, and the engine follows it."""
        found = {name: int(getattr(bench.state, name)) for name in vars(self)}
        assert found == vars(self)
        assert bench.state.context_index == self.priv
        lent = self.mstatus & MPRV and bits(self.mstatus, 12, 11) != M
        views = {U: 0, S: 1 + bit(self.mstatus, 18), M: 4 if lent else 3}
        assert bench.state.mmu_index == views[self.priv]


def _random_model(rng: random.Random) -> Model:
    return Model(
        priv=rng.choice([U, S, M]), mstatus=rng.getrandbits(23) & 0x1E01AA | rng.choice([0, 1, 3]) << 11,
        pc=rng.getrandbits(64) & ~1, medeleg=rng.getrandbits(16) & 0xB3FF, mideleg=rng.getrandbits(12) & 0x222,
        mtvec=rng.getrandbits(64) & ~2, stvec=rng.getrandbits(64) & ~2,
        mepc=rng.getrandbits(64) & ~1, sepc=rng.getrandbits(64) & ~1,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(60))
def test_entry(benches: Benches, seed: int) -> None:
    """Exceptions and interrupts of every cause, from every mode, with any delegation."""
    rng, bench = random.Random(seed), benches.get()
    model = _random_model(rng)
    interrupt = rng.random() < 0.5
    exceptions = [n for n in range(16) if n not in (10, 14)]
    cause = rng.choice(traps.PRIORITY) | INTERRUPT if interrupt else rng.choice(exceptions)
    value = rng.getrandbits(64)
    model.put(bench)
    bench.cpu.call("take_trap", cause, value)
    model.trap(cause, value)
    model.check(bench)


@pytest.mark.parametrize("seed", range(30))
def test_return(bench: Bench, seed: int) -> None:
    """mret and sret with any mstatus; the `ecall` to which they return shows the mode that they reached."""
    rng = random.Random(seed)
    model = replace(_random_model(rng), priv=M, mepc=CODE + 0x1000, sepc=CODE + 0x1001)
    model.mtvec, model.stvec = MACHINE_HANDLER, SUPERVISOR_HANDLER
    word = rng.choice([MRET, SRET])
    bench.memory.write(CODE + 0x1000, 4, ECALL)
    model.put(bench)
    bench.run(word)
    if not bench.native:
        bench.cpu.step()
    model.mret() if word == MRET else model.sret()
    assert model.pc == CODE + 0x1000
    model.trap({U: 8, S: 9, M: 11}[model.priv], 0)
    model.check(bench)


@pytest.mark.parametrize(("cpu", "kept"), [("rv64", False), ("rv64,priv_spec=v1.11.0", True)])
def test_return_and_mprv(benches: Benches, cpu: str, kept: bool) -> None:
    """Since version 1.12 MPRV ends when machine mode is left."""
    for native in (False, True):
        bench = benches.get(cpu, native=native)
        bench.state.mstatus, bench.state.mepc = MPRV | S << 11, CODE + 0x1000
        bench.memory.write(CODE + 0x1000, 4, WFI)
        bench.run(MRET)
        assert bool(bench.state.mstatus & MPRV) == kept


@pytest.mark.parametrize(("word", "mode", "mstatus", "cause"), [
    (MRET, S, 0, 2), (MRET, U, 0, 2), (SRET, U, 0, 2), (SRET, S, TSR, 2),
    (WFI, U, 0, 2), (WFI, S, TW, 2), (0x10600073, M, 0, 2), (0x00200073, M, 0, 2),
    (ECALL, U, 0, 8), (ECALL, S, 0, 9), (ECALL, M, 0, 11), (0x00100073, M, 0, 3),
    (0x0, M, 0, 2), (0xFFFFFFFF, M, 0, 2), (0x12000073, U, 0, 2), (0x16000073, U, 0, 2), (0x18000073, U, 0, 2),
    (0x18100073, U, 0, 2),
])  # fmt: skip
def test_exceptions(bench: Bench, word: int, mode: int, mstatus: int, cause: int) -> None:
    """What is illegal where, with the instruction in mtval, and the other exceptions of instructions."""
    bench.state.mstatus = mstatus
    bench.mode(mode)
    bench.memory.write(CODE + 4, 4, NOP)
    bench.run(NOP, word)
    value = {3: CODE + 4, 2: word if word & 3 == 3 else word & 0xFFFF}.get(cause, 0)
    state = bench.state
    assert (state.pc, state.mcause, state.mepc, state.mtval) == (MACHINE_HANDLER, cause, CODE + 4, value)


@pytest.mark.parametrize(("word", "mode"), [(SRET, M), (SRET, S), (0x12000073, M), (0x12000073, S), (0x16000073, S),
                                            (0x18000073, S), (0x18100073, M)])  # fmt: skip
def test_supervisor_instructions_are_allowed(bench: Bench, word: int, mode: int) -> None:
    """Supervisor instructions where nothing forbids them; TSR rules supervisor mode only."""
    bench.state.mstatus, bench.state.sepc = (TSR if mode == M else 0) | SPP, CODE + 4
    bench.mode(mode)
    bench.run(word)
    assert bench.trapped is None


def test_svinval_is_an_extension(benches: Benches) -> None:
    """Without Svinval its instructions are illegal."""
    bench = benches.get("rv64")
    bench.run(0x16000073)
    assert bench.trapped == 2


# --- interrupts -------------------------------------------------------------------------------------------------------


def _expected_interrupt(priv: int, mstatus: int, pending: int, mideleg: int) -> int | None:
    """The interrupt that is taken: machine mode's before supervisor mode's, and by priority among one mode's."""
    machine = pending & ~mideleg if priv < M or mstatus & MIE else 0
    supervisor = pending & mideleg if priv < S or (priv == S and mstatus & SIE) else 0
    for chosen in (machine, supervisor):
        for number in (11, 3, 7, 9, 1, 5):
            if bit(chosen, number):
                return number
    return None


@pytest.mark.parametrize("seed", range(60))
def test_interrupts(bench: Bench, seed: int) -> None:
    """Which interrupt is taken before the next instruction, in any mode, with any enables and delegation."""
    rng = random.Random(seed)
    model = replace(_random_model(rng), pc=CODE, mtvec=MACHINE_HANDLER, stvec=SUPERVISOR_HANDLER)
    lines, soft, mie = (rng.getrandbits(12) & allowed for allowed in (0xAAA, 0x222, 0xAAA))
    model.put(bench)
    bench.state.irq_lines, bench.state.mip_soft, bench.state.mie = lines, soft, mie
    bench.state.attention = 1
    taken = _expected_interrupt(model.priv, model.mstatus, (lines | soft) & mie, model.mideleg)
    bench.cpu.call("poll")
    if taken is not None:
        model.trap(taken | INTERRUPT, 0)
    model.check(bench)
    assert bench.state.attention == 0
    bench.state.irq_lines = 0


@pytest.mark.parametrize(("words", "before"), [
    ([csrrsi("mstatus", 8)], {"mie": MTIP}),
    ([csrrs("mstatus")], {"mie": MTIP, "a1": MIE}),
    ([csrrw("mstatus")], {"mie": MTIP, "a1": MIE}),
    ([csrrs("mie")], {"mstatus": MIE, "a1": MTIP}),
    ([csrrw("mie")], {"mstatus": MIE, "a1": MTIP}),
])  # fmt: skip
def test_interrupt_that_is_let_through_is_taken_at_once(bench: Bench, words: list[int], before: dict[str, int]) -> None:
    """The instruction that enables a pending interrupt is the last before the handler."""
    state = bench.state
    state.irq_lines = MTIP
    state.mstatus, state.mie, bench.x[11] = before.get("mstatus", 0), before.get("mie", 0), before.get("a1", 0)
    bench.x[10] = 99
    bench.run(*words, NOP)
    state.irq_lines = 0
    assert (state.mcause, state.mepc) == (7 | INTERRUPT, CODE + 4)
    assert bench.x[10] == (0 if words[0] >> 20 == 0x304 else 0xA << 32)    # the instruction was completed


@pytest.mark.parametrize(("word", "mode", "which"), [
    (csrrsi("sip", 2), S, "mip_soft"), (csrrs("sie"), S, "mie"),
    (csrrs("mip"), M, "mip_soft"), (csrrs("mie"), M, "mie"), (csrrs("mideleg"), M, "mideleg"),
])  # fmt: skip
def test_supervisor_interrupts_by_software(bench: Bench, word: int, mode: int, which: str) -> None:
    """Each part of the way can be the last that lets a software interrupt through; machine mode is not interrupted."""
    state = bench.state
    state.mideleg, state.mie, state.mip_soft, state.mstatus = SSIP, SSIP, SSIP, SIE
    setattr(state, which, 0)
    bench.x[11] = SSIP
    bench.mode(mode)
    bench.run(word, NOP)
    if mode == M:
        assert bench.trapped is None
        return
    assert (state.pc, state.scause, state.sepc) == (SUPERVISOR_HANDLER, 1 | INTERRUPT, CODE + 4)


def test_interrupt_before_the_first_instruction_after_a_return(bench: Bench) -> None:
    """sret that enables interrupts: sepc is where it returned to, and not one instruction of that mode has run."""
    state = bench.state
    state.irq_lines, state.mie, state.mideleg = STIP, STIP, STIP
    state.mstatus, state.sepc = SPIE | SPP, CODE + 0x1000
    bench.mode(S)
    bench.memory.write(CODE + 0x1000, 4, ECALL)
    bench.run(SRET)
    state.irq_lines = 0
    assert (state.scause, state.sepc, state.pc) == (5 | INTERRUPT, CODE + 0x1000, SUPERVISOR_HANDLER)


# --- waiting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lines", "mie", "waits"), [
    (0, 0xAAA, True), (MTIP, 0, True), (MTIP, MTIP, False), (SEIP, SEIP, False),
])  # fmt: skip
def test_wait(bench: Bench, lines: int, mie: int, waits: bool) -> None:
    """wfi goes on at once where an enabled interrupt is pending, whether or not it can be taken."""
    bench.state.irq_lines, bench.state.mie = lines, mie
    assert bench.cpu.call("wakeup") == int(not waits)
    if bench.native:
        bench.run(WFI, NOP)
        assert bench.state.pc == CODE + (4 if waits else 8)
    else:
        bench.memory.write(CODE, 4, WFI)
        bench.state.next_pc = CODE
        assert (bench.cpu.step() is not None) == waits
        assert bench.state.pc == CODE + 4
    bench.state.irq_lines = 0


def test_rv32_trap_causes(bench32: Bench) -> None:
    """In RV32 the mark of interrupts is bit 31."""
    state = bench32.state
    state.irq_lines, state.mie, state.mstatus, state.attention = MEIP, MEIP, MIE, 1
    state.mtvec = MACHINE_HANDLER | 1
    state.next_pc = CODE
    bench32.cpu.call("poll")
    state.irq_lines = 0
    assert (state.mcause, state.pc) == (1 << 31 | 11, MACHINE_HANDLER + 44)
