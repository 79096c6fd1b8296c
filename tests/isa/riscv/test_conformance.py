"""Every instruction of the decode table on random words and edge operands: the reference against outside engines.

What peers are known to do otherwise is in `SKIPS` of the kit's module for the ISA; a test prints what it compared and what it left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ratite.isa.riscv.arch import make_arch
from ratite.isa.riscv.cpus import parse_cpu
from ratite.testing.conformance import ILLEGAL, NOWHERE, Case, Engine, Generator, Report
from ratite.testing.conformance.linux_peer import LinuxPeer
from ratite.testing.conformance.native import NativePeer, RegionPeer, RestoredPeer
from ratite.testing.conformance.reference import ReferenceEngine
from ratite.testing.conformance.riscv import EVENTS, HANDLES, SKIPS, binding, qemu_options, subject, target
from ratite.testing.conformance.unicorn_peer import UnicornPeer

WIDTHS = pytest.mark.parametrize("xlen", [64, 32])

#: Cases of each entry of the table in a quick run, and in a long one.
QUICK, LONG = 15, 400
#: The same where every new form is compiled first.
FEW = 3


def linux_peer(xlen: int, folder: Path) -> LinuxPeer:
    """QEMU's user-mode emulator with the extensions of the generic hart."""
    emulator = f"qemu-riscv{xlen}-static"
    if missing := target(xlen).missing(emulator):
        pytest.skip(missing)
    return LinuxPeer("qemu", target(xlen), [emulator, *qemu_options(xlen)], folder)


def _compare(xlen: int, per_entry: int, peer: Engine) -> None:
    """Compare an engine with the reference on cases of every instruction."""
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
def test_restored_machine_agrees_with_reference(xlen: int) -> None:
    """The same where another machine had the state before, which was saved and restored."""
    peer = RestoredPeer(make_arch(parse_cpu(f"rv{xlen}", xlen)), HANDLES)
    _compare(xlen, 1, peer)
    peer.close()


@WIDTHS
@pytest.mark.slow
def test_regions_agree_with_reference(xlen: int) -> None:
    """The same in regions, each compiled for its case; few instructions are left to stencils."""
    peer = RegionPeer(make_arch(parse_cpu(f"rv{xlen}", xlen)), HANDLES)
    _compare(xlen, 2, peer)
    peer.close()


@WIDTHS
def test_linux_program_agrees_with_reference(xlen: int, own_library: Path, tmp_path: Path) -> None:
    """The same seen by a Linux program in Ratite's user mode, exceptions arriving as signals."""
    if missing := target(xlen).missing():
        pytest.skip(missing)
    for _ in range(2):
        _compare(xlen, FEW, LinuxPeer.ratite("ratite", f"riscv{xlen}", target(xlen), [], tmp_path))


def _from_nowhere(xlen: int) -> Iterator[Case]:
    """Loads from an address without memory, into registers of every class, and what loads only to see whether it can."""
    generator = Generator(subject(xlen), seed=1)
    for insn in subject(xlen).arch.decoder.insns:
        if insn.name not in ("lb", "lhu", "lw", "flw", "fld", "amoadd.w", "amoswap.w", "lr.w", "cbo.clean", "cbo.inval"):
            continue
        for rd in (0, 8, 10, 31):
            case = generator.case(insn, insn.value | rd << 7 & ~insn.mask | 5 << 15)
            registers = list(case.registers["x"])
            registers[5] = NOWHERE
            yield replace(case, registers={**case.registers, "x": tuple(registers)})


@WIDTHS
def test_loads_from_nowhere_fault_and_change_nothing(xlen: int, own_library: Path, tmp_path: Path) -> None:
    """Also those whose result goes to x0, and however code for them is arranged."""
    if missing := target(xlen).missing():
        pytest.skip(missing)
    arch = subject(xlen).arch
    report = Report(SKIPS)
    report.compare(list(_from_nowhere(xlen)), ReferenceEngine(arch, EVENTS), LinuxPeer.ratite("ratite", f"riscv{xlen}", target(xlen), [], tmp_path))
    assert not report.failures, str(report)
