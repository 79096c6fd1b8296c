"""C programs under Ratite, compared line by line with the same source compiled for the host and run by its kernel.

qemu-riscv64 runs them too; where it differs from Linux is listed here, with the reason.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.user.cross import (
    HOST_CC,
    QEMU,
    QEMU32,
    RISCV_CC,
    cross_compiler,
    needs_host_cc,
    needs_qemu,
    needs_qemu32,
    needs_riscv_cc,
)

PROGRAMS = Path(__file__).parent / "programs"
NAMES = sorted(path.stem for path in PROGRAMS.glob("*.c"))
RATITE = [sys.executable, "-c", "import sys; from ratite.cli.user import riscv64; sys.exit(riscv64())"]
SOURCES = Path(__file__).parents[2] / "src"
SECONDS = 300    # the first run on a machine compiles stencils

# Lines of qemu-riscv64 7.2 that are not Linux's, by how they begin.
QEMU_DIFFERS = {
    "files": {"ioctl(fd, 0x12345678": "unknown ioctls are ENOSYS there"},
    "memory": {"(long)anonymous(a + 3 * PAGE, 1, MAP_FIXED_NOREPLACE)": "the flag is dropped",
               "madvise(a, PAGE, 12345)": "advice is not checked",
               'lines_with("[heap]")': "the heap has no name in maps"},
}
# It can not start another guest program by itself (execve of /proc/self/exe), which the first two are about. Of the last it dies now and then: of
# a SIGSEGV that is sent to a thread.
QEMU_CAN_NOT = {"process", "threads", "sent_faults"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("programs")


def build(compiler: str | Sequence[str] | None, name: str, out: Path, *flags: str) -> Path:
    assert compiler is not None
    command = [compiler] if isinstance(compiler, str) else compiler
    if not out.exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([*command, "-O1", "-w", "-pthread", *flags, str(PROGRAMS / f"{name}.c"), "-o", str(out)],
                       check=True)
    return out


def run(command: list[str], folder: Path) -> list[str]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCES)}
    done = subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=SECONDS, text=True)
    return [*done.stdout.splitlines(), f"exit status {done.returncode}"]


def native(name: str, folder: Path) -> list[str]:
    program = build(HOST_CC, name, folder / "host" / name)
    return run([str(program)], program.parent)


@needs_host_cc
@pytest.mark.parametrize("linking", ["static", "dynamic"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("arch", ["riscv64", "loongarch64"])
def test_as_on_linux(arch: str, name: str, linking: str, folder: Path) -> None:
    """Ratite's run prints what the host's kernel makes the program print."""
    compiler = cross_compiler(arch)
    program = build(compiler.command, name, folder / arch / linking / name, *(["-static"] if linking == "static" else []))
    options = compiler.options if linking == "dynamic" else []
    assert run([*(word.replace("riscv64", arch) for word in RATITE), *options, str(program)], program.parent) == native(name, folder)


@needs_host_cc
@pytest.mark.parametrize("region", ["on", "always"])
@pytest.mark.parametrize(("arch", "name"), [("riscv64", "loops"), ("riscv64", "atomics"), ("loongarch64", "atomics")])
def test_as_on_linux_in_regions(arch: str, name: str, region: str, folder: Path) -> None:
    """The same where loops are compiled as a whole: faults, signals, changes of code and mappings, threads and forks in their middle."""
    program = build(cross_compiler(arch).command, name, folder / arch / "static" / name, "-static")
    command = [word.replace("riscv64", arch) for word in RATITE]
    assert run([*command, "-region", region, str(program)], program.parent) == native(name, folder)


@needs_riscv_cc
@needs_qemu32
def test_32_bit_abi(folder: Path) -> None:
    """A 32-bit program without a C library prints what it prints under qemu-riscv32."""
    program = folder / "abi32"
    assert RISCV_CC is not None and QEMU32 is not None
    subprocess.run([RISCV_CC, "-O1", "-w", "-march=rv32imac", "-mabi=ilp32", "-nostdlib", "-static", "-ffreestanding",
                    "-fno-pie", "-Wl,-melf32lriscv,--no-relax", str(PROGRAMS / "rv32" / "abi32.c"), "-o",
                    str(program)], check=True)
    ours = run([word.replace("riscv64", "riscv32") for word in RATITE] + [str(program)], folder)
    assert ours == run([QEMU32, str(program)], folder)


@needs_qemu
@needs_riscv_cc
@needs_host_cc
@pytest.mark.parametrize("name", [name for name in NAMES if name not in QEMU_CAN_NOT])
def test_the_oracles_agree(name: str, folder: Path) -> None:
    """qemu-riscv64 prints the same, but for the lines that are known."""
    program = build(RISCV_CC, name, folder / "static" / name, "-static")
    assert QEMU is not None
    known = tuple(QEMU_DIFFERS.get(name, {}))
    theirs, linux = run([QEMU, str(program)], program.parent), native(name, folder)
    assert len(theirs) == len(linux)
    for mine, other in zip(linux, theirs, strict=True):
        assert mine == other or (known and mine.startswith(known))
