"""Lines joined natively are those that a plain reading of `ratite.codegen.joining` gives; and those that the same functions give in Python."""

from __future__ import annotations

import random
import struct
from array import array
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from ratite.codegen import host_x86_64 as host
from ratite.codegen import joining
from ratite.codegen.joining import AWAY, MISS, NOT_AN_ENTRY, RELATIVE, TO, record, relocation
from ratite.codegen.placing import RELOCATE_MISS
from ratite.cpu.joiner import Joiner
from tests.isa.riscv import harts

Late = tuple[int, int, int]
Piece = tuple[bytes, list[Late], int]  #: code, late places, offset

#: Code that goes on elsewhere, with a relocation of each sort.
GOTO = (bytes(range(20)), [(relocation(2, True), 3, 40), (relocation(0, False), 12, 5 << 32)])


class Line(NamedTuple):
    """What comes of joining."""

    code: bytes
    starts: list[int]
    relocations: list[int]
    links: list[tuple[int, int]]
    pending: list[tuple[int, int]]


@pytest.fixture(scope="module")
def native() -> Iterator[Joiner]:
    bench = harts.Bench(native=True)
    yield bench.engine.joiner
    bench.cpu.close()  # its code memory has to be there until now


@pytest.fixture(params=["native", "python"])
def joiner(request: pytest.FixtureRequest, native: Joiner) -> Joiner:
    return native if request.param == "native" else Joiner(joining.join)


def run(joiner: Joiner, pieces: list[Piece], entries: array[int]) -> Line:
    put: Callable[[bytes], int] = joiner.records.put
    records = array("Q", [put(record(code, lates)) for code, lates, _ in pieces])
    offsets = array("I", [offset for _, _, offset in pieces])
    goto = put(record(*GOTO))
    joiner.join(len(pieces), records.buffer_info()[0], offsets.buffer_info()[0], entries.buffer_info()[0], goto)
    starts, relocations = list(joiner.starts.cast("I")), list(joiner.relocations.cast("q"))
    return Line(bytes(joiner.code), starts, relocations, joiner.links, joiner.pending)


class Plain:
    """A plain reading of what joining is."""

    def __init__(self, pieces: list[Piece], entries: array[int]) -> None:
        self.entries = entries
        self.line, self.starts = bytearray(), []
        self.relocations: list[int] = []
        self.links: list[tuple[int, int]] = []
        self.pending: list[tuple[int, int]] = []
        self.gotos: dict[int, int] = {}
        for code, lates, _ in pieces:
            for place in [p for k, p, _ in lates if k == TO][-1:]:  # the displacement that may be patched lies inside eight bytes
                beyond = (len(self.line) + place) % 8 - 4
                self.line += host.NOP * (4 - beyond if beyond > 0 else 0)
            self.starts.append(len(self.line))
            self.line += code
        self.starts.append(len(self.line))
        self.line += bytes(-len(self.line) % 8)
        self.places = {offset: start for (_, _, offset), start in zip(pieces, self.starts, strict=False) if not offset & NOT_AN_ENTRY}
        for (_, lates, offset), start in zip(pieces, self.starts, strict=False):
            for kind, place, value in lates:
                self.late(kind, start + place, value, offset & ~NOT_AN_ENTRY, start)

    def result(self) -> Line:
        return Line(bytes(self.line), self.starts, self.relocations, self.links, self.pending)

    def displace(self, place: int, to: int) -> None:
        struct.pack_into("<i", self.line, place, to - place - 4)

    def goto(self, target: int) -> int:
        if target not in self.gotos:
            here = self.gotos[target] = len(self.line)
            self.line += GOTO[0]
            for kind, place, value in GOTO[1]:
                self.relocations += (here + place, kind & 15, value + (target if kind & RELATIVE else 0))
        return self.gotos[target]

    def late(self, kind: int, place: int, value: int, at: int, start: int) -> None:
        if kind == MISS:
            self.relocations += (len(self.line), RELOCATE_MISS, value | at << 32 | start)
            self.displace(place, len(self.line))
            self.line += host.MISS_STUB
        elif kind == TO and at + value in self.places:
            self.displace(place, self.places[at + value])
        elif kind == TO and 0 <= at + value < 4096 and self.entries[(at + value) // 2]:
            self.links.append((place, at + value))
        elif kind in (TO, AWAY):
            if kind == TO and 0 <= at + value < 4096:
                self.pending.append((place, at + value))
            self.displace(place, self.goto(at + value))
        else:
            self.relocations += (place, kind & 15, value + (at if kind & RELATIVE else 0))


def some_pieces(chance: random.Random, count: int) -> list[Piece]:
    """Pieces at ascending offsets; some are no entries, and some have no code at all. Places of one piece do not overlap."""
    pieces = []
    offset = 0
    for _ in range(count):
        code = chance.randbytes(chance.choice((0, 4, 7, 8, 16, 33)))
        lates = []
        for place in range(0, len(code) - 3, 4):
            if chance.random() < 0.4:
                kind = chance.choice((TO, AWAY, MISS, relocation(2, True), relocation(0, False)))
                value = chance.randrange(1 << 12) << 48 if kind == MISS else 2 * chance.randrange(-60, 60)
                lates.append((kind, place, value))
        pieces.append((code, lates, offset | (NOT_AN_ENTRY if chance.random() < 0.1 else 0)))
        offset = min(offset + 2, 4094)
    return pieces


@pytest.mark.parametrize("seed", range(40))
def test_a_line_is_what_its_pieces_say(joiner: Joiner, seed: int) -> None:
    chance = random.Random(seed)
    pieces = some_pieces(chance, chance.randrange(1, 120))
    entries = array("I", [chance.choice((0, 0, 0x1000)) for _ in range(2048)])
    assert run(joiner, pieces, entries) == Plain(pieces, entries).result()


def test_a_line_finds_room_however_long_it_is(joiner: Joiner) -> None:
    """More bytes and more late places than there is room for at first."""
    pieces: list[Piece] = [(bytes(400), [(MISS, 4 * n, 0) for n in range(8)], 2 * at) for at in range(2048)]
    nothing = array("I", bytes(8192))
    assert run(joiner, pieces, nothing) == Plain(pieces, nothing).result()
