"""What a RISC-V hart can do: the properties that decide which instructions, registers and modes exist.

A `RiscvConfig` is the same for all harts of a machine, never changes, and is what instruction texts see as `s.config`.
Names of extensions are those of the ISA manual in lower case ("a", "zba", "svnapot"). `ratite.isa.riscv.cpus` makes
configurations from `-cpu`.
"""

from __future__ import annotations

from functools import cached_property

from ratite.errors import UsageError
from ratite.record import Record

#: Versions of the privileged architecture, in the order of time.
PRIV_SPECS = ("v1.10.0", "v1.11.0", "v1.12.0")

#: Single letters in the order in which an ISA string names them (ISA manual, volume I, table 27.1).
_LETTERS = "imafdc"

#: Extensions with long names, in the order in which an ISA string names them.
_LONG_NAMES = (
    "zicbom", "zicboz", "zicntr", "zicsr", "zifencei", "zihpm", "zihintpause",
    "zba", "zbb", "zbc", "zbs", "sstc", "svinval", "svnapot", "svpbmt",
)  # fmt: skip

#: Extensions that a text or a decoder can ask for.
EXTENSIONS = frozenset((*_LETTERS, "s", "u", *_LONG_NAMES))

#: What an extension needs beside itself (the chapters that define them).
_NEEDS = {
    "f": ("zicsr",),
    "d": ("f",),
    "s": ("u", "zicsr"),
    "zicntr": ("zicsr",),
    "zihpm": ("zicntr",),
    "sstc": ("s",),
    "svinval": ("s",),
    "svnapot": ("s",),
    "svpbmt": ("s",),
}

#: Extensions that are about supervisor mode.
NEED_SUPERVISOR = frozenset(name for name, needed in _NEEDS.items() if "s" in needed)

#: Extensions that came with version 1.12 of the privileged architecture or later: an older hart does not have them.
SINCE_1_12 = frozenset(("zba", "zbb", "zbc", "zbs", "zicbom", "zicboz", "sstc", "svinval", "svnapot", "svpbmt"))

#: Address translation modes of satp by register width: name -> (MODE, levels of the table).
SATP_MODES = {
    32: {"sv32": (1, 2)},
    64: {"sv39": (8, 3), "sv48": (9, 4), "sv57": (10, 5)},
}

#: Cache-block size of Zicbom and Zicboz in bytes.
CACHE_BLOCK = 64

#: Frequency of the `time` counter in Hz, as the boards of the SiFive family have it.
TIMEBASE = 10_000_000


class RiscvConfig(Record, frozen=True):
    """The properties of a hart.

    xlen: register width, 32 or 64. extensions: names from `EXTENSIONS`. priv_spec: one of `PRIV_SPECS`. mmu: the
    deepest address translation mode ("sv32", "sv39", "sv48", "sv57"), "" for none. pmp: number of memory protection
    entries, 0 or 16. debug: the trigger registers exist (and say that there is no trigger). user: for user-mode
    emulation of Linux programs: only user mode exists. firmware: calls from S mode leave native code for a supervisor
    binary interface that Ratite provides, and machine mode runs no code. vendor, arch_id, imp_id: values of mvendorid,
    marchid and mimpid. reset_vector: address of the first instruction.

    A combination that the manuals rule out raises a UsageError.
    """

    xlen: int
    extensions: frozenset[str]
    model: str = ""
    priv_spec: str = "v1.12.0"
    mmu: str = ""
    pmp: int = 16
    debug: bool = True
    user: bool = False
    firmware: bool = False
    vendor: int = 0
    arch_id: int = 0
    imp_id: int = 0
    reset_vector: int = 0x1000
    short_isa_string: bool = False

    def check(self) -> None:
        if "i" not in self.extensions:
            raise UsageError(f"CPU {self.model}: the base instruction set 'i' cannot be left out")
        for name in sorted(self.extensions):
            for needed in _NEEDS.get(name, ()):
                if needed not in self.extensions:
                    raise UsageError(f"CPU {self.model}: extension '{name}' needs '{needed}'")
            if name in SINCE_1_12 and not self.since("v1.12.0"):
                raise UsageError(f"CPU {self.model}: extension '{name}' needs priv_spec=v1.12.0, not {self.priv_spec}")

    def has(self, extension: str) -> bool:
        """Whether the hart has an extension."""
        return extension in self.extensions

    def since(self, version: str) -> bool:
        """Whether the hart follows this version of the privileged architecture, or a later one."""
        return PRIV_SPECS.index(self.priv_spec) >= PRIV_SPECS.index(version)

    def for_user_mode(self) -> RiscvConfig:
        """The same hart as a Linux program sees it."""
        return self.changed(user=True, firmware=False)

    def for_firmware(self) -> RiscvConfig:
        """The same hart with machine mode taken over by Ratite."""
        return self.changed(user=False, firmware=True)

    @cached_property
    def decoded(self) -> frozenset[str]:
        """Names under which the instruction table holds what this hart decodes: its extensions, the compressed loads
        and stores of `f` (RV32 only) and `d` ("zcf", "zcd"), and "priv" for the privileged instructions.
        """
        names = set(self.extensions)
        if "c" in names:
            names |= {"zcf"} if "f" in names and self.xlen == 32 else set()
            names |= {"zcd"} if "d" in names else set()
        if self.user:
            return frozenset(names - {"s", "svinval"})
        return frozenset(names | {"priv"})

    @cached_property
    def satp_modes(self) -> dict[int, int]:
        """Values of satp.MODE that this hart accepts, with the number of table levels of each. Bare, 0, is always
        accepted and not listed.
        """
        modes = SATP_MODES[self.xlen]
        names = list(modes)[: list(modes).index(self.mmu) + 1] if self.mmu else []
        return {modes[name][0]: modes[name][1] for name in names}

    @cached_property
    def key(self) -> str:
        """A name of this variant for caches of machine code: all that a text may ask about, and nothing else."""
        names = ".".join(sorted(self.extensions))
        role = "user" if self.user else "firmware" if self.firmware else "full"
        numbers = f"id{self.vendor:x}.{self.arch_id:x}.{self.imp_id:x}"
        parts = (self.priv_spec, self.mmu or "bare", f"pmp{self.pmp}", f"debug{self.debug:d}", numbers, role)
        return f"rv{self.xlen}.{names}-" + "-".join(parts)

    @property
    def isa_string(self) -> str:
        """The `riscv,isa` property of a device tree (ISA manual, volume I, chapter 27)."""
        letters = "".join(letter for letter in _LETTERS if letter in self.extensions)
        names = [] if self.short_isa_string else [name for name in _LONG_NAMES if name in self.extensions]
        return "_".join((f"rv{self.xlen}{letters}", *names))

    @property
    def cache_properties(self) -> dict[str, int]:
        """Properties of the CPU's node in a device tree without which Linux leaves Zicbom and Zicboz alone."""
        names = {"zicbom": "riscv,cbom-block-size", "zicboz": "riscv,cboz-block-size"}
        return {name: CACHE_BLOCK for extension, name in names.items() if self.has(extension)}

    @property
    def mmu_type(self) -> str:
        """The `mmu-type` property of a device tree. A hart that has Sv57 says Sv48, as QEMU does; software finds the
        rest by trying.
        """
        return "riscv," + ({"": "none", "sv57": "sv48"}.get(self.mmu) or self.mmu)
