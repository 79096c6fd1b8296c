"""The benchmark programs compute the same wherever they run: on this machine, under QEMU, under Ratite."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.user.cross import cross_compiler

PROGRAMS = Path(__file__).parents[2] / "bench" / "programs"
NAMES = sorted(path.stem for path in PROGRAMS.glob("*.c"))
QEMU = ["qemu-riscv64-static"]
ISAS = ("riscv64", "loongarch64")


def ratite(isa: str) -> list[str]:
    return [sys.executable, "-c", f"from ratite.cli.user import {isa}; raise SystemExit({isa}())"]


def build(folder: Path, *compiler: str) -> Path:
    """Compile all programs."""
    subprocess.run(["sh", PROGRAMS / "build.sh", folder, *compiler], check=True)
    return folder


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    return build(tmp_path_factory.mktemp("native"), "gcc")


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders by instruction set."""
    return {isa: build(tmp_path_factory.mktemp(isa), *cross_compiler(isa).command) for isa in ISAS}


def output(*command: str | Path) -> str:
    return subprocess.run([*command, "1"], capture_output=True, text=True, check=True, timeout=120).stdout


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", NAMES)
def test_results_agree(name: str, isa: str, native: Path, foreign: dict[str, Path]) -> None:
    """One round of each program prints what the host's own build prints."""
    assert output(*ratite(isa), foreign[isa] / name) == output(native / name)


@pytest.mark.parametrize("name", NAMES)
def test_results_agree_in_qemu(name: str, native: Path, foreign: dict[str, Path]) -> None:
    """The programs are right: another emulator agrees. (Debian 12's has too little of LoongArch for its C library.)"""
    if shutil.which(QEMU[0]) is None:
        pytest.skip(f"{QEMU[0]} is not installed")
    assert output(*QEMU, foreign["riscv64"] / name) == output(native / name)


def test_the_benchmarks_know_every_program() -> None:
    """bench/measure.py runs all of them but hello, which is for start-up."""
    text = (PROGRAMS.parent / "measure.py").read_text()
    listed = re.search(r"^PROGRAMS = \((.*?)\)", text, re.MULTILINE | re.DOTALL)
    assert listed is not None
    assert sorted([*re.findall(r'"(\w+)"', listed[1]), "hello"]) == NAMES
