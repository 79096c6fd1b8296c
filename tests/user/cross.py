"""The compilers that the user-mode tests need, and what is skipped without them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from ratite.errors import HostError
from ratite.testing import cross

RISCV_CC = shutil.which("riscv64-linux-gnu-gcc")
HOST_CC = shutil.which("gcc")
QEMU = shutil.which("qemu-riscv64-static") or shutil.which("qemu-riscv64")
QEMU32 = shutil.which("qemu-riscv32-static") or shutil.which("qemu-riscv32")

needs_riscv_cc = pytest.mark.skipif(RISCV_CC is None, reason="no riscv64-linux-gnu-gcc")
needs_host_cc = pytest.mark.skipif(HOST_CC is None, reason="no gcc for the host")
needs_qemu = pytest.mark.skipif(QEMU is None, reason="no qemu-riscv64")


needs_qemu32 = pytest.mark.skipif(QEMU32 is None, reason="no qemu-riscv32")


def cross_compiler(arch: str) -> cross.Compiler:
    """A compiler for Linux programs of an architecture; the test is skipped where there is none to be had."""
    try:
        return cross.compiler(arch)
    except HostError as error:
        pytest.skip(str(error))


def check_constants(compiler: str, includes: str, expected: dict[str, int], tmp_path: Path) -> list[str]:
    """Have a C compiler compare expressions with numbers; returns a line for each that differs. Nothing is run."""
    numbered = list(expected.items())
    lines = [f'_Static_assert(({text}) == {value}, "differs: {text} is not {value}");' for text, value in numbered]
    source = tmp_path / "check.c"
    source.write_text(includes + "\n" + "\n".join(lines) + "\n")
    done = subprocess.run([compiler, "-std=gnu11", "-w", "-fsyntax-only", str(source)], capture_output=True, text=True)
    if done.returncode and "differs" not in done.stderr:
        return [done.stderr]
    return [line for line in done.stderr.splitlines() if "differs" in line and "error" in line]
