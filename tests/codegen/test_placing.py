"""The table of translated entries: what is entered is found, whatever else wants its place."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence

import pytest

from ratite.codegen import placing
from ratite.cpu.hostmem import HostBuffer
from ratite.isa.arch import Exit
from tests.isa.riscv import harts

#: Guest addresses of one place of the table: what pages add to it comes round after 126 of them, but for 128 bytes.
FAR = 126 * 4096 + 128
ADDRESSES = (0x1000, 0x1000 + (2 << placing.ENTRY_BITS), 0x1000 + (4 << placing.ENTRY_BITS))


@pytest.fixture
def table() -> Iterator[int]:
    """Address of an empty table."""
    room = HostBuffer(32 << placing.ENTRY_BITS)
    yield room.address


def found(table: int, pc: int) -> int:
    """The code for an address, 0 if there is none."""
    entry = table + placing.slot_of_entry(pc, 0)
    return next((ctypes.c_uint64.from_address(at + 16).value for at in (entry, entry ^ 32) if placing.is_entry(at, pc, 0)), 0)


def test_two_that_want_one_place_are_found(table: int) -> None:
    """The older one goes to the neighbour; a third takes its place."""
    first, second, third = ADDRESSES
    assert len({placing.slot_of_entry(pc, 0) for pc in ADDRESSES}) == 1
    placing.enter_code(table, first, 0, 11)
    placing.enter_code(table, second, 0, 22)
    assert [found(table, pc) for pc in ADDRESSES] == [11, 22, 0]
    placing.enter_code(table, third, 0, 33)
    assert [found(table, pc) for pc in ADDRESSES] == [0, 22, 33]


def test_an_address_has_one_entry(table: int) -> None:
    """New code for it replaces the old wherever that is, and when it is taken out nothing is left."""
    first, second, _ = ADDRESSES
    placing.enter_code(table, first, 0, 11)
    placing.enter_code(table, second, 0, 22)
    placing.enter_code(table, first, 0, 12)
    placing.enter_code(table, second, 0, 23)
    assert [found(table, pc) for pc in ADDRESSES] == [12, 23, 0]
    for pc in (first, second):
        placing.withdraw_code(table, pc, 0)
        assert found(table, pc) == 0


def test_native_code_finds_both() -> None:
    """Two places in memory that want one place of the table run alternately, and nothing comes back to Python for it."""
    bench = harts.Bench(native=True)
    places = (harts.CODE, harts.CODE + FAR)
    tags = [bench.engine.tag(bench.engine.pages[key]) for at in places if (key := known(bench, at))]
    assert len({placing.slot_of_entry(at, tag) for at, tag in zip(places, tags, strict=True)}) == 1
    alone, alternately = (exits(bench, order) for order in (places[:1] * 40, places * 20))
    assert alternately == alone
    bench.cpu.close()


def exits(bench: harts.Bench, places: Sequence[int]) -> int:
    """How often native code asks Python for code: for the stop always."""
    before: int = bench.cpu.exits[Exit.TRANSLATE]
    for at in places:
        bench.cpu.call("tlb_flush")  # and the jump cache
        run(bench, at)
    return bench.cpu.exits[Exit.TRANSLATE] - before


def known(bench: harts.Bench, at: int) -> tuple[int, int, int]:
    """Translate a jump to the stop at an address; the key of its page."""
    bench.memory.dma_write(at, harts.jump(harts.STOP - at).to_bytes(4, "little"))
    run(bench, at)
    key = bench.cpu.page_key(at)
    assert key is not None
    return key


def run(bench: harts.Bench, at: int) -> None:
    bench.state.next_pc = at
    assert bench.cpu.run().kind == "stop"
