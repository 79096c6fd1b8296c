"""The conformance framework finds what differs, counts what it skips, and repeats itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from ratite.cpu.stateview import StateView
from ratite.isa.target import FOLDERS
from ratite.testing.conformance import CODE, DATA, Case, Generator, Outcome, Report, Skip, address_operands, difference, loongarch, table
from ratite.testing.conformance.__main__ import main
from ratite.testing.conformance.profile import find_profile
from ratite.testing.conformance.reference import ReferenceEngine
from ratite.testing.conformance.riscv import EVENTS, subject
from ratite.testing.conformance.saved_state import lost

SUBJECT = subject(64)


class Liar:
    """An engine that changes outcomes of the reference."""

    name = "liar"

    def __init__(self, change: Callable[[Outcome], Outcome]) -> None:
        self._change = change
        self._truth = ReferenceEngine(SUBJECT.arch, EVENTS)

    def run(self, cases: Sequence[Case]) -> Sequence[Outcome]:
        return [self._change(outcome) for outcome in self._truth.run(cases)]


def cases(name: str, count: int = 5) -> list[Case]:
    """Cases of one instruction."""
    generator = Generator(SUBJECT, seed=3)
    insn = next(i for i in SUBJECT.arch.decoder.insns if i.name == name)
    return [generator.case(insn, insn.value | 10 << 7 | 11 << 15) for _ in range(count)]


CHANGES: dict[str, Callable[[Outcome], Outcome]] = {
    "next address": lambda o: replace(o, pc=o.pc + 2),
    "x[9]": lambda o: replace(o, registers={**o.registers, "x": (*o.registers["x"][:9], 77, *o.registers["x"][10:])}),
    "fp_flags": lambda o: replace(o, fields={**o.fields, "fp_flags": o.fields["fp_flags"] ^ 16}),
    "memory": lambda o: replace(o, memory={DATA: 1}),
    "event": lambda o: replace(o, event="illegal"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_every_part_of_the_state_is_compared(what: str) -> None:
    """A peer that is wrong in one thing fails in all cases, and the failure names that thing."""
    report = Report()
    report.compare(cases("add"), ReferenceEngine(SUBJECT.arch, EVENTS), Liar(CHANGES[what]))
    assert len(report.failures) == report.compared["liar"] == 5
    assert all(f": {what}: " in failure for failure in report.failures)


def test_skips_are_counted_with_their_reason() -> None:
    """What a skip applies to is not compared, and appears in the report."""
    skip = Skip("liar", "it lies", lambda case, expected: case.insn.name == "add")
    report = Report([skip])
    report.compare(cases("add") + cases("sub", 2), ReferenceEngine(SUBJECT.arch, EVENTS), Liar(lambda o: o))
    assert not report.failures
    assert str(report) == "liar: 2 cases compared\nliar: 5 skipped: it lies"


def test_skips_hold_for_versions() -> None:
    """One that ends with a version, and one that begins with it; an engine that tells no version is an old one."""
    ends, begins = (Skip("liar", "", lambda case, expected: True, **{when: (8, 2)}) for when in ("before", "since"))
    assert [ends.holds("liar", version) for version in ((), (7, 2), (8, 2), (11, 1))] == [True, True, False, False]
    assert [begins.holds("liar", version) for version in ((), (7, 2), (8, 2), (11, 1))] == [False, False, True, True]


def test_the_table_tells_covered_skipped_and_failing() -> None:
    """A row for each extension, and below it the reasons and the first failures."""
    report = Report([Skip("liar", "it lies", lambda case, expected: case.insn.name == "sub")])
    chosen = cases("add") + cases("sub") + cases("mul")
    report.compare(chosen, ReferenceEngine(SUBJECT.arch, EVENTS), Liar(CHANGES["event"]))
    lines = table(report, [cases(name, 1)[0].insn for name in ("add", "sub", "mul", "xor")]).splitlines()
    assert [line.split() for line in lines[:4]] == [
        ["extension", "of", "liar"],
        ["i", "3", "1", "(1", "failing)"],
        ["m", "1", "1", "(1", "failing)"],
        ["all", "4", "2", "(2", "failing)"],
    ]
    assert [line.strip() for line in lines[5:10]] == ["Skipped by liar:", "it lies:", "wholly: sub", "no case:", "wholly: xor"]
    assert lines[11] == "Failing: 10 cases"


def test_indexes_lie_near_the_pointer() -> None:
    """Where two registers make an address, one is a pointer and the other a small number, so that such accesses are tried."""
    about = loongarch.subject("la464,lsx=off")
    chosen = list(Generator(about, seed=1).cases(40, lambda insn: insn.name in ("ldx.d", "stx.d")))
    outcomes = ReferenceEngine(about.arch, loongarch.EVENTS).run(chosen)
    assert sum(not outcome.event for outcome in outcomes) > len(chosen) / 2


@pytest.mark.parametrize("isa", FOLDERS)
def test_all_declared_state_is_saved_and_restored(isa: str) -> None:
    """Random values in everything that an instruction set declares, rounding and flags included."""
    count, found = lost(find_profile(isa).machine())
    assert not found
    assert count > 100


def test_what_is_not_saved_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field that saving leaves out."""
    save = StateView.save
    monkeypatch.setattr(StateView, "save", lambda state: {n: v for n, v in save(state).items() if n not in ("fp_round", "mepc")})
    assert lost(find_profile("riscv64").machine())[1] == ["fp_round", "mepc", "rounding of machine code"]


@pytest.mark.parametrize("isa", FOLDERS)
def test_command_prints_a_table(isa: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m ratite.testing.conformance` with engines of ours; everything agrees."""
    assert main(["--isa", isa, "--only", "and|addi?$|or", "--cases", "1", "--engines", "stencils,text", "--each"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0][:3] == ["instruction", "of", "stencils"]
    assert ["and", "1", "1"] in [line[:3] for line in lines]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--isa", "loongarch63"], "loongarch64"),
        (["--isa", "riscv64", "--engines", "stencil"], "stencils"),
        (["--isa", "riscv64", "--against", "bochs"], "qemu"),
        (["--isa", "riscv64", "--against", "qemu=/nonexistent/qemu"], "/nonexistent/qemu"),
        (["--isa", "loongarch64", "--against", "unicorn"], "Unicorn"),
    ],
)
def test_wrong_words_are_told_in_a_line(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be done ends with status 2."""
    assert main(words) == 2
    told = capsys.readouterr().err
    assert says in told
    assert told.count("\n") == 1


def test_a_seed_gives_the_same_cases() -> None:
    """Failures can be repeated."""
    first, second = (list(Generator(SUBJECT, seed=5).cases(1)) for _ in range(2))
    assert [str(c) for c in first] == [str(c) for c in second]
    assert [c.registers for c in first] == [c.registers for c in second]


def test_addresses_lie_in_the_window() -> None:
    """Registers from which an address is formed point there, so that loads and stores mostly succeed; a few find no memory."""
    outcomes = ReferenceEngine(SUBJECT.arch, EVENTS).run(cases("ld", 100) + cases("sd", 100))
    done = [outcome for outcome in outcomes if not outcome.event]
    assert 170 < len(done) < 200
    assert all(outcome.pc == CODE + 4 for outcome in done)
    assert sum(bool(outcome.memory) for outcome in done) > 80


def test_near_misses_decode_as_nothing() -> None:
    """Each is of the length that it claims."""
    for case in Generator(SUBJECT, seed=1).near_misses(200):
        assert SUBJECT.arch.decoder.decode(case.word, case.insn.length) is None
        assert SUBJECT.arch.long[case.word & 0xFFFF] * 2 == case.insn.length


def test_equal_outcomes_do_not_differ() -> None:
    """The comparison accepts what is equal."""
    outcome = ReferenceEngine(SUBJECT.arch, EVENTS).run(cases("add", 1))[0]
    assert difference(outcome, replace(outcome)) == ""


def test_address_operands_follow_the_computation() -> None:
    """They are those from which the address comes, not the one that is stored."""
    from ratite.isa.dsl.record import record

    insn = next(i for i in SUBJECT.arch.decoder.insns if i.name == "sd")
    assert address_operands(record(insn, SUBJECT.arch.layout, SUBJECT.arch.config, (), 0)) == {"rs1"}
