"""What was compared: differences, what is left out and why, and the table of both.

What an engine is known to do otherwise stands with its reason in a table of `Skip`s; a report counts what each of them
left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ratite.isa.dsl import Insn
from ratite.testing.conformance.cases import Case, Engine, Outcome

#: A version of a program: major and minor number.
Version = tuple[int, ...]


@dataclass(frozen=True)
class Skip:
    """Cases that are not compared with an engine ("*": with any), and why. `expected` is what the reference says.

    since, before: the first version of the engine for which this holds, and the first one for which it does not any more;
    without them it holds for all.
    """

    engine: str
    reason: str
    applies: Callable[[Case, Outcome], bool]
    since: Version = ()
    before: Version = ()

    def holds(self, engine: str, version: Version) -> bool:
        """Whether it is about this engine. One that tells no version is taken for an old one."""
        return self.engine in ("*", engine) and version >= self.since and (not self.before or version < self.before)


def difference(expected: Outcome, found: Outcome) -> str:
    """The first thing in which two outcomes differ, "" if there is none."""
    if expected.event != found.event:
        return f"event: {expected.event or 'none'}, not {found.event or 'none'}"
    if expected.pc != found.pc:
        return f"next address: {expected.pc:#x}, not {found.pc:#x}"
    for file, values in expected.registers.items():
        for n, (a, b) in enumerate(zip(values, found.registers[file], strict=True)):
            if a != b:
                return f"{file}[{n}]: {a:#x}, not {b:#x}"
    for name, a in expected.fields.items():
        if a != found.fields[name]:
            return f"{name}: {a:#x}, not {found.fields[name]:#x}"
    if expected.memory != found.memory:
        return f"memory: {_bytes(expected.memory)}, not {_bytes(found.memory)}"
    return ""


def _bytes(memory: Mapping[int, int]) -> str:
    return " ".join(f"{address:x}:{value:02x}" for address, value in sorted(memory.items())) or "unchanged"


#: What is looked at of an outcome, where an engine does not define the rest.
View = Callable[[Case, Outcome], Outcome]


def _whole(case: Case, outcome: Outcome) -> Outcome:
    return outcome


@dataclass
class Tally:
    """What became of one instruction's cases with one engine."""

    compared: int = 0
    failed: int = 0
    skipped: Counter[str] = field(default_factory=Counter)


@dataclass
class Report:
    """What has been compared, what differed, and what was left out for which reason. `views`: by engine."""

    skips: Sequence[Skip] = ()
    views: Mapping[str, View] = field(default_factory=dict)
    compared: Counter[str] = field(default_factory=Counter)
    skipped: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    tallies: dict[str, dict[Insn, Tally]] = field(default_factory=dict)

    def compare(self, cases: Sequence[Case], reference: Engine, *peers: Engine) -> None:
        """Run all cases in all engines and compare every peer with the reference."""
        expected = reference.run(cases)
        for peer in peers:
            chosen = [(c, e) for c, e in zip(cases, expected, strict=True) if not self._skip(peer, c, e)]
            for (case, outcome), found in zip(chosen, peer.run([c for c, _ in chosen]), strict=True):
                if isinstance(found, str):
                    self.skip(peer.name, case.insn, found)
                else:
                    assert isinstance(outcome, Outcome)
                    view = self.views.get(peer.name, _whole)
                    self.note(peer.name, case.insn, str(case), difference(view(case, outcome), view(case, found)))

    def note(self, engine: str, insn: Insn, what: str, wrong: str) -> None:
        """Count a comparison; `wrong` says what differs, "" that nothing does."""
        tally = self._tally(engine, insn)
        tally.compared += 1
        self.compared[engine] += 1
        if wrong:
            tally.failed += 1
            self.failures.append(f"{engine}: {what}: {wrong}")

    def skip(self, engine: str, insn: Insn, reason: str) -> None:
        """Count what is left out."""
        self._tally(engine, insn).skipped[reason] += 1
        self.skipped[engine, reason] += 1

    def _tally(self, engine: str, insn: Insn) -> Tally:
        return self.tallies.setdefault(engine, {}).setdefault(insn, Tally())

    def _skip(self, peer: Engine, case: Case, expected: Outcome | str) -> bool:
        if isinstance(expected, str):
            self.skip(peer.name, case.insn, expected)
            return True
        version = getattr(peer, "version", ())
        for skip in self.skips:
            if skip.holds(peer.name, version) and skip.applies(case, expected):
                self.skip(peer.name, case.insn, skip.reason)
                return True
        return False

    def __str__(self) -> str:
        lines = [f"{name}: {count} cases compared" for name, count in self.compared.items()]
        lines += [f"{name}: {count} skipped: {reason}" for (name, reason), count in self.skipped.items()]
        return "\n".join(lines + self.failures[:40])


# --- the table ------------------------------------------------------------------------------------------------------


def table(report: Report, insns: Sequence[Insn], each: bool = False) -> str:
    """Instructions covered, skipped with reasons, and failing: a row for each extension, or for `each` instruction, a column
    for each engine."""
    groups: dict[str, list[Insn]] = {}
    for insn in insns:
        groups.setdefault(insn.name if each else insn.extension, []).append(insn)
    engines = list(report.tallies)
    rows = [("instruction" if each else "extension", "of", *engines)]
    rows += [(name, str(len(group)), *(_cell(report, engine, group) for engine in engines)) for name, group in groups.items()]
    rows.append(("all", str(len(insns)), *(_cell(report, engine, insns) for engine in engines)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *(text.rjust(w) for text, w in zip(row[1:], widths[1:], strict=True))]) for row in rows]
    return "\n".join([*lines, *_skipped(report, insns), *_failing(report)])


def _cell(report: Report, engine: str, insns: Sequence[Insn]) -> str:
    """How many of these instructions an engine covered; how many failed."""
    tallies = [report.tallies[engine].get(insn, Tally()) for insn in insns]
    failing = sum(bool(tally.failed) for tally in tallies)
    return str(sum(bool(tally.compared) for tally in tallies)) + (f" ({failing} failing)" if failing else "")


def _skipped(report: Report, insns: Sequence[Insn]) -> Iterator[str]:
    """By engine and reason, which instructions are not compared, or not in all cases."""
    for engine, tallies in report.tallies.items():
        reasons: dict[str, list[Insn]] = {}
        for insn in insns:
            for reason in tallies.get(insn, Tally()).skipped:
                reasons.setdefault(reason, []).append(insn)
        if unseen := [insn for insn in insns if insn not in tallies]:
            reasons["no case"] = unseen
        if reasons:
            yield f"\nSkipped by {engine}:"
        for reason, left_out in sorted(reasons.items(), key=lambda item: -len(item[1])):
            never = [insn.name for insn in left_out if not tallies.get(insn, Tally()).compared]
            sometimes = [insn.name for insn in left_out if tallies.get(insn, Tally()).compared]
            yield f"  {reason}:"
            if never:
                yield f"      wholly: {_listed(never)}"
            if sometimes:
                yield f"      some cases: {_listed(sometimes)}"


def _listed(names: Sequence[str], most: int = 12) -> str:
    names = list(dict.fromkeys(names))
    return " ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _failing(report: Report, most: int = 40) -> Iterator[str]:
    """The first differences."""
    if report.failures:
        yield f"\nFailing: {len(report.failures)} cases"
        yield from (f"  {failure}" for failure in report.failures[:most])
        if len(report.failures) > most:
            yield "  ..."
