"""Regions stay right while everything under them changes: mappings, code, interrupts, privilege modes.

A loop in supervisor mode calls a function in another page and compares what that says with what a data page says. An interrupt handler in machine
mode exchanges both pages together and says so by counting. Another thread raises interrupts and kicks the processor; then code is rewritten.
"""

from __future__ import annotations

import random
import threading
import time

import pytest

from ratite.cpu.regions import Regions
from ratite.isa.riscv import hart, interrupts
from tests.cpu.test_regions import branch, i_type, store
from tests.isa.riscv import page_tables as pt
from tests.isa.riscv.board import RAM, Board
from tests.isa.riscv.harts import jump

LOOP, HANDLER, FUNCTIONS, DATA, TABLES = RAM, RAM + 0x1000, (RAM + 0x2000, RAM + 0x3000), (RAM + 0x4000, RAM + 0x5000), RAM + 0x10000
#: Guest addresses of the function and of the data, whichever page is there.
FUNCTION_AT, DATA_AT = 0x8010_0000, 0x8010_1000
NUMBER, SEQUENCE, PROGRESS = 0, 8, 16
SWI = 0x200_0000
SFENCE, MRET = 0x12000073, 0x30200073
#: Two instructions that do nothing.
NOTHING = (0x00000013, 0x00504013)

ANSWER, FIRST, SECOND, CALLS, WRONG = 6, 11, 12, 9, 15
DATA_POINTER, ENTRIES, TABLE = 8, 20, 21


def ld(rd: int, rs1: int, offset: int) -> int:
    return i_type(0x03, 3, rd, rs1, offset)


def addi(rd: int, rs1: int, n: int) -> int:
    return i_type(0x13, 0, rd, rs1, n)


def sd(rs2: int, rs1: int, offset: int) -> int:
    return store(3, rs2, rs1, offset)


def call(offset: int) -> int:
    return jump(offset) | 1 << 7


def function(number: int, counter: int) -> list[int]:
    """Count a call, and say which function this is."""
    return [addi(counter, counter, 1), NOTHING[0], addi(ANSWER, 0, number), i_type(0x67, 0, 0, 1, 0)]


def loop() -> list[int]:
    """A wrong answer counts unless the pages were exchanged meanwhile."""
    return [
        ld(5, DATA_POINTER, SEQUENCE),
        call(FUNCTION_AT - LOOP - 4),
        addi(CALLS, CALLS, 1),
        sd(CALLS, DATA_POINTER, PROGRESS),
        ld(7, DATA_POINTER, NUMBER),
        ld(28, DATA_POINTER, SEQUENCE),
        branch(1, 5, 28, -24),
        branch(0, ANSWER, 7, -28),
        addi(WRONG, WRONG, 1),
        jump(-36),
    ]


def handler() -> list[int]:
    """Exchange the entries of the page table for both pages, count in both data pages, and take the interrupt back."""
    words = [addi(23, ENTRIES, 0)]
    for n in range(2):  # the table holds both entries of each page, the one in use first
        words += [ld(24, TABLE, 16 * n), ld(25, TABLE, 16 * n + 8), sd(25, TABLE, 16 * n), sd(24, TABLE, 16 * n + 8), sd(25, 23, 8 * n)]
    words += [SFENCE, ld(24, 26, SEQUENCE), addi(24, 24, 1), sd(24, 26, SEQUENCE), sd(24, 27, SEQUENCE), store(2, 0, 29, 0), MRET]
    return words


def write(board: Board, at: int, words: list[int]) -> None:
    board.memory.dma_write(at, b"".join(w.to_bytes(4, "little") for w in words))


def prepare(board: Board) -> None:
    """Everything in memory, and the processor before the loop."""
    x, state = board.cpu.state.x, board.cpu.state
    hart.reset(board.cpu, board.config, 0)
    write(board, LOOP, loop())
    write(board, HANDLER, handler())
    table = pt.PageTable(pt.SCHEMES["sv39"], TABLES, board.memory.read, board.memory.write)
    flags = pt.R | pt.W | pt.X | pt.A | pt.D
    table.map(LOOP, LOOP, flags)
    entries = []
    for va, pages in ((FUNCTION_AT, FUNCTIONS), (DATA_AT, DATA)):
        for page in reversed(pages):
            table.map(va, page, flags)
            entries.append(board.memory.read(table.entry(va), 8))
    for n, entry in enumerate((entries[1], entries[0], entries[3], entries[2])):
        board.memory.write(TABLES + 0x8000 + 8 * n, 8, entry)
    for n, counter in enumerate((FIRST, SECOND)):
        write(board, FUNCTIONS[n], function(n + 1, counter))
        board.memory.write(DATA[n] + NUMBER, 8, n + 1)
    x[DATA_POINTER], x[ENTRIES], x[TABLE] = DATA_AT, table.entry(FUNCTION_AT), TABLES + 0x8000
    x[26], x[27], x[29] = *DATA, SWI
    state.mtvec, state.satp, state.priv, state.mie = HANDLER, table.satp, 1, 1 << interrupts.MSI
    state.pmpcfg[0], state.pmpaddr[0] = 0x1F, -1
    state.pmp_first[0], state.pmp_last[0], state.pmp_rules = 0, -1, 1
    state.next_pc = LOOP
    board.cpu.call("tlb_flush")
    board.cpu.call("mode_update")


def disturb(board: Board, seed: int, turns: int, back: threading.Event) -> None:
    """What another thread does while the loop runs: each time it ends with a kick, and goes on when the processor came back."""
    choice = random.Random(seed)
    for _ in range(turns):
        _wait_for_calls(board)
        if choice.randrange(2):
            with board.engine.lock:
                board.memory.write(SWI, 4, 1)
        _wait_for_calls(board)
        board.cpu.kick()
        back.wait()
        back.clear()


def _wait_for_calls(board: Board) -> None:
    """Let the loop go on."""
    before, deadline = _progress(board), time.monotonic() + 60
    while _progress(board) == before and time.monotonic() < deadline:
        time.sleep(0)


def _progress(board: Board) -> list[int]:
    return [board.memory.read(page + PROGRESS, 8) for page in DATA]


def compile_loop(board: Board) -> None:
    """Have the loop as a region, if the processor is in it."""
    key, regions = board.cpu.page_key(LOOP), board.engine.regions
    assert regions is not None
    if board.cpu.state.priv == 1 and key is not None and not regions.always:
        page = board.engine.pages.get(key)
        if page is not None and 0 in page.entries and 0 not in page.regions:
            regions.compile_now(key, 0)


@pytest.mark.parametrize("how", ["on", "always"])
@pytest.mark.parametrize("seed", range(4))
def test_disturbed(seed: int, how: str) -> None:
    """The function and the data that the loop sees always belong together, and no call is lost."""
    turns = 150
    board = Board("rv64", 64)
    board.engine.regions = regions = Regions(board.engine, always=how == "always")
    prepare(board)
    x, back, choice = board.cpu.state.x, threading.Event(), random.Random(seed + 1000)
    thread = threading.Thread(target=disturb, args=(board, seed, turns, back))
    thread.start()
    for _ in range(turns):
        assert board.cpu.run().kind == "interrupt"
        assert x[WRONG] == 0
        assert x[FIRST] + x[SECOND] - x[CALLS] in (0, 1)
        if choice.randrange(4) == 0:
            write(board, choice.choice(FUNCTIONS) + 4, [choice.choice(NOTHING)])
        compile_loop(board)
        back.set()
    thread.join()
    assert board.memory.read(DATA[0] + SEQUENCE, 8) == board.memory.read(DATA[1] + SEQUENCE, 8) > 0
    assert x[FIRST] > 0 and x[SECOND] > 0
    assert regions.compiled > 0
    board.engine.save()
