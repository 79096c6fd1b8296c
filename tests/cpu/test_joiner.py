"""Lines joined natively are those that a plain reading of `ratite.codegen.joining` gives."""

from __future__ import annotations

import random
import struct
from array import array
from collections.abc import Iterator

import pytest

from ratite.codegen import host_x86_64 as host
from ratite.codegen.joining import AWAY, MISS, NOT_AN_ENTRY, RELATIVE, TO, record, relocation
from ratite.codegen.runtime import RELOCATE_MISS
from ratite.cpu.joiner import Joiner, Line
from tests.isa.riscv import harts

Late = tuple[int, int, int]
Piece = tuple[bytes, list[Late], int]  #: code, late places, offset


@pytest.fixture(scope="module")
def joiner() -> Iterator[Joiner]:
    bench = harts.Bench(native=True)
    yield bench.engine.joiner
    bench.cpu.close()  # its code memory has to be there until now


def run(joiner: Joiner, pieces: list[Piece]) -> Line:
    records = array("Q", [joiner.records.put(record(code, lates)) for code, lates, _ in pieces])
    return joiner.join(records, array("I", [offset for _, _, offset in pieces]))


def expected(pieces: list[Piece]) -> tuple[bytes, list[int], list[int], list[tuple[int, int, int]]]:
    """What `run` has to give: code, starts, relocations, exits."""
    starts, line = [], bytearray()
    for code, lates, _ in pieces:
        for place in [p for k, p, _ in lates if k == TO][-1:]:  # the displacement that may be patched lies inside eight bytes
            beyond = (len(line) + place) % 8 - 4
            line += host.NOP * (4 - beyond if beyond > 0 else 0)
        starts.append(len(line))
        line += code
    starts.append(len(line))
    line += bytes(-len(line) % 8)
    places = {offset: start for (_, _, offset), start in zip(pieces, starts, strict=False) if not offset & NOT_AN_ENTRY}
    relocations: list[int] = []
    exits = []
    for (_, lates, offset), start in zip(pieces, starts, strict=False):
        at = offset & ~NOT_AN_ENTRY
        for place, kind, value in [(start + p, k, v) for k, p, v in lates]:
            if kind == MISS:
                relocations += (len(line), RELOCATE_MISS, value | at << 32 | start)
                struct.pack_into("<i", line, place, len(line) - place - 4)
                line += host.MISS_STUB
            elif kind == TO and at + value in places:
                struct.pack_into("<i", line, place, places[at + value] - place - 4)
            elif kind in (TO, AWAY):
                exits.append((kind, place, at + value))
            else:
                relocations += (place, kind & 15, value + (at if kind & RELATIVE else 0))
    return bytes(line), starts, relocations, exits


def some_pieces(chance: random.Random, count: int) -> list[Piece]:
    """Pieces at ascending offsets; some are no entries, and some have no code at all."""
    pieces = []
    offset = 0
    for _ in range(count):
        code = chance.randbytes(chance.choice((0, 4, 7, 8, 16, 33)))
        lates = []
        if len(code) >= 4:
            for _ in range(chance.randrange(3)):
                kind = chance.choice((TO, AWAY, MISS, relocation(2, True), relocation(0, False)))
                value = chance.randrange(1 << 12) << 48 if kind == MISS else 2 * chance.randrange(-60, 60)
                lates.append((kind, chance.randrange(len(code) - 3), value))
        pieces.append((code, lates, offset | (NOT_AN_ENTRY if chance.random() < 0.1 else 0)))
        offset = min(offset + 2, 4094)
    return pieces


@pytest.mark.parametrize("seed", range(40))
def test_a_line_is_what_its_pieces_say(joiner: Joiner, seed: int) -> None:
    chance = random.Random(seed)
    pieces = some_pieces(chance, chance.randrange(1, 120))
    line = run(joiner, pieces)
    assert (bytes(line.code), list(line.starts), list(line.relocations), line.exits) == expected(pieces)


def test_a_line_finds_room_however_long_it_is(joiner: Joiner) -> None:
    """More bytes and more late places than there is room for at first."""
    pieces: list[Piece] = [(bytes(400), [(MISS, 4 * n, 0) for n in range(8)], 2 * at) for at in range(2048)]
    line = run(joiner, pieces)
    assert (bytes(line.code), list(line.starts), list(line.relocations), line.exits) == expected(pieces)
