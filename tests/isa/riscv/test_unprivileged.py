"""What a hart's privileged state makes of unprivileged instructions, in the reference evaluator."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from ratite.codegen.endings import GuestTrap, Leave
from ratite.codegen.reference import evaluator
from ratite.isa.arch import Exit
from ratite.isa.dsl.record import record
from ratite.isa.riscv.arch import make_arch
from ratite.isa.riscv.config import RiscvConfig
from ratite.isa.riscv.cpus import parse_cpu
from ratite.isa.riscv.exceptions import ILLEGAL_INSTRUCTION, LOAD_MISALIGNED, STORE_MISALIGNED
from ratite.testing.conformance import CODE, DATA, window
from ratite.testing.conformance.reference import FlatCpu

USER, SUPERVISOR, MACHINE = 0, 1, 3

FADD_S = 0x003100D3  # fadd.s f1, f2, f3, rne
FADD_S_DYN = 0x003170D3
FADD_S_RESERVED = 0x003150D3
FLW = 0x00052087  # flw f1, 0(x10)
C_FLD = 0x2108  # c.fld f10, 0(x10)
FEQ_S = 0xA03120D3  # feq.s x1, f2, f3
FSW = 0x00152027  # fsw f1, 0(x10)
FMV_X_W = 0xE00100D3  # fmv.x.w x1, f2
CBO_INVAL, CBO_CLEAN, CBO_FLUSH, CBO_ZERO = 0x0005200F, 0x0015200F, 0x0025200F, 0x0045200F  # of x10
FENCE_I = 0x0000100F
LR_W, SC_W, AMOADD_W, LR_D = 0x100520AF, 0x18B520AF, 0x00B520AF, 0x100530AF  # x1, x11, (x10)

CBIE_FLUSH, CBIE_INVAL, CBCFE, CBZE = 1 << 4, 3 << 4, 1 << 6, 1 << 7


class Hart:
    """A FlatCpu that runs single words in a privilege mode. `fills` answers for the MMU."""

    def __init__(self, config: RiscvConfig, mode: int = MACHINE, fills: Mapping[int, int] | None = None) -> None:
        self.config, self.mode = config, mode
        self.arch = make_arch(config)
        self.cpu = FlatCpu(self.arch, window())
        self.cpu.set("fs", 1)
        self.cpu.set("x", DATA, 10)
        self.asked: list[int] = []
        self.fills = fills or {}
        self.cpu.natives["mmu_fill"] = self._fill

    def _fill(self, address: int, access: int) -> int:
        self.asked.append(access)
        return self.fills.get(access, 0)

    def run(self, word: int) -> int:
        """The address after one instruction."""
        length = 2 * self.arch.long[word & 0xFFFF]
        insn = self.arch.decoder.decode(word, length)
        assert insn is not None
        statics, regs, imms = ([get(word) for get in getters] for getters in insn.getters)
        block = record(insn.text, self.arch.layout, self.config, tuple(statics), self.mode)
        return evaluator(block, insn, self.arch.layout)(self.cpu, CODE, CODE + length, *regs, *imms)

    def trap(self, word: int) -> tuple[int, int]:
        """Cause and value of the exception that one instruction raises."""
        with pytest.raises(GuestTrap) as caught:
            self.run(word)
        return caught.value.cause, caught.value.value


@pytest.fixture(params=[64, 32])
def config(request: pytest.FixtureRequest) -> RiscvConfig:
    """The generic hart of each width."""
    return parse_cpu(f"rv{request.param}", request.param)


@pytest.mark.parametrize("word", [FADD_S, FADD_S_DYN, FLW, C_FLD, FEQ_S, FSW, FMV_X_W])
def test_floating_point_switched_off(config: RiscvConfig, word: int) -> None:
    """With mstatus.FS off every floating-point instruction is illegal, and the exception's value is the instruction."""
    hart = Hart(config)
    hart.cpu.set("fs", 0)
    assert hart.trap(word) == (ILLEGAL_INSTRUCTION, word)


@pytest.mark.parametrize("word", [FADD_S, FADD_S_DYN, FLW, C_FLD, FEQ_S])
def test_floating_point_state_becomes_dirty(config: RiscvConfig, word: int) -> None:
    """Whatever may write a register or flags sets FS to dirty."""
    hart = Hart(config)
    hart.run(word)
    assert hart.cpu.get("fs") == 3


@pytest.mark.parametrize("word", [FSW, FMV_X_W])
def test_floating_point_state_stays_clean(config: RiscvConfig, word: int) -> None:
    """Stores and moves out leave FS alone."""
    hart = Hart(config)
    hart.run(word)
    assert hart.cpu.get("fs") == 1


def test_reserved_rounding_modes(config: RiscvConfig) -> None:
    """Modes 5 and 6 in an instruction, and 5 to 7 in frm when an instruction uses it, are illegal."""
    assert Hart(config).trap(FADD_S_RESERVED) == (ILLEGAL_INSTRUCTION, FADD_S_RESERVED)
    for frm in (5, 6, 7):
        hart = Hart(config)
        hart.cpu.set("frm", frm)
        assert hart.trap(FADD_S_DYN) == (ILLEGAL_INSTRUCTION, FADD_S_DYN)
        assert hart.run(FADD_S) == CODE + 4


@pytest.mark.parametrize(
    ("word", "bits"),
    [(CBO_INVAL, CBIE_FLUSH), (CBO_INVAL, CBIE_INVAL), (CBO_CLEAN, CBCFE), (CBO_FLUSH, CBCFE), (CBO_ZERO, CBZE)],
)
def test_cache_block_operations_need_permission(config: RiscvConfig, word: int, bits: int) -> None:
    """menvcfg permits each of them below machine mode, senvcfg in addition in user mode."""
    illegal = ILLEGAL_INSTRUCTION, word
    assert Hart(config, MACHINE).run(word) == CODE + 4
    supervisor, user = Hart(config, SUPERVISOR), Hart(config, USER)
    assert supervisor.trap(word) == illegal
    assert user.trap(word) == illegal
    supervisor.cpu.set("menvcfg", bits)
    assert supervisor.run(word) == CODE + 4
    user.cpu.set("menvcfg", bits)
    assert user.trap(word) == illegal
    user.cpu.set("senvcfg", bits)
    assert user.run(word) == CODE + 4
    user.cpu.set("menvcfg", 0)
    assert user.trap(word) == illegal


@pytest.mark.parametrize("word", [CBO_INVAL, CBO_CLEAN, CBO_FLUSH])
def test_cache_block_management_asks_for_any_access(config: RiscvConfig, word: int) -> None:
    """It is enough that the block may be read or written; else the exception is that of a store."""
    page_faults = {0: 16 + 13, 1: 16 + 15}
    for fills, asked in (({}, [0]), ({0: 1}, [0]), ({0: page_faults[0]}, [0, 1])):
        hart = Hart(config, fills=fills)
        assert hart.run(word) == CODE + 4
        assert hart.asked == asked
    assert Hart(config, fills=page_faults).trap(word) == (15, DATA)


def test_cache_block_zero_clears_the_whole_block(config: RiscvConfig) -> None:
    """The 64 bytes around the address, and no others."""
    hart = Hart(config)
    hart.cpu.set("x", DATA + 64 + 21, 10)
    hart.run(CBO_ZERO)
    assert hart.cpu.memory == window()[:64] + bytes(64) + window()[128:]


def test_instruction_fence(config: RiscvConfig) -> None:
    """In a machine it needs to do nothing; in user mode it leaves for the run loop, which forgets translations."""
    assert Hart(config).run(FENCE_I) == CODE + 4
    with pytest.raises(Leave) as caught:
        Hart(config.for_user_mode(), USER).run(FENCE_I)
    assert (caught.value.reason, caught.value.to) == (Exit.CODE_SYNC, CODE + 4)


def test_misaligned_atomics(config: RiscvConfig) -> None:
    """Atomic accesses do not take misaligned addresses, sc not even without a reservation."""
    hart = Hart(config)
    for offset in (1, 2, 3):
        hart.cpu.set("x", DATA + offset, 10)
        assert hart.trap(LR_W) == (LOAD_MISALIGNED, DATA + offset)
        assert hart.trap(SC_W) == (STORE_MISALIGNED, DATA + offset)
        assert hart.trap(AMOADD_W) == (STORE_MISALIGNED, DATA + offset)
    if config.xlen == 64:
        hart.cpu.set("x", DATA + 4, 10)
        assert hart.trap(LR_D) == (LOAD_MISALIGNED, DATA + 4)


def test_reservation(config: RiscvConfig) -> None:
    """sc succeeds after lr, once, and not when memory has changed; it writes nothing where it fails."""
    hart = Hart(config)
    cpu = hart.cpu
    cpu.set("x", 0x55AA55AA, 11)

    hart.run(SC_W)
    assert cpu.get("x", 1) == 1 and cpu.memory == window()

    hart.run(LR_W)
    hart.run(SC_W)
    assert cpu.get("x", 1) == 0 and cpu.load(DATA, 4) == 0x55AA55AA
    hart.run(SC_W)
    assert cpu.get("x", 1) == 1

    hart.run(LR_W)
    cpu.store(DATA, 4, 0)
    hart.run(SC_W)
    assert cpu.get("x", 1) == 1 and cpu.load(DATA, 4) == 0
