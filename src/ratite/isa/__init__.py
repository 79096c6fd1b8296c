"""The instruction sets that there are. A new one is a line here and a folder with a `target.py`."""

from __future__ import annotations

from ratite.record import Record


class Architecture(Record, frozen=True):
    """An instruction set as programs' names have it: its folder below this one, and what people call it."""

    folder: str
    title: str


#: By name, as in `ratite-NAME`.
ARCHITECTURES = {
    "riscv64": Architecture("riscv", "64-bit RISC-V"),
    "riscv32": Architecture("riscv", "32-bit RISC-V"),
    "loongarch64": Architecture("loongarch", "64-bit LoongArch"),
}
