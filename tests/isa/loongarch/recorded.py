"""What QEMU does for each vector instruction, recorded: Debian 12's QEMU has no vectors, and a newer one is a download.

    python -m tests.isa.loongarch.recorded QEMU-LOONGARCH64

runs QEMU 8.2 or newer (11.1.3 of Debian sid made what is checked in) and writes the file again. It has to be made again when
the operands that cases are drawn from change; a checksum of every case tells.
"""

from __future__ import annotations

import json
import lzma
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ratite.testing.conformance import Case, Generator, Outcome
from ratite.testing.conformance.linux_peer import LinuxPeer
from ratite.testing.conformance.loongarch import TARGET, is_vector, subject

FILE = Path(__file__).with_name("vectors.json.xz")
#: Cases of each instruction.
COUNT = 4


class Change(NamedTuple):
    """What a case changed: next address, registers, flags, memory, event; and a checksum of the case."""

    check: int
    pc: int
    registers: list[tuple[str, int, str]]
    flags: int
    memory: list[tuple[int, int]]
    event: str


def cases() -> Iterator[Case]:
    """Random cases of every vector instruction, those of one the same whatever others there are."""
    about = subject("max", vectors=True)
    for insn in about.arch.decoder.insns:
        if is_vector(insn):
            generator = Generator(about, seed=zlib.crc32(insn.name.encode()))
            for _ in range(COUNT):
                word = insn.value | generator.random.getrandbits(32) & ~insn.mask
                yield generator.case(insn, word)


def checksum(case: Case) -> int:
    """Tells whether a case is the one that was recorded."""
    return zlib.crc32(repr((case.word, sorted(case.registers.items()), sorted(case.fields.items()))).encode())


def change(case: Case, outcome: Outcome) -> Change:
    """What a case changed."""
    registers = [
        (file, n, f"{new:x}")
        for file, values in case.registers.items()
        for n, (old, new) in enumerate(zip(values, outcome.registers[file], strict=True))
        if old != new
    ]
    return Change(
        checksum(case), outcome.pc, registers, outcome.fields["fp_flags"], sorted(outcome.memory.items()), outcome.event
    )


def outcome(case: Case, found: Change) -> Outcome:
    """The state after a recorded case."""
    registers = {file: list(values) for file, values in case.registers.items()}
    for file, n, value in found.registers:
        registers[file][n] = int(value, 16)
    fields = {**case.fields, "fp_flags": found.flags}
    after = {file: tuple(values) for file, values in registers.items()}
    return Outcome(found.pc, after, fields, dict(found.memory), found.event)


def load() -> dict[int, Change]:
    """All that was recorded, by the checksums of cases."""
    with lzma.open(FILE, "rt") as file:
        return {entry[0]: Change(*entry) for entry in json.load(file)}


def record(qemu: str) -> None:
    """Run every case in QEMU, and write the file."""
    chosen = list(cases())
    with tempfile.TemporaryDirectory() as folder:
        found = LinuxPeer("qemu", TARGET, (qemu, "-cpu", "max"), Path(folder)).run(chosen)
    with lzma.open(FILE, "wt", preset=9) as file:
        json.dump([change(case, one) for case, one in zip(chosen, found, strict=True)], file, separators=(",", ":"))


if __name__ == "__main__":
    record(sys.argv[1])
