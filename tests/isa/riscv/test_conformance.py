"""Every instruction of the decode table on random words and edge operands: the reference against outside engines.

What peers are known to do otherwise is in `SKIPS`; a test prints what it compared and what it left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ratite.isa.riscv.arch import make_arch
from ratite.isa.riscv.cpus import parse_cpu
from ratite.testing.conformance import (
    BREAKPOINT,
    CODE,
    FAULT,
    ILLEGAL,
    MISALIGNED,
    NOWHERE,
    Case,
    Engine,
    Generator,
    Outcome,
    Report,
    Skip,
)
from ratite.testing.evaluation import ReferenceEngine
from ratite.testing.native_peer import NativePeer
from ratite.testing.unicorn_peer import UnicornPeer
from tests.isa.linux_peer import LinuxPeer
from tests.isa.riscv.linux_target import target
from tests.isa.riscv.native_handles import HANDLES
from tests.isa.riscv.programs import Program, ratite
from tests.isa.riscv.subject import EVENTS, subject
from tests.isa.riscv.unicorn_binding import binding

WIDTHS = pytest.mark.parametrize("xlen", [64, 32])

#: Cases of each entry of the table in a quick run, and in a long one.
QUICK, LONG = 15, 400
#: The same where every new form is compiled first.
FEW = 3


def _extension(*names: str) -> Callable[[Case, Outcome], bool]:
    return lambda case, expected: case.insn.extension in names


def _single(case: Case, expected: Outcome) -> bool:
    """Whether an instruction reads or writes a boxed number."""
    return case.insn.extension in ("f", "zcf") or case.insn.name in ("fcvt.s.d", "fcvt.d.s")


def _sc_misaligned(case: Case, expected: Outcome) -> bool:
    return case.insn.name.startswith("sc.") and expected.event == MISALIGNED


def _ctzw_of_zero(case: Case, expected: Outcome) -> bool:
    rs1 = case.word >> 15 & 31
    return case.insn.name == "ctzw" and not case.registers["x"][rs1] & 0xFFFF_FFFF


def _block_nowhere(case: Case, expected: Outcome) -> bool:
    return case.insn.extension == "zicbom" and expected.event == FAULT


#: What is not compared with whom, and why.
SKIPS = (
    Skip("*", "jumps to itself", lambda case, expected: expected.pc == CODE and not expected.event),
    Skip("*", "calls the environment", lambda case, expected: case.insn.name == "ecall"),
    Skip("*", "depends on the privileged state: has tests of its own", _extension("zicsr", "s", "priv", "svinval")),
    Skip("qemu", "QEMU 7.2 checks the alignment of sc only when there is a reservation", _sc_misaligned),
    Skip("unicorn", "Unicorn checks the alignment of sc only when there is a reservation", _sc_misaligned),
    Skip("qemu", "QEMU 7.2 has no cache-block instructions", _extension("zicbom", "zicboz")),
    Skip("qemu", "QEMU 7.2 counts on into the upper word", _ctzw_of_zero),
    Skip("stencils", "managing a block where nothing is does nothing in a bare machine", _block_nowhere),
    Skip("unicorn", "Unicorn is too old for it", _extension("zba", "zbb", "zbc", "zbs", "zicbom", "zicboz")),
    Skip("unicorn", "Unicorn neither makes nor checks NaN boxes", _single),
    Skip("unicorn", "Unicorn calls a breakpoint illegal", lambda case, expected: expected.event == BREAKPOINT),
)  # fmt: skip


def linux_peer(xlen: int, folder: Path) -> LinuxPeer:
    """QEMU's user-mode emulator with the extensions of the generic hart."""
    emulator = f"qemu-riscv{xlen}-static"
    if missing := target(xlen).missing(emulator):
        pytest.skip(missing)
    command = [emulator, "-cpu", f"rv{xlen},zba=on,zbb=on,zbc=on,zbs=on"]
    return LinuxPeer("qemu", target(xlen), command, folder)


def _compare(xlen: int, per_entry: int, peer: Engine) -> None:
    about = subject(xlen)
    report = Report(SKIPS)
    report.compare(list(Generator(about, seed=per_entry).cases(per_entry)), ReferenceEngine(about.arch, EVENTS), peer)
    print(report)
    assert not report.failures, str(report)
    assert report.compared[peer.name] > 100 * per_entry


@WIDTHS
def test_reference_agrees_with_qemu(xlen: int, tmp_path: Path) -> None:
    """Whole state after each instruction, exceptions included, as QEMU's user mode has it."""
    _compare(xlen, QUICK, linux_peer(xlen, tmp_path))


@WIDTHS
@pytest.mark.slow
def test_reference_agrees_with_qemu_at_length(xlen: int, tmp_path: Path) -> None:
    """The same with many more operands."""
    _compare(xlen, LONG, linux_peer(xlen, tmp_path))


@WIDTHS
def test_reference_agrees_with_unicorn(xlen: int) -> None:
    """Whole state after each instruction as Unicorn has it, which needs no compiler and no emulator."""
    pytest.importorskip("unicorn")
    _compare(xlen, QUICK, UnicornPeer(binding(xlen)))


@WIDTHS
def test_every_short_word_decodes_as_in_qemu(xlen: int, tmp_path: Path) -> None:
    """Of all 49,152 compressed encodings, those that are illegal in QEMU, and no others, decode as nothing here."""
    peer, decoder, generator = linux_peer(xlen, tmp_path), subject(xlen).arch.decoder, Generator(subject(xlen), seed=0)
    example = generator.case(generator.undefined(2), 0)
    loops = {0xA001, 0x2001, *range(0xC001, 0xC401, 0x80), *range(0xE001, 0xE401, 0x80)}  # jumps by 0
    if xlen == 64:
        loops.remove(0x2001)
    words = [word for word in range(1 << 16) if word & 3 != 3 and word not in loops]
    outcomes = peer.run([Case(example.insn, word, example.registers, example.fields) for word in words])
    for word, outcome in zip(words, outcomes, strict=True):
        assert (outcome.event == ILLEGAL) == (decoder.decode(word, 2) is None), f"{word:#06x}"


@WIDTHS
def test_what_is_no_instruction_is_illegal_in_qemu(xlen: int, tmp_path: Path) -> None:
    """Words a bit or two away from instructions, which decode as nothing here, are illegal in QEMU too."""
    cases = list(Generator(subject(xlen), seed=1).near_misses(4000))
    for case, outcome in zip(cases, linux_peer(xlen, tmp_path).run(cases), strict=True):
        assert outcome.event == ILLEGAL, f"{case.word:#010x} is something else"


@pytest.fixture
def own_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stencil library that has nothing yet."""
    monkeypatch.setenv("RATITE_CACHE", str(tmp_path))
    return tmp_path


@WIDTHS
def test_machine_code_agrees_with_reference(xlen: int, own_library: Path) -> None:
    """Whole state after each instruction run as machine code in a bare machine, as the reference evaluator has it: compiled
    for the purpose, then from disk."""
    for _ in range(2):
        peer = NativePeer(make_arch(parse_cpu(f"rv{xlen}", xlen)), HANDLES)
        _compare(xlen, FEW, peer)
        peer.close()


@WIDTHS
def test_linux_program_agrees_with_reference(xlen: int, own_library: Path, tmp_path: Path) -> None:
    """The same seen by a Linux program in Ratite's user mode, exceptions arriving as signals."""
    if missing := target(xlen).missing():
        pytest.skip(missing)
    for _ in range(2):
        command = ratite(Program("linux_peer", xlen, bare=False))
        _compare(xlen, FEW, LinuxPeer("ratite", target(xlen), command, tmp_path))


def _from_nowhere(xlen: int) -> Iterator[Case]:
    """Loads from an address without memory, into registers of every class."""
    generator = Generator(subject(xlen), seed=1)
    for insn in subject(xlen).arch.decoder.insns:
        if insn.name not in ("lb", "lhu", "lw", "flw", "fld", "amoadd.w", "amoswap.w", "lr.w"):
            continue
        for rd in (0, 8, 10, 31):
            case = generator.case(insn, insn.value | rd << 7 | 5 << 15)
            registers = list(case.registers["x"])
            registers[5] = NOWHERE
            yield replace(case, registers={**case.registers, "x": tuple(registers)})


@WIDTHS
def test_loads_from_nowhere_fault_and_change_nothing(xlen: int, own_library: Path, tmp_path: Path) -> None:
    """Also those whose result goes to x0, and however code for them is arranged."""
    if missing := target(xlen).missing():
        pytest.skip(missing)
    arch = subject(xlen).arch
    command = ratite(Program("linux_peer", xlen, bare=False))
    report = Report(SKIPS)
    report.compare(list(_from_nowhere(xlen)), ReferenceEngine(arch, EVENTS), LinuxPeer("ratite", target(xlen), command, tmp_path))
    assert not report.failures, str(report)
