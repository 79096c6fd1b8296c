"""What translation has to get right around the straight line: changed code, instructions across pages, pages of both, time slices."""

from __future__ import annotations

import gc
import io
import threading
from collections.abc import Callable

import pytest

from ratite import log
from ratite.cpu.codepage import CodePage
from ratite.cpu.scheduler import Processor, Turns
from ratite.cpu.vcpu import Event
from tests.isa.riscv import harts

PAGE = 4096


def addi(rd: int, rs1: int, imm: int) -> int:
    return (imm & 0xFFF) << 20 | rs1 << 15 | rd << 7 | 0x13


def sw(rs2: int, rs1: int, imm: int) -> int:
    return (imm >> 5 & 0x7F) << 25 | rs2 << 20 | rs1 << 15 | 2 << 12 | (imm & 31) << 7 | 0x23


@pytest.fixture(scope="module")
def bench() -> harts.Bench:
    return harts.Bench(native=True)


def place(bench: harts.Bench, at: int, *words: int) -> None:
    """Put code into memory as a device would, and end it at the stop."""
    for n, word in enumerate(words):
        bench.memory.dma_write(at + 4 * n, word.to_bytes(4, "little"))
    end = at + 4 * len(words)
    bench.memory.dma_write(end, harts.jump(harts.STOP - end).to_bytes(4, "little"))


def go(bench: harts.Bench, at: int) -> None:
    bench.state.next_pc = at
    assert bench.cpu.run().kind == "stop"


def test_code_that_a_device_writes_is_seen(bench: harts.Bench) -> None:
    bench.reset()
    for value in (1, 2, 3):
        place(bench, harts.CODE, addi(10, 0, value))
        go(bench, harts.CODE)
        assert bench.x[10] == value


def test_a_store_changes_the_instruction_after_it(bench: harts.Bench) -> None:
    """The store lies in the page that it writes: it is done, and what it wrote is what runs next."""
    bench.reset()
    place(bench, harts.CODE, sw(11, 12, 4), addi(10, 0, 1))
    for value in (7, 8):
        bench.x[11], bench.x[12] = addi(10, 0, value), harts.CODE
        go(bench, harts.CODE)
        assert bench.x[10] == value


def test_a_store_beside_code_keeps_the_translation(bench: harts.Bench) -> None:
    bench.reset()
    place(bench, harts.CODE, sw(11, 12, 0x400), addi(10, 0, 5))
    bench.x[11], bench.x[12] = 0x1234, harts.CODE
    go(bench, harts.CODE)
    before = bench.engine.invalidations
    bench.x[11], bench.x[12] = 0x5678, harts.CODE
    go(bench, harts.CODE)
    assert bench.engine.invalidations == before
    assert bench.memory.read(harts.CODE + 0x400, 4) == 0x5678


def test_an_instruction_across_two_pages_follows_both(bench: harts.Bench) -> None:
    """Either half may change; the half word before keeps the instruction off its natural alignment."""
    bench.reset()
    at = harts.CODE + PAGE - 2
    for value in (3, 4):
        word = addi(10, 0, value)
        bench.memory.dma_write(at, (word & 0xFFFF).to_bytes(2, "little"))
        bench.memory.dma_write(at + 2, (word >> 16).to_bytes(2, "little"))
        end = at + 4
        bench.memory.dma_write(end, harts.jump(harts.STOP - end).to_bytes(4, "little"))
        go(bench, at)
        assert bench.x[10] == value


def test_a_misaligned_store_across_pages_is_whole(bench: harts.Bench) -> None:
    bench.reset()
    base = harts.RAM + 0x20000 + PAGE
    place(bench, harts.CODE, sw(11, 12, -2))
    bench.x[11], bench.x[12] = 0xA1B2C3D4, base
    go(bench, harts.CODE)
    assert bytes(bench.memory.dma_read(base - 2, 4)) == bytes.fromhex("d4c3b2a1")


def test_code_memory_that_is_full_starts_over() -> None:
    """Programs larger than the code memory go on running: everything is translated again."""
    bench = harts.Bench(native=True)
    bench.engine.memory.size = bench.engine.memory.floor + 4096
    for n in range(200):
        at = harts.RAM + 0x100000 + n * PAGE
        place(bench, at, addi(10, 10, 1), *[addi(11, 11, 1)] * 20)
        bench.reset()
        bench.x[10] = n
        go(bench, at)
        assert bench.x[10] == n + 1


class _Spinner(Processor):
    """A processor that counts until it has been given a number of turns."""

    def must_wake(self) -> bool:
        return False

    def answer(self, event: Event) -> None:
        raise AssertionError(event)


def test_processors_that_spin_get_their_turns() -> None:
    """Two harts in endless loops: each goes on whenever the slice of the other ends."""
    first, second = harts.Bench(native=True), harts.Bench(native=True)
    processors = [_Spinner(b.cpu, b.engine.lock) for b in (first, second)]
    for b in (first, second):
        place(b, harts.CODE, addi(10, 10, 1), harts.jump(-4))
        b.reset()
        b.state.next_pc = harts.CODE
    timers: list[threading.Timer] = []

    def arm(end_slice: Callable[[], None], ns: int) -> None:
        timers.append(threading.Timer(ns / 1e9, end_slice))
        timers[-1].start()

    Turns(processors, arm).run_until(lambda: bool(first.x[10] and second.x[10]))
    for timer in timers:
        timer.join()


def test_walks_and_traps_are_logged_and_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """`-d mmu,int`: a load that finds memory, one that does not, and a store to a page with code."""
    text = io.StringIO()
    monkeypatch.setattr(log, "_on", {"mmu", "int"})
    monkeypatch.setattr(log, "_stream", text)
    traced = harts.Bench(native=True)
    traced.reset()
    nowhere = 0x1000
    place(traced, harts.CODE, sw(11, 12, 0x100), 0x00062503, 0x0006A503)  # sw a1, 256(a2); lw a0, (a2); lw a0, (a3)
    traced.x[11], traced.x[12], traced.x[13] = 7, harts.CODE, nowhere
    go(traced, harts.CODE)
    assert traced.state.mcause == 5
    assert traced.state.mepc == harts.CODE + 8
    assert traced.memory.dma_read(harts.CODE + 0x100, 1)[0] == 7
    lines = text.getvalue().splitlines()
    assert f"store {harts.CODE + 0x100:#x} at {harts.CODE:#x}: to {harts.CODE + 0x100:#x}" in lines
    assert f"fetch {harts.CODE:#x} at {harts.CODE:#x}: to {harts.CODE:#x}" in lines
    assert any(line.startswith(f"trap cause 5 at {harts.CODE + 8:#x}") for line in lines)


def test_a_page_at_many_addresses_is_not_remembered_at_all_of_them(bench: harts.Bench) -> None:
    """Some pages, as that of the kernel's functions for programs, are elsewhere in every process of a guest."""
    engine = bench.engine
    gc.collect()
    gc.disable()  # a machine's collector does not look at what is old
    place(bench, harts.CODE, addi(10, 0, 1))
    host = bench.ram.host + harts.CODE - harts.RAM
    for n in range(200):
        with engine.lock:
            page = engine._new_page((host, 0x4000_0000 + n * PAGE, 0))
            assert page is not None
            engine.publish(page, 0) if 0 in page.entries else engine.translator.translate(page, 0)
    alive = sum(isinstance(o, CodePage) and o.key[0] == host for o in gc.get_objects())
    gc.enable()
    assert alive <= 33
    known = [key for key in engine.pages if key[0] == host]
    assert 16 <= len(known) <= 32
    assert (host, 0x4000_0000 + 199 * PAGE, 0) in known
    assert {id(unit.page) for unit in engine.translator.units} <= {id(page) for page in engine.pages.values()}  # what is gone is forgotten
    go(bench, harts.CODE)
    assert bench.x[10] == 1
