"""Translations on disk: the next run places them again; whatever happens to the file, results stay right."""

from __future__ import annotations

from pathlib import Path

import pytest

from ratite.cpu import pagestore
from tests.isa.riscv import harts

A0, A1, A2, FA0, FA1 = 10, 11, 12, 10, 11


def addi(rd: int, rs1: int, imm: int) -> int:
    return (imm & 0xFFF) << 20 | rs1 << 15 | rd << 7 | 0x13


def bne(rs1: int, rs2: int, offset: int) -> int:
    high = (offset >> 12 & 1) << 31 | (offset >> 5 & 0x3F) << 25
    return high | rs2 << 20 | rs1 << 15 | 1 << 12 | (offset >> 1 & 15) << 8 | (offset >> 11 & 1) << 7 | 0x63


def auipc(rd: int) -> int:
    return rd << 7 | 0x17


def jal(rd: int, offset: int) -> int:
    return harts.jump(offset) | rd << 7


RET = 1 << 15 | 0x67
#: fmin.d fa0, fa0, fa1, and fmv.d.x, fmv.x.d: code with constants.
FMIN, TO_FLOAT, FROM_FLOAT = 0x15 << 25 | FA1 << 20 | FA0 << 15 | FA0 << 7 | 0x53, 0xF2000053, 0xE2000053

#: Multiplies a1 by itself by addition, calls a function, touches floats and its own address.
PROGRAM = (
    addi(A0, 0, 0),
    addi(A2, A1, 0),
    0x00B50533,  # add a0, a0, a1
    addi(A2, A2, -1),
    bne(A2, 0, -8),
    jal(1, 12),
    auipc(A2),
    harts.jump(20),
    addi(A0, A0, 100),
    TO_FLOAT | A0 << 15 | FA0 << 7,
    FMIN,
    RET,
    addi(A0, A0, 1),
)
FUNCTION = 8


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATITE_CACHE", str(tmp_path))


def loaded(at: int = harts.CODE, first: int = PROGRAM[0]) -> harts.Bench:
    """A new hart with the program."""
    bench = harts.Bench(native=True)
    words = (first, *PROGRAM[1:])
    for n, word in enumerate(words):
        bench.memory.dma_write(at + 4 * n, word.to_bytes(4, "little"))
    end = at + 4 * len(words)
    bench.memory.dma_write(end, harts.jump(harts.STOP - end).to_bytes(4, "little"))
    bench.state.fs = 3
    return bench


def run(at: int = harts.CODE, first: int = PROGRAM[0]) -> harts.Bench:
    """Run the program on a new hart and check what it computes."""
    bench = loaded(at, first)
    bench.x[A1] = 9
    bench.state.next_pc = at
    assert bench.cpu.run().kind == "stop"
    assert bench.x[A0] == 9 * 9 + 101 + (first >> 20)
    assert bench.x[A2] == at + 24
    return bench


def run_function() -> harts.Bench:
    """Run only what the program calls, on a new hart."""
    bench = loaded()
    bench.x[1], bench.state.next_pc = harts.STOP, harts.CODE + 4 * FUNCTION
    assert bench.cpu.run().kind == "stop"
    return bench


def path(bench: harts.Bench) -> Path:
    assert bench.engine.store is not None
    return Path(bench.engine.store.path)


def restored(bench: harts.Bench) -> int:
    assert bench.engine.store is not None
    return bench.engine.store.restored


def test_the_next_run_translates_nothing() -> None:
    first = run()
    assert not restored(first)
    assert first.engine.translator.instructions == len(PROGRAM) + 1
    first.close()
    second = run()
    assert restored(second) == 1
    assert second.engine.translator.instructions == 0


def test_a_page_is_known_at_another_address() -> None:
    run().close()
    elsewhere = run(harts.CODE + 0x3000)  # other bytes: its last jump is longer
    assert not restored(elsewhere)
    elsewhere.close()
    assert restored(run(harts.CODE + 0x3000)) == 1
    assert restored(run()) == 1


def test_other_bytes_are_another_page() -> None:
    run().close()
    assert not restored(run(first=addi(A0, 0, 5)))


def test_what_is_new_in_a_known_page_is_added() -> None:
    run_function().close()
    second = run()
    assert restored(second) == 1
    assert second.engine.translator.instructions == len(PROGRAM) + 1 - 4
    second.close()
    assert run().engine.translator.instructions == 0


def test_ways_behind_branches_are_translated_before_they_are_taken() -> None:
    """The program, the function that it calls, and what is behind its jump: one piece."""
    assert run().engine.translator.placed == 1


@pytest.mark.parametrize("damage", ["magic", "body", "cut off", "empty"])
def test_a_damaged_file_is_as_good_as_none(damage: str) -> None:
    first = run()
    first.close()
    data = bytearray(path(first).read_bytes())
    if damage == "magic":
        data[0] ^= 1
    elif damage == "body":
        data[-100] ^= 1
    else:
        data = data[: -10 if damage == "cut off" else 0]
    path(first).write_bytes(data)
    second = run()
    assert not restored(second)
    second.close()
    assert restored(run()) == 1


def test_two_runs_at_once_keep_what_the_other_adds() -> None:
    one, two = run(), run(first=addi(A0, 0, 3))
    one.close()
    two.close()
    assert restored(run()) == 1
    assert restored(run(first=addi(A0, 0, 3))) == 1


def test_a_file_that_has_grown_too_long_is_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    run().close()
    monkeypatch.setattr(pagestore, "_LIMIT", 100)
    run(first=addi(A0, 0, 3)).close()
    assert not restored(run())
    assert restored(run(first=addi(A0, 0, 3))) == 1


def test_a_page_is_kept_before_it_is_overwritten() -> None:
    bench = run()
    store = addi(A0, 0, 0)
    bench.memory.dma_write(harts.CODE + 0x4000, (0x00A5A023).to_bytes(4, "little"))  # sw a0, 0(a1)
    bench.memory.dma_write(harts.CODE + 0x4004, harts.jump(harts.STOP - harts.CODE - 0x4004).to_bytes(4, "little"))
    bench.x[A0], bench.x[A1] = store, harts.CODE
    bench.state.next_pc = harts.CODE + 0x4000
    assert bench.cpu.run().kind == "stop"
    bench.close()
    assert restored(run()) == 1


def execute(*pieces: tuple[int, tuple[int, ...]]) -> harts.Bench:
    """Run words at distances from the start of a page, beginning with the first ones, on a new hart."""
    bench = harts.Bench(native=True)
    for distance, words in pieces:
        bench.memory.dma_write(harts.CODE + distance, b"".join(word.to_bytes(4, "little") for word in words))
    bench.state.next_pc = harts.CODE + pieces[0][0]
    assert bench.cpu.run().kind == "stop"
    return bench


def test_a_page_with_data_is_found_as_it_was_before_the_data_changed() -> None:
    """A page is looked for when nothing of it has been executed; what is translated after stores beside the code is found then, too."""
    sw = 0x20 << 25 | A0 << 20 | A2 << 15 | 2 << 12 | 0x23  # sw a0, 1024(a2)
    jr = 0x200 << 20 | A2 << 15 | 0x67  # jalr zero, 512(a2)
    pieces = (
        (0, (auipc(A2), addi(A0, 0, 77), sw, jr)),
        (0x200, (addi(A0, A0, 1), harts.jump(harts.STOP - harts.CODE - 0x204))),
        (0x400, (0,)),
    )
    first = execute(*pieces)
    assert first.x[A0] == 78
    assert first.memory.dma_read(harts.CODE + 0x400, 1) == b"M"
    first.close()
    second = execute(*pieces)
    assert second.x[A0] == 78
    assert restored(second) == 1
    assert second.engine.translator.instructions == 0


def test_only_an_instruction_across_pages_is_translated_again() -> None:
    """Its code knows where the next page lies; what comes before it does not."""
    rest = 0x1002
    pieces = (0xFF2, (addi(A0, 0, 1), addi(A0, A0, 2), addi(A0, A0, 4), addi(A0, A0, 8), harts.jump(harts.STOP - harts.CODE - rest)))
    first = execute(pieces)
    assert first.x[A0] == 15
    first.close()
    second = execute(pieces)
    assert second.x[A0] == 15
    assert restored(second) == 2
    assert second.engine.translator.instructions == 1
