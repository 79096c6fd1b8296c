"""The conformance kit: given an instruction set, it finds out whether everything agrees about it.

Instructions are random words of every entry of a decode table, operands come from the edges of their ranges, so that
a new instruction set gets its tests from its own definition. Each runs in the reference evaluator, as stencils, in regions,
in a machine whose state has been saved and restored, and in outside engines; whole states are compared. The text of each is
compared with what disassemblers print.

    python -m ratite.testing.conformance --isa loongarch64 --against qemu

prints a table of instructions covered, skipped with reasons, and failing. A new instruction set adds a module with a
`profile` (`ratite.testing.conformance.profile`). In tests:

    cases = list(Generator(subject, seed=1).cases(per_entry=20))
    report = Report(skips)
    report.compare(cases, reference, peer)

An engine is anything with a name that runs cases (`Engine`).
"""

from ratite.testing.conformance.cases import (
    BREAKPOINT,
    CALL,
    CODE,
    DATA,
    DATA_SIZE,
    FAULT,
    ILLEGAL,
    MISALIGNED,
    NOWHERE,
    Case,
    Engine,
    Generator,
    Outcome,
    Subject,
    address_operands,
    window,
)
from ratite.testing.conformance.report import Report, Skip, difference, table

__all__ = [
    "BREAKPOINT",
    "CALL",
    "CODE",
    "DATA",
    "DATA_SIZE",
    "FAULT",
    "ILLEGAL",
    "MISALIGNED",
    "NOWHERE",
    "Case",
    "Engine",
    "Generator",
    "Outcome",
    "Report",
    "Skip",
    "Subject",
    "address_operands",
    "difference",
    "table",
    "window",
]
