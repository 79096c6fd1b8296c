"""The self-checking programs of the unprivileged extensions, as Linux programs and on a bare board.

Each runs in QEMU first, which proves the program, and then in Ratite, which has to agree. The status of a failing
program is the number of the case that failed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.isa.riscv.programs import Program, missing, names, qemu, ratite, status

#: Programs for extensions that QEMU 7.2 does not have.
NEWER_THAN_QEMU = {"rv_zicbo"}

ALL = [Program(name, xlen, bare) for name in names("rv_") for xlen in (64, 32) for bare in (False, True)]
PROGRAMS = pytest.mark.parametrize("program", ALL, ids=str)


def _build(program: Program, folder: Path, *tools: str) -> Path:
    if absent := missing(*tools):
        pytest.skip(absent)
    return program.build(folder)


@PROGRAMS
def test_program_passes_in_qemu(program: Program, tmp_path: Path) -> None:
    """The program expects what another emulator does."""
    if program.name in NEWER_THAN_QEMU:
        pytest.skip("QEMU 7.2 does not have the extension")
    command = qemu(program)
    executable = _build(program, tmp_path, command[0])
    assert status(command, executable) == 0


@PROGRAMS
def test_program_passes(program: Program, tmp_path: Path) -> None:
    """All cases of the program pass."""
    executable = _build(program, tmp_path)
    assert status(ratite(program), executable) == 0


@pytest.mark.parametrize("program", [p for p in ALL if p.bare], ids=str)
def test_program_passes_in_regions(program: Program, tmp_path: Path) -> None:
    """The same with everything compiled as regions before it is executed."""
    executable = _build(program, tmp_path)
    *command, kernel = ratite(program)
    assert status([*command, "-accel", "tcg,region=always", kernel], executable) == 0
