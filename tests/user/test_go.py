"""A Go program under Ratite, compared with the same source built for the host: a runtime that asks more of the system than C's, and
that owes nothing to a C library or to LLVM."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ratite.fetch import cache

SOURCE = Path(__file__).parent / "programs" / "go" / "parallel.go"
COMPILER = shutil.which("go")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("go")


def build(architecture: str, folder: Path) -> Path:
    """The program for an architecture of Go's; what is compiled of its library is kept."""
    if COMPILER is None:
        pytest.skip("no Go compiler")
    program = folder / architecture
    if not program.exists():
        settings = {"GOARCH": architecture, "CGO_ENABLED": "0", "GO111MODULE": "off", "GOCACHE": str(cache.folder("tests", "go"))}
        done = subprocess.run([COMPILER, "build", "-o", program, SOURCE], env={**os.environ, **settings}, capture_output=True, text=True)
        if "unsupported GOOS/GOARCH" in done.stderr:
            pytest.skip(f"this Go compiler does not know {architecture}")
        assert not done.returncode, done.stderr
    return program


def run(*command: str | Path) -> tuple[str, int]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    return done.stdout + done.stderr, done.returncode


@pytest.mark.parametrize(("architecture", "isa"), [("riscv64", "riscv64"), ("loong64", "loongarch64")], ids=["riscv64", "loong64"])
def test_as_on_linux(architecture: str, isa: str, folder: Path) -> None:
    """Goroutines, garbage, preemption, faults that become panics, signals, timers."""
    program, native = build(architecture, folder), build("amd64", folder)
    code = f"from ratite.cli.user import {isa}; raise SystemExit({isa}())"
    assert run(sys.executable, "-c", code, program) == run(native)
    assert run(native)[1] == 7
