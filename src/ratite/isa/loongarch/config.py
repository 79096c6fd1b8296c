"""What a LoongArch core can do. A `LoongArchConfig` is the same for all cores of a machine, never changes, and is what
instruction texts see as `s.config`. `ratite.isa.loongarch.cpus` has the models.
"""

from __future__ import annotations

from functools import cached_property

from ratite.isa.loongarch import cpucfg
from ratite.record import Record

#: Features that have instructions of their own, by their names in the instruction table and in CPUCFG.
FEATURES = ("FP", "CRC", "LAM", "LAM_BH", "LAMCAS", "LLACQ_SCREL", "SCQ", "LLFTP", "FRECIPE", "LSX", "LASX")

#: What Linux calls features in /proc/cpuinfo, in its order (`arch/loongarch/kernel/proc.c`).
_LINUX_NAMES = {"LAM": "lam", "UAL": "ual", "FP": "fpu", "LSX": "lsx", "LASX": "lasx", "CRC": "crc32"}


class LoongArchConfig(Record, frozen=True):
    """The properties of a core.

    fields: values of CPUCFG fields that are not zero, by name. user: for user-mode emulation of Linux programs.
    """

    model: str
    fields: tuple[tuple[str, int], ...]
    user: bool = False

    def has(self, feature: str) -> bool:
        """Whether a one-bit field of CPUCFG is set."""
        return bool(dict(self.fields).get(feature))

    def for_user_mode(self) -> LoongArchConfig:
        """The same core as a Linux program sees it."""
        return self.changed(user=True)

    @cached_property
    def words(self) -> tuple[int, ...]:
        """The words that `cpucfg` reads."""
        return cpucfg.words(self.fields)

    @cached_property
    def decoded(self) -> frozenset[str]:
        """Names under which the instruction table holds what this core decodes."""
        present = [name for name in FEATURES if self.has(name)]
        both = [f"{vectors}_{name}" for vectors in ("LSX", "LASX") if vectors in present for name in present]
        return frozenset(("base", *(() if self.user else ("privileged",)), *present, *both))

    @cached_property
    def key(self) -> str:
        """A name of this variant for caches of machine code: all that a text may ask about, and nothing else."""
        return "-".join(("la64", *(f"{word:x}" for word in self.words), "user" if self.user else "full"))

    @property
    def isa_string(self) -> str:
        """The features as Linux names them, in a row."""
        return " ".join(("cpucfg", *(text for name, text in _LINUX_NAMES.items() if self.has(name))))
