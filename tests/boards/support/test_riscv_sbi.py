"""The built-in supervisor binary interface: each call against the specification, and a program that QEMU runs on
OpenSBI.
"""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile

from ratite.bits import MiB, mask
from ratite.boards.support.processor import NEVER
from ratite.boards.support.riscv_sbi import (
    BASE,
    DBCN,
    HSM,
    IMPLEMENTATION_ID,
    IPI,
    RFENCE,
    SRST,
    TIME,
    Error,
    HartStatus,
    Sbi,
)  # fmt: skip
from ratite.cpu.engine import Engine
from ratite.cpu.vcpu import Vcpu
from ratite.hw.misc.sifive_test import SiFiveTest
from ratite.hw.model import VirtualClock
from ratite.isa.riscv import hart as harts
from ratite.isa.riscv.arch import make_arch
from ratite.isa.riscv.cpus import parse_cpu
from ratite.memory import AddressSpace, RamBlock

RAM, ENTRY = 0x8000_0000, 0x8020_0000
DATA = RAM + 0x30_0000
ECALL = 0x73
SSIP, STIP = 1 << 1, 1 << 5
PROGRAM = Path(__file__).parents[2] / "isa/riscv/programs/sbi.S"
COMPILER = "riscv64-linux-gnu-gcc"


class FakeConsole:
    """Remembers what was printed; `typed` is what can be read."""

    def __init__(self) -> None:
        self.printed, self.typed = b"", b""

    def write(self, data: bytes) -> None:
        """Print bytes."""
        self.printed += data

    def read(self, limit: int) -> bytes:
        """Up to `limit` typed bytes."""
        data, self.typed = self.typed[:limit], self.typed[limit:]
        return data


class TestHart:
    """A vCPU that runs only when the machine steps it, so that it is always at rest."""

    __test__ = False

    def __init__(self, engine: Engine, clock: VirtualClock) -> None:
        self.cpu = Vcpu(engine)
        self.clock, self.alarm = clock, clock.timer(self.cpu.ring)
        self.cpu.keep_time = self._keep_time
        self.state, self.engine = self.cpu.state, engine
        self.stopped = self.waiting = False
        self.calls: list[tuple[Any, ...]] = []
        self.rested = 0

    def call(self, name: str, *args: int) -> int:
        """Call a native helper."""
        self.calls.append((name, *args))
        return self.cpu.call(name, *args)

    def follow_timer(self) -> None:
        """The comparator has changed."""
        self.state.clock_frozen = self.clock.now()
        self.cpu.follow_timer()

    def _keep_time(self, when: int) -> None:
        self.alarm.cancel()
        if when < NEVER:
            self.alarm.at(when)

    def timer_interrupt(self) -> int:
        """Whether it is pending, as the hart finds when it looks."""
        self.state.clock_frozen = self.clock.now()
        self.cpu.wakeup()
        return int(self.state.mip_soft & STIP)

    def software_s(self, level: bool) -> None:
        """A software interrupt, as if it were noticed at once."""
        self.state.mip_soft = self.state.mip_soft | level << 1

    def at_rest(self, work: Callable[[], None]) -> None:
        """No guest instruction is being executed now."""
        self.rested += 1
        work()

    def set_stopped(self, stopped: bool) -> None:
        """Run no more, or again."""
        self.stopped = stopped


class TestMachine:
    """Two harts, memory, a clock that the test moves, and the interface."""

    __test__ = False

    def __init__(self, xlen: int = 64, count: int = 2) -> None:
        self.config = parse_cpu("", xlen).for_firmware()
        self.memory, self.clock, self.lock = AddressSpace(), VirtualClock(1000), threading.RLock()
        self.ram = RamBlock("ram", 8 * MiB)
        self.memory.add_ram(RAM, self.ram)
        self.shutdowns: list[int] = []
        self.resets = 0
        finisher = SiFiveTest()
        finisher.map_into(self.memory, 0x10_0000)
        finisher.realize(self)
        engine = Engine(make_arch(self.config), space=self.memory, code_size=4 * MiB)
        self.harts = [TestHart(engine, self.clock) for _ in range(count)]
        for number, hart in enumerate(self.harts):
            harts.reset(hart.cpu, self.config, number)
        self.console = FakeConsole()
        self.sbi = Sbi(self, self.harts, self.config, self.console)
        self.sbi.boot(ENTRY, 0x8200_0000)

    def request_shutdown(self, status: int = 0) -> None:
        """Noted."""
        self.shutdowns.append(status)

    def request_reset(self) -> None:
        """Noted."""
        self.resets += 1

    def call(self, extension: int, function: int, *args: int, hart: int = 0) -> tuple[int, int]:
        """Make a call on a hart: (error, value), as signed numbers."""
        state = self.harts[hart].state
        state.x[17], state.x[16], state.x[11] = extension & mask(64), function, 0x5EED
        for n, value in enumerate(args):
            state.x[10 + n] = value & mask(64)
        before = state.pc
        self.sbi.handle(hart)
        if not self.harts[hart].stopped and not self.shutdowns and not self.resets:
            assert state.pc == before + 4
        return _signed(state.x[10]), _signed(state.x[11])

    # --- running programs

    def run(self, limit: int = 100_000) -> int:
        """Run both harts in turn, an instruction each, until somebody powers off; time passes while both wait."""
        for _ in range(limit):
            if self.shutdowns:
                return self.shutdowns[0]
            for number, hart in enumerate(self.harts):
                if not hart.stopped:
                    self._step(number, hart)
            if all(hart.stopped or hart.waiting for hart in self.harts):
                deadline = self.clock.next_deadline()
                assert deadline is not None, "all harts wait for ever"
                self.clock.advance_to(deadline)
        raise AssertionError([hex(hart.state.pc) for hart in self.harts])

    def _step(self, number: int, hart: TestHart) -> None:
        hart.state.clock_frozen = self.clock.now()
        if hart.waiting and not hart.cpu.wakeup():
            return
        if hart.waiting:
            hart.waiting = False
            self.sbi.resumed(number)
        event = hart.cpu.step()
        if event is not None and event.kind == "firmware":
            hart.waiting = self.sbi.handle(number)
        elif event is not None:
            assert event.kind == "halt"
            hart.waiting = True


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


@pytest.fixture
def machine() -> TestMachine:
    """A machine whose first hart has been booted."""
    return TestMachine()


def test_boot(machine: TestMachine) -> None:
    """The boot hart is in supervisor mode with its number and the device tree, without translation; the other is
    stopped.
    """
    first, second = machine.harts
    state = first.state
    assert (state.pc, state.x[10], state.x[11], state.priv, state.satp) == (ENTRY, 0, 0x8200_0000, 1, 0)
    assert (state.mmu_index, state.context_index, state.mideleg, state.mhartid) == (1, 1, 0x222, 0)
    assert (first.stopped, second.stopped) == (False, True)
    assert machine.sbi.status == [HartStatus.STARTED, HartStatus.STOPPED]
    assert all(first.cpu.call("translate", DATA, access) == 0 for access in (0, 1, 2))


def test_base(machine: TestMachine) -> None:
    """Version, implementation, and which extensions there are."""
    assert machine.call(BASE, 0) == (0, 2 << 24)
    assert machine.call(BASE, 1) == (0, IMPLEMENTATION_ID)
    assert machine.call(BASE, 2)[0] == 0
    for extension in (BASE, TIME, IPI, RFENCE, HSM, SRST, DBCN, *range(9)):
        assert machine.call(BASE, 3, extension) == (0, 1)
    for extension in (9, 0x504D55, 0x53555350, -1):
        assert machine.call(BASE, 3, extension) == (0, 0)
    assert [machine.call(BASE, n) for n in (4, 5, 6)] == [(0, 0)] * 3


@pytest.mark.parametrize(("extension", "function"), [
    (0x504D55, 0), (BASE, 7), (TIME, 1), (HSM, 4), (-1, -1), (0x0F, 0),
])  # fmt: skip
def test_unknown_calls(machine: TestMachine, extension: int, function: int) -> None:
    """They return NOT_SUPPORTED."""
    assert machine.call(extension, function) == (Error.NOT_SUPPORTED, 0)


def test_other_registers_are_kept(machine: TestMachine) -> None:
    """A call changes a0 and a1; a legacy call a0 alone."""
    state = machine.harts[0].state
    for n in range(1, 32):
        state.x[n] = 1000 + n
    assert machine.call(BASE, 0)[0] == 0
    assert [state.x[n] for n in (1, 5, 12, 15, 31)] == [1001, 1005, 1012, 1015, 1031]
    machine.call(1, 0, ord("x"))
    assert state.x[11] == 0x5EED


@pytest.mark.parametrize("legacy", [False, True])
def test_timer(machine: TestMachine, legacy: bool) -> None:
    """The interrupt comes at its time, goes with the next call, and never comes for the end of time."""
    hart, extension = machine.harts[0], 0 if legacy else TIME
    assert machine.call(extension, 0, 50)[0] == 0
    machine.clock.advance_to(4999)
    assert not hart.timer_interrupt()
    machine.clock.advance_to(5000)
    assert hart.state.attention
    assert hart.timer_interrupt()
    machine.call(extension, 0, 100)
    assert not hart.timer_interrupt()
    machine.call(extension, 0, -1)
    machine.clock.advance(1 << 40)
    assert not hart.timer_interrupt()
    machine.call(extension, 0, 0)
    machine.clock.advance(1)
    assert hart.timer_interrupt()


def test_timer_follows_the_time_offset(machine: TestMachine) -> None:
    """`time` may have been set; the call means what the hart reads."""
    machine.harts[0].state.time_offset = 1000
    machine.call(TIME, 0, 1100)
    assert machine.clock.next_deadline() == 10_000


def test_timer_of_rv32() -> None:
    """Two registers hold the value."""
    machine = TestMachine(32)
    state = machine.harts[0].state
    state.x[17], state.x[16], state.x[10], state.x[11] = TIME, 0, 7, 1
    machine.sbi.handle(0)
    assert (state.x[10], machine.clock.next_deadline()) == (0, (1 << 32 | 7) * 100)


def test_ipi(machine: TestMachine) -> None:
    """Software interrupts for running harts, the caller included; a hart that does not exist is an error."""
    first, second = machine.harts
    assert machine.call(IPI, 0, 1, 0) == (0, 0)
    assert (first.state.mip_soft, second.state.mip_soft) == (SSIP, 0)
    machine.call(HSM, 0, 1, ENTRY, 0)
    first.state.mip_soft = 0
    assert machine.call(IPI, 0, 2, 0) == (0, 0)
    assert (first.state.mip_soft, second.state.mip_soft) == (0, SSIP)
    assert second.state.attention
    second.state.mip_soft = 0
    assert machine.call(IPI, 0, 1, 1) == (0, 0)
    assert second.state.mip_soft == SSIP
    assert machine.call(IPI, 0, 0, -1) == (0, 0)
    assert first.state.mip_soft == SSIP
    for hart_mask, base in ((4, 0), (2, 1), (1, 2), (0, 99), (1 << 63, 0)):
        assert machine.call(IPI, 0, hart_mask, base) == (Error.INVALID_PARAM, 0)


def test_fences(machine: TestMachine) -> None:
    """Single pages for small ranges, everything for large ones; other harts have done it when the call returns."""
    second = machine.harts[1]
    machine.call(HSM, 0, 1, ENTRY, 0)
    for start, size, expected in (
        (0, 0, [("tlb_flush",)]), (0x1000, -1, [("tlb_flush",)]), (0, 1 << 30, [("tlb_flush",)]),
        (0x1800, 0x1000, [("tlb_flush_page", 0x1000), ("tlb_flush_page", 0x2000)]),
        (-0x1000, 0x1000, [("tlb_flush_page", mask(64) - 0xFFF)]),
        (-0x1000, 0x2000, [("tlb_flush_page", mask(64) - 0xFFF), ("tlb_flush_page", 0)]),
        (0x5000, 1, [("tlb_flush_page", 0x5000)]),
    ):  # fmt: skip
        for function in (1, 2):
            second.calls.clear()
            assert machine.call(RFENCE, function, 2, 0, start, size, 3) == (0, 0)
            assert second.calls == expected
    assert machine.call(RFENCE, 0, 3, 0) == (0, 0)
    assert machine.call(RFENCE, 0, 4, 0) == (Error.INVALID_PARAM, 0)
    assert machine.call(RFENCE, 3, 1, 0) == (Error.NOT_SUPPORTED, 0)
    assert (machine.harts[0].rested, second.rested > 0) == (0, True)


def test_hart_states(machine: TestMachine) -> None:
    """Start, status, stop and start again."""
    second = machine.harts[1]
    assert machine.call(HSM, 2, 1) == (0, HartStatus.STOPPED)
    assert machine.call(HSM, 0, 1, ENTRY + 0x100, 0x77) == (0, 0)
    state = second.state
    assert (state.pc, state.x[10], state.x[11]) == (ENTRY + 0x100, 1, 0x77)
    assert (state.priv, state.satp, state.mhartid) == (1, 0, 1)
    assert [one.state.scounteren for one in machine.harts] == [7, 7], "programs may read the time on every hart"
    assert not second.stopped
    assert machine.call(HSM, 2, 1) == (0, HartStatus.STARTED)
    assert machine.call(HSM, 0, 1, ENTRY, 0) == (Error.ALREADY_AVAILABLE, 0)
    machine.call(TIME, 0, 1 << 40, hart=1)
    machine.call(HSM, 1, hart=1)
    assert second.stopped
    assert machine.clock.next_deadline() is None
    assert machine.call(HSM, 2, 1) == (0, HartStatus.STOPPED)
    assert machine.call(HSM, 0, 1, 0x1000, 0) == (Error.INVALID_ADDRESS, 0)
    assert machine.call(HSM, 0, 2, ENTRY, 0) == (Error.INVALID_PARAM, 0)
    assert machine.call(HSM, 2, -1) == (Error.INVALID_PARAM, 0)
    assert machine.call(HSM, 0, 1, ENTRY, 1) == (0, 0)


@pytest.mark.parametrize("kind", [0, 1 << 31, 0xFFFF_FFFF_0000_0000])
def test_suspend(machine: TestMachine, kind: int) -> None:
    """The hart waits: it returns from the call, or starts anew with its interrupts disabled. The upper half is ignored.
    """
    state = machine.harts[0].state
    state.satp, state.mstatus = 8 << 60, 2
    before = state.pc
    state.x[17], state.x[16], state.x[10], state.x[11], state.x[12] = HSM, 3, kind, ENTRY + 0x400, 0x99
    assert machine.sbi.handle(0)
    assert machine.sbi.status == [HartStatus.SUSPENDED, HartStatus.STOPPED]
    if kind & mask(32):
        assert (state.pc, state.x[10], state.x[11], state.satp, state.mstatus & 2) == (ENTRY + 0x400, 0, 0x99, 0, 0)
    else:
        assert (state.pc, state.x[10], state.x[11], state.satp, state.mstatus & 2) == (before + 4, 0, 0, 8 << 60, 2)
    machine.sbi.resumed(0)
    assert machine.sbi.status == [HartStatus.STARTED, HartStatus.STOPPED]


def test_suspend_refuses(machine: TestMachine) -> None:
    """Kinds that do not exist, and an address without memory."""
    for kind in (1, 0x1000_0000, 0x8000_0001, 0x9000_0000):
        assert machine.call(HSM, 3, kind, ENTRY, 0) == (Error.INVALID_PARAM, 0)
    assert machine.call(HSM, 3, 1 << 31, 0x1000, 0) == (Error.INVALID_ADDRESS, 0)
    assert machine.sbi.status[0] == HartStatus.STARTED


@pytest.mark.parametrize(("kind", "reason", "shutdowns", "resets"), [
    (0, 0, [0], 0), (0, 1, [1], 0), (1, 0, [], 1), (2, 0, [], 1), (1 << 32, 0, [0], 0),
])  # fmt: skip
def test_system_reset(machine: TestMachine, kind: int, reason: int, shutdowns: list[int], resets: int) -> None:
    """Power-off with a status, and both reboots; the call does not return."""
    before = machine.harts[0].state.pc
    machine.call(SRST, 0, kind, reason)
    assert (machine.shutdowns, machine.resets) == (shutdowns, resets)
    assert machine.harts[0].state.pc == before


def test_system_reset_refuses(machine: TestMachine) -> None:
    """Kinds and reasons that do not exist."""
    for kind, reason in ((3, 0), (0xF000_0000, 0), (0, 2), (0, 0xE000_0000)):
        assert machine.call(SRST, 0, kind, reason) == (Error.INVALID_PARAM, 0)
    assert machine.call(8, 0) and machine.shutdowns == [0]


def test_console(machine: TestMachine) -> None:
    """Bytes from and to memory, and single ones, also by the legacy calls."""
    machine.memory.dma_write(DATA, b"hello, world")
    assert machine.call(DBCN, 0, 5, DATA, 0) == (0, 5)
    assert machine.call(DBCN, 2, 0x121) == (0, 0)
    assert machine.call(1, 0, ord("?"))[0] == 0
    assert machine.console.printed == b"hello!?"
    machine.console.typed = b"abcdef"
    assert machine.call(DBCN, 1, 4, DATA, 0) == (0, 4)
    assert machine.memory.dma_read(DATA, 5) == b"abcdo"
    assert machine.call(2, 0)[0] == ord("e")
    assert machine.call(DBCN, 1, 4, DATA, 0) == (0, 1)
    assert machine.call(DBCN, 1, 4, DATA, 0) == (0, 0)
    assert machine.call(2, 0)[0] == -1
    assert machine.call(DBCN, 0, 0, DATA, 0) == (0, 0)


def test_console_takes_memory_only(machine: TestMachine) -> None:
    """No call reaches a device, or beyond the end of memory; a large write is cut, as the specification allows."""
    end = RAM + 8 * MiB
    outside = ((1, 0x10_0000, 0), (2, end - 1, 0), (1, 0, 0), (mask(63), RAM, 0), (1, RAM, 1), (-1, -1, -1))
    for size, low, high in outside:
        for function in (0, 1):
            assert machine.call(DBCN, function, size, low, high) == (Error.INVALID_PARAM, 0)
    assert machine.call(DBCN, 0, 4 * MiB, RAM, 0) == (0, 1 << 16)


def test_legacy_calls_with_a_mask_in_memory(machine: TestMachine) -> None:
    """The mask is at a virtual address; without one all harts are meant."""
    first, second = machine.harts
    machine.call(HSM, 0, 1, ENTRY, 0)
    machine.memory.write(DATA, 8, 0b110)
    assert machine.call(4, 0, DATA)[0] == 0
    assert (first.state.mip_soft, second.state.mip_soft) == (0, SSIP)
    assert machine.call(4, 0, 0)[0] == 0
    assert first.state.mip_soft == SSIP
    assert machine.call(3, 0)[0] == 1
    assert machine.call(3, 0)[0] == 0
    assert first.state.mip_soft == 0
    second.calls.clear()
    assert [machine.call(n, 0, DATA, 0x1000, 0x1000, 0)[0] for n in (5, 6, 7)] == [0, 0, 0]
    assert second.calls == [("tlb_flush_page", 0x1000)] * 2


def test_legacy_mask_that_faults(machine: TestMachine) -> None:
    """A page fault there is one of the caller, at its `ecall`."""
    state = machine.harts[0].state
    state.satp, state.stvec = 8 << 60 | DATA >> 12, ENTRY + 0x800
    state.x[17], state.x[10] = 4, 0x5000
    before = state.pc
    assert not machine.sbi.handle(0)
    assert (state.pc, state.scause, state.stval, state.sepc) == (ENTRY + 0x800, 13, 0x5000, before)


def test_ecall_reaches_firmware(machine: TestMachine) -> None:
    """An `ecall` of supervisor mode leaves native code at its address; one of user mode goes to supervisor mode."""
    machine.memory.write(ENTRY, 4, ECALL)
    hart = machine.harts[0]
    event = hart.cpu.run()
    assert (event.kind, hart.state.pc) == ("firmware", ENTRY)
    hart.state.priv, hart.state.stvec = 0, ENTRY + 0x100
    hart.cpu.call("mode_update")
    hart.cpu.step()
    assert (hart.state.pc, hart.state.scause, hart.state.priv) == (ENTRY + 0x100, 8, 1)


# --- a program --------------------------------------------------------------------------------------------------------


def _build(folder: Path, xlen: int) -> Path:
    if not shutil.which(COMPILER):
        pytest.skip(f"{COMPILER} not installed")
    target = folder / f"sbi-{xlen}"
    options = ["-nostdlib", "-static", "-Wl,-N,--no-warn-rwx-segments,--no-relax,--build-id=none,-Ttext=0x80200000"]
    abi = [f"-march=rv{xlen}gc", f"-mabi={'lp64d' if xlen == 64 else 'ilp32d'}", "-fno-pie", "-no-pie"]
    subprocess.run([COMPILER, *abi, *options, "-o", str(target), str(PROGRAM)], check=True)
    return target


@pytest.mark.parametrize("xlen", [64, 32])
def test_program_here(tmp_path: Path, xlen: int) -> None:
    """Every case passes on two harts."""
    machine = TestMachine(xlen)
    with _build(tmp_path, xlen).open("rb") as file:
        elf = ELFFile(file)
        for segment in elf.iter_segments("PT_LOAD"):
            machine.memory.dma_write(segment["p_paddr"], segment.data())
        machine.sbi.boot(elf["e_entry"], 0)
    assert machine.run() == 0
    assert machine.console.printed == b"\n"


def test_program_on_opensbi(tmp_path: Path) -> None:
    """QEMU with OpenSBI passes the same program: it asks for what the specification says."""
    if not shutil.which("qemu-system-riscv64"):
        pytest.skip("qemu-system-riscv64 not installed")
    board = ["-M", "virt", "-m", "64", "-smp", "2", "-display", "none", "-serial", "null", "-monitor", "none"]
    command = ["qemu-system-riscv64", *board, "-kernel", str(_build(tmp_path, 64))]
    done = subprocess.run(command, timeout=60, check=False, capture_output=True)
    if b"Unable to load the RISC-V firmware" in done.stderr:
        pytest.skip("no OpenSBI for qemu-system-riscv64")
    assert done.returncode == 0
