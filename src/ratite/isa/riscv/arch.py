"""A configured RISC-V instruction set, as the engine wants it."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from ratite.isa.arch import Arch
from ratite.isa.dsl import Insn, Layout, Native
from ratite.isa.riscv.config import RiscvConfig
from ratite.isa.riscv.exceptions import illegal
from ratite.isa.riscv.formats import Word
from ratite.isa.riscv.pmp import check_access
from ratite.isa.riscv.state import F_NAMES, X_NAMES, RiscvState
from ratite.isa.riscv.status import MMU_MODES
from ratite.isa.riscv.table import RISCV

#: The files that fill the instruction table.
_INSTRUCTIONS = (
    "rv_i", "rv_m", "rv_a", "rv_f", "rv_d", "rv_c", "rv_zb", "rv_zicbo", "rv_zifencei", "csr_insns", "priv",
)  # fmt: skip
#: The files that instruction texts and native helpers draw on.
_SHARED = (
    "formats", "formats_c", "floats", "exceptions", "state", "config",
    "csr", "counters", "interrupts", "status", "timer", "traps", "mmu", "pmp",
)  # fmt: skip

#: Modules whose source decides what machine code looks like; caches of it are keyed by their content.
MODULES = tuple(f"ratite.isa.riscv.{name}" for name in (*_SHARED, *_INSTRUCTIONS))

#: Units of 16 bits in an instruction by its first unit: the low two bits are ones in longer ones (ISA manual, volume I,
#: chapter 1.5). Encodings of 48 bits and more are reserved; two units are enough to find that they mean nothing.
_LONG = bytes((1, 1, 1, 2)) * 0x4000

#: What an instruction word is that means nothing.
ILLEGAL = Insn("illegal", 0, 0, 4, Word, ".insn {word}", illegal, "", 0)

#: Privilege modes by number; 2 is reserved.
CONTEXTS = 4


def _load() -> None:
    """Fill the instruction table."""
    for name in _INSTRUCTIONS:
        import_module(f"ratite.isa.riscv.{name}")


def register_name(file: str, number: int) -> str:
    """The ABI name of a register."""
    return {"x": X_NAMES, "f": F_NAMES}[file][number]


def _helpers(config: RiscvConfig) -> dict[str, Native]:
    """The native helpers: what the engine needs of a system, and what instruction texts call."""
    if config.user:
        return {}
    from ratite.isa.riscv import mmu, pmp, status, timer, traps

    helpers = (
        mmu.mmu_fill, mmu.translate, mmu.walk, pmp.page_rights, status.mode_update, status.view_changed,
        timer.timer_look, traps.poll, traps.take_trap, traps.wakeup,
    )  # fmt: skip
    return {helper.name: helper for helper in helpers}


@cache
def make_arch(config: RiscvConfig) -> Arch:
    """The instruction set of a hart with these properties."""
    _load()
    return Arch(
        name=f"riscv{config.xlen}",
        word=config.xlen,
        config=config,
        layout=Layout.of(RiscvState, config.xlen),
        decoder=RISCV.decoder(config.decoded, config.xlen),
        user=config.user,
        contexts=CONTEXTS,
        mmu_modes=MMU_MODES,
        long=_LONG,
        illegal=ILLEGAL,
        frame=("x", 8, 1),
        check_access=check_access if config.pmp else None,
        helpers=_helpers(config),
        register_name=register_name,
        modules=MODULES,
    )
