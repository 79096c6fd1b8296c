"""What differs between guest architectures in user mode: one file each, listed here."""

from __future__ import annotations

from ratite.errors import unknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ratite.user.abi.base import Abi

# ISA name: module and class, imported when asked for.
ABIS = {
    "loongarch64": ("loongarch", "LoongArch64"),
    "riscv32": ("riscv", "Riscv32"),
    "riscv64": ("riscv", "Riscv64"),
}


def abi(arch: str) -> Abi:
    """The ABI of an ISA, by its name on the command line; raises UsageError for one that is not known."""
    if arch not in ABIS:
        raise unknown("architecture", arch, ABIS)
    module, name = ABIS[arch]
    made: Abi = getattr(__import__(f"ratite.user.abi.{module}", fromlist=[name]), name)()
    return made
