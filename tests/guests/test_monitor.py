"""The monitor that ships with Ratite, on QEMU's machine and on ours."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ratite import guests
from ratite.cli.console import Console
from ratite.errors import UsageError

needs_qemu = pytest.mark.skipif(
    shutil.which("qemu-system-riscv64") is None, reason="qemu-system-riscv64 is not installed"
)
needs_compiler = pytest.mark.skipif(
    shutil.which("riscv64-linux-gnu-gcc") is None, reason="riscv64-linux-gnu-gcc is not installed"
)


def test_it_is_small_and_found() -> None:
    """Below 20 KB; unknown architectures are named."""
    assert guests.monitor("riscv64").stat().st_size < 20_000
    with pytest.raises(UsageError, match="architecture of an embedded guest 'vax'"):
        guests.monitor("vax")


QEMU = ["qemu-system-riscv64"]
RATITE = [sys.executable, "-c", "from ratite.cli.system import riscv64; raise SystemExit(riscv64())"]


@pytest.mark.boot
@pytest.mark.parametrize("emulator", [pytest.param(QEMU, marks=needs_qemu), RATITE], ids=["qemu", "ratite"])
def test_its_commands(emulator: list[str]) -> None:
    """Every command; faults come back to the prompt; a reset starts over; the exit status is handed on."""
    options = ["-M", "virt", "-m", "64", "-nographic", "-bios", "none", "-kernel", str(guests.monitor("riscv64"))]
    with Console([*emulator, *options]) as console:
        for line, answer in [
            ("help", "end, with an exit status"),
            ("info", "memory       64 MiB at 0x80000000"),
            ("echo  a b", "\n a b"),
            ("mem 0x80000000 4", "\n0000000080000000  f3 22 40 f1"),
            ("mem 0", "load access fault (cause 0x5)"),
            ("bench calls", "029b8551305c969e ok"),
            ("bench area", "000002db75839f16 ok"),
            ("ticks 2", "\ntick 2"),
            ("nonsense", "nonsense: not known"),
            ("rubbish\x15echo erased", "\nerased"),
            ("echo ab\x7fc", "\nac"),
            ("reboot", "Ratite monitor on hart 0"),
        ]:
            console.wait_for("ratite> ", 120)
            console.send(line)
            console.wait_for(answer, 120)
        console.wait_for("ratite> ", 120)
        console.send("poweroff 5")
        assert console.finish(60) == 5


@needs_compiler
def test_the_binary_is_its_sources(tmp_path: Path) -> None:
    """Building again gives the committed bytes. (Another version of the compiler may not; then this is skipped.)"""
    folder = guests.monitor("riscv64").parent
    version = subprocess.run(["riscv64-linux-gnu-gcc", "-dumpversion"], capture_output=True, text=True, check=True)
    if version.stdout.strip() != "12":
        pytest.skip("the committed binary was built by gcc 12")
    copy = tmp_path / "source"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*.elf"))
    subprocess.run(["sh", "build.sh"], cwd=copy, check=True)
    built, committed = (path.read_bytes() for path in (copy / "monitor.elf", folder / "monitor.elf"))
    assert hashlib.sha256(built).hexdigest() == hashlib.sha256(committed).hexdigest()
