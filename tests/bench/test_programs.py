"""The benchmark programs compute the same wherever they run: on this machine, under QEMU, under Ratite."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parents[2] / "bench" / "programs"
NAMES = sorted(path.stem for path in PROGRAMS.glob("*.c"))
QEMU = ["qemu-riscv64-static"]
RATITE = [sys.executable, "-c", "from ratite.cli.user import riscv64; raise SystemExit(riscv64())"]


def build(folder: Path, cross: str) -> Path:
    """Compile all programs, or skip where the compiler is absent."""
    if shutil.which(f"{cross}gcc") is None:
        pytest.skip(f"{cross}gcc is not installed")
    subprocess.run(["sh", PROGRAMS / "build.sh", folder, f"{cross}gcc"], check=True)
    return folder


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("native"), "")


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("foreign"), "riscv64-linux-gnu-")


def output(*command: str | Path) -> str:
    return subprocess.run([*command, "1"], capture_output=True, text=True, check=True, timeout=120).stdout


@pytest.mark.parametrize("emulator", [QEMU, RATITE], ids=["qemu", "ratite"])
@pytest.mark.parametrize("name", NAMES)
def test_results_agree(name: str, emulator: list[str], native: Path, foreign: Path) -> None:
    """One round of each program prints what the host's own build prints."""
    if shutil.which(emulator[0]) is None:
        pytest.skip(f"{emulator[0]} is not installed")
    assert output(*emulator, foreign / name) == output(native / name)


def test_the_benchmarks_know_every_program() -> None:
    """bench/measure.py runs all of them but hello, which is for start-up."""
    text = (PROGRAMS.parent / "measure.py").read_text()
    listed = re.search(r"^PROGRAMS = \((.*?)\)", text, re.MULTILINE | re.DOTALL)
    assert listed is not None
    assert sorted([*re.findall(r'"(\w+)"', listed[1]), "hello"]) == NAMES
