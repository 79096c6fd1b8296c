"""The conformance framework finds what differs, counts what it skips, and repeats itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from ratite.testing.conformance import CODE, DATA, Case, Generator, Outcome, Report, Skip, address_operands, difference
from ratite.testing.evaluation import ReferenceEngine
from tests.isa.riscv.subject import EVENTS, subject

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
    from ratite.isa.dsl import record

    insn = next(i for i in SUBJECT.arch.decoder.insns if i.name == "sd")
    assert address_operands(record(insn, SUBJECT.arch.layout, SUBJECT.arch.config, (), 0)) == {"rs1"}
