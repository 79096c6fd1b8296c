"""Building the self-checking programs in `programs`, and running them in emulators."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

COMPILER = "riscv64-linux-gnu-gcc"
FOLDER = Path(__file__).with_name("programs")

#: Extensions of the assembler beside the general set.
_EXTRA = "_zba_zbb_zbc_zbs_zicbom_zicbop_zicboz"

#: Options for a board with nothing but the program.
_BOARD = ("-M", "virt", "-m", "16", "-bios", "none", "-display", "none", "-serial", "null", "-monitor", "none")


@dataclass(frozen=True)
class Program:
    """A program of the folder for one register width, as a Linux program or for machine mode on a bare board."""

    name: str
    xlen: int
    bare: bool

    def __str__(self) -> str:
        return f"{self.name}-{self.xlen}-{'bare' if self.bare else 'linux'}"

    def build(self, folder: Path) -> Path:
        """The executable."""
        target = folder / str(self)
        where = ["-Wl,-Ttext=0x80000000", "-DMACHINE"] if self.bare else []
        abi = "lp64d" if self.xlen == 64 else "ilp32d"
        linker = ["-Wl,-N", "-Wl,--no-warn-rwx-segments", "-Wl,--no-relax", "-Wl,--build-id=none"]
        options = ["-nostdlib", "-static", "-fno-pie", "-no-pie", *linker, *where]
        source = FOLDER / f"{self.name}.S"
        march = f"-march=rv{self.xlen}gc{_EXTRA}"
        subprocess.run([COMPILER, march, f"-mabi={abi}", *options, "-o", str(target), str(source)], check=True)
        return target


def names(prefix: str) -> list[str]:
    """Programs whose name begins with `prefix`."""
    return sorted(p.stem for p in FOLDER.glob(f"{prefix}*.S"))


def missing(*tools: str) -> str:
    """What this machine lacks to build and run programs, "" if nothing."""
    absent = [tool for tool in (COMPILER, *tools) if not shutil.which(tool)]
    return f"{' and '.join(absent)} not installed" if absent else ""


def qemu(program: Program) -> list[str]:
    """The command that runs a program in QEMU, but for the path of the program."""
    if not program.bare:
        return [f"qemu-riscv{program.xlen}-static", "-cpu", f"rv{program.xlen},zba=on,zbb=on,zbc=on,zbs=on"]
    return [f"qemu-system-riscv{program.xlen}", *_BOARD, "-kernel"]


def status(command: list[str], executable: Path) -> int:
    """Exit status of a program in an emulator."""
    return subprocess.run([*command, str(executable)], timeout=60, check=False).returncode


def ratite(program: Program) -> list[str]:
    """The same for Ratite."""
    side = "system" if program.bare else "user"
    name = f"riscv{program.xlen}"
    command = [sys.executable, "-c", f"import sys; from ratite.cli.{side} import {name}; sys.exit({name}())"]
    return [*command, *_BOARD, "-kernel"] if program.bare else command
