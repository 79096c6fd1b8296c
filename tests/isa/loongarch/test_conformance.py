"""Every instruction of the decode table on random words and edge operands: the reference against outside engines.

What peers are known to do otherwise is in `SKIPS` of the kit's module for the ISA; a test prints what it compared and what it left out.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ratite.isa.loongarch.arch import make_arch
from ratite.isa.loongarch.cpus import parse_cpu
from ratite.testing.conformance import ILLEGAL, Engine, Generator, Report, Subject
from ratite.testing.conformance.linux_peer import LinuxPeer
from ratite.testing.conformance.loongarch import EVENTS, HANDLES, SKIPS, TARGET, subject
from ratite.testing.conformance.native import NativePeer, RegionPeer, RestoredPeer
from ratite.testing.conformance.reference import ReferenceEngine

#: Cases of each entry of the table in a quick run, and in a long one.
QUICK, LONG = 15, 400
#: The same where every new form is compiled first.
FEW = 3

QEMU = "qemu-loongarch64-static"


def _compare(about: Subject, per_entry: int, peer: Engine) -> None:
    report = Report(SKIPS)
    report.compare(list(Generator(about, seed=per_entry).cases(per_entry)), ReferenceEngine(about.arch, EVENTS), peer)
    print(report)
    assert not report.failures, str(report)
    assert report.compared[peer.name] > 250 * per_entry


def _qemu(folder: Path) -> LinuxPeer:
    if missing := TARGET.missing(QEMU):
        pytest.skip(missing)
    return LinuxPeer("qemu", TARGET, [QEMU], folder)


def _ratite(cpu: str, folder: Path) -> LinuxPeer:
    if missing := TARGET.missing():
        pytest.skip(missing)
    return LinuxPeer.ratite("ratite", "loongarch64", TARGET, ["-cpu", cpu], folder)


TRAPS = pytest.mark.parametrize("traps", [False, True], ids=["quiet", "traps"])


@TRAPS
def test_reference_agrees_with_qemu(traps: bool, tmp_path: Path) -> None:
    """Whole state after each instruction, exceptions included, as QEMU's user mode has it; with floating-point
    exceptions enabled, whole fcsr0 and the traps too."""
    _compare(subject("la464,lsx=off", traps), QUICK, _qemu(tmp_path))


@TRAPS
@pytest.mark.slow
def test_reference_agrees_with_qemu_at_length(traps: bool, tmp_path: Path) -> None:
    """The same with many more operands."""
    _compare(subject("la464,lsx=off", traps), LONG, _qemu(tmp_path))


@pytest.fixture
def own_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stencil library that has nothing yet."""
    monkeypatch.setenv("RATITE_CACHE", str(tmp_path))
    return tmp_path


def test_linux_program_agrees_with_reference(own_library: Path, tmp_path: Path) -> None:
    """Whole state as a Linux program in Ratite's user mode sees it, where instructions run as machine code and exceptions
    arrive as signals: compiled for the purpose, then from disk and with floating-point exceptions enabled."""
    for traps in (False, True):
        _compare(subject("max,lsx=off", traps), FEW, _ratite("max,lsx=off", tmp_path))


def test_machine_code_agrees_with_reference() -> None:
    """Whole state after each instruction in a bare machine at level 0 with direct addresses, once as it is and once where
    another machine had the state before, which was saved and restored."""
    arch = make_arch(parse_cpu("max,lsx=off"))
    for kind in (NativePeer, RestoredPeer):
        peer = kind(arch, HANDLES)
        _compare(subject("max,lsx=off", traps=kind is RestoredPeer), 1, peer)
        peer.close()


@pytest.mark.slow
def test_regions_agree_with_reference() -> None:
    """The same in regions, each compiled for its case; few instructions are left to stencils."""
    peer = RegionPeer(make_arch(parse_cpu("max,lsx=off")), HANDLES)
    _compare(subject("max,lsx=off"), 2, peer)
    peer.close()


def test_what_is_no_instruction_is_illegal_in_qemu(tmp_path: Path) -> None:
    """Words a bit or two away from instructions, which decode as nothing here, are illegal in QEMU too, but for fcmp with
    one of the ten conditions that the manual does not define, which QEMU 7.2 lets pass."""
    cases = [case for case in Generator(subject("la464,lsx=off"), seed=1).near_misses(4000) if case.word >> 20 not in (0x0C1, 0x0C2)]
    for case, outcome in zip(cases, _qemu(tmp_path).run(cases), strict=True):
        assert outcome.event == ILLEGAL, f"{case.word:#010x} is something else"
