"""Every instruction of the decode table on random words and edge operands: the reference against outside engines.

What peers are known to do otherwise is in `SKIPS`; a test prints what it compared and what it left out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ratite.bits import signed
from ratite.testing.conformance import CODE, ILLEGAL, MISALIGNED, Case, Engine, Generator, Outcome, Report, Skip, Subject
from ratite.testing.evaluation import ReferenceEngine
from tests.isa.linux_peer import LinuxPeer
from tests.isa.loongarch.linux_target import TARGET
from tests.isa.loongarch.subject import EVENTS, subject, with_flags

#: Cases of each entry of the table in a quick run, and in a long one.
QUICK, LONG = 15, 400
#: The same where every new form is compiled first.
FEW = 3

QEMU = "qemu-loongarch64-static"
RATITE = (sys.executable, "-c", "import sys; from ratite.cli.user import loongarch64; sys.exit(loongarch64())")

_BOUNDED = ("ldgt", "ldle", "stgt", "stle", "asrt")


def _named(*names: str) -> Callable[[Case, Outcome], bool]:
    return lambda case, expected: case.insn.name in names


def _bounds_differ(case: Case, expected: Outcome) -> bool:
    """Whether a bound check gives something else for unsigned addresses, or would come before one of alignment."""
    if not case.insn.name.startswith(_BOUNDED):
        return False
    a, b = (case.registers["r"][case.word >> at & 31] for at in (5, 10))
    return (a <= b) != (signed(a, 64) <= signed(b, 64)) or expected.event == MISALIGNED


def _bounded_float(case: Case, expected: Outcome) -> bool:
    return case.insn.name.startswith(("fldgt", "fldle", "fstgt", "fstle"))


def _jump_misaligned(case: Case, expected: Outcome) -> bool:
    return case.insn.name == "jirl" and expected.event == MISALIGNED


def _linked_misaligned(case: Case, expected: Outcome) -> bool:
    return case.insn.name[:3] in ("ll.", "sc.") and expected.event == MISALIGNED


def _atomic_misaligned(case: Case, expected: Outcome) -> bool:
    return case.insn.extension == "LAM" and expected.event == MISALIGNED


def _negated_directed(case: Case, expected: Outcome) -> bool:
    return case.insn.name.startswith(("fnmadd", "fnmsub")) and case.fields["fp_round"] > 1


def _no_such_control_register(case: Case, expected: Outcome) -> bool:
    return case.insn.name in ("movgr2fcsr", "movfcsr2gr") and expected.event == ILLEGAL


def _newer_words(case: Case, expected: Outcome) -> bool:
    return case.insn.name == "cpucfg" and case.registers["r"][case.word >> 5 & 31] in (2, 6)


#: What is not compared with whom, and why.
SKIPS = (
    Skip("*", "jumps to itself", lambda case, expected: expected.pc == CODE and not expected.event),
    Skip("*", "calls the system", _named("syscall")),
    Skip("qemu", "QEMU 7.2 compares bounds unsigned (the manual: asrt signed), before it looks at alignment", _bounds_differ),
    Skip("qemu", "QEMU 7.2 adds the bound to the address", _bounded_float),
    Skip("qemu", "QEMU 7.2 runs code at addresses that are no multiples of four", _jump_misaligned),
    Skip("qemu", "QEMU 7.2 lets ll and sc be misaligned", _linked_misaligned),
    Skip("qemu", "QEMU 7.2 lets atomic operations of user mode be misaligned", _atomic_misaligned),
    Skip("qemu", "QEMU 7.2 rounds the negated sum, the manual negates the rounded one", _negated_directed),
    Skip("qemu", "QEMU 7.2 zero-extends where the manual allows anything", _named("ftintrz.w.s", "ftintrne.w.s")),
    Skip("qemu", "QEMU 7.2 does not have it", _named("preldx")),
    Skip("qemu", "QEMU 7.2 forgets LSPW and performance monitors in words 2 and 6", _newer_words),
    Skip("qemu", "QEMU 7.2 takes numbers of control registers that there are not", _no_such_control_register),
    Skip("qemu", "QEMU 7.2 keeps reserved bits of fcsr0, among them some of RM's aliases", _named("movgr2fcsr")),
)  # fmt: skip


def _cases(about: Subject, per_entry: int) -> list[Case]:
    """Random cases. What reads the clock is left out."""
    found = Generator(about, seed=per_entry).cases(per_entry)
    return [with_flags(case) for case in found if case.insn.extension != "LLFTP"]


def _compare(about: Subject, per_entry: int, peer: Engine) -> None:
    report = Report(SKIPS)
    report.compare(_cases(about, per_entry), ReferenceEngine(about.arch, EVENTS), peer)
    print(report)
    assert not report.failures, str(report)
    assert report.compared[peer.name] > 250 * per_entry


def _peer(name: str, command: tuple[str, ...], folder: Path) -> LinuxPeer:
    if missing := TARGET.missing(command[0]):
        pytest.skip(missing)
    return LinuxPeer(name, TARGET, command, folder)


TRAPS = pytest.mark.parametrize("traps", [False, True], ids=["quiet", "traps"])


@TRAPS
def test_reference_agrees_with_qemu(traps: bool, tmp_path: Path) -> None:
    """Whole state after each instruction, exceptions included, as QEMU's user mode has it; with floating-point
    exceptions enabled, whole fcsr0 and the traps too."""
    _compare(subject("la464,lsx=off", traps), QUICK, _peer("qemu", (QEMU,), tmp_path))


@TRAPS
@pytest.mark.slow
def test_reference_agrees_with_qemu_at_length(traps: bool, tmp_path: Path) -> None:
    """The same with many more operands."""
    _compare(subject("la464,lsx=off", traps), LONG, _peer("qemu", (QEMU,), tmp_path))


@pytest.fixture
def own_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stencil library that has nothing yet."""
    monkeypatch.setenv("RATITE_CACHE", str(tmp_path))
    return tmp_path


def test_linux_program_agrees_with_reference(own_library: Path, tmp_path: Path) -> None:
    """Whole state as a Linux program in Ratite's user mode sees it, where instructions run as machine code and exceptions
    arrive as signals: compiled for the purpose, then from disk and with floating-point exceptions enabled."""
    for traps in (False, True):
        _compare(subject("max,lsx=off", traps), FEW, _peer("ratite", (*RATITE, "-cpu", "max,lsx=off"), tmp_path))


def test_what_is_no_instruction_is_illegal_in_qemu(tmp_path: Path) -> None:
    """Words a bit or two away from instructions, which decode as nothing here, are illegal in QEMU too, but for fcmp with
    one of the ten conditions that the manual does not define, which QEMU 7.2 lets pass."""
    cases = [case for case in Generator(subject("la464,lsx=off"), seed=1).near_misses(4000) if case.word >> 20 not in (0x0C1, 0x0C2)]
    for case, outcome in zip(cases, _peer("qemu", (QEMU,), tmp_path).run(cases), strict=True):
        assert outcome.event == ILLEGAL, f"{case.word:#010x} is something else"
