"""The configuration words that `cpucfg` reads (LoongArch Reference Manual, volume 1, v1.10, chapter 2.2.10.5): what a core can do.

A feature that is absent here is not only denied: its instructions do not decode.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ratite.errors import DefinitionError

#: Number of words; others read zero.
WORDS = 21

#: Performance monitors of a core that has any.
MONITORS = 4

#: Fields by their mnemonic: word, highest bit, lowest bit.
FIELDS: dict[str, tuple[int, int, int]] = {
    "PRID": (0, 31, 0),
    "ARCH": (1, 1, 0), "PGMMU": (1, 2, 2), "IOCSR": (1, 3, 3), "PALEN": (1, 11, 4), "VALEN": (1, 19, 12),
    "UAL": (1, 20, 20), "RI": (1, 21, 21), "EP": (1, 22, 22), "RPLV": (1, 23, 23), "HP": (1, 24, 24),
    "CRC": (1, 25, 25), "MSG_INT": (1, 26, 26),
    "FP": (2, 0, 0), "FP_SP": (2, 1, 1), "FP_DP": (2, 2, 2), "FP_VER": (2, 5, 3), "LSX": (2, 6, 6), "LASX": (2, 7, 7),
    "COMPLEX": (2, 8, 8), "CRYPTO": (2, 9, 9), "LVZ": (2, 10, 10), "LVZ_VER": (2, 13, 11), "LLFTP": (2, 14, 14),
    "LLFTP_VER": (2, 17, 15), "LBT_X86": (2, 18, 18), "LBT_ARM": (2, 19, 19), "LBT_MIPS": (2, 20, 20),
    "LSPW": (2, 21, 21), "LAM": (2, 22, 22), "HPTW": (2, 24, 24), "FRECIPE": (2, 25, 25), "DIV32": (2, 26, 26),
    "LAM_BH": (2, 27, 27), "LAMCAS": (2, 28, 28), "LLACQ_SCREL": (2, 29, 29), "SCQ": (2, 30, 30),
    "CCDMA": (3, 0, 0), "SFB": (3, 1, 1), "UCACC": (3, 2, 2), "LLEXC": (3, 3, 3), "SCDLY": (3, 4, 4),
    "LLDBAR": (3, 5, 5), "ITLBTHMC": (3, 6, 6), "ICHMC": (3, 7, 7), "SPW_LVL": (3, 10, 8), "SPW_HP_HF": (3, 11, 11),
    "RVA": (3, 12, 12), "RVAMAX": (3, 16, 13), "DBAR_HINTS": (3, 17, 17), "LD_SEQ_SA": (3, 23, 23),
    "CC_FREQ": (4, 31, 0), "CC_MUL": (5, 15, 0), "CC_DIV": (5, 31, 16),
    "PMP": (6, 0, 0), "PMVER": (6, 3, 1), "PMNUM": (6, 7, 4), "PMBITS": (6, 13, 8), "UPM": (6, 14, 14),
    "L1_IU_PRESENT": (16, 0, 0), "L1_IU_UNIFY": (16, 1, 1), "L1_D_PRESENT": (16, 2, 2),
    "L2_IU_PRESENT": (16, 3, 3), "L2_IU_UNIFY": (16, 4, 4), "L2_IU_PRIVATE": (16, 5, 5), "L2_IU_INCLUSIVE": (16, 6, 6),
    "L3_IU_PRESENT": (16, 10, 10), "L3_IU_UNIFY": (16, 11, 11), "L3_IU_PRIVATE": (16, 12, 12),
    "L3_IU_INCLUSIVE": (16, 13, 13),
    "L1_IU_WAYS": (17, 15, 0), "L1_IU_SETS": (17, 23, 16), "L1_IU_LINE": (17, 30, 24),
    "L1_D_WAYS": (18, 15, 0), "L1_D_SETS": (18, 23, 16), "L1_D_LINE": (18, 30, 24),
    "L2_IU_WAYS": (19, 15, 0), "L2_IU_SETS": (19, 23, 16), "L2_IU_LINE": (19, 30, 24),
    "L3_IU_WAYS": (20, 15, 0), "L3_IU_SETS": (20, 23, 16), "L3_IU_LINE": (20, 30, 24),
}  # fmt: skip


def words(values: Mapping[str, int] | Iterable[tuple[str, int]]) -> tuple[int, ...]:
    """The configuration words with these fields; a value that does not fit its field is a DefinitionError."""
    made = [0] * WORDS
    for name, value in dict(values).items():
        word, high, low = FIELDS[name]
        if value >> (high - low + 1):
            raise DefinitionError(f"CPUCFG.{name}: {value:#x} does not fit in {high - low + 1} bits")
        made[word] |= value << low
    return tuple(made)
