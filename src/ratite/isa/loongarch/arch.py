"""A configured LoongArch instruction set, as the engine wants it."""

from __future__ import annotations

from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ratite.isa.arch import Arch
from ratite.isa.dsl.state import Layout
from ratite.isa.loongarch.causes import Cause
from ratite.isa.loongarch.config import LoongArchConfig
from ratite.isa.loongarch.state import F_NAMES, FCC_NAMES, R_NAMES, V_NAMES, X_NAMES, LoongArchState

if TYPE_CHECKING:
    from ratite.isa.dsl import Decoder, Insn

#: The files that fill the instruction table.
_INSTRUCTIONS = (
    "la_base", "la_mul", "la_bits", "la_crc", "la_branch", "la_memory", "la_atomic", "la_misc",
    "la_fp", "la_fp_compare", "la_fp_convert", "la_fp_move", "la_fp_memory",
    "la_v_integer", "la_v_bits", "la_v_shift", "la_v_places", "la_v_memory", "la_v_fp", "la_v_fp_convert",
    "la_csr", "la_tlb", "la_priv",
)  # fmt: skip
#: The files that instruction texts draw on.
_SHARED = (
    "formats", "floats", "fcsr", "vectors", "causes", "exceptions", "state", "config", "cpucfg",
    "clock", "counters", "csr", "modes", "mmu", "pages", "tlb", "traps", "units", "walk",
)  # fmt: skip

#: Modules whose source decides what machine code looks like; caches of it are keyed by their content.
MODULES = tuple(f"ratite.isa.loongarch.{name}" for name in (*_SHARED, *_INSTRUCTIONS))

#: Units of 16 bits in an instruction by its first unit: always two.
_LONG = bytes((2,)) * 0x10000


def load() -> None:
    """Fill the instruction table."""
    for name in _INSTRUCTIONS:
        import_module(f"ratite.isa.loongarch.{name}")


def _instructions(config: LoongArchConfig) -> tuple[Decoder, Insn]:
    """The decoder of a configuration, and what an instruction word is that means nothing."""
    from ratite.isa.dsl import Insn
    from ratite.isa.loongarch.exceptions import illegal
    from ratite.isa.loongarch.formats import Word
    from ratite.isa.loongarch.table import LOONGARCH

    load()
    return LOONGARCH.decoder(config.decoded, 64), Insn("illegal", 0, 0, 4, Word, ".word {word}", illegal, "", 0)


def register_name(file: str, number: int) -> str:
    """The ABI name of a register."""
    return {"r": R_NAMES, "f": F_NAMES, "fcc": FCC_NAMES, "v": V_NAMES, "x": X_NAMES}[file][number]


def _of_system() -> dict[str, Any]:
    """What only systems have: native helpers that the engine needs, and instruction texts call; modes; the TLB."""
    from ratite.isa.loongarch import clock, counters, mmu, modes, tlb, traps, walk

    helpers = (
        mmu.mmu_fill, mmu.translate, modes.mode_update, clock.timer_look, traps.poll, traps.take_trap, traps.wakeup,
        tlb.tlb_find, tlb.tlb_put, tlb.tlb_write, tlb.tlb_fill, tlb.tlb_search, tlb.tlb_read, tlb.tlb_invalidate, tlb.tlb_clear,
        tlb.forget, tlb.tlb_choose, walk.directory, walk.page_entry, walk.hardware_walk, counters.pm_settle,
    )  # fmt: skip
    return {
        "helpers": {helper.name: helper for helper in helpers},
        "contexts": modes.CONTEXTS,
        "mmu_modes": modes.CONTEXTS,
        "tables": {"tlb_table": tlb.TABLE_SIZE},
    }


def _access_faults(config: LoongArchConfig) -> tuple[int, int, int]:
    """Exceptions of loads, stores and fetches that nothing answers. A program sees the operating system's page fault."""
    if config.user:
        return Cause.LOAD_PAGE, Cause.STORE_PAGE, Cause.FETCH_PAGE
    return Cause.MEMORY_ADDRESS, Cause.MEMORY_ADDRESS, Cause.FETCH_ADDRESS


@cache
def make_arch(config: LoongArchConfig) -> Arch:
    """The instruction set of a core with these properties."""
    return Arch(
        name="loongarch64",
        word=64,
        config=config,
        layout=Layout.of(LoongArchState, 64),
        frame=("r", 22, 1),
        user=config.user,
        long=_LONG,
        instructions=partial(_instructions, config),
        fetch_fault=_access_faults(config)[2],
        access_faults=_access_faults(config),
        syscall_cause=Cause.SYSTEM_CALL,
        register_name=register_name,
        modules=MODULES,
        **({} if config.user else _of_system()),
    )
