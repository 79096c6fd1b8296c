"""What instructions under test ask of the system does not reach the host."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from ratite.testing.conformance import DATA, Case, Generator, window
from ratite.testing.conformance.confinement import confine
from ratite.testing.conformance.linux_peer import LinuxPeer
from ratite.testing.conformance.riscv import subject, target

MKNODAT, CURRENT_FOLDER = 33, -100
QEMU = "qemu-riscv64-static"


def makes_a_file() -> Case:
    """`ecall` as mknodat with the name that happens to be in the window: it makes an empty file."""
    about = subject(64)
    insn = next(i for i in about.arch.decoder.insns if i.name == "ecall")
    case = Generator(about, seed=1).case(insn, insn.value)
    registers = list(case.registers["x"])
    registers[10:14], registers[17] = [CURRENT_FOLDER & (1 << 64) - 1, DATA, 0o600, 0], MKNODAT
    return replace(case, registers={**case.registers, "x": tuple(registers)})


def peer(emulator: str, folder: Path) -> LinuxPeer:
    if missing := target(64).missing(*([QEMU] if emulator == "qemu" else [])):
        pytest.skip(missing)
    return LinuxPeer("qemu", target(64), [QEMU], folder) if emulator == "qemu" else LinuxPeer.ratite("ratite", "riscv64", target(64), [], folder)


@pytest.mark.parametrize(("emulator", "says"), [("qemu", "status -31"), ("ratite", "called mknodat")])
def test_a_call_ends_the_run(emulator: str, says: str, tmp_path: Path) -> None:
    """An instruction that makes a file when it is let: the run fails, the host has no such file."""
    assert b"/" not in window().partition(b"\0")[0]
    with pytest.raises(AssertionError, match=says):
        peer(emulator, tmp_path).run([makes_a_file()])
    assert os.listdir(tmp_path) == ["linux_peer"]


@pytest.mark.parametrize("words", [["mkdir", "made"], ["rm", "-f", "here"], ["mv", "here", "there"], ["touch", "made"], ["chmod", "0", "here"]])
def test_an_emulator_is_killed_before_it_changes_files(words: list[str], tmp_path: Path) -> None:
    """Programs that would, in an emulator's place."""
    (tmp_path / "here").touch()
    assert subprocess.run(words, cwd=tmp_path, preexec_fn=confine(), check=False).returncode == -31
    assert os.listdir(tmp_path) == ["here"]
    assert os.access(tmp_path / "here", os.R_OK) and (tmp_path / "here").stat().st_mode & 0o777


def test_an_emulator_may_read(tmp_path: Path) -> None:
    """What does no harm is let pass."""
    (tmp_path / "here").write_text("text")
    cat = shutil.which("cat")
    assert cat is not None
    assert subprocess.run([cat, "here"], cwd=tmp_path, preexec_fn=confine(), capture_output=True, text=True, check=True).stdout == "text"
