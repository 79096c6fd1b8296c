"""Self-checking programs about privileged state: in QEMU, which shows that the programs are right, and here."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.isa.riscv.board import Board
from tests.isa.riscv.programs import Program, missing, names, qemu, status

_ONE_WIDTH = {"priv_sv32": 32, "priv_sv39": 64, "priv_sv48": 64, "priv_sv57": 64}

PROGRAMS = [
    Program(name, xlen, bare=True) for name in names("priv_") for xlen in (64, 32) if _ONE_WIDTH.get(name, xlen) == xlen
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where programs are built."""
    if reason := missing():
        pytest.skip(reason)
    return tmp_path_factory.mktemp("privileged")


@pytest.fixture(scope="module")
def boards() -> Iterator[dict[tuple[int, str], Board]]:
    """A board for each register width, without regions and with everything compiled as regions."""
    made = {(xlen, region): Board(f"rv{xlen}", xlen, region) for xlen in (64, 32) for region in ("off", "always")}
    yield made
    for board in made.values():
        board.engine.save()


@cache
def _build(program: Program, folder: Path) -> Path:
    return program.build(folder)


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_in_qemu(program: Program, folder: Path) -> None:
    """QEMU passes every case (without the extensions that these programs know nothing of)."""
    if reason := missing(f"qemu-system-riscv{program.xlen}"):
        pytest.skip(reason)
    command = qemu(program)
    sstc = "on" if program.name == "priv_sstc" else "off"
    cpu = ["-cpu", f"rv{program.xlen},h=off,sstc={sstc}"]
    command = [*command[:-1], *cpu, command[-1]]
    # On a busy host QEMU may be away between two writes of priv_sstc that belong together, and its timer then rings for the first one.
    assert 0 in (status(command, _build(program, folder)) for _ in range(3))


@pytest.mark.parametrize("how", ["reference", "native", "region"])
@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_here(program: Program, folder: Path, boards: dict[tuple[int, str], Board], how: str) -> None:
    """Ratite passes every case: in the reference evaluator, as stencils, and in regions from the first execution on."""
    board = boards[program.xlen, "always" if how == "region" else "off"]
    board.load(_build(program, folder))
    assert board.run(how != "reference") == 0
    if how == "region":
        assert board.engine.regions is not None and board.engine.regions.compiled
