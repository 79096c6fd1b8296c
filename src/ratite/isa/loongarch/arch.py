"""A configured LoongArch instruction set, as the engine wants it."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from ratite.isa.arch import Arch
from ratite.isa.dsl import Insn, Layout
from ratite.isa.loongarch.config import LoongArchConfig
from ratite.isa.loongarch.exceptions import Cause, illegal
from ratite.isa.loongarch.formats import Word
from ratite.isa.loongarch.state import F_NAMES, FCC_NAMES, R_NAMES, V_NAMES, X_NAMES, LoongArchState
from ratite.isa.loongarch.table import LOONGARCH

#: The files that fill the instruction table.
_INSTRUCTIONS = (
    "la_base", "la_mul", "la_bits", "la_crc", "la_branch", "la_memory", "la_atomic", "la_misc",
    "la_fp", "la_fp_compare", "la_fp_convert", "la_fp_move", "la_fp_memory",
    "la_v_integer", "la_v_bits", "la_v_shift", "la_v_places", "la_v_memory", "la_v_fp", "la_v_fp_convert",
)  # fmt: skip
#: The files that instruction texts draw on.
_SHARED = ("formats", "floats", "fcsr", "vectors", "exceptions", "state", "config", "cpucfg")

#: Modules whose source decides what machine code looks like; caches of it are keyed by their content.
MODULES = tuple(f"ratite.isa.loongarch.{name}" for name in (*_SHARED, *_INSTRUCTIONS))

#: Units of 16 bits in an instruction by its first unit: always two.
_LONG = bytes((2,)) * 0x10000

#: What an instruction word is that means nothing.
ILLEGAL = Insn("illegal", 0, 0, 4, Word, ".word {word}", illegal, "", 0)


def load() -> None:
    """Fill the instruction table."""
    for name in _INSTRUCTIONS:
        import_module(f"ratite.isa.loongarch.{name}")


def register_name(file: str, number: int) -> str:
    """The ABI name of a register."""
    return {"r": R_NAMES, "f": F_NAMES, "fcc": FCC_NAMES, "v": V_NAMES, "x": X_NAMES}[file][number]


@cache
def make_arch(config: LoongArchConfig) -> Arch:
    """The instruction set of a core with these properties. Only user mode is there yet."""
    load()
    return Arch(
        name="loongarch64",
        word=64,
        config=config,
        layout=Layout.of(LoongArchState, 64),
        frame=("r", 22, 1),
        decoder=LOONGARCH.decoder(config.decoded, 64),
        user=config.user,
        contexts=1,
        mmu_modes=1,
        long=_LONG,
        illegal=ILLEGAL,
        fetch_fault=Cause.FETCH_PAGE,
        access_faults=(Cause.LOAD_PAGE, Cause.STORE_PAGE, Cause.FETCH_PAGE),
        syscall_cause=Cause.SYSTEM_CALL,
        register_name=register_name,
        modules=MODULES,
    )
